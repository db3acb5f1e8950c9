"""Arrays of a device as scripts see them: on the host, as Caffe's SyncedMemory keeps them.

    asked for (.data, .diff)      what the device has computed is copied to the array's twin, which
                                  the script may write
    before the device computes    what was asked for since is copied back

So a script asks anew after every pass: what it writes into an array that it held all along goes
nowhere, in Caffe, too.  Arrays that are on the host already have no twin.

Source: Caffe's src/caffe/syncedmem.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ..kernels.device import Device
from ..layers.base import Array


class Twin:
    """An array of the device, the host's of the same values, and how often the device had computed
    when they were the same."""

    def __init__(self, array: Array) -> None:
        self.array, self.host = array, np.empty(array.shape, array.dtype)
        self.since = -1


class Twins:
    """The twins of a device's arrays.  One array has one twin, whichever net shows it; it lives as
    long as somebody holds it, and keeps the array alive."""

    def __init__(self, device: Device) -> None:
        self._device, self._computed = device, 0
        self._known: WeakValueDictionary[Any, Twin] = WeakValueDictionary()
        self._asked: dict[Any, Twin] = {}

    def of(self, array: Array) -> Twin:
        """The twin of an array, with its values."""
        place = array.__cuda_array_interface__
        key = (place["data"][0], array.shape, array.strides, array.dtype)
        twin = self._known.get(key)
        if twin is None:
            twin = self._known[key] = Twin(array)
        if twin.since != self._computed:
            self._device.begin(False)
            twin.host[...] = self._device.host(array)
            twin.since = self._computed
        self._asked[key] = twin
        return twin

    @contextmanager
    def computing(self) -> Iterator[None]:
        """The device computes inside, with what scripts have written."""
        self._give()
        try:
            yield
        finally:
            self._computed += 1

    def between(self, run: Callable[..., object]) -> Callable[..., None]:
        """A script's function, to be called while the device computes."""

        def called(*given: object) -> None:
            self._computed += 1
            run(*given)
            self._give()

        return called

    def _give(self) -> None:
        if self._asked:
            self._device.begin(False)
        for twin in self._asked.values():
            self._device.write(twin.array, twin.host)
        self._asked.clear()


@cache
def twins(device: Device) -> Twins:
    """Those of a device."""
    return Twins(device)
