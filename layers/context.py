"""What a layer is told of the world when it is built."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..kernels.device import CPU, Device
from ..kernels.strips import length
from ..kernels.workers import SERIAL, Workers


@dataclass(frozen=True)
class Context:
    """What a layer may know of the world: nothing in it changes after the net is built.

    phase "TRAIN" or "TEST"; seed: the net's random seed; index: the layer's place in the net, which
    with the seed keys its own random stream; rank, ranks: which of how many processes that train
    the net together this is (layers/stream.py); where: "path:line:column" for messages; folder:
    what a relative data source is relative to; budget: bytes of scratch a layer may ask for;
    allow_python: whether layers may run Python code that the net names; workers: the threads it may
    use; engine: "auto", "caffe" or "fast" (layers/filtering.py); caffe_unet_2015: what filler
    xavier means (layers/filler.py); device: where its arrays are, and whose primitives it uses
    (kernels/device.py).
    """

    phase: str = "TEST"
    dtype: np.dtype = field(default_factory=lambda: np.dtype(np.float32))
    seed: int = 0
    index: int = 0
    where: str = ""
    folder: str = ""
    rank: int = 0
    ranks: int = 1
    budget: int = 80 << 20
    allow_python: bool = False
    workers: Workers = SERIAL
    engine: str = "auto"
    caffe_unet_2015: bool = False
    device: Device = CPU

    def strip(self, count: int) -> int:
        """Elements of scratch for an element-wise formula over arrays of `count` elements."""
        return length(count, self.device.strip)
