"""What a device has whose kernels are ours: the CPU emulator of the tests, and a card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..device import Device
from .augmentation import Deformation, Lookup
from .convolution import Convolution, Deconvolution
from .families import Columns, Copies, Dropout, Pooling, Relu, Softmax, SoftmaxLoss
from .launch import Array as Array
from .table import TENSOR_CAPABILITY, WARPGROUP_CAPABILITY
from .update import Update

Kernel = Callable[..., None]
PRECISIONS = ("fp32", "fp32-strict", "tf32", "bf16")


class OwnKernels(Device):
    """Arrays elsewhere, and the families of kernels/cuda.

    precision: fp32, fp32-strict, tf32 or bf16 (convolution.py), of which a card without the tensor
    cores for them knows fp32-strict alone; capability: the card's, times ten; processors: how many
    multiprocessors it has; warpgroups: four warps may make one product, as they can on 9.0 alone.
    """

    on_host = False
    looks = False
    channels_last = True
    strip = None

    def __init__(self, precision: str, capability: int, processors: int) -> None:
        self.precision = precision if capability >= TENSOR_CAPABILITY else "fp32-strict"
        self.capability, self.processors = capability, processors
        self.warpgroups = capability == WARPGROUP_CAPABILITY
        self._held: dict[tuple[str, str], Array] = {}
        self.convolution, self.deconvolution = Convolution(self), Deconvolution(self)
        self.relu, self.columns, self.dropout = Relu(self), Columns(self), Dropout(self)
        self.copies = Copies()
        self.pooling, self.softmax = Pooling(self), Softmax(self)
        self.softmax_loss = SoftmaxLoss(self)
        self.deformation, self.lookup = Deformation(self), Lookup(self)

    def function(self, file: str, expression: str) -> Kernel:
        """The kernel of this name in a file of kernels/cuda: called with grid, block,
        arguments and bytes of shared memory."""
        raise NotImplementedError

    def update(self, *args: Any) -> Update:
        """How a solver changes the parameters; arguments of `Update` after the device."""
        return Update(self, *args)

    def upload(self, values: np.ndarray) -> Array:
        """An array of these values."""
        made = self.zeros(values.shape, values.dtype)
        self.write(made, values)
        return made

    def held(self, what: str, count: int, dtype: str) -> np.ndarray:
        """An array for intermediate sums, made once."""
        key = (what, dtype)
        if key not in self._held or self._held[key].size < count:
            self._held[key] = self.zeros(count, dtype)
        return self._held[key]
