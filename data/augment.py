"""Invented variety: mirrored, turned, shifted, bent and re-lit tiles.

All functions are pure: what is random comes from the numpy Generator they are given.

    corner        random place of the tile in the image
    symmetry      the eight symmetries of the square: mirror images and turns by 90 degrees
    elastic       displacement vectors N(0, sigma) px on a coarse grid x grid lattice over the tile,
                  bicubic interpolation in between; sigma 10, grid 3
    grey          y = gain * gamma_curve(x) + offset

Source: Ronneberger, Fischer, Brox, arXiv 1505.04597, section 3.1 (shift, rotation, elastic, grey
values).  The paper's numbers are those of `elastic`; the ranges of `grey` are ours, and mild.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .crops import window

KINDS = ("flips", "elastic", "grey")

GAIN = (0.8, 1.25)
OFFSET = (-0.2, 0.2)  # in standard deviations of the normalised image
GAMMA = (0.8, 1.25)

_FADE = 16  # pixels


def generator(seed: int, tile: int) -> np.random.Generator:
    """The random stream of one tile: the same however the tiles are spread over files."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, tile])))


def corner(
    rng: np.random.Generator, shape: tuple[int, ...], output: tuple[int, ...]
) -> tuple[int, int]:
    """A random first pixel of an output tile that lies within the image.

    An image smaller than the tile gets the tile centred on it.
    """
    return (_start(rng, shape[0], output[0]), _start(rng, shape[1], output[1]))


def _start(rng: np.random.Generator, size: int, tile: int) -> int:
    return int(rng.integers(0, size - tile + 1)) if size >= tile else -((tile - size) // 2)


def random_symmetry(rng: np.random.Generator, *, square: bool) -> int:
    """A number for `symmetry`; tiles that are not square keep their sides (0..3)."""
    return int(rng.integers(0, 8 if square else 4))


def symmetry(tile: np.ndarray, number: int) -> np.ndarray:
    """The tile (..., y, x) mirrored in y (bit 0), in x (bit 1) and along the diagonal (bit 2)."""
    if number & 1:
        tile = tile[..., ::-1, :]
    if number & 2:
        tile = tile[..., ::-1]
    if number & 4:
        tile = np.swapaxes(tile, -1, -2)
    return np.ascontiguousarray(tile)


def elastic(
    rng: np.random.Generator, size: tuple[int, ...], *, sigma: float = 10.0, grid: int = 3
) -> np.ndarray:
    """Displacements (2, height, width) in pixels, y and x, of a smooth random deformation."""
    vectors = rng.normal(0.0, sigma, (2, grid, grid))
    return bicubic(vectors, size)


def bicubic(vectors: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Values (..., gy, gx) on a lattice with nodes on the tile's corners -> (..., height, width).

    Natural cubic splines along y, then x; the lattice values themselves are met at the nodes.
    """
    rows = _spline_matrix(vectors.shape[-2], size[0])
    columns = _spline_matrix(vectors.shape[-1], size[1])
    return rows @ vectors @ columns.T


@lru_cache(maxsize=32)  # the sizes of a data set's tiles are few
def _spline_matrix(nodes: int, size: int) -> np.ndarray:
    """(size, nodes): row i holds the weights of the nodes at pixel i."""
    from scipy.interpolate import CubicSpline

    where = np.linspace(0, nodes - 1, size) if size > 1 else np.array([(nodes - 1) / 2])
    spline = CubicSpline(np.arange(nodes), np.eye(nodes), bc_type="natural")
    return np.asarray(spline(where))


def grey(
    image: np.ndarray,
    rng: np.random.Generator,
    *,
    gain: tuple[float, float] = GAIN,
    offset: tuple[float, float] = OFFSET,
    gamma: tuple[float, float] = GAMMA,
) -> np.ndarray:
    """The normalised tile with another gamma, contrast and brightness, float32.

    Gamma bends the curve between the tile's own least and greatest value, so that these stay where
    they are; gain then acts about the tile's mean and offset is in units of its standard deviation.
    """
    power = float(np.exp(rng.uniform(*np.log(gamma))))
    factor = float(np.exp(rng.uniform(*np.log(gain))))
    shift = float(rng.uniform(*offset))
    low, high = float(image.min()), float(image.max())
    if high <= low:
        return image.astype(np.float32)
    curved = low + (high - low) * ((image - low) / (high - low)) ** power
    mean, deviation = float(curved.mean()), float(curved.std())
    return (mean + factor * (curved - mean) + shift * deviation).astype(np.float32)


def sample(plane: np.ndarray, rows: np.ndarray, columns: np.ndarray, *, order: int) -> np.ndarray:
    """The plane (height, width) at any points, mirrored outside: order 1 linear, 3 cubic spline."""
    from scipy import ndimage

    # only the part that is looked at is filtered; a cubic spline's memory fades as 0.27^distance
    first = [int(np.floor(at.min())) - _FADE for at in (rows, columns)]
    last = [int(np.ceil(at.max())) + _FADE for at in (rows, columns)]
    size = (last[0] - first[0] + 1, last[1] - first[1] + 1)
    part = window(plane, (first[0], first[1]), size)
    values: np.ndarray = ndimage.map_coordinates(
        part, [rows - first[0], columns - first[1]], output=np.float32, order=order, mode="mirror"
    )
    return values
