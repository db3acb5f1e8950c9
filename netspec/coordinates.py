"""Which pixel of a blob looks at which pixel of another: offsets for CROP layers that give none.

Each layer maps a top's pixel index i to the index a*i + b of the bottom it is centred on:

    convolution, pooling   a = stride     b = dilation*(kernel - 1)/2 - pad
    deconvolution          a = 1/stride   b = (pad - dilation*(kernel - 1)/2)/stride
    crop                   a = 1          b = offset
    concat, relu, ...      a = 1          b = 0

Composed down to a common ancestor blob, two maps of one scale differ by a shift, and that shift is
the crop's offset; no size enters.  longjon's Caffe, for which the 2015 U-Net was written, did this
at run time; BVLC's Crop takes a missing offset as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from operator import add as _plus
from operator import mul as _times
from operator import sub as _minus
from typing import Any

from ..errors import SpecError

# layers whose top has its bottoms' coordinates
_SAME = frozenset(
    {"AbsVal", "BatchNorm", "Bias", "BNLL", "Clip", "Concat", "Dropout", "Eltwise", "ELU", "Exp"}
    | {"Log", "LRN", "MVN", "Power", "PReLU", "ReLU", "Scale", "Sigmoid", "Softmax", "Split"}
    | {"Swish", "TanH", "Threshold"}
)

Axes = tuple[Fraction, ...]  # one for all spatial axes, or one for each


@dataclass(frozen=True)
class Map:
    """Where a blob's pixels lie in its ancestor `root`; broken: why that cannot be said."""

    root: str
    scale: Axes = (Fraction(1),)
    shift: Axes = (Fraction(0),)
    broken: str = ""


def with_crop_offsets(net: Any, where: Callable[[int], str]) -> Any:
    """The net with an explicit offset in every Crop layer that has no crop_param.

    net: an upgraded NetParameter; it is changed in place and returned.  where: the place of the
    layer of an index, for messages.
    """
    maps: dict[str, Map] = {}
    for index, layer in enumerate(net.layer):
        inputs = [maps.setdefault(blob, Map(blob)) for blob in layer.bottom]
        if layer.type == "Crop" and len(inputs) == 2 and not layer.HasField("crop_param"):
            offsets = _offsets(layer, inputs[0], inputs[1], where(index))
            layer.crop_param.axis = 2
            layer.crop_param.offset.extend(offsets)
        for top in layer.top:
            try:
                maps[top] = _map_of(layer, inputs) if inputs else Map(top)
            except ValueError:
                reason = f"layer '{layer.name}' has another number of spatial axes"
                maps[top] = Map("", broken=reason)
    return net


def _offsets(layer: Any, image: Map, reference: Map, where: str) -> list[int]:
    names = f"'{layer.bottom[0]}' and '{layer.bottom[1]}'"

    def refuse(reason: str) -> SpecError:
        return SpecError(
            f"the offset of crop layer '{layer.name}' cannot be computed: {names} {reason}",
            where=where,
            remedy="Write the layer in the newer form with `crop_param { axis: 2 offset: n }`",
        )

    for side in (image, reference):
        if side.broken:
            raise refuse(f"cannot be aligned, because {side.broken}")
    if image.root != reference.root:
        raise refuse(f"come from different blobs, '{image.root}' and '{reference.root}'")
    if image.scale != reference.scale:
        raise refuse(
            f"have pixels of different size: {_show(image.scale)} and {_show(reference.scale)} "
            f"pixels of '{image.root}'"
        )
    offsets = _each(lambda d, a: d / a, _each(_minus, reference.shift, image.shift), image.scale)
    if any(offset.denominator != 1 for offset in offsets):
        raise refuse(f"are shifted by {_show(offsets)} pixels, which is no whole number")
    if any(offset < 0 for offset in offsets):
        raise refuse(f"are shifted by {_show(offsets)} pixels: the reference is the larger one")
    return [int(offset) for offset in offsets]


def _map_of(layer: Any, inputs: Sequence[Map]) -> Map:
    """The map of a layer's tops."""
    first = inputs[0]
    broken = next((m.broken for m in inputs if m.broken), "")
    if layer.type == "Crop" and len(inputs) == 2 and layer.crop_param.axis == 2:
        offset = tuple(Fraction(n) for n in layer.crop_param.offset) or (Fraction(0),)
        return first if first.broken else _compose(first, (Fraction(1),), offset)
    if broken:
        return Map("", broken=broken)
    concat = layer.concat_param
    if layer.type in _SAME and concat.axis == concat.concat_dim == 1:
        if any(m != first for m in inputs):
            return Map("", broken=f"layer '{layer.name}' joins blobs that are not aligned")
        return first
    if layer.type in ("Convolution", "Deconvolution"):
        return _compose(first, *_window(layer.convolution_param, layer.type == "Deconvolution"))
    if layer.type == "Pooling" and not layer.pooling_param.global_pooling:
        return _compose(first, *_window(layer.pooling_param, False))
    return Map("", broken=f"layer '{layer.name}' ({layer.type}) does not keep positions")


def _compose(outer: Map, scale: Axes, shift: Axes) -> Map:
    moved = _each(_plus, outer.shift, _each(_times, outer.scale, shift))
    return Map(outer.root, _each(_times, outer.scale, scale), moved)


def _window(param: Any, inverse: bool) -> tuple[Axes, Axes]:
    """Scale and shift of a sliding window, or of its inverse."""
    kernel = _sizes(param, "kernel_size", "kernel", 1)
    stride = _sizes(param, "stride", "stride", 1)
    pad = _sizes(param, "pad", "pad", 0)
    dilation = tuple(Fraction(n) for n in getattr(param, "dilation", ())) or (Fraction(1),)
    reach = _each(lambda k, d: d * (k - 1) / 2, kernel, dilation)
    shift = _each(_minus, reach, pad)
    stride = tuple(max(s, Fraction(1)) for s in stride)  # 0 is refused where sizes are computed
    if not inverse:
        return stride, shift
    return tuple(1 / s for s in stride), _each(lambda b, s: -b / s, shift, stride)


def _sizes(param: Any, field: str, stem: str, default: int) -> Axes:
    """kernel_size, or kernel_h and kernel_w, or the default."""
    if param.HasField(f"{stem}_h") or param.HasField(f"{stem}_w"):
        pair = (getattr(param, f"{stem}_h"), getattr(param, f"{stem}_w"))
        return tuple(Fraction(n) for n in pair)
    return tuple(Fraction(n) for n in getattr(param, field)) or (Fraction(default),)


def _each(rule: Callable[[Fraction, Fraction], Fraction], a: Axes, b: Axes) -> Axes:
    """Axis by axis; a single value stands for every axis, and equal values become a single one."""
    n = max(len(a), len(b))
    a, b = (a * n if len(a) == 1 else a), (b * n if len(b) == 1 else b)
    values = tuple(rule(x, y) for x, y in zip(a, b, strict=True))
    return values[:1] if len(set(values)) == 1 else values


def _show(axes: Axes) -> str:
    return " x ".join(str(n) for n in axes)
