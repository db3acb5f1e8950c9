"""What a drawing says of a net: its maps, and the steps between them.

A *map* is a blob as a reader thinks of it: Splits are no steps, and what works element by element
on one map (ReLU, BatchNorm, Dropout, ...) belongs to the step that made it:

    conv_d0a-b, relu_d0b   ->   one step "conv 3x3, ReLU" from the map data to the map d0b
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from ..errors import DemitasseError
from ..layers.base import Context, Layer, Shape
from ..layers.registry import MODULES, layer_class
from ..net.inference import build_layers
from ..netspec.graph import Graph, Node, Value

CROSS = "\N{MULTIPLICATION SIGN}"
POINTWISE = {  # layer type -> what a label calls it
    "AbsVal": "abs",
    "BNLL": "BNLL",
    "BatchNorm": "batch norm",
    "Bias": "bias",
    "Clip": "clip",
    "Dropout": "dropout",
    "ELU": "ELU",
    "Exp": "exp",
    "Log": "log",
    "PReLU": "PReLU",
    "Power": "power",
    "ReLU": "ReLU",
    "Scale": "scale",
    "Sigmoid": "sigmoid",
    "Softmax": "softmax",
    "Swish": "swish",
    "TanH": "tanh",
    "Threshold": "threshold",
}


# what opens files or runs foreign code as soon as it is made, and so is drawn by its words alone
_UNASKED = frozenset({"HDF5Output", "InfogainLoss", "Python"})
_MADE_UP = frozenset({"DummyData", "Input", "Parameter"})  # from the net's own words


@dataclass(frozen=True)
class Map:
    """blob: its name; value: what of the graph it ends as; shape: None where not known."""

    blob: str
    value: Value
    shape: Shape | None


@dataclass(frozen=True)
class Step:
    """One or more layers that make maps of maps.

    nodes: the layers, the first one gives the kind; bottoms, tops: places in `Facts.maps`.
    """

    nodes: tuple[Node, ...]
    bottoms: tuple[int, ...]
    tops: tuple[int, ...]
    params: int

    @property
    def type(self) -> str:
        return self.nodes[0].type


@dataclass(frozen=True)
class Facts:
    graph: Graph
    layers: Mapping[int, Layer]
    shapes: Mapping[Value, Shape]
    maps: tuple[Map, ...]
    steps: tuple[Step, ...]

    @property
    def params(self) -> int:
        return sum(step.params for step in self.steps)

    def window(self, step: Step) -> str:
        """ "3 × 3", or "" for a layer without a window over space."""
        node = step.nodes[0]
        window = self._window(node)
        return times(window.kernel) if window else ""

    def pointwise(self, step: Step) -> bool:
        """Whether its window is one element."""
        window = self._window(step.nodes[0])
        return window is not None and window.volume == 1

    def strides(self, step: Step) -> tuple[int, ...]:
        """Of the step's window along each spatial axis; empty without one."""
        window = self._window(step.nodes[0])
        return window.stride if window else ()

    def _window(self, node: Node) -> Any:
        if node.type not in ("Convolution", "Deconvolution", "Pooling", "Im2col"):
            return None
        shape = self.shapes.get(node.bottoms[0], ())
        if len(shape) < 3 or (node.type == "Pooling" and node.layer.pooling_param.global_pooling):
            return None
        return self.layers[node.index].window(len(shape) - 2)  # type: ignore[attr-defined]

    def label(self, step: Step, *, short: bool = False) -> str:
        """ "conv 3 × 3, ReLU"; short: without what only matters to training."""
        first = step.nodes[0]
        words = [kind(first), self.window(step)]
        if first.type == "Pooling":
            pool = first.layer.pooling_param
            words[0] = "average pool" if pool.pool == pool.AVE else "max pool"
            words[1] = words[1] or "global"
        text = " ".join(word for word in words if word)
        steps = self.strides(step)
        if first.type == "Convolution" and set(steps) - {1}:
            text += f", stride {times(sorted(set(steps)) if len(set(steps)) == 1 else steps)}"
        after = list(dict.fromkeys(n.type for n in step.nodes[1:]))
        if "BatchNorm" in after and "Scale" in after:
            after.remove("Scale")
        after = [t for t in after if not (short and t == "Dropout")]
        return ", ".join([text, *(POINTWISE[t] for t in after)])


