"""The base of Exp and Log: a positive number, or -1 for e."""

from __future__ import annotations

import math

from ..errors import SpecError
from .base import Layer


def log_base(layer: Layer, base: float) -> float:
    """The natural logarithm of a layer's base; SpecError where it has none."""
    if base == -1:
        return 1.0
    if not 0 < base < math.inf:
        raise SpecError(
            f"{layer.label} has an impossible base",
            where=layer.context.where,
            expected="a positive number, or -1 for e",
            found=f"{base:g}",
        )
    return math.log(base)
