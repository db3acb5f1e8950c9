"""The first values of a net's parameters."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from ..layers.filler import fill
from .params import given

if TYPE_CHECKING:
    from .net import Net

STREAM = 1 << 63  # layers use their index as the second half of the key


def first_values(net: Net, shared: Collection[str]) -> None:
    """What the file gives (`blobs`), else weights then bias by their fillers, layer by layer, from
    one stream; those of layers named in `shared` come from elsewhere."""
    rng = np.random.Generator(np.random.Philox(key=[net.seed, STREAM]))
    for i, p in enumerate(net.param_table):
        if p.owner != i or p.layer in shared:
            continue
        layer, node = net.layers[p.node], net.graph.nodes[p.node]
        fillers, data, context = layer.fillers(), layer.blobs[p.index].data, layer.context
        if node.layer.blobs:
            net.device.write(data, given(node, layer, p).astype(net.dtype))
        elif p.index < len(fillers):
            values = net.device.host(data)
            fill(
                values,
                fillers[p.index],
                rng,
                where=node.where,
                caffe_unet_2015=context.caffe_unet_2015,
            )
            if values is not data:
                net.device.write(data, values)
