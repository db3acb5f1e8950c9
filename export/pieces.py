"""A net as exporters read it: one piece for each layer that does something in the TEST phase.

    Split, Dropout, Silence    no piece: their tops are other names for their bottoms, or nothing
    Flatten, Reshape, ...      pieces like all others
    Input                      no piece: the net's inputs

Every value has a name of its own, also the versions of a blob that layers changed in place: the
last one has the blob's name, or, where the blob is an input, the first one.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import GraphError, OutputError
from ..layers.base import Layer, Shape
from ..net import Net
from ..netspec.graph import Node, Value

NOTHING = frozenset({"Input", "Silence"})
ALIASES = frozenset({"Split", "Dropout"})


@dataclass(frozen=True)
class Piece:
    """What a layer does: names and shapes of what it reads and makes, and its parameters."""

    node: Node
    layer: Layer
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    reads: tuple[Shape, ...]
    makes: tuple[Shape, ...]
    params: tuple[np.ndarray, ...]

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def type(self) -> str:
        return self.node.type

    @property
    def spec(self) -> Any:
        return self.node.layer

    def refuse(self, why: str, where: str, remedy: str = "") -> GraphError:
        """The error that this piece cannot be said in a format."""
        return GraphError(
            f"layer '{self.name}' ({self.type}) cannot be exported to {where}: {why}",
            where=self.node.where,
            remedy=remedy,
        )


@dataclass(frozen=True)
class Pieces:
    """The pieces in order; inputs: (name, shape); outputs: (what it is called outside, the name
    its value has among the pieces, shape)."""

    pieces: tuple[Piece, ...]
    inputs: tuple[tuple[str, Shape], ...]
    outputs: tuple[tuple[str, str, Shape], ...]

    def readers(self, name: str) -> list[Piece]:
        return [piece for piece in self.pieces if name in piece.bottoms]


def take_apart(net: Net, *, dropout: bool = False) -> Pieces:
    """The pieces of a net in the TEST phase; dropout: with Dropout, for formats that can train."""
    graph, shapes = net.graph, net.planned.inferred.values
    aliases = ALIASES - {"Dropout"} if dropout else ALIASES
    alias: dict[Value, Value] = {}
    last: dict[str, Value] = {}
    for node in graph.nodes:
        if node.type in aliases:
            source = alias.get(node.bottoms[0], node.bottoms[0])
            alias.update(dict.fromkeys(node.tops, source))
        last.update({top.blob: alias.get(top, top) for top in node.tops})

    given = {value.blob: value for value in graph.inputs}

    def named(value: Value) -> str:
        value = alias.get(value, value)
        plain = given.get(value.blob, last[value.blob])
        return value.blob if value == plain else f"{value.blob}.{value.version}"

    arrays = net.parameters()
    pieces = tuple(
        Piece(
            node,
            layer,
            tuple(named(v) for v in node.bottoms),
            tuple(named(v) for v in node.tops),
            tuple(shapes[v] for v in node.bottoms),
            tuple(shapes[v] for v in node.tops),
            tuple(np.asarray(a, np.float32) for a in arrays[node.name]),
        )
        for node, layer in zip(graph.nodes, net.layers, strict=True)
        if node.type not in aliases | NOTHING
    )
    inputs = tuple((named(v), shapes[v]) for v in graph.inputs)
    outputs = tuple(
        (named(v) if v.blob in given else v.blob, named(v), shapes[v]) for v in graph.outputs
    )
    return Pieces(pieces, inputs, outputs)


def library(name: str, extra: str) -> ModuleType:
    """An optional library; OutputError says how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise OutputError(
            f"the library {name.partition('.')[0]} is not installed",
            remedy=f"Install it: pip install 'demitasse[{extra}]'",
        ) from error


def broadcast(operand: Shape, rank: int, axis: int) -> Sequence[int]:
    """The operand's shape with ones behind it, so that it lies along x's axes from `axis` on."""
    return (*operand, *(1,) * (rank - axis - len(operand)))
