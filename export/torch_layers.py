"""What a layer is in PyTorch: what `__init__` makes of it, and what `forward` says.

One visible table from layer types to functions (writer, piece, expressions of the bottoms) ->
expression of the top.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from ..kernels.im2col import Window
from ..layers.axes import given_axis
from .pieces import Piece, broadcast
from .torch_writer import TorchWriter, bare, sizes

Say = Callable[[TorchWriter, Piece, Sequence[str]], str]


def _filters(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    param, rank = p.spec.convolution_param, len(p.reads[0])
    if param.axis % rank != 1 or rank not in (3, 4, 5) or len(x) > 1:
        raise p.refuse(
            "PyTorch wants one bottom of up to three axes behind the channels", "PyTorch"
        )
    window: Window = p.layer.window(rank - 2)  # type: ignore[attr-defined]
    kind = "ConvTranspose" if p.type == "Deconvolution" else "Conv"
    words = [str(p.reads[0][1]), str(param.num_output), sizes(window.kernel)]
    words += [
        f"{name}={sizes(values)}"
        for name, values, usual in (
            ("stride", window.stride, 1),
            ("padding", window.pad, 0),
            ("dilation", window.dilation, 1),
        )
        if set(values) != {usual}
    ]
    words += [f"groups={param.group}"] if param.group > 1 else []
    words += [] if param.bias_term else ["bias=False"]
    named = dict(zip(("weight", "bias"), p.params, strict=False))
    return f"{t.module(p, f'nn.{kind}{rank - 2}d', words, named)}({x[0]})"


def _pooling(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    param, size = p.spec.pooling_param, p.reads[0][2:]
    if param.axis % len(p.reads[0]) != 1 or len(size) not in (1, 2, 3) or len(p.tops) > 1:
        raise p.refuse("PyTorch pools up to three axes behind the channels", "PyTorch")
    kind = "avg" if param.pool == param.AVE else "max"
    if param.global_pooling:
        return f"F.adaptive_{kind}_pool{len(size)}d({x[0]}, 1)"
    window: Window = p.layer.window(len(size))  # type: ignore[attr-defined]
    rows = zip(p.makes[0][2:], window.stride, size, window.pad, strict=True)
    if any((out - 1) * step >= n + pad for out, step, n, pad in rows):
        raise p.refuse("its last windows see nothing of their bottom", "PyTorch")
    if any(2 * pad > kernel for pad, kernel in zip(window.pad, window.kernel, strict=True)):
        raise p.refuse("PyTorch pads a pooling by half its window at most", "PyTorch")
    words = [x[0], sizes(window.kernel)]
    words += [] if window.stride == window.kernel else [f"stride={sizes(window.stride)}"]
    words += [f"padding={sizes(window.pad)}"] if any(window.pad) else []
    if not t.fits and param.round_mode == param.CEIL:
        words.append("ceil_mode=True")
    return f"F.{kind}_pool{len(size)}d({', '.join(words)})"


def _crop(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    data, kept = p.reads[0], p.makes[0]
    offsets = p.layer.offsets(len(data))  # type: ignore[attr-defined]
    rows = zip(offsets[2:], data[2:], kept[2:], strict=True)
    whole = data[:2] == kept[:2] and kept[2:] == p.reads[1][2:]
    if whole and all(n - m == 2 * o for o, n, m in rows):
        return t.helper("centre_crop", x[0], x[1])
    parts = [
        ":" if n == m else f"{o}:{o} + {x[1]}.shape[{i}]" if o else f":{x[1]}.shape[{i}]"
        for i, (o, n, m) in enumerate(zip(offsets, data, kept, strict=True))
    ]
    return f"{x[0]}[{', '.join(parts)}]"


def _concat(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    first = p.reads[0]
    axis = given_axis(p.layer, p.spec.concat_param, "concat_dim") % len(first)
    parts = [
        value if shape[2:] == first[2:] or axis != 1 else t.helper("centre_crop", value, x[0])
        for value, shape in zip(x, p.reads, strict=True)
    ]
    return f"torch.cat(({', '.join(parts)}{',' if len(parts) == 1 else ''}), dim={axis})"


def _relu(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    slope = p.spec.relu_param.negative_slope
    value = bare(x[0])
    return f"F.leaky_relu({value}, {number(slope)})" if slope else f"F.relu({value})"


def _prelu(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    slope = p.params[0].reshape(-1)
    words = [str(slope.size)] if slope.size > 1 else []
    return f"{t.module(p, 'nn.PReLU', words, {'weight': slope})}({x[0]})"


def _dropout(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    ratio = number(p.spec.dropout_param.dropout_ratio)
    return f"F.dropout({bare(x[0])}, {ratio}, self.training)"


def _function(template: str) -> Say:
    return lambda t, p, x: template.format(bare(x[0]))


def _elu(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    alpha = p.spec.elu_param.alpha
    return f"F.elu({x[0]})" if alpha == 1 else f"F.elu({x[0]}, {number(alpha)})"


def _power(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    param, value = p.spec.power_param, x[0]
    if param.scale != 1:
        value = f"{number(param.scale)} * {value}"
    if param.shift != 0:
        value = f"{number(param.shift)} + {value}"
    if param.power != 1:
        value = f"({value}) ** {number(param.power)}"
    return f"({value})"


def _eltwise(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    param = p.spec.eltwise_param
    if param.operation == param.MAX:
        value = x[0]
        for other in x[1:]:
            value = f"torch.maximum({value}, {other})"
        return value
    factors = list(param.coeff) or [1.0] * len(x)
    terms = [v if c == 1 else f"{number(c)} * {v}" for v, c in zip(x, factors, strict=True)]
    return f"({' * '.join(x)})" if param.operation == param.PROD else f"({' + '.join(terms)})"


def _scale(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    param, rank = p.spec.scale_param, len(p.reads[0])
    axis = int(param.axis) % rank
    if len(x) > 1:
        behind = rank - axis - len(p.reads[1])
        factor = f"{x[1]}[(...,) + (None,) * {behind}]" if behind and p.reads[1] else x[1]
    else:
        factor = t.parameter(
            p, "weight", p.params[0].reshape(broadcast(p.params[0].shape, rank, axis))
        )
    value = f"{x[0]} * {factor}"
    if param.bias_term:
        bias = p.params[-1].reshape(broadcast(p.params[-1].shape, rank, axis))
        value += f" + {t.parameter(p, 'bias', bias)}"
    return f"({value})"


def _bias(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    rank = len(p.reads[0])
    if len(x) > 1:
        raise p.refuse("its bias is a second bottom", "PyTorch")
    axis = int(p.spec.bias_param.axis) % rank
    shaped = p.params[0].reshape(broadcast(p.params[0].shape, rank, axis))
    return f"({x[0]} + {t.parameter(p, 'bias', shaped)})"


def batch_norm(t: TorchWriter, p: Piece, x: Sequence[str], scale: Piece | None = None) -> str:
    """BatchNorm, and the Scale behind it, which PyTorch has in one."""
    param, shape = p.spec.batch_norm_param, p.reads[0]
    if len(shape) not in (2, 3, 4, 5):
        raise p.refuse("PyTorch wants channels and up to three axes behind them", "PyTorch")
    stored = not param.HasField("use_global_stats") or bool(param.use_global_stats)
    words = [str(shape[1]), f"eps={number(param.eps)}"]
    words += [] if scale else ["affine=False"]
    words += [] if stored else ["track_running_stats=False"]
    named: dict[str, np.ndarray] = {}
    if scale is not None:
        channels = scale.params[0].shape
        named["weight"] = scale.params[0]
        named["bias"] = scale.params[1] if len(scale.params) > 1 else np.zeros(channels, np.float32)
    if stored:
        sums, squares, weight = p.params
        factor = np.float32(1 / weight[0] if weight[0] != 0 else 0)
        named |= {"running_mean": sums * factor, "running_var": squares * factor}
    return f"{t.module(p, f'nn.BatchNorm{max(1, len(shape) - 2)}d', words, named)}({x[0]})"


def merges(norm: Piece, scale: Piece) -> bool:
    """Whether a Scale is the learned part of the BatchNorm before it."""
    param = scale.spec.scale_param
    return (
        norm.type == "BatchNorm"
        and scale.type == "Scale"
        and len(scale.bottoms) == 1
        and scale.params[0].shape == (norm.reads[0][1],)
        and param.axis % len(norm.reads[0]) == 1
    )


def _inner_product(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    param, shape = p.spec.inner_product_param, p.reads[0]
    axis = int(param.axis) % len(shape)
    weight = p.params[0].T if param.transpose else p.params[0]
    words = [str(weight.shape[1]), str(weight.shape[0])] + ["bias=False"] * (len(p.params) == 1)
    named = {"weight": weight, **({"bias": p.params[1]} if len(p.params) > 1 else {})}
    value = x[0] if axis == len(shape) - 1 else f"{x[0]}.flatten({axis})"
    return f"{t.module(p, 'nn.Linear', words, named)}({value})"


def _softmax(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    return f"F.softmax({x[0]}, dim={p.spec.softmax_param.axis % len(p.reads[0])})"


def _lrn(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    param = p.spec.lrn_param
    if param.norm_region != param.ACROSS_CHANNELS:
        raise p.refuse("PyTorch normalizes across channels only", "PyTorch")
    settings = f"alpha={number(param.alpha)}, beta={number(param.beta)}, k={number(param.k)}"
    return f"F.local_response_norm({x[0]}, {param.local_size}, {settings})"


def _reshape(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    before, after = p.reads[0], p.makes[0]
    if before[0] != after[0] or prod(after) == 0:
        raise p.refuse("it changes the axis of the batch", "PyTorch")
    return f"{x[0]}.reshape(-1, {', '.join(map(str, after[1:]))})" if after[1:] else x[0]


def _flatten(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    param = p.spec.flatten_param
    ends = [str(param.axis)] + ([str(param.end_axis)] if param.end_axis != -1 else [])
    return f"{x[0]}.flatten({', '.join(ends)})"


def _value_transformation(t: TorchWriter, p: Piece, x: Sequence[str]) -> str:
    param, value = p.spec.value_transformation_param, x[0]
    if len(param.offset.v) > 1 or len(param.scale.v) > 1:
        raise p.refuse("it has other values for each channel", "PyTorch")
    if param.offset.v:
        value = f"({value} + {number(param.offset.v[0])})"
    return f"{value} * {number(param.scale.v[0])}" if param.scale.v else value


def number(value: Any) -> str:
    """As short as float32 allows."""
    return (
        f"{np.float32(value)!s}".removesuffix(".0")
        if value == int(value)
        else str(np.float32(value))
    )


SAY: dict[str, Say] = {
    "AbsVal": _function("torch.abs({})"),
    "BNLL": _function("F.softplus({})"),
    "BatchNorm": batch_norm,
    "Bias": _bias,
    "Concat": _concat,
    "Convolution": _filters,
    "Crop": _crop,
    "Deconvolution": _filters,
    "Dropout": _dropout,
    "ELU": _elu,
    "Eltwise": _eltwise,
    "Flatten": _flatten,
    "InnerProduct": _inner_product,
    "LRN": _lrn,
    "PReLU": _prelu,
    "Pooling": _pooling,
    "Power": _power,
    "ReLU": _relu,
    "Reshape": _reshape,
    "Scale": _scale,
    "Sigmoid": _function("torch.sigmoid({})"),
    "Softmax": _softmax,
    "TanH": _function("torch.tanh({})"),
    "ValueTransformation": _value_transformation,
}
