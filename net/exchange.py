"""What a net takes from others: shared parameters, those of a file, the state to go on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ShapeError, WeightsError
from ..layers.base import Shape
from ..weights import Report, Weights, match
from .origin import fed

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
            read = (fed(one.graph, one.layers) for one in (other, net))
            raise unlike(name, net.graph.path, (found, mine), *read)
        for blob, shared in zip(blobs, theirs, strict=True):
            blob.bind(shared.data, blob.diff)
    net.bound = object()
    if all(p.layer in other.params for p in net.param_table):
        net.flat_data = net.device.zeros(0, net.dtype)


def unlike(
    name: str, where: str, shapes: tuple[Sequence[Shape], Sequence[Shape]], train: str, test: str
) -> ShapeError:
    """A layer of a test net whose parameters have other shapes than in the training net; train,
    test: what each of them reads (origin.fed)."""
    said = [", ".join(map(str, each)) for each in shapes]
    told = bool(train and test and train != test)
    return ShapeError(
        f"layer '{name}' cannot share its parameters with the training net",
        where=where,
        expected=f"{said[0]} for {train}" if told else said[0],
        found=f"{said[1]} for {test}" if told else said[1],
        remedy="Train and test on data with as many channels"
        if told
        else "Give the layer another name, or the same sizes in both phases",
    )


def load(net: Holdings, found: Weights, *, complete: bool, adopt: bool = False) -> Report:
    """Copy the parameters of a file into layers of the same name; with `adopt` its arrays become
    the parameters, where they can."""
    if not isinstance(found, Weights):
        raise WeightsError(
            "is not the content of a parameter file",
            where=str(found),
            remedy="Read the file first: net.load(weights.read(path), complete=True)",
        )
    shared = {(p.layer, p.index) for i, p in enumerate(net.param_table) if p.owner != i}
    expected = {name: [a.shape for a in arrays] for name, arrays in net.parameters().items()}
    report = match(expected, found, shared=shared)
    report.require(complete=complete)
    given = {}
    for name, i in report.loaded:
        array = found.layers[name][i]
        assert array is not None
        given[name, i] = array
    if not (adopt and _adopted(net, given)):
        for (name, i), array in given.items():
            blob = net.params[name][i]
            net.device.write(blob.data, array.reshape(blob.shape))
    return report


def _adopted(net: Holdings, given: Mapping[tuple[str, int], np.ndarray]) -> bool:
    """Let arrays be the parameters of a net that only runs forward, if all of these are there, and
    such as it would allocate; whether it was done."""
    mine = {}  # by owner; of several that share one the last counts, as where all are copied
    for p in net.param_table:
        if (p.layer, p.index) in given:
            mine[p.owner] = given[p.layer, p.index]
    if net.plans_backward or not net.device.on_host:
        return False
    if mine.keys() != {p.owner for p in net.param_table}:
        return False
    if not all(array.dtype == net.dtype and array.flags.carray for array in mine.values()):
        return False
    for p in net.param_table:
        net.params[p.layer][p.index].bind(mine[p.owner].reshape(p.shape), None)
    net.flat_data = net.device.zeros(0, net.dtype)
    return True


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
