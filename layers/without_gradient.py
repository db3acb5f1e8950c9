"""Layers that no gradient passes: data, chance, counts, choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .base import Blob, Context, Layer


class WithoutGradient(Layer):
    """Its bottoms get no gradient, and it has no parameters."""

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self.no_gradient = frozenset(range(len(spec.bottom)))

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        """There is no gradient."""
