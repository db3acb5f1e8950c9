"""Images that wait for one net, are segmented by it one after the other, and are kept for a while.

    jobs = Jobs(deployed, args, folder)         # `folder` holds the images and their results
    job = jobs.take("cell.tif", path)           # moves the file there, reads its header, queues it
    job.state()                                 # what a page needs to know
    jobs.end()

One thread computes; others may ask and cancel meanwhile.  A file that is wrong is refused in the
words of deploy.py.
"""

from __future__ import annotations

import os
import queue
import re
import secrets
import shutil
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DemitasseError, MemoryBudgetError
from ._main import said

if TYPE_CHECKING:
    from ..imaging.deployed import Deployed
    from ..imaging.image import Image

RESULTS = ".results"  # no uploaded file has a name that begins with a dot
MOST = 16  # images that are kept; of those the oldest that is finished makes room


class Cancelled(Exception):
    """Nobody wants the result any more."""


@dataclass(eq=False)
class Job:
    """One image: status is waiting, running, done, failed or cancelled; done of tiles computed."""

    id: str
    image: Image
    status: str = "waiting"
    done: int = 0
    tiles: int = 0
    seconds: float = 0.0
    error: str = ""
    notes: tuple[str, ...] = ()
    pages: tuple[int, ...] = ()
    instead: str = ""  # id of the image that made room for it
    unwanted: threading.Event = field(default_factory=threading.Event)
    making: threading.Lock = field(default_factory=threading.Lock)  # of files that are asked for

    @property
    def folder(self) -> Path:
        return self.image.path.parent

    def result(self, kind: str) -> Path:
        """Where a result lies: in a folder of its own, for an image may have any name."""
        return self.folder / RESULTS / f"{self.image.path.stem}.{kind}"

    @property
    def finished(self) -> bool:
        return self.status in ("done", "failed", "cancelled")

    def state(self) -> dict[str, Any]:
        """For the page, as JSON takes it."""
        from ..imaging.pixel_size import micrometres

        names = ("id", "status", "done", "tiles", "seconds", "error", "notes", "instead")
        size = micrometres(self.image.pixel_size, self.image.unit)
        return {name: getattr(self, name) for name in names} | {
            "name": self.image.path.name,
            "summary": self.image.summary(),
            "pages": self.pages or tuple(range(len(self.image))),
            "height": self.image.shape[2],
            "width": self.image.shape[3],
            "pixel_size": size,
        }


class Jobs:
    """All images of a server.  args: the options of deploy.py."""

    def __init__(self, deployed: Deployed, args: Any, folder: Path) -> None:
        self.deployed, self.args, self.root = deployed, args, folder
        self._all: dict[str, Job] = {}
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._worker = threading.Thread(target=self._work, name="segment", daemon=True)
        self._worker.start()

    def get(self, name: str) -> Job | None:
        with self._lock:
            return self._all.get(name)

    def list(self) -> list[Job]:
        with self._lock:
            return list(self._all.values())

    def take(self, name: str, upload: Path) -> Job:
        """Keep an uploaded file under its name and queue it; DemitasseError where it is refused."""
        from ._segmentation import as_said, chosen_pages, opened

        key = secrets.token_hex(8)
        folder = self.root / key
        (folder / RESULTS).mkdir(parents=True)
        path = folder / name
        try:
            os.replace(upload, path)
            image = as_said(opened(path, self.args), self.args, self.deployed.predictor.axes)
            job = Job(key, image, pages=tuple(chosen_pages(self.args.pages, image)))
            self._keep(job)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._waiting.put(job)
        return job

    def _keep(self, job: Job) -> None:
        with self._lock:
            if len(self._all) >= MOST:
                old = next((one for one in self._all.values() if one.finished), None)
                if old is None:
                    raise MemoryBudgetError(
                        f"{MOST} images wait already", remedy="Come again when one is done"
                    )
                del self._all[old.id]
                job.instead = old.id
                shutil.rmtree(old.folder, ignore_errors=True)
            self._all[job.id] = job

    def forget(self, job: Job) -> None:
        """Cancel and remove an image; the one being segmented ends after its tile."""
        with self._lock:
            self._all.pop(job.id, None)
            job.unwanted.set()
            running = job.status == "running"
        if not running:
            shutil.rmtree(job.folder, ignore_errors=True)

    def end(self) -> None:
        """Stop after the tile being computed."""
        for job in self.list():
            job.unwanted.set()
        self._waiting.put(None)
        self._worker.join()

    # ------------------------------------------------------------------ the worker

    def _work(self) -> None:
        self.deployed.predictor.net.device.block(1)  # makes a card the one of this thread
        while (job := self._waiting.get()) is not None:
            with self._lock:
                job.status = "cancelled" if job.unwanted.is_set() else "running"
            if job.status == "running":
                self._segment(job)
            if job.unwanted.is_set():
                shutil.rmtree(job.folder, ignore_errors=True)

    def _segment(self, job: Job) -> None:
        from ._segmentation import plan
        from ._writing import write

        def advance() -> None:
            job.done += 1
            if job.unwanted.is_set():
                raise Cancelled

        began = time.monotonic()
        try:
            made = plan(self.deployed, job.image, self.args)
            job.tiles, job.notes = made.tiles, made.notes
            targets = {kind: job.result(f"{kind}.tif") for kind in ("labels", "ome")}
            write(self.deployed, made, targets, self.args, advance)
            job.seconds = round(time.monotonic() - began, 3)
            job.status = "done"
        except Cancelled:
            job.status = "cancelled"
        except (DemitasseError, MemoryError, OSError) as error:
            job.error = self.words(error)
            job.status = "failed"
        except Exception as error:  # one image must not end the others
            traceback.print_exc()
            job.error = f"The program failed ({type(error).__name__}); its terminal says more."
            job.status = "failed"
        told = job.error or f"{job.done} of {job.tiles} tiles, {job.seconds:.1f} s"
        print(f"{job.image.path.name}: {job.status}; {told}", file=sys.stderr, flush=True)

    def words(self, error: DemitasseError | MemoryError | OSError) -> str:
        """An error as deploy.py says it beside the image: the user knows no other folder."""
        folder = re.escape(str(self.root))
        return re.sub(rf"{folder}/[0-9a-f]{{16}}(/|\.part: )", "", said(error))
