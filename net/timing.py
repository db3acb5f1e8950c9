"""Where the time of an iteration goes."""

from __future__ import annotations

import time
from collections.abc import Callable

from .net import Net


def time_layers(net: Net) -> list[tuple[str, float, float]]:
    """Seconds of each layer in one iteration: (name, forward, backward)."""
    n = len(net.layers)
    forward = [_seconds(net, net.forward, i) for i in range(n)]
    backward = [0.0] * n
    if net.plans_backward:
        for i in reversed(range(n)):
            backward[i] = _seconds(net, net.backward, i)
    names = [layer.name for layer in net.layers]
    return list(zip(names, forward, backward, strict=True))


def _seconds(net: Net, run: Callable[[int, int], object], i: int) -> float:
    net.device.synchronize()
    begin = time.perf_counter()
    run(i, i)
    net.device.synchronize()
    return time.perf_counter() - begin
