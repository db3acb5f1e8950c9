"""A device whose arrays behave as CuPy's do, and whose kernels run on the emulator."""

from pathlib import Path

import demitasse
import numpy as np
from demitasse.kernels.cuda.device import OwnKernels

from .device_array import DeviceArray
from .memory import empty
from .module import Module

FOLDER = Path(demitasse.__file__).parent / "kernels" / "cuda"


class Emulated(OwnKernels):
    """schedule: the order in which threads run (module.py)."""

    name = "emulator"

    def __init__(self, schedule="forward", precision="fp32", capability=90, processors=4):
        super().__init__(precision, capability, processors)
        self.schedule, self._modules, self._launches = schedule, {}, []

    def zeros(self, shape, dtype):
        made = empty(shape, dtype)
        made.fill(0)
        return DeviceArray(made)

    def block(self, size):
        return self.zeros(size, np.uint8)

    def host(self, array, out=None):
        if out is None:
            return array.get()
        out[...] = array.get()
        return out

    def write(self, array, values):
        assert not isinstance(values, DeviceArray)
        array[...] = DeviceArray(np.array(values, array.dtype))

    def capture(self, run):
        """As CUDA records: nothing may wait for the device; a later run must launch the same, for
        a graph would do so whatever the host has computed meanwhile."""

        def record():
            self._launches = []
            self.recording = DeviceArray.busy = True
            try:
                run()
            finally:
                self.recording = DeviceArray.busy = False
            return self._launches

        recorded = []

        def replay():
            found = record()
            if recorded:
                assert found == recorded[0], "a recorded pass would have launched something else"
            recorded.append(found)

        return replay

    def function(self, file, expression):
        module = self._modules.setdefault(file, Module(FOLDER / file))
        kernel = module.function(expression)

        def launch(grid, block, args, shared=0):
            if self.recording:
                self._launches.append((file, expression, grid, block, frozen(args), shared))
            bare = [np.atleast_1d(a.host) if isinstance(a, DeviceArray) else a for a in args]
            kernel(grid, block, bare, shared, schedule=self.schedule)

        return launch


def frozen(args):
    """Arguments as a graph keeps them: where arrays lie, and what scalars and records hold."""
    return tuple(
        (a.host.ctypes.data, a.shape, a.strides) if isinstance(a, DeviceArray) else a.tobytes()
        for a in args
    )
