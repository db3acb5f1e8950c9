"""The files from which the contestants load the net: the same weights for everybody.

Written by a process of its own, so that no contestant's peak memory holds what only writing needs.
"""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Sequence
from pathlib import Path

import _unet

OURS = "_ours"


def path(folder: str | Path, base: int) -> Path:
    """Our weights: .w and .b of each layer, in Caffe's shapes."""
    return Path(folder) / f"unet-{base}.npz"


def write(folder: str, base: int, modules: Sequence[str]) -> None:
    """The files of `base` channels for us and for the peers of these modules, if not yet there."""
    missing = [m for m in (OURS, *modules) if not _done(folder, base, m).exists()]
    if missing:
        process = multiprocessing.get_context("spawn").Process(
            target=_write, args=(folder, base, missing)
        )
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit("the models could not be written: see above")


def _done(folder: str, base: int, module: str) -> Path:
    """Its presence says that the module's files are there."""
    return Path(folder) / f"{base}.{module}.done"


def _write(folder: str, base: int, modules: Sequence[str]) -> None:
    import numpy as np

    weights = {name: (w, b) for name, w, b in _unet.he_weights(base)}
    for module in modules:
        if module == OURS:
            named = {f"{n}.w": w for n, (w, _) in weights.items()}
            np.savez(path(folder, base), **named, **{f"{n}.b": b for n, (_, b) in weights.items()})
        else:
            importlib.import_module(module).write(Path(folder), base, weights)
        _done(folder, base, module).touch()
