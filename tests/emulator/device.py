"""A device whose arrays behave as CuPy's and whose kernels run on the emulator."""

from __future__ import annotations

import numpy as np
from demitasse.kernels.device import Device

from .array import DeviceArray


class Emulated(Device):
    """NumPy's functions through NumPy's protocols; nothing of kernels/cuda."""

    name = "emulator"
    on_host = False
    strip = None

    def zeros(self, shape, dtype):
        return DeviceArray(np.zeros(shape, dtype))

    def block(self, size):
        return DeviceArray(super().block(size))

    def host(self, array):
        assert isinstance(array, DeviceArray)
        return array.get()

    def write(self, array, values):
        assert not isinstance(values, DeviceArray)
        array[...] = DeviceArray(
            np.ascontiguousarray(values, array.dtype).reshape(np.shape(values))
        )
