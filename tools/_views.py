"""What a page shows of a job, and the files it gives: pictures, probabilities, results.

    picture         PNG of a page, grey values stretched as in the overlay
    probability     of a class, a byte a pixel, q = ceil(256 p) - 1, so that p > k/256 is q >= k
    labels          a byte a pixel, the class
    file            labels.tif, ome.tif, objects.csv, rois.zip, as deploy.py writes them

Images above SIDE pixels are shown smaller, by a whole factor: means of blocks, labels by their
first pixel.  Files have every pixel.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..imaging.deployed import Deployed
    from ..imaging.image import Image
    from ._jobs import Job

SIDE = 4096
FILES = ("labels.tif", "ome.tif", "objects.csv", "rois.zip")


def factor(image: Image) -> int:
    """How many pixels of the image, along each axis, a pixel of the page stands for."""
    return math.ceil(max(image.shape[-2:]) / SIDE)


def picture(job: Job, place: int) -> bytes:
    """The place-th of the segmented pages as PNG."""
    from ..imaging import picture

    page = job.image.page(job.pages[place])
    return picture.png(picture.to_rgb(_smaller(page, factor(job.image))))


def probability(job: Job, place: int, kind: int) -> bytes:
    """Row by row."""
    p = _smaller(_maps(job, "ome.tif").page(place)[kind : kind + 1], factor(job.image))
    return np.clip(np.ceil(p * 256) - 1, 0, 255).astype(np.uint8).tobytes()


def labels(job: Job, place: int) -> bytes:
    """Row by row; classes above 255 are not told apart."""
    step = factor(job.image)
    shown = _maps(job, "labels.tif").page(place)[0, ::step, ::step]
    return np.minimum(shown, 255).astype(np.uint8).tobytes()


def _smaller(planes: np.ndarray, step: int) -> np.ndarray:
    """Means of blocks; of those that stick out, of the part inside."""
    if step == 1:
        return planes
    sums: np.ndarray = planes.astype(np.float32)
    for axis in (1, 2):
        starts = np.arange(0, sums.shape[axis], step)
        lengths = np.diff(np.append(starts, sums.shape[axis]))
        sums = np.add.reduceat(sums, starts, axis) / lengths.reshape(-1, *(1,) * (2 - axis))
    return sums


def _maps(job: Job, name: str) -> Image:
    """A file of results, whose page i is that of the i-th page segmented."""
    from ..imaging import tiff

    return tiff.read(job.result(name))


# ---------------------------------------------------------------------- files


def file(
    job: Job, name: str, deployed: Deployed, args: Any, kind: int, threshold: float | None
) -> Path:
    """A result, one of FILES.  threshold: of pixels where the probability of class `kind` is
    greater, instead of those where it is the greatest."""
    if name == "ome.tif" or (name == "labels.tif" and threshold is None):
        return job.result(name)
    target = job.result(name if threshold is None else f"{kind}-{threshold:g}.{name}")
    with job.making:
        if not target.exists():
            _make(job, target, deployed, args, kind, threshold)
    return target


def _make(
    job: Job, target: Path, deployed: Deployed, args: Any, kind: int, threshold: float | None
) -> None:
    from ..imaging import tiff
    from ._findings import Findings
    from ._results import objects
    from ._segmentation import known, micrometres_of, split
    from ._writing import along

    axes, names = deployed.predictor.axes, deployed.class_names
    samples = split(job.image, args.pages, axes)
    sure, found = _maps(job, "ome.tif"), _maps(job, "labels.tif")

    def chosen(place: int) -> np.ndarray:
        if threshold is None:
            return found.page(place)[0]
        return np.where(sure.page(place)[kind] > threshold, kind, 0).astype(np.uint8)

    if target.suffix == ".tif":
        of = f" ({names[kind]})" if kind < len(names) else ""
        letters, lengths = along(job.image, samples, deployed)
        tiff.write(
            target,
            map(chosen, range(len(job.pages))),
            letters=letters,
            lengths=lengths,
            pixel_size=job.image.pixel_size,
            unit=job.image.unit,
            depth=job.image.depth,
            display=(0, deployed.predictor.classes - 1),
            info=f"{kind} where the probability of class {kind}{of} is above {threshold:g}\n"
            f"weights: {deployed.weights}",
        )
        return
    key = {".csv": "objects", ".zip": "rois"}[target.suffix]
    findings = Findings(job.image, names, known(micrometres_of(job.image, axes)), {key: target})
    place = 0
    for pages in samples:
        at = range(place, place + len(pages))
        place = at.stop
        maps, scores = np.stack([chosen(i) for i in at]), np.stack([sure.page(i) for i in at], 1)
        if axes == 2:
            maps, scores = maps[0], scores[:, 0]
        findings.add(pages, maps, objects(maps, args, str(job.image.path), scores), scores)
    findings.write()
