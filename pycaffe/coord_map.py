"""How a blob's pixels lie in another blob, for nets written in Python (`net_spec`).

A map (axis, scale, shift) sends index i of one blob to scale * i + shift of the other, from axis
`axis` + 1 on (the axes behind it); None as axis: the same along all of them.

    convolution, pooling, im2col    axis, 1/stride, (pad - (extent - 1)/2)/stride
    deconvolution                   axis, stride, (extent - 1)/2 - pad
    crop                            axis - 1, 1, -offset
    pass-through layers             None, 1, 0

with extent = dilation * (kernel_size - 1) + 1.  For prototxt files netspec/coordinates.py does it.

Source: Caffe's python/caffe/coord_map.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .net_spec import Function, Top, layers

_ALIKE = (
    "AbsVal BatchNorm Bias BNLL Dropout Eltwise ELU Log LRN Exp MVN Power ReLU PReLU Scale Sigmoid "
    "Split TanH Threshold"
)
PASS_THROUGH_LAYERS = _ALIKE.split()

Map = tuple[int | None, Any, Any]
IDENTITY: Map = (None, 1, 0)


class UndefinedMapException(Exception):
    """The layer does not keep pixels in place."""


class AxisMismatchException(Exception):
    """Two maps speak of different axes."""


def _array(value: Any) -> np.ndarray:
    return np.atleast_1d(np.asarray(value))


def conv_params(fn: Function) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Axis, stride, extent and pad of a sliding window."""
    given: Mapping[str, Any] = fn.params.get(
        "convolution_param", fn.params.get("pooling_param", fn.params)
    )
    separate = {f"{name}_{side}" for name in ("kernel", "stride", "pad") for side in "hw"}
    assert not separate & set(given), "cropping does not support legacy _h/_w params"
    extent = (_array(given["kernel_size"]) - 1) * _array(given.get("dilation", 1)) + 1
    stride, pad = _array(given.get("stride", 1)), _array(given.get("pad", 0))
    return int(given.get("axis", 1)), stride, extent, pad


def crop_params(fn: Function) -> tuple[int, np.ndarray]:
    """Axis and offset of a Crop layer."""
    given = fn.params.get("crop_param", fn.params)
    return int(given.get("axis", 2)), _array(given.get("offset", 0))


def coord_map(fn: Function) -> Map:
    """The map of a layer, from its bottom to its top; raises UndefinedMapException."""
    if fn.type_name in ("Convolution", "Pooling", "Im2col"):
        axis, stride, extent, pad = conv_params(fn)
        return axis, 1 / stride, (pad - (extent - 1) / 2) / stride
    if fn.type_name == "Deconvolution":
        axis, stride, extent, pad = conv_params(fn)
        return axis, stride, (extent - 1) / 2 - pad
    if fn.type_name in PASS_THROUGH_LAYERS:
        return IDENTITY
    if fn.type_name == "Crop":
        axis, offset = crop_params(fn)
        return axis - 1, 1, -offset
    raise UndefinedMapException(f"{fn.type_name} has no map of coordinates")


def compose(base_map: Map, next_map: Map) -> Map:
    """First `next_map`, then `base_map`."""
    (axis, a, b), (other, c, d) = base_map, next_map
    if axis is not None and other is not None and axis != other:
        raise AxisMismatchException(f"axis {axis} and axis {other}")
    return (other if axis is None else axis), a * c, a * d + b


def inverse(coord_map: Map) -> Map:
    """The map the other way round."""
    axis, a, b = coord_map
    return axis, 1 / a, -b / a


def _ancestors(
    top: Top, stop: Mapping[Top, Map] | None = None
) -> tuple[dict[Top, Map], Top | None]:
    """Maps from what `top` is made of; the walk ends at the first that is in `stop`."""
    maps, waiting = {top: IDENTITY}, [top]
    while waiting:
        here = waiting.pop(0)
        if stop is not None and here in stop:
            return maps, here
        # a Crop's second bottom says only how large the top is
        bottoms = here.fn.inputs[:1] if here.fn.type_name == "Crop" else here.fn.inputs
        try:
            step = coord_map(here.fn) if bottoms else IDENTITY
        except UndefinedMapException:
            continue
        for bottom in bottoms:
            maps[bottom] = compose(maps[here], step)
            waiting.append(bottom)
    return maps, None


def coord_map_from_to(top_from: Top, top_to: Top) -> Map:
    """The map between two tops, by a blob that both are made of; raises RuntimeError."""
    back, _ = _ancestors(top_from)
    forth, common = _ancestors(top_to, back)
    if common is None:
        raise RuntimeError(
            "Could not compute map between tops; are they connected by spatial layers?"
        )
    return compose(forth[common], inverse(back[common]))


def crop(top_from: Top, top_to: Top) -> Top:
    """A Crop layer that cuts `top_from` to what lies under `top_to`."""
    axis, a, b = coord_map_from_to(top_from, top_to)
    shift = _array(b)
    assert np.all(a == 1), f"scale mismatch on crop (a = {a})"
    assert np.all(shift <= 0), f"cannot crop negative offset (b = {b})"
    assert np.all(np.round(shift) == shift), f"cannot crop noninteger offset (b = {b})"
    offset = [int(n) for n in -np.round(shift)]
    first = 2 if axis is None else axis + 1
    top: Top = layers.Crop(top_from, top_to, crop_param={"axis": first, "offset": offset})
    return top
