"""A device whose kernels run on the emulator: as much of one as launching needs."""

from pathlib import Path

import numpy as np
from demitasse.kernels.cuda.table import WARPGROUP_CAPABILITY

from .memory import array, empty
from .module import Module

KERNELS = Path(__file__).resolve().parents[2] / "kernels" / "cuda"


class EmulatedDevice:
    """folder: where the sources are; launched: expressions, in order."""

    def __init__(
        self, precision="fp32", capability=90, processors=4, schedule="forward", folder=KERNELS
    ):
        self.precision, self.capability, self.processors = precision, capability, processors
        self.warpgroups = capability == WARPGROUP_CAPABILITY
        self._schedule, self._folder = schedule, folder
        self._modules, self.launched = {}, []

    def function(self, file, expression):
        if file not in self._modules:
            self._modules[file] = Module(self._folder / file, self._schedule)
        self.launched.append(expression)
        return self._modules[file].function(expression)

    def put(self, values):
        """A watched array of these values, float32."""
        return array(values, np.float32)

    def empty(self, count):
        """A watched array of NaN."""
        return empty(count)

    def get(self, array):
        """Its values on the host."""
        return array
