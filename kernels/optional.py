"""Kernels that exist where Numba is installed (the extra `fast`)."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import ModuleType


@cache
def optional(name: str) -> ModuleType | None:
    """The module of compiled kernels, such as "relu_numba"; None where Numba is not installed.

    The first one takes long, so it is asked for where there is enough to do."""
    try:
        return import_module(f".{name}", __package__)
    except ImportError:
        return None
