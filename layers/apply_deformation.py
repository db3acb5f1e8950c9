"""ApplyDeformation: the source, seen through a deformation field.

    y[n, c](x) = source[n, c] at field[n](x)         (N, C, *S), (N, *O, k) -> (N, C, *P)

interpolation: linear, of the 2^k voxels around, or nearest, at floor(f + 1/2).  extrapolation:
mirror, with the period 2 S - 2, so that the edge is not repeated, or zero.

output_shape_from names a blob made before; then P is its image size, and the middle of the field is
used, which has to be larger by an even number.  That is an edge of the graph for shapes alone
(`Node.likes`): it carries no data, so the layer may run ahead of the net that makes the blob.

k is 2 in a plane, 3 in a volume; with k = 2 in a volume each slice is a plane, of the same number
in source and field (caffe_unet takes source slice z for output slice z also where the field is cut
in z, which would pair labels with other slices).  No gradient.  DataError for a field that is not
finite.  Source: caffe_unet's src/caffe/layers/apply_deformation_layer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import DataError, ShapeError, SpecError
from .base import Blob, Context, Shape, Shapes
from .sizes import times
from .without_gradient import WithoutGradient

_WORDS = {"interpolation": ("linear", "nearest"), "extrapolation": ("mirror", "zero")}


class ApplyDeformation(WithoutGradient):
    type = "ApplyDeformation"
    bottoms = 2
    shaped_by = (1,)

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._param = spec.apply_deformation_param
        for field, words in _WORDS.items():
            if getattr(self._param, field) not in words:
                raise SpecError(
                    f"{self.label} does not know this {field}",
                    where=context.where,
                    expected=" or ".join(words),
                    found=getattr(self._param, field),
                )

    def shapes(self, *bottom: Shape) -> Shapes:
        """The third shape, with output_shape_from, is that of the blob it names."""
        source, field = bottom[:2]
        size = bottom[2][2:] if len(bottom) > 2 else field[1:-1]
        k, fits = field[-1] if field else 0, len(source) == len(field)
        if not fits or len(source) not in (4, 5) or not 2 <= k <= len(source) - 2:
            self._refuse(
                "wants a field with a coordinate for each image axis",
                "batch, the image axes of the source, and 2 or 3 coordinates",
                f"'{self.spec.bottom[1]}' {times(field)} for {times(source)}",
            )
        if source[0] != field[0]:
            self._refuse("wants a field for each item", source[0], f"{field[0]} fields")
        if len(size) != len(field) - 2 or any(
            p > o or (o - p) % 2 for o, p in zip(field[1:-1], size, strict=True)
        ):
            self._refuse(
                f"cannot take a size of {times(size)} out of the middle of {times(field[1:-1])}",
                "a size that is smaller by an even number on every axis",
                f"'{self._param.output_shape_from}' {times(bottom[-1])}",
            )
        if k < len(size) and (field[1] + size[0]) // 2 > source[2]:
            self._refuse("has no source for the last slices", f"{field[1]} slices", source[2])
        return Shapes(((*source[:2], *size),))

    def _refuse(self, what: str, expected: object, found: object) -> None:
        where = self.context.where
        raise ShapeError(f"{self.label} {what}", where=where, expected=expected, found=found)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        linear = self._param.interpolation == "linear"
        mirror = self._param.extrapolation == "mirror"
        sizes = zip(bottom[1].shape[1:-1], top[0].shape[2:], strict=True)
        corner, apply = [(o - p) // 2 for o, p in sizes], self.context.device.deformation.apply
        for n, (source, field, out) in enumerate(
            zip(bottom[0].data, bottom[1].data, top[0].data, strict=True)
        ):
            if not apply(source, field, corner, out, linear=linear, mirror=mirror):
                raise DataError(
                    f"{self.label}: the field '{self.spec.bottom[1]}', item {n}, has a coordinate "
                    "that is not finite or beyond every image",
                    where=self.context.where,
                )
