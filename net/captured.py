"""A pass recorded once and run again, where the device can (a CUDA graph).

    the first WARM passes run as always: kernels are compiled, intermediate arrays are made
    the next one is recorded; from then on one call does what some hundred launches did

A pass of a training is forward and backward.  Where a step is one pass, and nobody does anything
between that and the update, the update is recorded with it.

What changes from pass to pass lies in the device's memory: inputs, what ran ahead, and what
`Layer.begin` writes.  A net whose layers look at the host in every pass, or change their shapes,
runs as always; so does one with a loss that is overwritten before the pass ends, or with a script's
callbacks.  After `Net.reshape` and `Net.share_with` the passes are recorded anew.  Where recording
fails, the log is told once, and passes run as always from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..layers.base import Layer

if TYPE_CHECKING:
    from .net import Net

WARM = 2


class Captured:
    """Passes of `net`, backward as well or not; said is told a line for the log."""

    def __init__(
        self, net: Net, said: Callable[[str], None] = lambda line: None, *, backward: bool = True
    ) -> None:
        self.net, self._said, self._backward, self._failed = net, said, backward, False
        self._begin(None)

    def _begin(self, update: Callable[[], None] | None) -> None:
        """Of other arrays, or with another update: what was recorded is of no use any more."""
        net = self.net
        self._of, self._passes, self._update = net.bound, 0, update
        self._replay: Callable[[], None] | None = None
        losses = net.losses()
        self._losses = [(weight, net.values[top]) for weight, top in losses]
        self._plain = all(self._records(i) for i in range(len(net.layers))) and all(
            top in net.graph.outputs for _, top in losses
        )
        self._begins = [x.begin for x in net.layers if type(x).begin is not Layer.begin]

    @property
    def possible(self) -> bool:
        """Whether the passes of this net can be recorded."""
        net = self.net
        if net.device.capture is None or self._failed or not net.callbacks.records:
            return False
        if net.bound is not self._of:
            self._begin(self._update)
        return self._plain

    def _records(self, i: int) -> bool:
        layer = self.net.layers[i]
        return i in self.net.planned.ahead or (layer.records and not layer.reshapes)

    def run(self, update: Callable[[], None] | None = None) -> float:
        """A pass; returns the loss.  update: launched behind it, and the gradient is then cleared
        before; the same one, or none, in every call."""
        net = self.net
        if net.bound is not self._of or (update is None) != (self._update is None):
            self._begin(update)
        if self._passes < WARM or not self.possible:
            self._passes += 1
            return self._pass(net.forward)
        net.device.begin(False)
        net.take()
        for begin in self._begins:
            begin()
        if self._replay is None:
            self._replay = self._captured()
        (self._replay or self._plainly)()
        net.step = net.plan.order.backward[0] if self._backward else len(net.layers) - 1
        net.taken()
        return sum(weight * float(blob.data.sum()) for weight, blob in self._losses)

    def _captured(self) -> Callable[[], None] | None:
        """A recording of the pass that has begun; None where that fails."""
        capture = self.net.device.capture
        assert capture is not None
        try:
            return capture(self._record)
        except Exception as error:
            self._failed = True
            self._said(f"passes cannot be recorded, so they run one by one: {error}")
            return None

    def _plainly(self) -> None:
        """The pass as it would have been recorded: what `begin` does is not done twice."""
        device = self.net.device
        device.recording = True
        try:
            self._record()
        finally:
            device.recording = False

    def _record(self) -> None:
        def forward() -> float:
            for i in range(len(self.net.layers)):
                self.net._forward(i, False)
            return 0.0  # the loss lies on the device

        self._pass(forward)

    def _pass(self, forward: Callable[[], float]) -> float:
        """What a pass is, and what is around it where the update comes with it."""
        if self._update is not None:
            self.net.clear_param_diffs()
        loss = forward()
        if self._backward:
            self.net.backward()
        if self._update is not None:
            self._update()
        return loss
