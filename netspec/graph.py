"""The graph: layers as nodes, and blobs as versioned values.

An in-place layer makes a new *version* of a blob, so every value is written exactly once and what
backward needs can be reasoned about; the versions may still share one array.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Value:
    """One version of a blob; version 0 is what its producer made, +1 by each in-place layer."""

    blob: str
    version: int


@dataclass(frozen=True)
class Node:
    """One layer of a built net.  layer: its LayerParameter, upgraded, with the phase filled in."""

    index: int
    layer: Any
    bottoms: tuple[Value, ...]
    tops: tuple[Value, ...]
    where: str  # path:line:column of the layer in the user's file

    @property
    def name(self) -> str:
        return str(self.layer.name)

    @property
    def type(self) -> str:
        return str(self.layer.type)


@dataclass(frozen=True)
class Graph:
    """A net after upgrade, filter and split insertion.

    inputs: tops of Input layers; outputs: values nobody reads, by alphabet (Caffe's order); blobs:
    every blob name in order of first production; phase: "TRAIN" or "TEST".
    """

    name: str
    phase: str
    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    blobs: tuple[str, ...]
    force_backward: bool
    path: str
