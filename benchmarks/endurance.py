"""Whether memory and open files stay what they are in long runs.

    python benchmarks/endurance.py            # 2,000 iterations, then a batch of 500 images
    python benchmarks/endurance.py --short    # 50 and 25

Trains models/unet-small.prototxt on small tiles of noise, with tests, snapshots and shuffled files,
then segments many images in one `deploy`; each in a process of its own, which looks at its resident
memory and its open files all the while.  The first fifth of the work is warm-up; afterwards memory
may be at most 2 % above the most of the second fifth, and the fewest open files no more than then.
Exit code 1 where that does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
TILE, LABEL = 100, 12  # pixels: the smallest that make sense for this net
SIDE = 60  # of an image to be segmented
MOST = 1.02  # of the memory after warm-up
EVERY = 0.02  # seconds between two looks
PAGE = os.sysconf("SC_PAGE_SIZE")
LENGTHS = {"train": (50, 2000), "batch": (25, 500)}  # iterations, images: short, full


class Watch:
    """Looks at this process's resident memory (bytes) and open files while it is entered; done:
    how much of the work is behind it, from 0 to 1."""

    def __init__(self, done: Callable[[], float]) -> None:
        self.seen: list[tuple[float, int, int]] = []
        self._done, self._stop = done, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._seconds = time.monotonic() - self._began

    def _look(self) -> None:
        while not self._stop.wait(EVERY):
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
            self.seen.append((self._done(), resident, len(os.listdir("/proc/self/fd"))))

    def found(self) -> dict[str, float]:
        """The most memory and the fewest files of the second fifth, and of what came after it."""
        early = [look for look in self.seen if 0.2 <= look[0] < 0.4]
        late = [look for look in self.seen if look[0] >= 0.4]
        return {
            "seconds": self._seconds,
            "memory": max(look[1] for look in early),
            "later": max(look[1] for look in late),
            "files": min(look[2] for look in early),
            "files_later": min(look[2] for look in late),
        }


def train(iterations: int) -> dict[str, float]:
    """Train in the current folder."""
    from demitasse.tools import solve

    rng = np.random.default_rng(0)
    for name in ("a.h5", "b.h5"):
        with h5py.File(name, "w") as file:
            file["data"] = rng.standard_normal((8, 1, TILE, TILE)).astype(np.float32)
            file["label"] = rng.integers(0, 2, (8, 1, LABEL, LABEL)).astype(np.uint8)
    Path("list.txt").write_text("a.h5\nb.h5\n")
    text = (ROOT / "models" / "unet-small.prototxt").read_text()
    for name in ("train", "test"):
        text = text.replace(f"examples/membranes-284-196/{name}.txt", "list.txt")
    Path("net.prototxt").write_text(text)
    every = iterations // 10
    Path("solver.prototxt").write_text(
        f'net: "net.prototxt" base_lr: 0.001 lr_policy: "fixed" momentum: 0.9 random_seed: 1 '
        f"max_iter: {iterations} display: {every} snapshot: {every} test_iter: 2 "
        f'test_interval: {every} snapshot_prefix: "net" snapshot_format: HDF5'
    )
    with Watch(lambda: len(list(Path().glob("net_iter_*.solverstate.h5"))) / 10) as watch:
        assert solve.main(["solver.prototxt"]) == 0
    return watch.found()


def batch(images: int) -> dict[str, float]:
    """Segment many images, in the current folder, with the net that was trained there."""
    from demitasse.imaging import tiff
    from demitasse.tools import deploy

    Path("images").mkdir()
    rng = np.random.default_rng(0)
    for number in range(images):
        image = rng.integers(0, 255, (1, SIDE, SIDE)).astype(np.uint8)
        tiff.write(f"images/{number}.tif", image)
    with Watch(lambda: len(list(Path("images").glob("*.prob.tif"))) / images) as watch:
        assert deploy.main(["--weights", "net.h5", "images", "--output", "labels,prob"]) == 0
    return watch.found()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="in seconds instead of minutes")
    parser.add_argument("--part", choices=LENGTHS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        with contextlib.redirect_stdout(io.StringIO()):
            found = {"train": train, "batch": batch}[args.part](LENGTHS[args.part][not args.short])
        print(json.dumps(found))
        return 0
    sound = True
    with tempfile.TemporaryDirectory() as folder:
        for part, lengths in LENGTHS.items():
            command = [sys.executable, str(Path(__file__).resolve()), "--part", part]
            command += ["--short"] * args.short
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            if done.returncode:
                print(f"{done.stderr}{part}: exit code {done.returncode}", file=sys.stderr)
                return 1
            found = json.loads(done.stdout)
            growth = found["later"] / found["memory"]
            sound &= growth <= MOST and found["files_later"] <= found["files"]
            what = {"train": "iterations", "batch": "images"}[part]
            print(
                f"{lengths[not args.short]:,} {what} in {found['seconds']:.0f} s: resident "
                f"{found['memory'] / 2**20:.1f} MiB after warm-up, later at most "
                f"{found['later'] / 2**20:.1f} MiB ({growth - 1:+.2%}); open files "
                f"{found['files']}, later {found['files_later']}",
                flush=True,
            )
    print("flat" if sound else f"NOT flat: more than {MOST - 1:.0%}, or files left open")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
