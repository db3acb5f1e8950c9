"""Kernel, stride, pad and dilation as Convolution, Deconvolution and Pooling messages give them.

Each is given once for all spatial axes, or once for each, or (in 2-D) as field_h and field_w.

Source: Caffe's src/caffe/layers/base_conv_layer.cpp, pooling_layer.cpp.
"""

from __future__ import annotations

from typing import Any

from ..errors import ShapeError, SpecError
from ..kernels.im2col import Window
from .axes import axis_of
from .base import Context, Layer, Shape
from .sizes import times


class Windowed(Layer):
    """A layer whose message, `param`, gives a window."""

    param: Any

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self._windows: dict[int, Window] = {}

    def window(self, axes: int) -> Window:
        """The window over that many spatial axes (of pooling: without global_pooling)."""
        if axes not in self._windows:  # asked for many times while legal sizes are looked for
            self._windows[axes] = read_window(self, self.param, axes)
        return self._windows[axes]


def read_window(layer: Layer, param: Any, n: int) -> Window:
    """The window over n spatial axes; SpecError where the message contradicts itself."""
    return Window(
        _sizes(layer, param, "kernel_size", "kernel", n, None),
        _sizes(layer, param, "stride", "stride", n, 1),
        _sizes(layer, param, "pad", "pad", n, 0),
        _sizes(layer, param, "dilation", "", n, 1) if hasattr(param, "dilation") else (1,) * n,
    )


def check_window(layer: Layer, param: Any) -> None:
    """Refuse what is wrong whatever the number of axes: said twice or in half, or no kernel."""
    for field, stem in (("kernel_size", "kernel"), ("stride", "stride"), ("pad", "pad")):
        if len(getattr(param, field)) and _sides(param, stem):
            raise SpecError(
                f"{layer.label} gives both {field} and {' and '.join(_sides(param, stem))}",
                where=layer.context.where,
                remedy=f"Keep either {field}, or {stem}_h and {stem}_w",
            )
    check_pair(layer, param, "stride")
    if not len(param.kernel_size) and len(_sides(param, "kernel")) != 2:
        raise SpecError(
            f"{layer.label} has no kernel_size",
            where=layer.context.where,
            expected="kernel_size, or kernel_h and kernel_w",
            found=", ".join(_sides(param, "kernel")) or "neither",
        )


def channel_axis(layer: Windowed, shape: Shape) -> int:
    """The axis of a bottom of this shape that holds the channels, counted from the front;
    ShapeError where none is behind it."""
    axis = axis_of(layer, layer.param.axis, shape)
    if axis == len(shape) - 1:
        raise ShapeError(
            f"{layer.label} has no spatial axes: the channels are on axis {axis}, the last one of "
            f"its bottom '{layer.spec.bottom[0]}'",
            where=layer.context.where,
            found=f"shape {times(shape)}",
        )
    return axis


def check_pair(layer: Layer, param: Any, stem: str) -> None:
    """Refuse one of stem_h and stem_w without the other."""
    given = _sides(param, stem)
    if len(given) == 1:
        raise SpecError(
            f"{layer.label} gives {given[0]} alone",
            where=layer.context.where,
            expected=f"{stem}, or {stem}_h and {stem}_w",
            found=given[0],
        )


def outputs(layer: Layer, window: Window, size: Shape) -> Shape:
    """How many windows fit into each spatial axis of the bottom; ShapeError where none does."""
    out = window.outputs(size)
    if min(out) < 1:
        padded = any(window.pad)
        raise ShapeError(
            f"{layer.label} has a kernel larger than its {'padded ' if padded else ''}bottom "
            f"'{layer.spec.bottom[0]}'",
            where=layer.context.where,
            expected=f"at least {times(window.extent)}",
            found=times(n + 2 * p for n, p in zip(size, window.pad, strict=True)),
        )
    return out


def _sides(param: Any, stem: str) -> list[str]:
    return [f"{stem}_{side}" for side in "hw" if param.HasField(f"{stem}_{side}")]


def _sizes(layer: Layer, param: Any, field: str, stem: str, n: int, default: int | None) -> Shape:
    values = [int(v) for v in getattr(param, field)]
    sides = _sides(param, stem) if stem else []
    if sides:
        if n != 2:
            raise SpecError(
                f"{layer.label} gives {' and '.join(sides)}, but has {n} spatial axes",
                where=layer.context.where,
                remedy=f"Give {field} once, or {n} times",
            )
        other = 0 if default is None else default
        values = [
            int(getattr(param, s)) if s in sides else other for s in (f"{stem}_h", f"{stem}_w")
        ]
    if not values and default is not None:
        values = [default]
    if len(values) not in (1, n):
        raise SpecError(
            f"{layer.label} gives {field} {len(values)} times",
            where=layer.context.where,
            expected=f"once, or once for each of its {n} spatial axes",
            found=", ".join(map(str, values)),
        )
    if field != "pad" and 0 in values:
        raise SpecError(
            f"{layer.label} has a {field} of 0",
            where=layer.context.where,
            expected="1 or more",
        )
    return tuple(values) if len(values) == n else tuple(values) * n
