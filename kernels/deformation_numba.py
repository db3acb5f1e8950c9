"""Making and applying deformation fields, compiled by Numba: one pass instead of dozens.

Same results as kernels/deformation.py, which is the specification: the same operations in the same
order, in the same types.  `far`: what every coordinate must be below, or there is no result.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .compiler_numba import compiler

Array = Any

fast = compiler()


@fast
def curved(base: Array, step: Array, lines: Array, first: Array, b: Array, out: Array) -> None:
    """out[r, x] = base[r] + x step + sum_k b[k, x] lines[r, first[x] + k]"""
    for r in range(out.shape[0]):
        for x in range(out.shape[1]):
            i = first[x]
            for c in range(out.shape[2]):
                total = base[r, c] + x * step[c]
                for k in range(4):
                    total += lines[r, i + k, c] * b[k, x]
                out[r, x, c] = total


@fast
def _mirrored(i: int, size: int) -> int:
    if 0 <= i < size:
        return i
    if size == 1:
        return 0
    i = abs(i) % (2 * size - 2)
    return min(i, 2 * size - 2 - i)


@fast
def _at(i: int, size: int, mirror: bool) -> int:
    """The index of a voxel; -1 for one that is 0."""
    if mirror:
        return _mirrored(i, size)
    return i if 0 <= i < size else -1


@fast
def _plane(plane: Array, y: int, x: int) -> Any:
    return plane[y, x] if y >= 0 and x >= 0 else plane.dtype.type(0)


@fast
def _volume(volume: Array, z: int, y: int, x: int) -> Any:
    return volume[z, y, x] if z >= 0 and y >= 0 and x >= 0 else volume.dtype.type(0)


@fast
def apply2(
    source: Array, field: Array, y0: int, x0: int, out: Array, linear: bool, mirror: bool,
    far: float,
) -> bool:  # fmt: skip
    """Planes: source (C, ny, nx), field (.., .., 2), out (C, h, w)."""
    _, ny, nx = source.shape
    half, one = out.dtype.type(0.5), out.dtype.type(1)
    for i in range(out.shape[1]):
        for j in range(out.shape[2]):
            y, x = field[y0 + i, x0 + j, 0], field[y0 + i, x0 + j, 1]
            if not (abs(y) < far and abs(x) < far):
                return False
            if linear:
                ly, lx = np.floor(y), np.floor(x)
                fy, fx = y - ly, x - lx
                ya, xa = _at(int(ly), ny, mirror), _at(int(lx), nx, mirror)
                yb, xb = _at(int(ly) + 1, ny, mirror), _at(int(lx) + 1, nx, mirror)
                for c in range(out.shape[0]):
                    plane = source[c]
                    out[c, i, j] = (
                        _plane(plane, ya, xa) * ((one - fy) * (one - fx))
                        + _plane(plane, ya, xb) * ((one - fy) * fx)
                        + _plane(plane, yb, xa) * (fy * (one - fx))
                        + _plane(plane, yb, xb) * (fy * fx)
                    )
            else:
                ya = _at(int(np.floor(y + half)), ny, mirror)
                xa = _at(int(np.floor(x + half)), nx, mirror)
                for c in range(out.shape[0]):
                    out[c, i, j] = _plane(source[c], ya, xa)
    return True


@fast
def apply3(
    source: Array, field: Array, z0: int, y0: int, x0: int, out: Array, linear: bool, mirror: bool,
    far: float,
) -> bool:  # fmt: skip
    """Volumes: source (C, nz, ny, nx), field (.., .., .., 3), out (C, d, h, w)."""
    _, nz, ny, nx = source.shape
    half, one = out.dtype.type(0.5), out.dtype.type(1)
    for h in range(out.shape[1]):
        for i in range(out.shape[2]):
            for j in range(out.shape[3]):
                at = field[z0 + h, y0 + i, x0 + j]
                z, y, x = at[0], at[1], at[2]
                if not (abs(z) < far and abs(y) < far and abs(x) < far):
                    return False
                if linear:
                    lz, ly, lx = np.floor(z), np.floor(y), np.floor(x)
                    fz, fy, fx = z - lz, y - ly, x - lx
                    za, zb = _at(int(lz), nz, mirror), _at(int(lz) + 1, nz, mirror)
                    ya, yb = _at(int(ly), ny, mirror), _at(int(ly) + 1, ny, mirror)
                    xa, xb = _at(int(lx), nx, mirror), _at(int(lx) + 1, nx, mirror)
                    aa, ab = (one - fz) * (one - fy), (one - fz) * fy
                    ba, bb = fz * (one - fy), fz * fy
                    for c in range(out.shape[0]):
                        v = source[c]
                        out[c, h, i, j] = (
                            _volume(v, za, ya, xa) * (aa * (one - fx))
                            + _volume(v, za, ya, xb) * (aa * fx)
                            + _volume(v, za, yb, xa) * (ab * (one - fx))
                            + _volume(v, za, yb, xb) * (ab * fx)
                            + _volume(v, zb, ya, xa) * (ba * (one - fx))
                            + _volume(v, zb, ya, xb) * (ba * fx)
                            + _volume(v, zb, yb, xa) * (bb * (one - fx))
                            + _volume(v, zb, yb, xb) * (bb * fx)
                        )
                else:
                    za = _at(int(np.floor(z + half)), nz, mirror)
                    ya = _at(int(np.floor(y + half)), ny, mirror)
                    xa = _at(int(np.floor(x + half)), nx, mirror)
                    for c in range(out.shape[0]):
                        out[c, h, i, j] = _volume(source[c], za, ya, xa)
    return True
