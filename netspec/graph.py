"""The graph: layers as nodes, and blobs as versioned values.

An in-place layer makes a new *version* of a blob, so every value is written exactly once and what
backward needs can be reasoned about; the versions may still share one array.

`build` goes the whole way from a message:  state -> filter -> checks -> splits -> nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import DemitasseError, SpecError
from . import schema
from .connect import check_connections, shape_sources
from .filter import kept_layers, net_state
from .source import Source, as_source
from .split import with_splits
from .unique import unique_names

# layers that make up a top where none is given; nobody can read it, and it is no output
AUTO_TOP = frozenset(
    {
        "ContrastiveLoss",
        "EuclideanLoss",
        "HingeLoss",
        "InfogainLoss",
        "MultinomialLogisticLoss",
        "SigmoidCrossEntropyLoss",
        "SoftmaxWithLoss",
    }
)


@dataclass(frozen=True)
class Value:
    """One version of a blob; version 0 is what its producer made, +1 by each in-place layer."""

    blob: str
    version: int


@dataclass(frozen=True)
class Node:
    """One layer of a built net.

    name: the layer's, made unique (unique.py); layer: its LayerParameter, upgraded, with the
    phase filled in; likes: values whose shape it takes, and nothing else (ApplyDeformation's
    output_shape_from).
    """

    index: int
    name: str
    layer: Any
    bottoms: tuple[Value, ...]
    tops: tuple[Value, ...]
    where: str  # path:line:column of the layer in the user's file
    likes: tuple[Value, ...] = ()

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


def build(
    source: Source | Any, phase: str | int, level: int = 0, stages: Iterable[str] = ()
) -> Graph:
    """The graph of a net in a phase ("TRAIN", "TEST" or 0, 1), at a level, in stages.

    source: from `read_net`, or an upgraded NetParameter.  Raises GraphError where blobs and layers
    do not connect.
    """
    source = as_source(source)
    return build_in_state(source, net_state(source.message, phase_number(phase), level, stages))


def build_in_state(source: Source | Any, state: Any) -> Graph:
    """The graph in exactly this NetState; a solver merges its own (`filter.merged_states`)."""
    source = as_source(source)
    kept = kept_layers(source, state)
    check_connections(source, kept, state)
    net = source.message
    nodes = _nodes(source, kept, state.phase)
    made = {value: None for node in nodes for value in node.tops if value.blob in _names(node)}
    for node in nodes:
        for value in node.bottoms:
            made.pop(value, None)
    return Graph(
        name=net.name,
        phase=schema.phase_name(state.phase),
        nodes=nodes,
        inputs=tuple(value for node in nodes if node.type == "Input" for value in node.tops),
        outputs=tuple(sorted(made, key=lambda value: value.blob.encode())),
        blobs=tuple(dict.fromkeys(value.blob for node in nodes for value in node.tops)),
        force_backward=net.force_backward,
        path=source.path,
    )


@contextmanager
def as_written(graph: Graph) -> Iterator[None]:
    """Let refusals name blobs as the prototxt does, not the copies that Split layers make."""
    try:
        yield
    except DemitasseError as error:
        for node in graph.nodes:
            for copy in node.tops if node.type == "Split" else ():
                for part in ("what", "expected", "found", "remedy"):
                    if isinstance(text := getattr(error, part), str):
                        named = text.replace(f"'{copy.blob}'", f"'{node.bottoms[0].blob}'")
                        setattr(error, part, named)
        raise


def phase_number(phase: str | int) -> int:
    """0 for TRAIN, 1 for TEST."""
    numbers = {"TRAIN": schema.TRAIN, "TEST": schema.TEST}
    if phase in numbers.values():
        return int(phase)
    if str(phase).upper() not in numbers:
        raise SpecError(f"there is no phase '{phase}'", expected="TRAIN or TEST")
    return numbers[str(phase).upper()]


def _names(node: Node) -> Sequence[str]:
    """The tops that have a name in the prototxt."""
    names: Sequence[str] = node.layer.top
    return names


def _nodes(source: Source, kept: Sequence[int], phase: int) -> tuple[Node, ...]:
    newest: dict[str, Value] = {}
    nodes: list[Node] = []
    anonymous = 0
    split = with_splits(source.message.layer[k] for k in kept)
    names = unique_names(str(layer.name) for _, layer in split)
    for (i, layer), name in zip(split, names, strict=True):
        if not layer.HasField("phase"):
            layer.phase = phase
        bottoms = tuple(newest[blob] for blob in layer.bottom)
        likes = tuple(newest[blob] for blob in shape_sources(layer))
        for blob in layer.top:  # a name made before is an in-place top: the checks saw to that
            newest[blob] = Value(blob, newest[blob].version + 1 if blob in newest else 0)
        tops = [newest[blob] for blob in layer.top]
        if layer.type in AUTO_TOP and not tops:
            anonymous += 1
            tops = [Value("(automatic)" + f" {anonymous}" * (anonymous > 1), 0)]
        where = source.where_nth(kept[i])
        nodes.append(Node(len(nodes), name, layer, bottoms, tuple(tops), where, likes))
    return tuple(nodes)
