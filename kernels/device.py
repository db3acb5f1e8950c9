"""Where arrays live, and which primitives compute on them.

A device has arrays (`zeros`, `host_array`, `host`, `write`) and a family of primitives for each
file of kernels/ that exists for it as well.  Layers name primitives through their context's device;
those that no device has of its own are NumPy's functions, which reach a device's arrays by NumPy's
protocols.

    CPU                       NumPy, the modules of kernels/: the specification
    kernels/cuda/device.py    CuPy and our own kernels
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from . import (
    columns,
    convolution,
    copies,
    deconvolution,
    deformation,
    dropout,
    lookup,
    pooling,
    relu,
    softmax,
    softmax_loss,
)

Array = Any
ALIGNMENT = 64  # bytes: a cache line, and the widest vectors


class Device:
    """The CPU; what another device has of its own it overrides."""

    name = title = "cpu"  # title: for people
    precision = "cpu"  # what convolutions compute in: the CPU's float32, or a card's precision
    on_host = True  # whether layers that read files may write its arrays
    channels_last = False  # whether its kernels like the channels of a place together
    recording = False  # whether what is launched is kept, to be run again: nobody may wait for it
    capture: Callable[[Callable[[], None]], Callable[[], None]] | None = None  # record what it does
    looks = True  # whether values may be looked at in every pass, to refuse what is illegal
    strip: int | None = 1 << 14  # elements that element-wise formulas take at a time; None: all

    convolution: Any = convolution
    deconvolution: Any = deconvolution
    columns: Any = columns
    copies: Any = copies
    pooling: Any = pooling
    relu: Any = relu
    dropout: Any = dropout
    softmax: Any = softmax
    softmax_loss: Any = softmax_loss
    deformation: Any = deformation
    lookup: Any = lookup
    update: Any = None  # all parameters in one pass (kernels/cuda/update.py); None: piece by piece

    def zeros(self, shape: Any, dtype: Any) -> Array:
        """A new array."""
        return np.zeros(shape, dtype)

    def block(self, size: int) -> Array:
        """That many bytes, all 0, from an address that suits vectors."""
        whole = np.zeros(size + ALIGNMENT, np.uint8)
        start = -whole.ctypes.data % ALIGNMENT
        return whole[start : start + size]

    def host_array(self, shape: Any, dtype: Any) -> np.ndarray:
        """A new array of the host, all 0, that is quick to write from (see `sent`) and to fill."""
        return np.zeros(shape, dtype)

    def host(self, array: Array, out: np.ndarray | None = None) -> np.ndarray:
        """The array's values where the caller can read them: itself on the CPU, else a copy, in
        `out` if that is given."""
        return array

    def write(self, array: Array, values: Any) -> None:
        """array[...] = values, which are the host's."""
        array[...] = values

    def sent(self) -> Callable[[], None]:
        """What waits until all that was written has left the arrays of `host_array`, so that these
        may be overwritten."""
        return _nothing

    def begin(self, looks: bool) -> None:
        """A pass begins in this thread; looks: values will be looked at."""
        self.looks = looks or self.on_host

    def synchronize(self) -> None:
        """Wait until it has computed what it was told."""

    def slot(self, like: Sequence[Array]) -> Slot:
        """Arrays of the host of these shapes, from which `Slot.give` is quick."""
        return Slot(self, like)

    def memory(self) -> AbstractContextManager[Any]:
        """Around what takes memory: a full device is a DeviceError, and stays usable."""
        return nullcontext()

    def free(self) -> int | None:
        """Bytes that new arrays may take; None where the system decides (net/limits.py)."""
        return None


class Slot:
    """Arrays of the host, which one thread fills and another hands over to the device:

    ready    the filler, before it writes: what was handed over last may be overwritten
    filled   the filler, behind its last word
    give     the other thread: array[...] = values for every array
    """

    def __init__(self, device: Device, like: Sequence[Array]) -> None:
        self.device = device
        self.arrays = [np.empty(array.shape, array.dtype) for array in like]

    def ready(self) -> None:
        """Wait until the arrays may be written."""

    def filled(self) -> None:
        """The arrays are whole."""

    def give(self, targets: Sequence[Array]) -> None:
        """Write them into arrays of the device."""
        for target, array in zip(targets, self.arrays, strict=True):
            self.device.write(target, array)


def _nothing() -> None:
    """The CPU has written it already."""


CPU = Device()
