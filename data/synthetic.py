"""Drawn electron micrographs: something to train on before one has data, and for tests.

    cells          nearest of scattered points, coordinates bent by smooth noise (a curved Voronoi)
    membranes      where the two nearest points are equally far: dark lines of 2 to 5 px, in places
                   so faint that only their course betrays them
    interiors      each cell its own grey, cloudy; vesicles (small dark rings)
    mitochondria   dark striped ovals in large cells, as dark as membranes: the trap for thresholds
    microscope     blur, shot noise, grain, uneven contrast and brightness; 8 bit

Labels: instance ids (0 membrane), and binary 1 interior, 0 membrane, as in the ISBI 2012 challenge.
A threshold fails on mitochondria, noise and faint membranes; a small U-Net does not.  An image is a
function of its seed and shape alone.

`built_in` recognises the names of training files that can be drawn on the spot:
    examples/membranes-572-388/train.txt         input 572, output 388; also test.txt
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError
from .augment import bicubic
from .crops import Pair
from .cut import Recipe
from .labels import LabelRule
from .pack import Summary, Track, pack

CLASS_NAMES = ("membrane", "interior")

_CELL = 36.0  # typical distance of neighbouring points, pixels
_PATTERN = re.compile(r"membranes-(\d+)(?:x(\d+))?-(\d+)(?:x(\d+))?")


@dataclass(frozen=True)
class Micrograph:
    """pixels (height, width) uint8; instances (height, width) int32, 0 on membranes."""

    pixels: np.ndarray
    instances: np.ndarray

    @property
    def interior(self) -> np.ndarray:
        """Binary labels, uint8: 1 cell interior, 0 membrane."""
        return (self.instances > 0).astype(np.uint8)


def image(seed: int, shape: tuple[int, int]) -> Micrograph:
    """One drawn micrograph of (height, width) pixels."""
    rng = np.random.Generator(np.random.Philox(seed))
    cell, gap = _cells(rng, shape)
    width = 1.2 + 1.6 * _unit(_clouds(rng, shape, 25))  # half the membrane, pixels
    instances = _objects(gap > width)

    grey = rng.uniform(0.58, 0.76, int(cell.max()) + 1)[cell]
    grey += 0.03 * _clouds(rng, shape, 12) + 0.055 * _clouds(rng, shape, 2)
    _vesicles(rng, grey, gap)
    _mitochondria(rng, grey, gap)

    strength = np.clip(0.68 + 0.28 * _clouds(rng, shape, 18), 0.12, 1.0)
    line = np.exp(-0.5 * (gap / (0.75 * width)) ** 2)
    grey = grey * (1 - strength * line) + 0.16 * strength * line
    return Micrograph(_photograph(rng, grey), instances)


def volume(seed: int, pages: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (pages, height, width) uint8 and instances (…) int32 of unrelated micrographs.

    The seeds are those of test images, so no built-in training set holds one of them.
    """
    drawn = [image(_seed("test", seed, i), shape) for i in range(pages)]
    return np.stack([d.pixels for d in drawn]), np.stack([d.instances for d in drawn])


@dataclass(frozen=True)
class BuiltIn:
    """A data set that can be drawn on the spot: `make` writes its files into `folder`."""

    folder: Path
    pair: Pair
    train: int
    test: int
    seed: int = 0

    def make(self, *, track: Track | None = None) -> dict[str, Summary]:
        """Write train.h5, train.txt, test.h5, test.txt, except those that are there already.

        The list file is written last: where it is missing, its data are not complete.
        """
        numbers = {"train": self.train, "test": self.test}
        there = {p for p in numbers if (self.folder / f"{p}.txt").exists()}
        return {
            part: _make_part(part, self.folder, self.pair, n, self.seed, True, track)
            for part, n in numbers.items()
            if part not in there
        }


