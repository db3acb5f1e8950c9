"""The files that segmenting one image gives: maps as TIFF, and what is told beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ._findings import Findings, wants_objects
from ._results import OUTPUTS, each_score, info, planes, result, stored
from ._segmentation import known, micrometres_of, said

if TYPE_CHECKING:
    from ..imaging.image import Image
    from ._model import Deployed
    from ._segmentation import Plan


def write(
    deployed: Deployed,
    plan: Plan,
    targets: Mapping[str, Path],
    args: Any,
    advance: Callable[[], None],
) -> int | None:
    """Segment an image and write what `targets` names: of OUTPUTS and of `_findings`; the number of
    objects, None where nobody asked for them.  Each file appears whole or not at all."""
    volume, where = deployed.predictor.axes == 3, str(plan.image.path)
    image = said(plan.image, args, deployed.predictor.axes)
    pixel = known(micrometres_of(image, deployed.predictor.axes))
    findings = Findings(image, deployed.class_names, pixel, targets)
    counted = "instances" in targets or wants_objects(targets)
    total = 0

    def samples() -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        nonlocal total
        for pages, score in zip(
            plan.samples, each_score(deployed, plan, args, advance), strict=True
        ):
            objects = result("instances", score, args, where) if counted else None
            total += int(objects.max(initial=0)) if objects is not None else 0
            if findings.wanted:
                sure = most_probable(score) if "objects" in targets else None
                findings.add(pages, result("labels", score), objects, sure)
            yield score, objects

    def store(kind: str, pages: Iterator[np.ndarray]) -> None:
        keep = _ome if kind == "ome" else _imagej
        keep(targets[kind], pages, image, deployed, plan, kind, args)

    kinds = [kind for kind in OUTPUTS if kind in targets]
    if len(kinds) == 1 and kinds[0] != "instances":
        # written as they come; several files would have to be open at once
        store(kinds[0], (p for s, _ in samples() for p in planes(result(kinds[0], s), volume)))
    else:
        found = [
            {kind: result(kind, score) for kind in kinds if kind != "instances"}
            | ({} if objects is None else {"instances": objects})
            for score, objects in samples()
        ]
        for kind in kinds:
            of_kind = [sample[kind] for sample in found]
            if kind == "instances":
                of_kind = stored(of_kind)
            store(kind, (page for sample in of_kind for page in planes(sample, volume)))
    findings.write(overwrite=args.overwrite)
    return total if counted else None


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

    tiff.write(
        target,
        pages,
        count=plan.pages,
        pixel_size=image.pixel_size,
        unit=image.unit,
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
    chosen = [page for sample in plan.samples for page in sample]
    letters, lengths = ome.page_axes(image.layout, chosen)
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


def most_probable(score: np.ndarray) -> np.ndarray:
    """The probability of every pixel's class."""
    from ..imaging.predict import softmax

    return softmax(score.astype(np.float32)).max(axis=0)
