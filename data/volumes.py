"""Drawn volumes of cells: something to train a 3-D net on before one has data, and for tests.

    cells        nearest of scattered points, coordinates bent by smooth noise (a curved Voronoi)
    membranes    where the two nearest points are about equally far: sheets 2 to 4 voxels thick
    microscope   each cell its own grey, cloudy; blur, noise, uneven brightness

Labels: 1 interior, 0 membrane; weights: balanced, each class as heavy as the other.  A volume is a
function of its seed and shape alone.  `built_in` recognises the names of training files that can be
drawn on the spot; data, label and weight are equally large, for nets that cut their own tiles:

    examples/volumes-132x148x148/train.txt         depth x height x width; also test.txt
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import __version__
from ..files import replacing
from .normalize import Normalization
from .pack import Track

CLASS_NAMES = ("membrane", "interior")
CELL = 20.0  # typical distance of neighbouring points, voxels

Shape3 = tuple[int, int, int]
_PATTERN = re.compile(r"volumes-(\d+)x(\d+)x(\d+)")


def volume(seed: int, shape: Shape3) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (depth, height, width) float32 in [0, 1], and their classes, uint8."""
    from scipy import ndimage

    rng = np.random.Generator(np.random.Philox(seed))
    cell, gap = _cells(rng, shape)
    interior = gap > 1.0 + 0.8 * np.clip(0.5 + _clouds(rng, shape, 12) / 4, 0, 1)
    grey = rng.uniform(0.55, 0.8, int(cell.max()) + 1)[cell] + 0.03 * _clouds(rng, shape, 5)
    sheet = np.exp(-0.5 * (gap / 1.2) ** 2)
    grey += 0.8 * sheet * (0.15 - grey)
    sharp = ndimage.gaussian_filter(grey, 0.6) * (1 + 0.05 * _clouds(rng, shape, 40))
    noisy = sharp + 0.06 * rng.standard_normal(shape)
    return np.clip(noisy, 0, 1).astype(np.float32), interior.astype(np.uint8)


def _clouds(rng: np.random.Generator, shape: Shape3, sigma: float) -> np.ndarray:
    """Smooth noise of about mean 0 and standard deviation 1, its structures `sigma` voxels wide."""
    from scipy import ndimage

    step = max(1, int(sigma / 3))  # wide structures are drawn on a coarse lattice
    lattice = [-(-n // step) + 3 for n in shape]
    smooth = ndimage.gaussian_filter(rng.standard_normal(lattice), sigma / step)
    smooth *= (2 * np.sqrt(np.pi) * sigma / step) ** 1.5  # what smoothing took away
    grid = np.meshgrid(*(np.arange(n) / step + 1 for n in shape), indexing="ij", sparse=True)
    return np.asarray(
        ndimage.map_coordinates(smooth, np.broadcast_arrays(*grid), order=1, mode="nearest")
        if step > 1
        else smooth[tuple(slice(1, 1 + n) for n in shape)]
    )


def _cells(rng: np.random.Generator, shape: Shape3) -> tuple[np.ndarray, np.ndarray]:
    """The number of the cell of each voxel, and its distance from the membrane's middle, voxels."""
    from scipy.spatial import cKDTree

    margin = 2 * CELL
    counts = [int((n + 2 * margin) / CELL) + 1 for n in shape]
    points = np.indices(counts).reshape(3, -1).T * CELL - margin
    points = points + rng.uniform(-0.5 * CELL, 0.5 * CELL, points.shape)
    places = np.indices(shape, dtype=np.float64)
    for axis in places:
        axis += 4 * _clouds(rng, shape, 15)
    distance, nearest = cKDTree(points).query(places.reshape(3, -1).T, k=2)
    apart = np.linalg.norm(points[nearest[:, 0]] - points[nearest[:, 1]], axis=1)
    gap = (distance[:, 1] ** 2 - distance[:, 0] ** 2) / (2 * apart)
    return nearest[:, 0].reshape(shape), gap.reshape(shape)


def balance(classes: np.ndarray) -> np.ndarray:
    """Weights, float32: of mean 1, and the same in all for each of both classes."""
    share = np.bincount(classes.ravel(), minlength=2) / classes.size
    weight = np.where(share > 0, 0.5 / np.maximum(share, 1e-9), 0).astype(np.float32)
    return np.asarray(weight[classes])


@dataclass(frozen=True)
class BuiltIn:
    """A data set that can be drawn on the spot: `make` writes its files into `folder`."""

    folder: Path
    shape: Shape3
    train: int = 4
    test: int = 1

    def make(self, *, track: Track | None = None) -> None:
        """Write train.h5, train.txt, test.h5, test.txt, except those that are there already."""
        self.folder.mkdir(parents=True, exist_ok=True)
        follow: Track = track or (lambda indices, _total, _what: indices)
        for odd, (part, count) in enumerate((("train", self.train), ("test", self.test))):
            listed = self.folder / f"{part}.txt"
            if listed.exists():
                continue
            seeds = [2 * i + odd for i in range(count)]  # the sets can never meet
            _write(listed.with_suffix(".h5"), self.shape, seeds, follow(seeds, count, "drawing"))
            with replacing(listed) as temporary:
                temporary.write_text(f"{listed.with_suffix('.h5')}\n", encoding="utf-8")


def built_in(source: str | Path) -> BuiltIn | None:
    """The data set that a source like "examples/volumes-132x148x148/train.txt" names, else None."""
    path = Path(source)
    name = _PATTERN.fullmatch(path.parent.name)
    if name is None or path.name not in ("train.txt", "test.txt"):
        return None
    depth, height, width = (int(n) for n in name.groups())
    return BuiltIn(path.parent, (depth, height, width)) if min(depth, height, width) else None


def _write(path: Path, shape: Shape3, seeds: list[int], follow: Iterable[int]) -> None:
    """One HDF5 file of volumes, which says of itself what tools/pack.py says (data/pack.py)."""
    import h5py

    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        full = (len(seeds), 1, *shape)
        data, weight = (file.create_dataset(n, full, "f4") for n in ("data", "weight"))
        label = file.create_dataset("label", full, "u1")
        for i, seed in enumerate(follow):
            data[i, 0], label[i, 0] = volume(seed, shape)
            weight[i, 0] = balance(label[i, 0])
        file.attrs["normalization"] = Normalization("none").to_json()
        file.attrs["padding"] = "mirror"
        file.attrs["class_names"] = np.array(CLASS_NAMES, dtype=h5py.string_dtype())
        file.attrs["input_channels"] = 1
        file.attrs["origin"] = json.dumps(
            {"program": f"demitasse {__version__}", "sources": f"drawn, seeds {seeds}"}
        )