def kind(node: Node) -> str:
    """What a label calls a layer."""
    names = {"Convolution": "conv", "Deconvolution": "up-conv", "Concat": "concat", "Crop": "crop"}
    names |= {"InnerProduct": "fully connected", "Eltwise": "add"} | POINTWISE
    if node.type == "Eltwise":
        operation = node.layer.eltwise_param
        return {operation.PROD: "multiply", operation.MAX: "maximum"}.get(
            operation.operation, "add"
        )
    return names.get(node.type, node.type)


def times(sizes: Sequence[int]) -> str:
    """ "3 × 3"."""
    return f" {CROSS} ".join(map(str, sizes))


def look(graph: Graph, given: Mapping[str, Shape] | None = None) -> Facts:
    """The facts of a net.  No file is opened, so what follows from a file's data alone has no
    shape; given: the shapes of such blobs, where known."""
    asked = tuple(node for node in graph.nodes if node.type not in _UNASKED and not _opens(node))
    built = build_layers(replace(graph, nodes=asked), Context(phase=graph.phase))
    layers = {node.index: layer for node, layer in zip(asked, built, strict=True)}
    shapes = known_shapes(graph, layers, given or {})
    alias: dict[Value, Value] = {}
    nodes = []
    for node in graph.nodes:
        if node.type == "Split":
            alias.update({top: alias.get(node.bottoms[0], node.bottoms[0]) for top in node.tops})
        else:
            nodes.append(node)
    read = Counter(alias.get(v, v) for node in nodes for v in node.bottoms)
    maps: list[Map] = []
    place: dict[Value, int] = {}
    steps: list[Step] = []
    maker: dict[int, int] = {}
    for node in nodes:
        bottoms = [alias.get(v, v) for v in node.bottoms]
        count = _params(node, layers, shapes)
        if _folds(node, bottoms, read) and place[bottoms[0]] in maker:
            i = place[bottoms[0]]
            old = steps[maker[i]]
            if old.bottoms and len(old.tops) == 1:
                steps[maker[i]] = Step(
                    (*old.nodes, node), old.bottoms, old.tops, old.params + count
                )
                maps[i] = Map(node.tops[0].blob, node.tops[0], shapes.get(node.tops[0]))
                place[node.tops[0]] = i
                continue
        tops = []
        for top in node.tops:
            place[top] = len(maps)
            maker[len(maps)] = len(steps)
            tops.append(len(maps))
            maps.append(Map(top.blob, top, shapes.get(top)))
        steps.append(Step((node,), tuple(place[v] for v in bottoms), tuple(tops), count))
    return Facts(graph, layers, shapes, tuple(maps), tuple(steps))


def _opens(node: Node) -> bool:
    """Whether this is a layer of data, which opens files, or one of an unknown type that may be."""
    if node.bottoms or node.type in _MADE_UP:
        return False
    return node.type not in MODULES or layer_class(node.type).bottoms == 0


def _folds(node: Node, bottoms: Sequence[Value], read: Mapping[Value, int]) -> bool:
    return (
        node.type in POINTWISE and len(bottoms) == len(node.tops) == 1 and (read[bottoms[0]] == 1)
    )


def known_shapes(
    graph: Graph, layers: Mapping[int, Layer], given: Mapping[str, Shape]
) -> dict[Value, Shape]:
    """The shape of every value that follows from the net alone."""
    shapes: dict[Value, Shape] = {}
    for node in graph.nodes:
        read, layer = (*node.bottoms, *node.likes), layers.get(node.index)
        if layer is None:
            tops = [given.get(top.blob) for top in node.tops]
        elif any(value not in shapes for value in read):
            continue
        else:
            try:
                tops = list(layer.shapes(*(shapes[value] for value in read)).tops)
            except DemitasseError:  # it is drawn all the same
                continue
        shapes.update({top: s for top, s in zip(node.tops, tops, strict=False) if s is not None})
    return shapes


def _params(node: Node, layers: Mapping[int, Layer], shapes: Mapping[Value, Shape]) -> int:
    read = (*node.bottoms, *node.likes)
    if node.index not in layers or any(value not in shapes for value in read):
        return 0
    try:
        need = layers[node.index].shapes(*(shapes[value] for value in read))
    except DemitasseError:
        return 0
    return sum(prod(shape) for shape in need.params)
