"""What layers that work element by element are in ONNX, and Softmax."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .onnx_writer import Writer
from .pieces import Piece, broadcast


def relu(w: Writer, p: Piece) -> None:
    slope = p.spec.relu_param.negative_slope
    if slope:
        w.emit("LeakyRelu", p.bottoms, p.tops, alpha=slope)
    else:
        w.emit("Relu", p.bottoms, p.tops)


def prelu(w: Writer, p: Piece) -> None:
    (slope,) = p.params
    shape = broadcast(slope.shape, len(p.reads[0]), 1) if slope.ndim else (1,)
    w.emit("PRelu", [*p.bottoms, w.constant(f"{p.name}.slope", slope.reshape(shape))], p.tops)


def simple(op: str) -> Callable[[Writer, Piece], None]:
    def write(w: Writer, p: Piece) -> None:
        w.emit(op, p.bottoms, p.tops)

    return write


def elu(w: Writer, p: Piece) -> None:
    w.emit("Elu", p.bottoms, p.tops, alpha=p.spec.elu_param.alpha)


def swish(w: Writer, p: Piece) -> None:
    scaled = linear(w, p, p.bottoms[0], p.spec.swish_param.beta, 0)
    w.emit("Mul", [p.bottoms[0], w.emit("Sigmoid", [scaled])], p.tops)


def clip(w: Writer, p: Piece) -> None:
    param = p.spec.clip_param
    ends = [w.number(f"{p.name}.min", param.min), w.number(f"{p.name}.max", param.max)]
    w.emit("Clip", [*p.bottoms, *ends], p.tops)


def threshold(w: Writer, p: Piece) -> None:
    limit = w.number(f"{p.name}.threshold", p.spec.threshold_param.threshold)
    above = w.emit("Greater", [*p.bottoms, limit])
    w.emit("Cast", [above], p.tops, to=1)  # float


def linear(w: Writer, p: Piece, value: str, scale: float, shift: float) -> str:
    """scale x + shift, as few operators as it takes."""
    if scale != 1:
        value = w.emit("Mul", [value, w.number(f"{p.name}.scale", scale)])
    if shift != 0:
        value = w.emit("Add", [value, w.number(f"{p.name}.shift", shift)])
    return value


def power(w: Writer, p: Piece) -> None:
    param = p.spec.power_param
    value = linear(w, p, p.bottoms[0], param.scale, param.shift)
    if param.power != 1:
        value = w.emit("Pow", [value, w.number(f"{p.name}.power", param.power)])
    w.emit("Identity", [value], p.tops)


def exp(w: Writer, p: Piece) -> None:
    param = p.spec.exp_param
    base = 1.0 if param.base == -1 else math.log(param.base)
    value = linear(w, p, p.bottoms[0], base * param.scale, base * param.shift)
    w.emit("Exp", [value], p.tops)


def log(w: Writer, p: Piece) -> None:
    param = p.spec.log_param
    value = w.emit("Log", [linear(w, p, p.bottoms[0], param.scale, param.shift)])
    base = 1.0 if param.base == -1 else math.log(param.base)
    w.emit("Identity", [linear(w, p, value, 1 / base, 0)], p.tops)


def softmax(w: Writer, p: Piece) -> None:
    w.emit("Softmax", p.bottoms, p.tops, axis=int(p.spec.softmax_param.axis) % len(p.reads[0]))


def value_transformation(w: Writer, p: Piece) -> None:
    param, value = p.spec.value_transformation_param, p.bottoms[0]
    behind = (1,) * (len(p.reads[0]) - 2)
    for op, name, given in (("Add", "offset", param.offset.v), ("Mul", "scale", param.scale.v)):
        if given:
            array = np.array(given).reshape((-1, *behind))
            value = w.emit(op, [value, w.constant(f"{p.name}.{name}", array)])
    w.emit("Identity", [value], p.tops)
