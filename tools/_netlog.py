"""What Caffe says while it builds a net: layers, connections, shapes, memory, who runs backward.

`lines` says the same of a net that is built already, as (place in Caffe's sources, text), for
`_glog.Glog`.  Memory is Caffe's count, every top an array of its own; ours is smaller.

Source: Caffe's Net::Init, AppendTop, AppendBottom and AppendParam (src/caffe/net.cpp).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .. import netspec
from ..netspec import Node, Source
from ..netspec.filter import kept_layers

if TYPE_CHECKING:
    from ..net import Net

Line = tuple[str, str]


def lines(source: Source, state: Any, net: Net) -> Iterator[Line]:
    """Everything, in Caffe's order.  source, state: what the net's graph was built from."""
    yield (
        "net.cpp:53",
        f"Initializing net from parameters: \n{netspec.to_text(filtered(source, state)).rstrip()}",
    )
    memory = 0
    for node in net.graph.nodes:
        yield "layer_factory.hpp:77", f"Creating layer {node.name}"
        yield "net.cpp:86", f"Creating Layer {node.name}"
        yield from connections(node)
        yield "net.cpp:124", f"Setting up {node.name}"
        for top, weight in zip(node.tops, net.flags.loss_weights[node.index], strict=True):
            shape = net.planned.inferred.values[top]
            count = 1
            for size in shape:
                count *= size
            memory += count
            yield "net.cpp:131", f"Top shape: {''.join(f'{size} ' for size in shape)}({count})"
            if weight:
                yield "net.cpp:134", f"    with loss weight {weight:g}"
        yield "net.cpp:139", f"Memory required for data: {memory * net.dtype.itemsize}"
        yield from sharing(net, node)
    for node in reversed(net.graph.nodes):
        runs = net.flags.backward[node.index]
        yield (
            f"net.cpp:{200 if runs else 202}",
            f"{node.name} {'needs' if runs else 'does not need'} backward computation.",
        )
    for name in net.outputs:
        yield "net.cpp:244", f"This network produces output {name}"
    yield "net.cpp:257", "Network initialization done."


def filtered(source: Source, state: Any) -> Any:
    """The NetParameter with its state and the layers that are in, before splits."""
    net = netspec.schema.NetParameter()
    net.CopyFrom(source.message)
    net.state.CopyFrom(state)
    del net.layer[:]
    net.layer.extend(source.message.layer[i] for i in kept_layers(source, state))
    return net


def connections(node: Node) -> Iterator[Line]:
    """`layer <- bottom`, `layer -> top`."""
    for value in node.bottoms:
        yield "net.cpp:408", f"{node.name} <- {value.blob}"
    for i, value in enumerate(node.tops):
        named = i < len(node.layer.top)
        if named and i < len(node.bottoms) and value.blob == node.bottoms[i].blob:
            yield "net.cpp:369", f"{node.name} -> {value.blob} (in-place)"
        else:
            yield "net.cpp:382", f"{node.name} -> {value.blob if named else '(automatic)'}"


def sharing(net: Net, node: Node) -> Iterator[Line]:
    """The parameters of this layer that another one owns."""
    for i, param in enumerate(net.param_table):
        if param.node == node.index and param.owner != i:
            owner = net.param_table[param.owner]
            yield (
                "net.cpp:467",
                f"Sharing parameters '{node.layer.param[param.index].name}' owned by layer"
                f" '{owner.layer}', param index {owner.index}",
            )
