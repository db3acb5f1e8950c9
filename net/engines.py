"""Who computes a net's convolutions, in a line for people."""

from __future__ import annotations

from collections import Counter

from ..errors import counted
from ..kernels import winograd_cut
from ..kernels.convolution import WINOGRAD
from ..layers.filtering import Filtering
from .net import Net


def engines(net: Net) -> str:
    """Such as "18 convolutions by Winograd with Numba, 5 by im2col; 2 threads", or
    "23 convolutions by CUDA; NVIDIA H200 (cuda:0), fp32"; and whether engines were measured."""
    count: Counter[str] = Counter()
    for node, layer in zip(net.graph.nodes, net.layers, strict=True):
        if isinstance(layer, Filtering):
            count[layer.engine(net.planned.inferred.values[node.bottoms[0]])] += 1
    words, what = [], " convolutions"
    for name, n in count.most_common():
        tool = f" with {winograd_cut.transforms().NAME}" if name == WINOGRAD else ""
        words.append(f"{n}{what if n > 1 else what.rstrip('s')} by {name}{tool}")
        what = ""
    threads = net.workers.threads
    place = counted(threads, "thread") if net.device.on_host else net.device.title
    chosen = "; the fastest as measured here" if net.tuner is not None else ""
    return f"{', '.join(words) or 'no convolutions'}; {place}{chosen}"
