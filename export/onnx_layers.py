"""What a layer is in ONNX: one visible table from layer types to functions that write operators.

Caffe's rounding of pooling is spelled out as padding behind the image, so that no runtime's idea of
"ceil" matters; the divisor of AVE pooling, where a window sticks out, as a constant factor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from ..kernels.im2col import Window
from ..layers.axes import given_axis
from . import onnx_pointwise as pointwise
from .onnx_pointwise import linear
from .onnx_writer import Writer
from .pieces import Piece, broadcast


def _filters(w: Writer, p: Piece) -> None:
    param = p.spec.convolution_param
    rank = len(p.reads[0])
    if param.axis % rank != 1 or rank < 3:
        raise p.refuse(f"its channels are on axis {param.axis}, and not on axis 1", "ONNX")
    window: Window = p.layer.window(rank - 2)  # type: ignore[attr-defined]
    blobs = [
        w.constant(f"{p.name}.{n}", a) for n, a in zip(("weight", "bias"), p.params, strict=False)
    ]
    op = "ConvTranspose" if p.type == "Deconvolution" else "Conv"
    for bottom, top in zip(p.bottoms, p.tops, strict=True):
        w.emit(
            op,
            [bottom, *blobs],
            top,
            kernel_shape=window.kernel,
            strides=window.stride,
            pads=window.pad * 2,
            dilations=window.dilation,
            group=int(param.group),
        )


def _pooling(w: Writer, p: Piece) -> None:
    param, shape = p.spec.pooling_param, p.reads[0]
    average = param.pool == param.AVE
    if param.axis % len(shape) != 1:
        raise p.refuse(f"its channels are on axis {param.axis}, and not on axis 1", "ONNX")
    if len(p.tops) > 1:
        raise p.refuse("its second top counts places as Caffe does", "ONNX")
    if param.global_pooling:
        w.emit("GlobalAveragePool" if average else "GlobalMaxPool", p.bottoms, p.tops)
        return
    size, out = shape[2:], p.makes[0][2:]
    window: Window = p.layer.window(len(size))  # type: ignore[attr-defined]
    sides = zip(out, window.stride, window.kernel, size, window.pad, strict=True)
    behind = tuple(max(0, (o - 1) * s + k - n - pad) for o, s, k, n, pad in sides)
    if any(n >= k for n, k in zip(behind, window.kernel, strict=True)):
        raise p.refuse("its last windows see nothing of their bottom", "ONNX")
    if w.dynamic:  # what a fitting size needs: no rest, so both sides alike
        behind = window.pad
    settings: dict[str, Any] = {
        "kernel_shape": window.kernel,
        "strides": window.stride,
        "pads": (*window.pad, *behind),
    }
    if not average:
        w.emit("MaxPool", p.bottoms, p.tops, **settings)
        return
    factor = _divisors(window, size, out)
    if w.dynamic or np.all(factor == 1):
        w.emit("AveragePool", p.bottoms, p.tops, count_include_pad=1, **settings)
        return
    mean = w.emit("AveragePool", p.bottoms, count_include_pad=1, **settings)
    w.emit("Mul", [mean, w.constant(f"{p.name}.divisor", factor)], p.tops)


def _divisors(window: Window, size: tuple[int, ...], out: tuple[int, ...]) -> np.ndarray:
    """The size of a whole window by that of each window within the padded bottom."""
    counts = np.ones(())
    for o, k, s, n, pad in zip(out, window.kernel, window.stride, size, window.pad, strict=True):
        starts = np.arange(o) * s - pad
        counts = np.multiply.outer(counts, np.minimum(starts + k, n + pad) - starts)
    return (window.volume / counts)[None, None]


def _cut(w: Writer, p: Piece, bottom: str, sizes: Any, offsets: Any, kept: Any) -> str:
    """A part of a value, from the offsets on; counted from the end, it is right for every size
    whose parts differ by as much."""
    axes = [i for i, (n, m) in enumerate(zip(sizes, kept, strict=True)) if n != m]
    if not axes:
        return bottom
    starts = [offsets[i] for i in axes]
    ends = [offsets[i] + kept[i] - sizes[i] or np.iinfo(np.int64).max for i in axes]
    names = [
        w.sizes(f"{p.name}.{n}", v) for n, v in (("from", starts), ("to", ends), ("axes", axes))
    ]
    return w.emit("Slice", [bottom, *names])


def _crop(w: Writer, p: Piece) -> None:
    offsets = p.layer.offsets(len(p.reads[0]))  # type: ignore[attr-defined]
    part = _cut(w, p, p.bottoms[0], p.reads[0], offsets, p.makes[0])
    w.emit("Identity", [part], p.tops)


def _concat(w: Writer, p: Piece) -> None:
    first = p.reads[0]
    axis = given_axis(p.layer, p.spec.concat_param, "concat_dim") % len(first)
    parts = []
    for bottom, shape in zip(p.bottoms, p.reads, strict=True):
        kept = tuple(
            n if i == axis else m for i, (n, m) in enumerate(zip(shape, first, strict=True))
        )
        rims = [(n - m) // 2 for n, m in zip(shape, kept, strict=True)]
        parts.append(_cut(w, p, bottom, shape, rims, kept))
    w.emit("Concat", parts, p.tops, axis=axis)


def _eltwise(w: Writer, p: Piece) -> None:
    param = p.spec.eltwise_param
    if param.operation == param.PROD:
        value = p.bottoms[0]
        for other in p.bottoms[1:-1]:
            value = w.emit("Mul", [value, other])
        w.emit("Mul", [value, p.bottoms[-1]], p.tops)
    elif param.operation == param.MAX:
        w.emit("Max", p.bottoms, p.tops)
    else:
        factors = list(param.coeff) or [1.0] * len(p.bottoms)
        terms = [linear(w, p, b, c, 0) for b, c in zip(p.bottoms, factors, strict=True)]
        w.emit("Sum", terms, p.tops)


def _operand(w: Writer, p: Piece, param: Any, name: str) -> str:
    """What Scale and Bias lay along their bottom: a parameter, or the second bottom."""
    rank = len(p.reads[0])
    axis = int(param.axis) % rank
    if len(p.bottoms) == 1:
        shape = broadcast(p.params[0].shape, rank, axis) if p.params[0].ndim else ()
        return w.constant(f"{p.name}.{name}", p.params[0].reshape(shape))
    behind = rank - axis - len(p.reads[1])
    if not p.reads[1] or not behind:
        return p.bottoms[1]
    axes = range(len(p.reads[1]), len(p.reads[1]) + behind)
    return w.emit("Unsqueeze", [p.bottoms[1], w.sizes(f"{p.name}.axes", list(axes))])


def _scale(w: Writer, p: Piece) -> None:
    param = p.spec.scale_param
    inputs = [p.bottoms[0], _operand(w, p, param, "weight")]
    if not param.bias_term:
        w.emit("Mul", inputs, p.tops)
        return
    rank, bias = len(p.reads[0]), p.params[-1]
    shape = broadcast(bias.shape, rank, int(param.axis) % rank) if bias.ndim else ()
    shift = w.constant(f"{p.name}.bias", bias.reshape(shape))
    w.emit("Add", [w.emit("Mul", inputs), shift], p.tops)


def _bias(w: Writer, p: Piece) -> None:
    w.emit("Add", [p.bottoms[0], _operand(w, p, p.spec.bias_param, "bias")], p.tops)


def _reduced(w: Writer, op: str, name: str, value: str, axes: Sequence[int], keep: int = 1) -> str:
    """ReduceSum or ReduceMean, innermost axis first: over all axes at once onnxruntime adds up in
    one float32, whose rounding costs a variance of two million values 6e-5."""
    for axis in reversed(axes):
        if op == "ReduceSum":
            value = w.emit(op, [value, w.sizes(f"{name}.axes", [axis])], keepdims=keep)
        else:
            value = w.emit(op, [value], axes=[axis], keepdims=keep)
    return value


def _mean(w: Writer, p: Piece, value: str, axes: Sequence[int]) -> str:
    return _reduced(w, "ReduceMean", p.name, value, axes)


def _batch_norm(w: Writer, p: Piece) -> None:
    param, rank = p.spec.batch_norm_param, len(p.reads[0])
    if rank < 2:
        raise p.refuse("its bottom has no channels", "ONNX")
    if not param.HasField("use_global_stats") or param.use_global_stats:
        sums, squares, weight = p.params
        factor = 1 / weight[0] if weight[0] != 0 else 0
        values = {"weight": np.ones_like(sums), "bias": np.zeros_like(sums)}
        values |= {"mean": sums * factor, "variance": squares * factor}
        names = [w.constant(f"{p.name}.{n}", v) for n, v in values.items()]
        w.emit("BatchNormalization", [*p.bottoms, *names], p.tops, epsilon=param.eps)
        return
    axes = [0, *range(2, rank)]  # the statistics of the batch, in TEST too
    centred = w.emit("Sub", [p.bottoms[0], _mean(w, p, p.bottoms[0], axes)])
    variance = _mean(w, p, w.emit("Mul", [centred, centred]), axes)
    std = w.emit("Sqrt", [w.emit("Add", [variance, w.number(f"{p.name}.eps", param.eps)])])
    w.emit("Div", [centred, std], p.tops)


def _inner_product(w: Writer, p: Piece) -> None:
    param, shape = p.spec.inner_product_param, p.reads[0]
    axis = int(param.axis) % len(shape)
    weight = p.params[0] if param.transpose else p.params[0].T
    target = w.sizes(f"{p.name}.shape", [0] * axis + [-1] if axis else [-1])
    rows = w.emit("Reshape", [p.bottoms[0], target])
    product = [rows, w.constant(f"{p.name}.weight", weight)]
    if len(p.params) == 1:
        w.emit("MatMul", product, p.tops)
        return
    bias = w.constant(f"{p.name}.bias", p.params[1])
    w.emit("Add", [w.emit("MatMul", product), bias], p.tops)


def _lrn(w: Writer, p: Piece) -> None:
    param, spatial = p.spec.lrn_param, len(p.reads[0]) - 2
    if param.norm_region == param.ACROSS_CHANNELS:
        settings = {"alpha": param.alpha, "beta": param.beta, "bias": param.k}
        w.emit("LRN", p.bottoms, p.tops, size=int(param.local_size), **settings)
        return
    rim = (param.local_size - 1) // 2
    squares = w.emit("Mul", [p.bottoms[0]] * 2)
    mean = w.emit(
        "AveragePool",
        [squares],
        kernel_shape=[param.local_size] * spatial,
        pads=[rim] * (2 * spatial),
        count_include_pad=1,
    )
    norm = w.emit("Pow", [linear(w, p, mean, param.alpha, 1), w.number(p.name, -param.beta)])
    w.emit("Mul", [p.bottoms[0], norm], p.tops)


def _reshape(w: Writer, p: Piece) -> None:
    """Sizes that stay where they are may change later; all others may not."""
    before, after = p.reads[0], p.makes[0]
    target = [
        0 if n == m and i < len(before) else m
        for i, (n, m) in enumerate(zip((*before, *(-1,) * len(after)), after, strict=False))
    ]
    moved = [i for i, n in enumerate(target) if n]
    if w.dynamic and any(i > 1 for i in range(len(before))) and len(moved) > 1:
        raise p.refuse("it fixes the size of the image", "ONNX", "Export with a fixed size")
    if len(moved) == 1:
        target[moved[0]] = -1
    w.emit("Reshape", [p.bottoms[0], w.sizes(f"{p.name}.shape", target)], p.tops)


def _slice(w: Writer, p: Piece) -> None:
    axis = given_axis(p.layer, p.spec.slice_param, "slice_dim") % len(p.reads[0])
    lengths = w.sizes(f"{p.name}.lengths", [shape[axis] for shape in p.makes])
    w.emit("Split", [p.bottoms[0], lengths], p.tops, axis=axis)


def _tile(w: Writer, p: Piece) -> None:
    param, counts = p.spec.tile_param, [1] * len(p.reads[0])
    counts[param.axis % len(counts)] = int(param.tiles)
    w.emit("Tile", [p.bottoms[0], w.sizes(f"{p.name}.tiles", counts)], p.tops)


def _reduction(w: Writer, p: Piece) -> None:
    param, rank, value = p.spec.reduction_param, len(p.reads[0]), p.bottoms[0]
    if param.operation == param.ASUM:
        value = w.emit("Abs", [value])
    elif param.operation == param.SUMSQ:
        value = w.emit("Mul", [value, value])
    op = "ReduceMean" if param.operation == param.MEAN else "ReduceSum"
    axes = range(param.axis % rank if rank else 0, rank)
    value = _reduced(w, op, p.name, value, axes, keep=0)
    w.emit("Identity", [linear(w, p, value, param.coeff, 0)], p.tops)


def _embed(w: Writer, p: Piece) -> None:
    rows = w.emit("Cast", p.bottoms, to=7)  # int64
    vectors = w.emit("Gather", [w.constant(f"{p.name}.weight", p.params[0]), rows], axis=0)
    if len(p.params) > 1:
        vectors = w.emit("Add", [vectors, w.constant(f"{p.name}.bias", p.params[1])])
    w.emit("Identity", [vectors], p.tops)


def _parameter(w: Writer, p: Piece) -> None:
    w.emit("Identity", [w.constant(f"{p.name}.value", p.params[0])], p.tops)


def _mvn(w: Writer, p: Piece) -> None:
    param, shape = p.spec.mvn_param, p.reads[0]
    if len(shape) != len(p.makes[0]):
        raise p.refuse("it adds axes to its bottom", "ONNX")
    axes = list(range(1 if param.across_channels else 2, len(shape)))
    if not axes or prod(shape) == 0:
        raise p.refuse("it has nothing to take a mean of", "ONNX")
    centred = w.emit("Sub", [p.bottoms[0], _mean(w, p, p.bottoms[0], axes)])
    if not param.normalize_variance:
        w.emit("Identity", [centred], p.tops)
        return
    variance = _mean(w, p, w.emit("Mul", [centred, centred]), axes)
    std = linear(w, p, w.emit("Sqrt", [variance]), 1, param.eps)
    w.emit("Div", [centred, std], p.tops)


WRITE: dict[str, Callable[[Writer, Piece], None]] = {
    "AbsVal": pointwise.simple("Abs"),
    "BNLL": pointwise.simple("Softplus"),
    "BatchNorm": _batch_norm,
    "Bias": _bias,
    "Clip": pointwise.clip,
    "Concat": _concat,
    "Convolution": _filters,
    "Crop": _crop,
    "Deconvolution": _filters,
    "ELU": pointwise.elu,
    "Eltwise": _eltwise,
    "Embed": _embed,
    "Exp": pointwise.exp,
    "Flatten": _reshape,
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "Log": pointwise.log,
    "MVN": _mvn,
    "PReLU": pointwise.prelu,
    "Parameter": _parameter,
    "Pooling": _pooling,
    "Power": pointwise.power,
    "ReLU": pointwise.relu,
    "Reduction": _reduction,
    "Reshape": _reshape,
    "Scale": _scale,
    "Sigmoid": pointwise.simple("Sigmoid"),
    "Slice": _slice,
    "Softmax": pointwise.softmax,
    "Swish": pointwise.swish,
    "TanH": pointwise.simple("Tanh"),
    "Threshold": pointwise.threshold,
    "Tile": _tile,
    "ValueTransformation": pointwise.value_transformation,
}
