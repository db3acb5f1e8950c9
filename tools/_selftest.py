"""One tile through a small U-Net, forward and backward, against stored numbers.

The net uses every engine of kernels/convolution.py but one, pooling, up-convolution, crop, concat
and the weighted loss.  Its parameters, image, labels and weights are cosines of their positions, so
nothing is drawn and nothing is read.  With this phase no value of d0b and d1a is nearer to a
rectifier's kink, or to the next in its window, than 5e-6: one that rounding moves across changes
gradients by 3e-4.

    p[i] = a cos(i^1.1 + k + 1.33)      for the k-th array, a = sqrt(2 / fan-in) for filters

STORED was computed in float64 by im2col, the specification: of the loss, the score and each
parameter's gradient x, the product x . cos(i) and the norm |x|.  Errors are parts of that norm: in
float32 up to 8e-7 where this was written; LIMIT leaves room for another order of addition.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..net import Net

TEXT = """
name: "self test"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 1, 196, 196] } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: [1, 1, 188, 188] } } }
layer { name: "weight" type: "Input" top: "weight" input_param { shape { dim: [1, 1, 188, 188] } } }
layer { name: "d0a" type: "Convolution" bottom: "data" top: "d0a"
  convolution_param { num_output: 64 kernel_size: 3 } }
layer { name: "relu0a" type: "ReLU" bottom: "d0a" top: "d0a" }
layer { name: "d0b" type: "Convolution" bottom: "d0a" top: "d0b"
  convolution_param { num_output: 8 kernel_size: 3 } }
layer { name: "relu0b" type: "ReLU" bottom: "d0b" top: "d0b" }
layer { name: "pool" type: "Pooling" bottom: "d0b" top: "d1"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "d1a" type: "Convolution" bottom: "d1" top: "d1a"
  convolution_param { num_output: 16 kernel_size: 3 } }
layer { name: "relu1a" type: "ReLU" bottom: "d1a" top: "d1a" }
layer { name: "up" type: "Deconvolution" bottom: "d1a" top: "u0"
  convolution_param { num_output: 8 kernel_size: 2 stride: 2 } }
layer { name: "crop" type: "Crop" bottom: "d0b" bottom: "u0" top: "c0"
  crop_param { axis: 2 offset: 2 } }
layer { name: "concat" type: "Concat" bottom: "u0" bottom: "c0" top: "v0" }
layer { name: "score" type: "Convolution" bottom: "v0" top: "score"
  convolution_param { num_output: 2 kernel_size: 1 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" bottom: "weight"
  top: "loss" }
"""
STORED: dict[str, tuple[float, float]] = {
    "loss": (0.7036830865737994, 0.7036830865737994),
    "score": (6.502156474615551, 70.27993238445944),
    "d0a/0": (0.002777795332920302, 0.029138558101370535),
    "d0a/1": (0.005539870765139198, 0.01136892860775039),
    "d0b/0": (0.0008488433629938452, 0.24015941955733894),
    "d0b/1": (-0.0029145186973319934, 0.025594317942292624),
    "d1a/0": (0.021791998074956423, 0.19804515406575865),
    "d1a/1": (-0.033508635549592, 0.03524098049950446),
    "up/0": (-0.003367036407016214, 0.04421088494697883),
    "up/1": (-0.06146618054610683, 0.05156626673958843),
    "score/0": (-0.07052915201997732, 0.05488322168896454),
    "score/1": (0.01704817187553202, 0.05244698023899435),
}
LIMIT = 1e-5


def numbers(
    *, dtype: Any = np.float32, **options: Any
) -> tuple[dict[str, tuple[float, float]], Net]:
    """What is stored, computed here; and the net.  options: of `Net`."""
    from .. import netspec
    from ..net import Net

    graph = netspec.build(netspec.parse_net(TEXT, "the self test"), "TRAIN")
    net = Net(graph, dtype=dtype, fill=False, keep=True, **options)
    fill(net)
    net.clear_param_diffs()
    found = {"loss": measured(np.array([net.forward()]))}
    found["score"] = measured(net.read("score"))
    net.backward()
    for name, blobs in net.params.items():
        for k, blob in enumerate(blobs):
            found[f"{name}/{k}"] = measured(net.device.host(blob.diff))
    return found, net


def fill(net: Net) -> None:
    """The parameters and the inputs."""
    k = 0
    for blobs in net.params.values():
        for blob in blobs:
            fan = prod(blob.shape[1:])
            scale = np.sqrt(2 / fan if fan > 1 else 1e-2)
            net.device.write(blob.data, (scale * wave(blob.shape, k)).astype(net.dtype))
            k += 1
    for name in ("data", "label", "weight"):
        blob = net.blobs[name]
        values = wave(blob.shape, k)
        values = values > 0 if name == "label" else values + 2 * (name == "weight")
        blob.data[...] = values  # inputs are on the host
        k += 1


def wave(shape: tuple[int, ...], k: int) -> np.ndarray:
    return np.cos(np.arange(prod(shape)) ** 1.1 + k + 1.33).reshape(shape)


def measured(array: np.ndarray) -> tuple[float, float]:
    """x . cos(i) and |x|."""
    x = array.ravel().astype(np.float64)
    return float(x @ np.cos(np.arange(x.size))), float(np.linalg.norm(x))


def error(found: Mapping[str, tuple[float, float]]) -> tuple[float, str]:
    """The largest error, and of what; infinite where something is not finite."""
    worst, where = 0.0, "loss"
    for name, (along, norm) in STORED.items():
        off = max(abs(found[name][0] - along), abs(found[name][1] - norm)) / norm
        off = off if math.isfinite(off) else math.inf
        if off > worst:
            worst, where = off, name
    return worst, where
