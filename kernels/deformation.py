"""Deformation fields: for every voxel of a tile, where in the source it comes from.

    create    f(x) = A (x + u(x)) + b          x: the voxel's coordinates, u: a B-spline or nothing
    affine    A and b for a rotation about the tile's centre, an offset, and flips
    draw      a position with a probability in proportion to a map
    apply     y(x) = source at f(x)            linear or nearest, mirrored or zero outside

A field is (*O, k): O the tile's 2 or 3 axes, k coordinates in the order z, y, x.  With k = 2 in a
volume every slice is a plane of its own.  Everything goes in slabs along the first axis, so that no
array of the field's size is made; where Numba is installed, the passes over whole fields are
compiled (kernels/deformation_numba.py; of the same results).

Source: caffe_unet's src/caffe/layers/{create,apply}_deformation_layer.cpp and vector_helper.hpp.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import cos, prod, radians, sin
from typing import Any

import numpy as np

from . import bspline
from .optional import optional

Array = Any

SLAB = 1 << 16  # elements of a field worked on at once
FAR = float(1 << 30)  # no coordinate is as large as this


def _slabs(shape: Sequence[int]) -> list[tuple[int, int]]:
    """Parts of the first axis, each with about SLAB elements."""
    rows = max(1, SLAB // max(1, prod(shape[1:])))
    return [(i, min(i + rows, shape[0])) for i in range(0, shape[0], rows)]


# ---------------------------------------------------------------------- making a field


def affine(
    angles: Array,
    offset: Array,
    top: Sequence[int],
    bottom: Sequence[int],
    relative_z: float = 1.0,
    flip: Array = (False, False, False),
) -> tuple[Array, Array]:
    """A (3, 3) and b (3,), over z, y, x; a plane has the z size 1.

    A = S^-1 Rx Ry Rz S F,  S = diag(relative_z, 1, 1): how much longer a voxel is in z.  angles, in
    degrees: of Rz in the plane of y and x, of Ry in z and x, of Rx in z and y, each of them
    [[cos, -sin], [sin, cos]].  b takes the tile's centre, top / 2, to the source's, bottom / 2,
    plus the offset.  F flips the tile itself, before all else.
    """
    rotation = np.eye(3)
    for (i, j), angle in zip(((1, 2), (0, 2), (0, 1)), angles, strict=True):
        turn, c, s = np.eye(3), cos(radians(angle)), sin(radians(angle))
        turn[i, i], turn[i, j], turn[j, i], turn[j, j] = c, -s, s, c
        # the product in full: it costs nothing, and no BLAS has to be waited for
        rotation = (turn[:, :, None] * rotation[None]).sum(1)
    scale = np.array([relative_z, 1.0, 1.0])
    a = rotation * scale / scale[:, None]
    size = np.asarray(top, np.float64)
    b = np.asarray(offset) + np.asarray(bottom) / 2 - (a * (size / 2)).sum(1)
    mirrored = np.asarray(flip, np.float64)
    b += (a * (mirrored * (size - 1))).sum(1)
    return a * (1 - 2 * mirrored), b


def create(a: Array, b: Array, control: Array | None, spacing: Sequence[int], field: Array) -> None:
    """Write field (*O, k) = A (x + u) + b.

    a (k, k), b (k,); control: the points of u, (*bspline.grid(O, spacing), k), or None for u = 0.
    """
    *size, k = field.shape
    if control is not None:  # A u is the spline of A c
        control = (a * control[..., None, :]).sum(-1)
    first, b_k = bspline.weights(0, size[-1], spacing[-1] if control is not None else 1)
    compiled = optional("deformation_numba")
    for start, stop in _slabs(field.shape):
        part = field[start:stop].reshape(-1, size[-1], k)
        base = _rows(a, b, start, (stop - start, *size[1:-1]), k)
        if control is None:
            _straight(base, a[:, -1], part)
            continue
        lines = bspline.along(control, 0, start, stop, spacing[0])
        for axis in range(1, len(size) - 1):
            lines = bspline.along(lines, axis, 0, size[axis], spacing[axis])
        lines = lines.reshape(len(part), -1, k)
        if compiled is not None:
            compiled.curved(base, a[:, -1].copy(), lines, first, b_k, part)
        else:
            _curved(base, a[:, -1], lines, first, b_k, part)


def _rows(a: Array, b: Array, start: int, shape: Sequence[int], k: int) -> Array:
    """A x + b at the first voxel of every row along the last axis: (rows, k)."""
    at = np.indices(shape, np.float64).reshape(len(shape), -1).T
    at[:, 0] += start
    known = k - 1  # coordinates that a row has; in planes of a volume z is not among them
    at = at[:, at.shape[1] - known :]
    return (a[:, :known] * at[:, None, :]).sum(-1) + b


def _straight(base: Array, step: Array, out: Array) -> None:
    out[...] = base[:, None] + np.arange(out.shape[1])[:, None] * step


def _curved(base: Array, step: Array, lines: Array, first: Array, b: Array, out: Array) -> None:
    """out[r, x] = base[r] + x step + sum_k b[k, x] lines[r, first[x] + k]"""
    total = base[:, None] + np.arange(out.shape[1])[:, None] * step
    for k in range(4):
        total += lines.take(first + k, 1) * b[k][:, None]
    out[...] = total


def draw(u: float, map_: Array, weight: Callable[[Array], Array] = np.asarray) -> Sequence[int]:
    """The position of the voxel that a number u, uniform in [0, 1), picks from a map: voxel v with
    the probability w_v / sum w, w = weight(map).  ValueError where the weights are not all finite
    and at least 0, or their sum is 0."""
    flat = map_.reshape(-1)
    parts = [slice(start, start + SLAB) for start in range(0, flat.size, SLAB)]
    sums = np.array([weight(flat[part]).sum(dtype=np.float64) for part in parts])
    if not (np.isfinite(sums).all() and all((weight(flat[part]) >= 0).all() for part in parts)):
        raise ValueError("a probability is negative or not finite")
    ends = sums.cumsum()
    if not ends[-1] > 0:
        raise ValueError("the probabilities are all 0")
    target = ends[-1] * (1 - u)  # above 0, so that a voxel without probability is never met
    which = int(np.searchsorted(ends, target))
    inside = weight(flat[parts[which]]).cumsum(dtype=np.float64)
    target -= ends[which] - sums[which]
    at = int(np.searchsorted(inside, min(max(target, np.nextafter(0, 1)), inside[-1])))
    return [int(i) for i in np.unravel_index(which * SLAB + at, map_.shape)]


# ---------------------------------------------------------------------- applying one


def apply(
    source: Array, field: Array, corner: Sequence[int], out: Array, *, linear: bool, mirror: bool
) -> bool:
    """Write out (C, *P): source (C, *S) where the field (*O, k), from `corner` on, says.

    linear: of the 2^k voxels around, else the nearest, floor(f + 1/2); mirror: the period outside
    is 2 S - 2, the edge is not repeated; else 0.  False, and out is not filled, where a coordinate
    is not finite or absurdly large.
    """
    size = out.shape[1:]
    compiled = optional("deformation_numba")
    if field.shape[-1] < len(size):  # planes of a volume
        return all(
            apply(
                source[:, z + corner[0]],
                field[z + corner[0]],
                corner[1:],
                out[:, z],
                linear=linear,
                mirror=mirror,
            )
            for z in range(size[0])
        )
    if compiled is not None and len(size) in (2, 3):
        run = compiled.apply2 if len(size) == 2 else compiled.apply3
        return bool(run(source, field, *corner, out, linear, mirror, field.dtype.type(FAR)))
    part = field[tuple(slice(c, c + n) for c, n in zip(corner, size, strict=True))]
    return _apply(source, part, out, linear, mirror)


def _apply(source: Array, field: Array, out: Array, linear: bool, mirror: bool) -> bool:
    sizes = source.shape[1:]
    flat = source.reshape(len(source), -1)
    steps = [prod(sizes[i + 1 :]) for i in range(len(sizes))]
    half, one = field.dtype.type(0.5), field.dtype.type(1)
    for start, stop in _slabs(field.shape):
        at = np.moveaxis(field[start:stop], -1, 0)
        if not (np.abs(at) < FAR).all():
            return False
        low = np.floor(at if linear else at + half)
        rest = at - low
        low = low.astype(np.int64)
        total = out[:, start:stop]
        for n, corner in enumerate(product((0, 1) if linear else (0,), repeat=len(sizes))):
            place, weight, inside = 0, None, np.ones(low.shape[1:], bool)
            for axis, up in enumerate(corner):
                i, size = low[axis] + up, sizes[axis]
                if mirror:
                    i = _mirrored(i, size)
                else:
                    inside &= (i >= 0) & (i < size)
                    i = i.clip(0, size - 1)
                place = place + i * steps[axis]
                part = rest[axis] if up else one - rest[axis]
                weight = part if weight is None else weight * part
            value = flat.take(place, 1)
            value[:, ~inside] = 0
            if linear:
                value *= weight
            if n == 0:
                total[...] = value
            else:
                total += value
    return True


def _mirrored(i: Array, size: int) -> Array:
    """-2 -1 0 1 2 3 4 -> 2 1 0 1 2 1 0, for a size of 3."""
    if size == 1:
        return np.zeros_like(i)
    i = np.abs(i) % (2 * size - 2)
    return np.minimum(i, 2 * size - 2 - i)
