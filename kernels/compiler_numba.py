"""Numba's compiler, which keeps what it made where it may: beside the source, in the user's cache
folder, or, where neither can be written (a container, another user's installation), nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit


def compiler(**options: Any) -> Callable[[Any], Any]:
    """A decorator that compiles a function without Python's lock, with division as NumPy's."""
    settings: Any = {"nogil": True, "error_model": "numpy"} | options

    def compiled(function: Any) -> Any:
        try:
            made = njit(cache=True, **settings)(function)
        except RuntimeError as error:
            if "no locator" not in str(error):
                raise
            return njit(**settings)(function)
        _renewed_with(made, Path(function.__code__.co_filename).parent)
        return made

    return compiled


def _renewed_with(made: Any, folder: Path) -> None:
    """What a function calls is compiled into it, so any kernel's file, here or beside the function,
    may outdate what is kept of it; Numba looks at the function's own file only."""
    kept = getattr(made._cache, "_cache_file", None)
    if kept is not None:
        folders = {Path(__file__).parent, folder}
        files = sorted(path for place in folders for path in place.glob("*_numba.py"))
        status = [(path.name, path.stat()) for path in files]
        kept._source_stamp = tuple((name, s.st_mtime, s.st_size) for name, s in status)
