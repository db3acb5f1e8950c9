"""The mean gradient of all processes, summed while backward still runs.

    g = 1/n sum_r g_r

The gradient is one flat array, parameters in the order of their layers, and backward runs from the
last layer to the first.  So when it has left layer i, all that lies from i's parameters on is final
(the owner of a shared parameter is the first of those who share it).  From its end on, the array is
cut at the borders of layers into buckets of at least `size` elements.  A bucket is handed over as
soon as it is final, and summed beside backward, one after the other, so all processes sum the same
ones together.  What is left to wait for after backward is the last bucket, and those it had to wait
for.

Of an iteration of several passes only the last one's are sums to be shared.  A pass that is
recorded (net/captured.py) hands nothing over, and its buckets are summed after it: as part of the
recording they would be summed in every pass, and could end only where all processes run what they
recorded in the same iteration.

Source: PyTorch's DistributedDataParallel (Li et al., VLDB 2020); Caffe sums layer by layer
(src/caffe/parallel.cpp).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from ..net import Net
from ..net.params import Param

SIZE = 1 << 18  # elements of a bucket (docs/scaling.md)


class Summing(Protocol):
    """What is asked of the processes (scale/mpi.py, scale/nccl.py).  begin: array = 1/n sum_r
    array_r, one after the other, perhaps not yet; finish: until all that was begun is done."""

    def begin(self, array: Any) -> None: ...

    def finish(self) -> None: ...


@dataclass(frozen=True)
class Bucket:
    """A part of the flat gradient that is final once backward has left layer `layer`."""

    layer: int
    part: slice


def buckets(learnable: Sequence[Param], size: int) -> list[Bucket]:
    """The flat gradient from its end to its start."""
    found: list[Bucket] = []
    stop = learnable[-1].offset + learnable[-1].count if learnable else 0
    for p, below in pairwise([*reversed(learnable), None]):
        assert p is not None
        if below is None or (below.node != p.node and stop - p.offset >= size):
            found.append(Bucket(p.node, slice(p.offset, stop)))
            stop = p.offset
    return found


class MeanGradient:
    """A solver's hook (`on_start`, `on_gradients_ready`) and, in the net's backward, its callback.

    passes: of an iteration (iter_size); waited: seconds that were not hidden behind backward (on a
    card, those of what it still computed as well).
    """

    def __init__(self, net: Net, world: Summing, *, passes: int = 1, size: int = SIZE) -> None:
        self.net, self.world, self.passes = net, world, passes
        self.buckets = buckets(net.learnable, size)
        self.waited = 0.0
        self._left = passes
        self._done = 0  # buckets that were handed over in this iteration
        net.callbacks.after_backward.append(self._after)

    def on_start(self) -> None:
        """An iteration begins."""
        self._left, self._done = self.passes, 0

    def _after(self, layer: int) -> None:
        """Backward has left a layer."""
        if self.net.device.recording:
            return
        if self._left == 1:
            self._begin(layer)
        if layer == 0:
            self._left -= 1

    def _begin(self, layer: int) -> None:
        """Hand over what is final once backward has left a layer."""
        while self._done < len(self.buckets) and self.buckets[self._done].layer >= layer:
            self.world.begin(self.net.flat_diff[self.buckets[self._done].part])
            self._done += 1

    def on_gradients_ready(self) -> None:
        """Wait until the gradient is the mean."""
        began = time.perf_counter()
        self._begin(0)
        self.world.finish()
        self.waited += time.perf_counter() - began
