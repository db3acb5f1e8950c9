"""The gradient behind a plain rectifier, compiled by Numba: one pass, where NumPy makes two.

Same bits as kernels/relu.py, which is the specification.
"""

from __future__ import annotations

from typing import Any

from .compiler_numba import compiler

Array = Any

fast = compiler()


@fast
def gradient(sign: Array, dy: Array) -> None:
    """dy times 1 where sign > 0, else times 0; of one axis, C-contiguous."""
    zero, one = dy.dtype.type(0), dy.dtype.type(1)
    for i in range(len(dy)):
        dy[i] = dy[i] * (one if sign[i] > zero else zero)
