"""What a net is told of how to compute, refused where it cannot be followed."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import SpecError, check_known
from ..kernels.device import Device
from ..kernels.workers import usable_cpus

ENGINES = ("auto", "caffe", "fast")


def float_type(dtype: Any) -> np.dtype[Any]:
    """The dtype of a net's blobs; SpecError unless it is float32 or float64."""
    try:
        found = np.dtype(dtype) if dtype is not None else None
    except TypeError:
        found = None
    if found not in (np.float32, np.float64):
        raise SpecError(
            "a net cannot compute in this dtype",
            expected="float32 or float64",
            found=found or repr(dtype),
        )
    return found


def known_engine(engine: str) -> str:
    """The engine of a net's convolutions; SpecError for one that there is not."""
    check_known(engine, ENGINES, "engine", SpecError)
    return engine


def thread_count(threads: int | None, device: Device) -> int:
    """How many threads compute: all CPUs where nothing is said, one where another device computes;
    SpecError below 1."""
    if threads is not None and (threads < 1 or threads != int(threads)):
        raise SpecError(
            "the number of threads is out of range",
            expected="a whole number of at least 1",
            found=threads,
        )
    return int(threads or usable_cpus()) if device.on_host else 1
