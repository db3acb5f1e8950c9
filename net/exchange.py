"""What a net takes from others: shared parameters, those of a file, the state to go on from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ShapeError
from ..weights import Report, Weights, match

if TYPE_CHECKING:
    from .holdings import Holdings
    from .net import Net


def share(net: Net, other: Net) -> None:
    """Let a net use the parameter data of another one's layers of the same name."""
    for name, blobs in net.params.items():
        theirs = other.params.get(name)
        if theirs is None:
            continue
        mine, found = [b.shape for b in blobs], [b.shape for b in theirs]
        if mine != found:
            raise ShapeError(
                f"layer '{name}' cannot share its parameters with the training net",
                where=net.graph.path,
                expected=", ".join(map(str, found)),
                found=", ".join(map(str, mine)),
                remedy="Give the layer another name, or the same sizes in both phases",
            )
        for blob, shared in zip(blobs, theirs, strict=True):
            blob.data = shared.data
    if all(p.layer in other.params for p in net.param_table):
        net.flat_data = net.device.zeros(0, net.dtype)


def load(net: Holdings, found: Weights, *, complete: bool) -> Report:
    """Copy the parameters of a file into layers of the same name."""
    shared = {(p.layer, p.index) for i, p in enumerate(net.param_table) if p.owner != i}
    expected = {name: [a.shape for a in arrays] for name, arrays in net.parameters().items()}
    report = match(expected, found, shared=shared)
    report.require(complete=complete)
    for name, i in report.loaded:
        blob, array = net.params[name][i], found.layers[name][i]
        assert array is not None
        net.device.write(blob.data, array.reshape(blob.shape))
    return report


def state(net: Holdings) -> dict[str, Mapping[str, Any]]:
    """The state of each layer that has one; of those that run ahead, as of what was consumed."""
    ahead, found = net.planned.ahead, dict[str, Mapping[str, Any]]()
    for i, (node, layer) in enumerate(zip(net.graph.nodes, net.layers, strict=True)):
        if i not in ahead and (mine := layer.state()):
            found[node.name] = mine
    return {**found, **(net.ahead.state() if net.ahead is not None else {})}


def load_state(net: Holdings, given: Mapping[str, Mapping[str, Any]]) -> None:
    """Let layers go on from there."""
    if net.ahead is not None:
        net.ahead.load_state(given)
    for i, (node, layer) in enumerate(zip(net.graph.nodes, net.layers, strict=True)):
        if node.name in given and i not in net.planned.ahead:
            layer.load_state(given[node.name])
