"""Caffe's debug_info: the mean magnitude of every blob and gradient, layer by layer.

    watch(net, log, lambda: True)      from now on, while the condition holds

After a layer's forward pass the mean |x| of its tops and parameters, after its backward pass that
of the gradients it computed, and after the last one the L1 and L2 norms of all parameters.

Source: Caffe's Net::ForwardDebugInfo, BackwardDebugInfo and Backward (src/caffe/net.cpp).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..solvers.observer import Hook

if TYPE_CHECKING:
    from ..net import Net
    from ..solvers import Solver


class Log(Protocol):
    """What `_glog.Glog` is: place in Caffe's sources, text, level."""

    def __call__(self, place: str, message: str, level: str = "I") -> None: ...


def watch(net: Net, log: Log, when: Callable[[], bool]) -> None:
    """Log every pass of `net` that is made while `when()` holds."""
    host = net.device.host

    def mean(array: Any) -> str:
        """The mean of |x|, as Caffe prints it."""
        return f"{host(np.abs(array).sum()) / max(array.size, 1):g}"

    def forward(i: int) -> None:
        if when():
            node, layer = net.graph.nodes[i], f"    [Forward] Layer {net.layers[i].name}"
            for value in node.tops:
                data = mean(net.values[value].data)
                log("net.cpp:593", f"{layer}, top blob {value.blob} data: {data}")
            for k, blob in enumerate(net.layers[i].blobs):
                name = (node.layer.param[k].name if k < len(node.layer.param) else "") or k
                log("net.cpp:605", f"{layer}, param blob {name} data: {mean(blob.data)}")

    def backward(i: int) -> None:
        if not when():
            return
        if net.flags.backward[i]:
            node, layer = net.graph.nodes[i], f"    [Backward] Layer {net.layers[i].name}"
            for value, propagates in zip(node.bottoms, net.flags.propagate_down[i], strict=True):
                if propagates:
                    diff = mean(net.values[value].diff)
                    log("net.cpp:621", f"{layer}, bottom blob {value.blob} diff: {diff}")
            for k, blob in enumerate(net.layers[i].blobs):
                if net.flags.param_propagate_down[i][k]:
                    log("net.cpp:632", f"{layer}, param blob {k} diff: {mean(blob.diff)}")
        if i == 0:
            both = (net.flat_data, net.flat_diff)
            l1 = [f"{host(np.abs(x).sum()):g}" for x in both]
            l2 = [f"{host(np.sqrt(np.dot(x, x))):g}" for x in both]
            log(
                "net.cpp:721",
                "    [Backward] All net params (data, diff): "
                f"L1 norm = ({', '.join(l1)}); L2 norm = ({', '.join(l2)})",
                "E",
            )

    net.callbacks.records = False  # a recorded pass calls nobody
    net.callbacks.after_forward.append(forward)
    net.callbacks.after_backward.append(backward)


class DebugInfo(Hook):
    """A solver's debug_info: the training net where an iteration is displayed, test nets always."""

    def __init__(self, solver: Solver, log: Log) -> None:
        self.solver, self.displayed = solver, False
        watch(solver.net, log, lambda: self.displayed)
        for net in solver.test_nets:
            watch(net, log, lambda: True)

    def on_start(self) -> None:
        every = self.solver.param.display
        self.displayed = bool(every) and self.solver.iter % every == 0
