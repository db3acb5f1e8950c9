"""Sizes as messages show them."""

from __future__ import annotations

from collections.abc import Iterable


def times(shape: Iterable[int]) -> str:
    """572x572."""
    return "x".join(map(str, shape)) or "a single number"
