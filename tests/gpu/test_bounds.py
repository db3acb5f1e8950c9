"""The bounds of test_whole_net.py are those of rounding: tried on the CPU, with its convolutions'
operands rounded as tensor cores do."""

from functools import cache

import numpy as np
import pytest
from demitasse.kernels.device import CPU

from .test_whole_net import BOUNDS, learned, worst

BASE, SEEDS = 16, (5, 6, 7)  # with 64 channels at the top the numbers are alike
MANTISSA = {"tf32": 10, "bf16": 7}  # bits


class Rounded(type(CPU)):
    """The CPU, whose convolutions see operands of so many bits of mantissa."""

    def __init__(self, bits):
        self.convolution, self.deconvolution = (
            Convolutions(kernel, bits) for kernel in (CPU.convolution, CPU.deconvolution)
        )


class Convolutions:
    def __init__(self, kernel, bits):
        self.kernel, self.dropped = kernel, 23 - bits

    def __getattr__(self, name):
        return getattr(self.kernel, name)

    def rounded(self, x):
        if x is None:
            return None
        bits = np.ascontiguousarray(x).view(np.uint32) + np.uint32(1 << self.dropped - 1)
        return (bits >> self.dropped << self.dropped).view(np.float32)

    def forward(self, x, w, b, y, form, room):
        self.kernel.forward(self.rounded(x), self.rounded(w), b, y, form, room)

    def backward(self, x, w, y, dy, dw, db, dx, form, room):
        x, w, dy = map(self.rounded, (x, w, dy))
        self.kernel.backward(x, w, y, dy, dw, db, dx, form, room)


@cache
def of_the_cpu(seed):
    return learned(CPU, BASE, seed, engine="caffe")


@pytest.mark.parametrize("precision", MANTISSA)
def test_rounded_operands_move_a_net_as_far_as_is_allowed(precision):
    """Not further, and not a tenth as far: then the bounds would let all pass."""
    of_scores, of_gradient = BOUNDS[precision]
    for seed in SEEDS:
        there = learned(Rounded(MANTISSA[precision]), BASE, seed, engine="caffe")
        _, scores, (_, gradient) = worst(there, of_the_cpu(seed))
        assert of_scores / 10 < scores < of_scores and of_gradient / 10 < gradient < of_gradient


FLOAT64 = {"engine": "caffe", "dtype": np.float64}


@pytest.mark.parametrize("settings", [FLOAT64, {}], ids=["float64", "fast"])
def test_float32_moves_it_less(settings):
    """Beside float64, and by the engines that are fast."""
    for seed in SEEDS:
        loss, scores, (_, gradient) = worst(learned(CPU, BASE, seed, **settings), of_the_cpu(seed))
        assert max(loss, scores) < BOUNDS["fp32"][0] and gradient < BOUNDS["fp32"][1]
