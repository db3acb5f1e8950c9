"""CreateDeformation: for every voxel of a tile, at random, where in the source it comes from.

    top[n] = A (x + u(x)) + b          (N, nz, ny, nx, k) or (N, ny, nx, k); coordinates z, y, x

u: a cubic B-spline through a grid of control points every random_elastic_grid_spacing voxels, each
component normal with the standard deviation random_elastic_deform_magnitude (kernels/bspline.py
says how far that moves a voxel).  A turns about the tile's centre by angles uniform in
random_rotate_from .. _to, in degrees; b adds an offset uniform in random_offset_from .. _to,
counted from where the centres of tile and source meet.  The displacement is turned with it all.

The one bottom, if there is one, gives the batch and the source's size (without it the source is as
large as the tile), and on demand one more offset, to a voxel drawn

    random_offset_range_from_in_blob_shape    from all with equal probability
    random_offset_range_from_pdf              in proportion to the bottom
    random_offset_range_from_ignore_label     from those whose label is another (where above 0)

so that the tile's centre lands there.  k is ncomponents, or 2 in a plane and 3 in a volume; a
volume with k = 2 is deformed within its slices.  random_mirror_flag does nothing, as in caffe_unet;
with apply_mirror, ours, each flagged axis of the tile is flipped with probability 1/2.

Pass k of a layer draws from counter k of its own stream, so a resumed run goes on exactly.  No
gradient.  SpecError for settings that do not fit, DataError for a map without probability.
Source: caffe_unet's src/caffe/layers/create_deformation_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from ..errors import DataError, ShapeError, SpecError
from ..kernels import bspline
from ..kernels import deformation as kernel
from .base import Array, Blob, Context, Shape, Shapes
from .counted import Counted
from .sizes import times
from .stream import stream
from .without_gradient import WithoutGradient


class CreateDeformation(WithoutGradient, Counted):
    type = "CreateDeformation"
    bottoms = (0, 1)
    shaped_by = ()

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._param = param = spec.create_deformation_param
        sizes = (param.nz, param.ny, param.nx) if param.nz else (param.ny, param.nx)
        self._size = tuple(int(n) for n in sizes)
        self._k = int(param.ncomponents) if param.HasField("ncomponents") else len(sizes)
        if not 2 <= self._k <= len(sizes):
            self._refuse("ncomponents", f"2{' or 3' if param.nz else ' (nz is 0)'}", self._k)
        if min(self._size) < 1:
            self._refuse("the tile's size", "ny and nx of 1 or more", times(self._size))
        axes, k = len(self._size), self._k
        self._spacing = self._vector("random_elastic_grid_spacing", axes)
        self._magnitude = self._vector("random_elastic_deform_magnitude", k)
        if bool(self._spacing) != bool(self._magnitude):
            self._refuse("the elastic deformation", "grid spacing and magnitude", "one of them")
        if any(s < 1 for s in self._spacing):
            self._refuse("random_elastic_grid_spacing", "1 or more", min(self._spacing))
        if any(not m >= 0 for m in self._magnitude):
            self._refuse("random_elastic_deform_magnitude", "0 or more", min(self._magnitude))
        self._angles = self._range("random_rotate", 1 if k == 2 else 3)
        self._offsets = self._range("random_offset", k)
        self._flips = self._vector("random_mirror_flag", k) if param.apply_mirror else ()
        self._ignore = int(param.random_offset_range_from_ignore_label)
        wanted = {
            "random_offset_range_from_in_blob_shape": param.random_offset_range_from_in_blob_shape,
            "random_offset_range_from_pdf": param.random_offset_range_from_pdf,
            "random_offset_range_from_ignore_label": self._ignore > 0,
        }
        self._from = [name for name, given in wanted.items() if given]
        if len(self._from) > 1:
            self._refuse("the offset", "one of the three ranges", " and ".join(self._from))
        if self._from and not spec.bottom and not wanted["random_offset_range_from_in_blob_shape"]:
            self._refuse(self._from[0], "a bottom to draw from", "none")

    def _refuse(self, what: str, expected: object, found: object) -> None:
        raise SpecError(
            f"{self.label}: {what} does not fit",
            where=self.context.where,
            expected=expected,
            found=found,
        )

    def _vector(self, field: str, count: int) -> tuple[Any, ...]:
        """The values of a field; none, or one for each of `count`."""
        values = tuple(getattr(self._param, field).v)
        if len(values) not in (0, count):
            self._refuse(field, f"{count} values ({self._k} components)", len(values))
        return values

    def _range(self, field: str, count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """From and to, zeros where nothing is given."""
        low, high = self._vector(f"{field}_from", count), self._vector(f"{field}_to", count)
        if len(low) != len(high):
            self._refuse(field, "both _from and _to", "one of them")
        if any(not a <= b for a, b in zip(low, high, strict=True)):
            self._refuse(f"{field}_from", f"values up to those of {field}_to", list(low))
        return low or (0.0,) * count, high or (0.0,) * count

    def shapes(self, *bottom: Shape) -> Shapes:
        batch = int(self._param.batch_size)
        if bottom:
            batch, axes = bottom[0][0] if bottom[0] else 0, len(self._size)
            one = self._from != ["random_offset_range_from_in_blob_shape"] and self._from
            if len(bottom[0]) != axes + 2 or (one and bottom[0][1] != 1):
                raise ShapeError(
                    f"{self.label} cannot take a place from '{self.spec.bottom[0]}'",
                    where=self.context.where,
                    expected=f"{'one channel' if one else 'channels'} and {axes} image axes",
                    found=times(bottom[0]),
                )
        return Shapes(((batch, *self._size, self._k),))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        rng = stream(self.context, self._passes)
        self._passes += 1
        for n, field in enumerate(top[0].data):
            source = bottom[0].data[n] if bottom else None
            self._sample(rng, n, source, field)

    def _sample(self, rng: np.random.Generator, n: int, source: Array | None, field: Array) -> None:
        k, axes = self._k, len(self._size)
        control = None
        if self._spacing:
            points = (*bspline.grid(self._size, self._spacing), k)
            control = rng.standard_normal(points) * np.array(self._magnitude)
        angles, offset, flip = np.zeros(3), np.zeros(3), np.zeros(3, bool)
        angles[: len(self._angles[0])] = rng.uniform(*self._angles)
        offset[3 - k :] = rng.uniform(*self._offsets)
        if self._flips:
            flip[3 - k :] = np.array(self._flips, bool) & (rng.random(k) < 0.5)
        size = self._size if source is None else source.shape[1:]
        if self._from:
            place = np.array(self._place(rng, n, size, source))
            offset[3 - axes :] += place - (np.array(size) - 1) / 2
        flat = (1,) * (3 - axes)
        relative = float(self._param.voxel_relsize_z)
        a, b = kernel.affine(angles, offset, flat + self._size, flat + tuple(size), relative, flip)
        device = self.context.device
        device.deformation.create(a[3 - k :, 3 - k :], b[3 - k :], control, self._spacing, field)

    def _place(
        self, rng: np.random.Generator, n: int, size: Shape, source: Array | None
    ) -> Sequence[int]:
        """The voxel on which the tile's centre shall land."""
        if source is None or self._from == ["random_offset_range_from_in_blob_shape"]:
            return [int(i) for i in np.unravel_index(int(rng.integers(prod(size))), size)]
        ignore, map_ = self._ignore, self.context.device.host(source[0])
        try:
            if ignore > 0:
                return kernel.draw(rng.random(), map_, lambda x: np.trunc(x) != ignore)
            return kernel.draw(rng.random(), map_)
        except ValueError as error:
            what = f"every label is {ignore}" if ignore > 0 else str(error)
            raise DataError(
                f"{self.label} cannot draw a place from '{self.spec.bottom[0]}', item {n}: {what}",
                where=self.context.where,
                remedy="Leave this sample out of the training data",
            ) from None
