"""Which data a pass was made of, for messages.

A data layer that knows has `origin(state)`: the name of every item of the batch that it reads when
it goes on from a state, such as "train.h5, row 3".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..errors import DataError, counted
from ..layers.base import Layer
from ..netspec.graph import Graph
from .one_axis import made
from .sizes import trunk

if TYPE_CHECKING:
    from .net import Net

State = Mapping[str, Mapping[str, Any]]
MOST = 4  # names said of a batch
SOURCES = ("hdf5_data_param", "data_param", "image_data_param", "window_data_param")


@runtime_checkable
class Known(Protocol):
    """A layer whose items have names."""

    def origin(self, state: Mapping[str, Any]) -> list[str]: ...


def batches(net: Net, state: State) -> list[list[str]]:
    """The names of a batch's items, for each data layer that knows them; state: the net's before
    the pass."""
    if net.ahead is not None:
        net.ahead.flush()
    return [
        layer.origin(state[node.name])
        for node, layer in zip(net.graph.nodes, net.layers, strict=True)
        if node.name in state and isinstance(layer, Known)
    ]


def fed(graph: Graph, layers: Sequence[Layer]) -> str:
    """The file that the image of a net comes from, and its channels; empty where no file is named
    or nothing is an image."""
    found = trunk(graph)
    first = next((value for node in graph.nodes if not node.bottoms for value in node.tops), None)
    image = found[0] if found else first
    node = next((node for node in graph.nodes if image in node.tops), None)
    shape = made(graph, layers, image) if image is not None else ()
    if node is None or len(shape) < 2:
        return ""
    files = [getattr(node.layer, name).source for name in SOURCES if node.layer.HasField(name)]
    return f"{files[0]} ({counted(shape[1], 'channel')})" if files else ""


def said(net: Net, state: State) -> str:
    """The items of a batch in one line; empty where no layer knows."""
    return "; ".join(_listed(names) for names in batches(net, state))


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
    return " and ".join(names[:MOST]) + more


@contextmanager
def named(net: Net, state: State) -> Iterator[None]:
    """Around the forward pass that begins in `state`: a DataError about one item of the batch also
    says which item it is."""
    try:
        yield
    except DataError as error:
        if error.item is not None:
            names = [batch[error.item] for batch in batches(net, state) if error.item < len(batch)]
            error.what += f", from {' and '.join(names)}" if names else ""
        raise
