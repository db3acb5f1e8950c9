"""Segmenting images larger than memory, tile by tile into OME-Zarr, here or on Dask's workers.

    python tools/deploy.py --weights unet.h5 --dask local:2 big.zarr      big.labels.zarr

What is under way lies in `.big.zarr.part` beside the results: the results so far, what they are of
(job.json) and which tiles are done.  The same command goes on from there; when all is done, the
results get their names and the rest goes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import statistics
from ..errors import DeviceError, OutputError, counted
from ..imaging.deployed import Deployed, load_deployed
from ..scale.done import done
from . import _big_folder as folder
from . import _tile_tasks as tasks
from ._batch import Batch, Done
from ._big_plan import Plan, create, plan
from ._model import grey_values, print_note
from ._options import net_options
from ._progress import follow

if TYPE_CHECKING:
    from ..data.normalize import Normalization

KINDS = ("labels", "prob", "score")
Run = Callable[..., Iterator[Any]]  # (load, work, tasks) -> results


def main(paths: Sequence[Path], kinds: Sequence[str], rule: Normalization | None, args: Any) -> int:
    """Segment images one after the other, each in parts."""
    check(kinds, args)
    batch = Batch(paths, "planned" if args.dry_run else "done")
    deployed = load_deployed(args.weights, args.model, rule, said=print_note, **net_options(args))
    print(grey_values(deployed))
    with runner(None if args.dry_run else args.dask, args.threads) as run:
        for path in batch.paths:
            with batch.sparing(path):
                batch.done[path] = segment(deployed, path, kinds, rule, run, args)
    return batch.end()


def check(kinds: Sequence[str], args: Any) -> None:
    """Refuse what cannot be done part by part, and what is not installed."""
    for kind in kinds:
        if kind not in KINDS:
            raise OutputError(
                f"--output {kind} needs the whole image at once",
                expected=f"for Zarr and Dask {', '.join(KINDS)}",
            )
    for name, given in (("average", args.average != "none"), ("area-opening", args.area_opening)):
        if given:
            raise OutputError(f"--{name} needs the whole image at once", remedy="Leave it out")
    for name in ("zarr", *(("distributed",) if args.dask else ())):
        if find_spec(name) is None:
            raise DeviceError(
                f"the Python package {name} is needed for Zarr and Dask, and is not installed",
                remedy="Install both: pip install 'demitasse[dask]'",
            )


@contextmanager
def runner(address: str | None, threads: int | None) -> Iterator[Run]:
    """Who does the tasks: Dask's workers, or this process one after the other."""
    from ..kernels.workers import usable_cpus

    if address is not None:
        from ..scale import dask

        with dask.connected(address) as client:
            yield partial(dask.run, client)
        return

    def here(load: Any, work: Any, waiting: Iterable[Any]) -> Iterator[Any]:
        loaded = load(threads or usable_cpus())
        return (work(loaded, task) for task in waiting)

    yield here


def segment(
    deployed: Deployed,
    path: Path,
    kinds: Sequence[str],
    rule: Normalization | None,
    run: Run,
    args: Any,
) -> Done:
    """Plan, measure, segment and shrink one image."""
    began = time.monotonic()
    made = plan(deployed, path, rule, args)
    stem = path.name.removesuffix(".zarr").removesuffix(".ome") if path.is_dir() else path.stem
    where = Path(args.folder) if args.folder else path.parent
    targets = {kind: where / f"{stem}.{kind}.zarr" for kind in kinds}
    part = where / f".{stem}.zarr.part"
    print(f"{path}: {made.image.summary()}")
    what = "page" if deployed.predictor.axes == 2 else "volume"
    samples = counted(len(made.job.samples), what)
    print(f"  tiles       {made.count:,}: {samples}; {made.tiling}")
    for note in made.notes:
        print(f"  note: {note}")
    if args.dry_run:
        for kind, target in targets.items():
            print(f"  would write {target}: {kind}")
        return Done(len(made.job.samples), made.count, 0.0, "planned")
    for target in targets.values():
        folder.check_target(target, path, overwrite=args.overwrite)
    part.mkdir(exist_ok=True)
    with done(part / "done", made.count) as state:
        job = replace(made.job, results={kind: str(part / f"{kind}.zarr") for kind in kinds})
        wanted = folder.identity(made, deployed, kinds)
        known = folder.known(part, wanted, overwrite=args.overwrite)
        if known is None:
            state.forget()
            job = replace(job, fits=fits(made, deployed.normalization, run))
            for kind in kinds:
                create(kind, Path(job.results[kind]), made, deployed, stem)
            folder.write(part, wanted, job.fits)
        else:
            job = replace(job, fits=known)
            print(f"  {made.count - len(state.left):,} of {made.count:,} tiles were done before")
        each = len(made.cover)
        waiting = ((i, i // each, made.cover[i % each]) for i in state.left)
        segmented = run(partial(tasks.load, job), tasks.segment, waiting)
        for i in follow(segmented, len(state.left), "tiles"):
            state.mark(i)
        for level, chunks in levels(job):
            shrunk = run(partial(tasks.load_results, job), tasks.shrink, chunks)
            deque(follow(shrunk, len(chunks), f"level {level}"), maxlen=0)
        folder.finish(part, {Path(job.results[kind]): target for kind, target in targets.items()})
    for kind, target in targets.items():
        print(f"{target}: {kind}")
    seconds = time.monotonic() - began
    print(f"{seconds:.1f} s", flush=True)
    names = ", ".join(target.name for target in targets.values())
    return Done(len(made.job.samples), made.count, seconds, names)


def fits(made: Plan, rule: Normalization, run: Run) -> tuple[tuple[float, float], ...]:
    """Offset and scale of each sample, from all its pixels where the rule asks for them."""
    samples, each = len(made.job.samples), len(made.cover)
    if rule.name not in statistics.NEEDING:
        return (rule.fit(np.zeros((1, 1, 1), made.image.dtype)),) * samples
    regions = [(i, i // each, made.cover[i % each].write) for i in range(samples * each)]
    results = run(partial(tasks.load_image, made.job), tasks.measure, regions)
    found = dict(follow(results, len(regions), "measured"))
    parts = ([found[k * each + i] for i in range(each)] for k in range(samples))
    return tuple(statistics.merged(part).fit(rule) for part in parts)


def levels(job: tasks.Job) -> Iterator[tuple[int, list[tuple[str, int, int]]]]:
    """The chunks of each smaller level of all results, level by level."""
    pyramids = tasks.load_results(job, 1)
    for level in range(1, len(next(iter(pyramids.values())).levels)):
        yield level, [(k, level, i) for k, p in pyramids.items() for i in range(p.chunks(level))]
