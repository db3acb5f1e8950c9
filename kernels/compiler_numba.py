"""Numba's compiler, which keeps what it made where it may: beside the source, in the user's cache
folder, or, where neither can be written (a container, another user's installation), nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiler(**options: Any) -> Callable[[Any], Any]:
    """A decorator that compiles a function without Python's lock, with division as NumPy's."""
    settings: Any = {"nogil": True, "error_model": "numpy"} | options

    def compiled(function: Any) -> Any:
        try:
            return njit(cache=True, **settings)(function)
        except RuntimeError as error:
            if "no locator" not in str(error):
                raise
            return njit(**settings)(function)

    return compiled
