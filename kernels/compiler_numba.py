"""Numba's compiler, which keeps what it made where it may: beside the source, in the user's cache
folder, or, where neither can be written (a container, another user's installation), nowhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import config, njit

# debuggers set it; the kernels' loops would take hours in Python
if config.DISABLE_JIT:  # type: ignore[attr-defined]
    raise ImportError("NUMBA_DISABLE_JIT is set")

GUARD = "_guard_against_spurious_io_errors"


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
        _taken_as_kept(getattr(made, "_cache", None))
        return made

    return compiled


def _renewed_with(made: Any, folder: Path) -> None:
    """What a function calls is compiled into it, so any kernel's file, here or beside the function,
    may outdate what is kept of it; Numba looks at the function's own file only."""
    kept = getattr(getattr(made, "_cache", None), "_cache_file", None)
    if kept is not None:
        folders = {Path(__file__).parent, folder}
        files = sorted(path for place in folders for path in place.glob("*_numba.py"))
        status = [(path.name, path.stat()) for path in files]
        kept._source_stamp = tuple((name, s.st_mtime, s.st_size) for name, s in status)


def _taken_as_kept(cache: Any) -> None:
    """Take what is kept without first importing all that Numba knows about NumPy and SciPy, which
    only compiling needs: 0.3 s of every start.  A function that is not kept imports it then.

    A Numba that is built otherwise does it in its own way."""
    try:
        from numba.core.runtime.nrt import rtsys
    except ImportError:
        return
    if not all(hasattr(cache, name) for name in ("_load_overload", GUARD)):
        return

    def load(signature: Any, target: Any) -> Any:
        rtsys.initialize(target)
        with getattr(cache, GUARD)():
            return cache._load_overload(signature, target)

    cache.load_overload = load
