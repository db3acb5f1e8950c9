"""How an image larger than memory is segmented part by part, and the empty results of it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..errors import ImageError, MemoryBudgetError
from ..imaging import ngff
from ..imaging.rescale import rescaling
from ..imaging.windows import open_image
from ..texts import utf8
from ._options import net_options
from ._segmentation import MAX_TILES, check_channels, choose, pixel_sizes, split
from ._segmenting import reading
from ._tile_tasks import Job

if TYPE_CHECKING:
    from ..data.normalize import Normalization
    from ..imaging.deployed import Deployed
    from ..imaging.image import Image
    from ..imaging.predict import Tiling
    from ..imaging.tiles import Tile

CHUNK = 1024  # pixels along a side of a chunk, at most where a tile can be cut so


@dataclass(frozen=True)
class Plan:
    """How an image is segmented: what every process is told, and the tiles of each sample."""

    job: Job
    image: Image
    tiling: Tiling
    cover: Sequence[Tile]
    outer: Mapping[str, int]  # lengths of the results' axes beside space and classes
    notes: Sequence[str]

    @property
    def count(self) -> int:
        return len(self.job.samples) * len(self.cover)


def plan(deployed: Deployed, path: Path, rule: Normalization | None, args: Any) -> Plan:
    """The plan of an image; ImageError, ShapeError or MemoryBudgetError where there is none."""
    predictor, image = deployed.predictor, open_image(path, **reading(args))
    check_channels(image, predictor.channels)
    samples = split(image, args.pages, predictor.axes)
    shape = (len(samples[0]),) * (predictor.axes - 2) + image.shape[-2:]
    sizes, notes = pixel_sizes(deployed, image, args)
    own, nets = sizes or (None, None)
    if rescaling(shape, own, nets, str(path)).needed:
        said = " and ".join("x".join(f"{s:g}" for s in one) for one in sizes or ())
        raise ImageError(
            "its pixels have another size than the net's, and an image is not rescaled in parts",
            where=str(path),
            found=f"{said} um",
            remedy="Rescale it before, or segment it as it is with --pixel-size none",
        )
    tiling = choose(predictor, shape, args)
    if math.prod(tiling.counts) > (args.max_tiles or MAX_TILES):
        raise MemoryBudgetError(
            "it would be cut into more tiles than is allowed",
            where=str(path),
            expected=f"at most {args.max_tiles or MAX_TILES:,} for a page",
            found=f"{math.prod(tiling.counts):,}",
            remedy="Allow larger tiles with --memory, or more of them with --max-tiles",
        )
    outer = outer_axes(image, len(samples), args.pages, predictor.axes)
    job = Job(
        weights=os.path.abspath(args.weights),
        model=args.model and os.path.abspath(args.model),
        rule=rule,
        options=net_options(args),
        image=os.path.abspath(path),
        reading=reading(args),
        nonfinite=args.nonfinite,
        samples=samples,
        places=places(outer, len(samples)),
    )
    return Plan(job, image, tiling, predictor.cover(shape, tiling), outer, notes)


def outer_axes(image: Image, samples: int, wanted: object, axes: int) -> dict[str, int]:
    """Axes of the results along which samples lie: time and depth as in the image, or one for all
    where its pages are something else, or some of them are left out."""
    at = image.layout
    own = {at.axes[a]: at.shape[a] for a in at.page_axes}
    if axes == 3:
        own.pop("Z", None)
    if wanted is None and set(own) <= set("TZ") and math.prod(own.values()) == samples:
        return own
    return {} if samples == 1 else {"T" if axes == 3 else "Z": samples}


def places(outer: Mapping[str, int], samples: int) -> tuple[dict[str, int], ...]:
    """The index of each sample along each outer axis."""
    grid = np.indices(tuple(outer.values())).reshape(len(outer), -1) if outer else np.empty((0, 1))
    return tuple(
        {letter: int(i) for letter, i in zip(outer, grid[:, k], strict=True)}
        for k in range(samples)
    )


def create(kind: str, path: Path, made: Plan, deployed: Deployed, stem: str) -> None:
    """An empty image for the results of one kind, chunked so that no two tiles share a chunk."""
    predictor, image = deployed.predictor, made.image
    lengths = dict(made.outer)
    if kind == "score" or (kind == "prob" and predictor.classes > 2):
        lengths["C"] = predictor.classes
    chunks = dict.fromkeys(lengths, 1)
    space = "ZYX"[-predictor.axes :]
    shape = (len(made.job.samples[0]),) * (predictor.axes - 2) + image.shape[-2:]
    for letter, size, part in zip(space, shape, made.cover[0].write, strict=True):
        lengths[letter], chunks[letter] = size, chunk(part.stop - part.start)
    axes = "".join(letter for letter in ngff.AXES if letter in lengths)
    floats = np.float32 if kind != "labels" else np.uint8 if predictor.classes <= 256 else np.uint16
    pixel = dict(zip("YX", image.pixel_size or (), strict=False))
    pixel |= {"Z": image.depth} if image.depth else {}
    ngff.create(
        path,
        tuple(lengths[a] for a in axes),
        axes,
        tuple(chunks[a] for a in axes),
        floats,
        pixel=pixel,
        unit=image.unit,
        name=utf8(stem),
        labels=kind == "labels",
        about={
            "kind": kind,
            "image": utf8(image.path.name),
            "weights": utf8(Path(deployed.weights).name),
            "classes": list(deployed.class_names),
            "normalization": deployed.normalization.to_json(),
            "tiles": str(made.tiling),
            "program": f"demitasse {__version__}",
        },
    )


def chunk(tile: int) -> int:
    """The largest whole part of a tile's length that is no longer than CHUNK; the tile where its
    only such parts are tiny."""
    parts = (tile // n for n in range(1, tile + 1) if tile % n == 0)
    best = next(size for size in parts if size <= CHUNK)
    return best if best >= min(tile, CHUNK // 8) else tile
