"""A device whose arrays behave as CuPy's do, and whose kernels run on the emulator."""

from pathlib import Path

import demitasse
import numpy as np
from demitasse.kernels.cuda.device import OwnKernels

from .array import DeviceArray
from .memory import empty
from .module import Module

FOLDER = Path(demitasse.__file__).parent / "kernels" / "cuda"


class Emulated(OwnKernels):
    """schedule: the order in which threads run (module.py)."""

    name = "emulator"

    def __init__(self, schedule="forward", precision="fp32", capability=90, processors=4):
        super().__init__(precision, capability, processors)
        self.schedule, self._modules = schedule, {}

    def zeros(self, shape, dtype):
        made = empty(shape, dtype)
        made.fill(0)
        return DeviceArray(made)

    def block(self, size):
        return self.zeros(size, np.uint8)

    def host(self, array):
        return array.get()

    def write(self, array, values):
        assert not isinstance(values, DeviceArray)
        array[...] = DeviceArray(np.array(values, array.dtype))

    def function(self, file, expression):
        module = self._modules.setdefault(file, Module(FOLDER / file))
        kernel = module.function(expression)

        def launch(grid, block, args, shared=0):
            bare = [np.atleast_1d(a.host) if isinstance(a, DeviceArray) else a for a in args]
            kernel(grid, block, bare, shared, schedule=self.schedule)

        return launch
