"""What a net is told of how to compute, refused where it cannot be followed."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import SpecError, did_you_mean
from ..kernels.device import Device
from ..kernels.workers import usable_cpus

ENGINES = ("auto", "caffe", "fast")


def float_type(dtype: Any) -> np.dtype[Any]:
    """The dtype of a net's blobs; SpecError unless it is float32 or float64."""
    try:
        found = np.dtype(dtype)
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
    if engine not in ENGINES:
        raise SpecError(
            f"there is no engine '{engine}'",
            expected=f"one of {', '.join(ENGINES)}",
            remedy=did_you_mean(engine, ENGINES),
        )
    return engine


def thread_count(threads: int | None, device: Device) -> int:
    """How many threads compute: all CPUs where nothing is said, one where another device computes;
    SpecError below 1."""
    if threads is not None and threads < 1:
        raise SpecError(
            "the number of threads is out of range", expected="at least 1", found=threads
        )
    return (threads or usable_cpus()) if device.on_host else 1
