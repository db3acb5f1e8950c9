"""What is computed of an image larger than memory, part by part: here, or by Dask's workers.

measure    statistics of a region        segment    a tile, read with its halo, its results written
shrink     a chunk of a smaller level

Each is a function of what was loaded and of the task; what is loaded is made from a `Job`, which
travels instead of it.  Tasks can be done in any order, and again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ..data import statistics
from ..data.normalize import Normalization
from ..errors import WeightsError
from ..imaging import ngff, tiles
from ..imaging.deployed import Deployed, load_deployed
from ..imaging.image import Image
from ..imaging.windows import Sample, open_image
from ._model import print_note
from ._results import result

LABELS = "labels"


@dataclass(frozen=True)
class Job:
    """One image to be segmented.

    weights, model, rule, options: as for `load_deployed`; image, reading: its path, and how it is
    read, as for `open_image`; samples: the pages of each array that the net sees; places: where a
    sample lies in the results, the first index of each of their outer axes; results: the folder of
    each kind; fits: offset and scale of each sample.
    """

    weights: str
    model: str | None
    rule: Normalization | None
    options: Mapping[str, Any]
    image: str
    reading: Mapping[str, Any]
    nonfinite: str
    samples: tuple[tuple[int, ...], ...]
    places: tuple[Mapping[str, int], ...] = ()
    results: Mapping[str, str] = field(default_factory=dict)
    fits: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Segmenting:
    """A job as a process has loaded it; lock: who holds it uses the net."""

    job: Job
    image: Image
    deployed: Deployed
    results: Mapping[str, ngff.Pyramid]
    lock: Lock

    def sample(self, number: int) -> Sample:
        """One sample, normalised."""
        job = self.job
        axes = self.deployed.predictor.axes
        return Sample(self.image, job.samples[number], axes, *job.fits[number], job.nonfinite)


def load_image(job: Job, threads: int) -> tuple[Job, Image]:
    """What `measure` needs."""
    return job, open_image(job.image, **job.reading)


def load(job: Job, threads: int) -> Segmenting:
    """What `segment` needs."""
    options = {**job.options, "threads": threads}
    deployed = load_deployed(job.weights, job.model, job.rule, said=print_note, **options)
    image = open_image(job.image, **job.reading)
    return Segmenting(job, image, deployed, load_results(job, threads), Lock())


def load_results(job: Job, threads: int) -> dict[str, ngff.Pyramid]:
    """What `shrink` needs."""
    return {
        kind: ngff.reopen(Path(path), labels=kind == LABELS) for kind, path in job.results.items()
    }


def measure(
    loaded: tuple[Job, Image], task: tuple[int, int, tiles.Slices]
) -> tuple[int, statistics.Statistics]:
    """Statistics of a region of a sample.  task: its own number, the sample's, the region."""
    (job, image), (number, which, region) = loaded, task
    sample = Sample(image, job.samples[which], len(region))
    part, where = sample.raw(region), sample.where(region)
    return number, statistics.measured(part, nonfinite=job.nonfinite, where=where)


def segment(loaded: Segmenting, task: tuple[int, int, tiles.Tile]) -> int:
    """Compute and write all results of a tile.  task: its own number, the sample's, the tile."""
    number, which, tile = task
    predictor, sample = loaded.deployed.predictor, loaded.sample(which)
    seen = tiles.read(sample, tile, predictor.padding)
    with loaded.lock:
        scores = predictor.scores(seen, tile).copy()
    if not np.isfinite(scores).all():
        raise WeightsError(
            f"the scores of {sample.where(tile.write)}, are not finite",
            where=loaded.deployed.weights,
            remedy="The training may have diverged: take an earlier snapshot; or the pixels are"
            " far from those it saw: see --normalization",
        )
    place = dict(loaded.job.places[which])
    for kind, pyramid in loaded.results.items():
        array, found = pyramid.levels[0], result(kind, scores)
        inner = dict(zip("ZYX"[-len(tile.write) :], tile.write, strict=True))
        at = []
        for letter in (name.upper() for name in array.metadata.dimension_names):
            first = place.get(letter)
            outer = slice(None) if first is None else slice(first, first + 1)
            at.append(inner.get(letter, outer))
        shape = [len(range(*s.indices(n))) for s, n in zip(at, array.shape, strict=True)]
        array[tuple(at)] = found.reshape(shape)
    return number


def shrink(loaded: Mapping[str, ngff.Pyramid], task: tuple[str, int, int]) -> None:
    """Write a chunk of a smaller level.  task: the kind, the level, the chunk's number."""
    kind, level, number = task
    loaded[kind].shrink(level, number)
