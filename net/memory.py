"""One block of memory, and the arrays in it that a plan describes."""

from __future__ import annotations

import math

import numpy as np

from ..kernels.device import CPU, Device
from ..layers.base import Array, Shape
from .planning import Planned
from .slices import Key


class Memory:
    """Arrays by key, where `planned` places them in `block` (a new one, of zeros, by default)."""

    def __init__(self, planned: Planned, device: Device = CPU, block: Array = None) -> None:
        self.planned, self.device = planned, device
        self.block: Array = device.block(planned.placement.size) if block is None else block
        self._views: dict[tuple[int, Shape, np.dtype, int, bool, int], Array] = {}

    def view(self, key: Key) -> Array:
        """One object for one array, so that a layer can see that it works in place; None for what
        was not planned."""
        plan = self.planned.plan
        if key not in plan.of:
            return None
        shape, dtype = plan.shapes[key]
        last = key in plan.last
        first, channels = plan.among.get(key, (0, shape[1] if last else 0))
        place = (plan.of[key], shape, dtype, plan.at[key], last, first)
        if place not in self._views:
            offset, size = self.planned.placement.offsets[place[0]] + place[3], math.prod(shape)
            if last:
                size = size // shape[1] * channels
            part = self.block[offset : offset + size * dtype.itemsize].view(dtype)
            if last:
                part = part.reshape(shape[0], *shape[2:], channels)
                self._views[place] = np.moveaxis(part[..., first : first + shape[1]], -1, 1)
            else:
                self._views[place] = part.reshape(shape)
        return self._views[place]

    def freed(self) -> dict[int, list[Array]]:
        """The bytes nobody may read after a step, by step."""
        found: dict[int, list[Array]] = {}
        places = zip(self.planned.plan.buffers, self.planned.placement.offsets, strict=True)
        for buffer, offset in places:
            for part in buffer.needed:
                start = offset + part.at
                found.setdefault(part.end, []).append(self.block[start : start + part.size])
        return found