def built_in(source: str | Path) -> BuiltIn | None:
    """The data set that a source like "examples/membranes-572-388/train.txt" names, else None.

    A folder membranes-INPUT-OUTPUT, sizes like 572 or 444x892 (height x width), and in it train or
    test, .txt or .h5.  About as many tiles as make 24 of 388 x 388 pixels, at most 160, and a
    quarter of that, at most 24, for testing.
    """
    path = Path(source)
    name = _PATTERN.fullmatch(path.parent.name)
    if name is None or path.name not in ("train.txt", "test.txt", "train.h5", "test.h5"):
        return None
    h, w, oh, ow = name.groups()
    pair = Pair((int(h), int(w or h)), (int(oh), int(ow or oh)))
    train = round(24 * 388 * 388 / (pair.output[0] * pair.output[1]))
    train = min(max(train, 8), 160)
    return BuiltIn(path.parent, pair, train, min(max(train // 4, 2), 24))


def make(
    folder: str | Path,
    input_size: int | tuple[int, int],
    output_size: int | tuple[int, int],
    train: int = 24,
    test: int = 6,
    seed: int = 0,
    *,
    overwrite: bool = False,
    track: Track | None = None,
) -> dict[str, Summary]:
    """Draw `train` and `test` images of the input size and write them as one tile each.

    Returns the summaries by "train" and "test".  Images of different sets, and of seeds that are
    different, have nothing in common.
    """
    pair = Pair(_both(input_size), _both(output_size))
    if min(train, test) < 1:
        raise DataError("a data set needs images", found=f"train {train}, test {test}")
    return {
        part: _make_part(part, Path(folder), pair, number, seed, overwrite, track)
        for part, number in (("train", train), ("test", test))
    }


def _make_part(
    part: str,
    folder: Path,
    pair: Pair,
    number: int,
    seed: int,
    overwrite: bool,
    track: Track | None,
) -> Summary:
    folder.mkdir(parents=True, exist_ok=True)
    drawn = _Drawn([_seed(part, seed, i) for i in range(number)], (pair.input[0], pair.input[1]))
    return pack(
        _Column(drawn, "pixels"),
        _Column(drawn, "instances"),
        folder / f"{part}.h5",
        Recipe(pair, LabelRule("instances"), class_names=CLASS_NAMES),
        places=[(i, pair.border) for i in range(number)],
        names=[f"drawing {s}" for s in drawn.seeds],
        origin={"sources": f"drawn by demitasse, seeds {drawn.seeds[0]}, +2, ..."},
        overwrite=overwrite,
        track=track,
    )


def _seed(part: str, seed: int, number: int) -> int:
    """Training images have even seeds, test images odd ones: the sets can never meet."""
    return 2 * (seed * 10_000 + number) + (part == "test")


def _both(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


class _Drawn:
    """Micrographs drawn when first looked at, and kept."""

    def __init__(self, seeds: list[int], shape: tuple[int, int]) -> None:
        self.seeds, self._shape = seeds, shape
        self._made: dict[int, Micrograph] = {}

    def __getitem__(self, i: int) -> Micrograph:
        if i not in self._made:
            self._made[i] = image(self.seeds[i], self._shape)
        return self._made[i]


class _Column(Sequence[np.ndarray]):
    """One array of each micrograph: the images, or the labels."""

    def __init__(self, drawn: _Drawn, name: str) -> None:
        self._drawn, self._name = drawn, name

    def __len__(self) -> int:
        return len(self._drawn.seeds)

    def __getitem__(self, i: int) -> np.ndarray:  # type: ignore[override]  # no slices needed
        array: np.ndarray = getattr(self._drawn[i], self._name)
        return array


def _clouds(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> np.ndarray:
    """Smooth noise of mean 0 and standard deviation 1, its structures about `sigma` px wide."""
    from scipy import ndimage

    step = max(1, int(sigma / 4))  # wide structures are drawn on a coarse lattice
    sigma /= step
    margin = int(3 * sigma + 0.5)
    lattice = [-(-n // step) + (step > 1) for n in shape]
    noise = rng.standard_normal([n + 2 * margin for n in lattice], dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, sigma, truncate=3)
    # the deviation of the random field, not of this sample: a small image sees a part of a cloud
    kernel = np.exp(-0.5 * (np.arange(-margin, margin + 1) / sigma) ** 2)
    smooth *= kernel.sum() ** 2 / (kernel**2).sum()
    smooth = smooth[margin : margin + lattice[0], margin : margin + lattice[1]]
    return smooth if step == 1 else bicubic(smooth, shape).astype(np.float32)


def _unit(clouds: np.ndarray) -> np.ndarray:
    return np.clip(0.5 + clouds / 4, 0, 1)


def _cells(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The number of the cell of each pixel, and its distance from the membrane's middle, px."""
    from scipy.spatial import cKDTree

    margin = 3 * _CELL
    rows, columns = (int((n + 2 * margin) / _CELL) + 1 for n in shape)
    lattice = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1)
    points = lattice.reshape(-1, 2) * _CELL - margin
    points = points + rng.uniform(-0.5 * _CELL, 0.5 * _CELL, points.shape)
    points = points[rng.random(len(points)) > 0.5]  # the missing ones leave larger cells

    y, x = np.indices(shape, dtype=np.float64)
    for bend, sigma in ((8.0, 30), (2.0, 9)):
        y += bend * _clouds(rng, shape, sigma)
        x += bend * _clouds(rng, shape, sigma)
    distance, nearest = cKDTree(points).query(np.stack([y, x], -1), k=2)
    apart = np.linalg.norm(points[nearest[..., 0]] - points[nearest[..., 1]], axis=-1)
    # distance of a point from the line on which both neighbours are equally far
    gap = (distance[..., 1] ** 2 - distance[..., 0] ** 2) / (2 * apart)
    return nearest[..., 0], gap


def _objects(interior: np.ndarray) -> np.ndarray:
    """Instance ids 1..n of the interior's pieces; slivers below 12 px count as membrane."""
    from scipy import ndimage

    labels, count = ndimage.label(interior)
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= 12
    keep[0] = False
    numbers = np.where(keep, np.cumsum(keep), 0)
    return numbers[labels].astype(np.int32)


def _vesicles(rng: np.random.Generator, grey: np.ndarray, gap: np.ndarray) -> None:
    """Small dark rings, drawn into `grey`, crowded in some places."""
    crowded = _unit(_clouds(rng, (grey.shape[0], grey.shape[1]), 20)) ** 3
    for _ in range(grey.size // 500):
        y, x = (int(rng.integers(0, n)) for n in grey.shape)
        radius, depth, chance = rng.uniform(1.5, 2.6), rng.uniform(0.10, 0.25), rng.random()
        if gap[y, x] < 7 or chance > 2.5 * crowded[y, x]:
            continue
        part, dy, dx = _patch(grey.shape, y, x, 6)
        grey[part] -= depth * np.exp(-2.0 * (np.hypot(dy, dx) - radius) ** 2)


def _mitochondria(rng: np.random.Generator, grey: np.ndarray, gap: np.ndarray) -> None:
    """Dark striped ovals with a darker rim, drawn into `grey` where a cell has room for them."""
    for _ in range(grey.size // 1100):
        y, x = (int(rng.integers(0, n)) for n in grey.shape)
        short, stretch, angle = rng.uniform(6, 14), rng.uniform(1.1, 2.0), rng.uniform(0, np.pi)
        body, rim, period = rng.uniform(0.34, 0.50), rng.uniform(0.08, 0.20), rng.uniform(4, 6)
        short = min(short, gap[y, x] - 3)
        if short < 4.5:
            continue
        part, dy, dx = _patch(grey.shape, y, x, int(short * stretch) + 6)
        along, across = (
            np.cos(angle) * dx + np.sin(angle) * dy,
            np.cos(angle) * dy - np.sin(angle) * dx,
        )
        radius = np.hypot(along / stretch, across)
        cover = np.clip((short - radius) / 1.5, 0, 1) * np.clip((gap[part] - 3) / 2, 0, 1)
        stripes = 0.07 * np.sin(2 * np.pi * along / period)
        edge = rim * np.exp(-0.5 * ((short - 1.5 - radius) / 1.2) ** 2)
        grey[part] += cover * (body + stripes - edge - grey[part])


def _patch(
    shape: tuple[int, ...], y: int, x: int, reach: int
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
    """The part of the image within `reach` of (y, x), and its pixels' offsets in y and x."""
    rows = slice(max(y - reach, 0), min(y + reach + 1, shape[0]))
    columns = slice(max(x - reach, 0), min(x + reach + 1, shape[1]))
    dy = np.arange(rows.start, rows.stop)[:, None] - y
    dx = np.arange(columns.start, columns.stop)[None, :] - x
    return (rows, columns), dy, dx


def _photograph(rng: np.random.Generator, grey: np.ndarray) -> np.ndarray:
    """What the camera makes of it, uint8."""
    from scipy import ndimage

    shape = (grey.shape[0], grey.shape[1])
    sharp = ndimage.gaussian_filter(grey, rng.uniform(0.7, 1.1))
    drift = 1 + 0.05 * _clouds(rng, shape, 90)
    lit = rng.uniform(0.85, 1.0) * drift * sharp + 0.02 * _clouds(rng, shape, 60)
    shot = 0.075 * np.sqrt(np.clip(lit, 0.05, 1)) * rng.standard_normal(shape)
    noisy = lit + shot + 0.035 * _clouds(rng, shape, 0.8)
    return np.clip(np.rint(255 * (1.3 * noisy - 0.12)), 0, 255).astype(np.uint8)
