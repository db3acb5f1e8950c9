"""The files that segmenting one image gives: maps as TIFF, and what is told beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._findings import Findings, wants_objects
from ._results import each_score, info, planes, result, stored
from ._segmentation import as_said, known, micrometres_of

# the largest is written as it comes, the others are held: tifffile has one file open at a time
BY_SIZE = ("ome", "score", "prob", "labels", "instances")

if TYPE_CHECKING:
    from ..imaging.deployed import Deployed
    from ..imaging.image import Image
    from ._segmentation import Plan


class Written(NamedTuple):
    """objects: how many, None where nobody asked for them; only: the class of every pixel, None
    where there are several, in an image that has nothing to tell apart, or where no map of classes
    was asked for."""

    objects: int | None
    only: int | None


def write(
    deployed: Deployed,
    plan: Plan,
    targets: Mapping[str, Path],
    args: Any,
    advance: Callable[[], None],
) -> Written:
    """Segment an image and write what `targets` names: of OUTPUTS and of `_findings`.  Each file
    appears whole or not at all."""
    volume, where = deployed.predictor.axes == 3, str(plan.image.path)
    image = as_said(plan.image, args, deployed.predictor.axes)
    pixel = known(micrometres_of(image, deployed.predictor.axes))
    findings = Findings(image, deployed.class_names, pixel, targets)
    counted = "instances" in targets or wants_objects(targets)
    mapped = counted or findings.wanted or "labels" in targets
    nothing, total, classes = np.zeros(0, np.int32), 0, set[int]()

    def samples() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        nonlocal total
        for pages, score in zip(
            plan.samples, each_score(deployed, plan, args, advance), strict=True
        ):
            if mapped and len(classes) < 2:
                labels = result("labels", score)
                classes.update({int(labels.min()), int(labels.max())})
            objects = result("instances", score, args, where) if counted else nothing
            total += int(objects.max(initial=0))
            if findings.wanted:
                sure = result("ome", score) if "objects" in targets else None
                found = objects if counted else None
                findings.add(pages, result("labels", score), found, sure)
            yield score, objects

    def store(kind: str, pages: Iterator[np.ndarray]) -> None:
        keep = _ome if kind == "ome" else _imagej
        keep(targets[kind], pages, image, deployed, plan, kind, args)

    first, *others = [kind for kind in BY_SIZE if kind in targets]
    held: dict[str, list[np.ndarray]] = {kind: [] for kind in others}

    def stream() -> Iterator[np.ndarray]:
        for score, objects in samples():
            for kind in others:
                held[kind].append(objects if kind == "instances" else result(kind, score, args))
            yield from planes(result(first, score, args), volume)

    if first == "instances":
        held[first] = [objects for _, objects in samples()]
    else:
        store(first, stream())
    for kind, found in held.items():
        if kind == "instances":
            found = stored(found)
        store(kind, (page for sample in found for page in planes(sample, volume)))
    findings.write(overwrite=args.overwrite)
    one = len(classes) == 1 and any(np.ptp(image.page(p)) > 0 for s in plan.samples for p in s)
    return Written(total if counted else None, classes.pop() if one else None)


def _imagej(
    target: Path,
    pages: Iterator[np.ndarray],
    image: Image,
    deployed: Deployed,
    plan: Plan,
    kind: str,
    args: Any,
) -> None:
    from ..imaging import tiff

    letters, lengths = along(image, plan.samples, deployed)
    tiff.write(
        target,
        pages,
        letters=letters,
        lengths=lengths,
        pixel_size=image.pixel_size,
        unit=image.unit,
        depth=image.depth,
        display=(0, deployed.predictor.classes - 1) if kind == "labels" else None,
        info=info(deployed, plan, kind, args),
        overwrite=args.overwrite,
    )


def _ome(
    target: Path,
    pages: Iterator[np.ndarray],
    image: Image,
    deployed: Deployed,
    plan: Plan,
    kind: str,
    args: Any,
) -> None:
    from ..imaging import ome

    names = deployed.class_names
    letters, lengths = along(image, plan.samples, deployed)
    ome.write(
        target,
        pages,
        letters=letters,
        lengths=lengths,
        channels=[*names, *(f"class {i}" for i in range(len(names), deployed.predictor.classes))],
        pixel_size=image.pixel_size,
        depth=image.depth,
        unit=image.unit,
        info=info(deployed, plan, kind, args),
        overwrite=args.overwrite,
    )


def along(
    image: Image, samples: Sequence[Sequence[int]], deployed: Deployed
) -> tuple[str, tuple[int, ...]]:
    """Letters and lengths of the axes that the pages of results lie along."""
    from ..imaging import ome

    chosen = [page for sample in samples for page in sample]
    volumes = len(samples) if deployed.predictor.axes == 3 else 1
    return ome.page_axes(image.layout, chosen, volumes)
