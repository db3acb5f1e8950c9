"""Work that one layer does for another, so that no pass over a blob and no copy of it is needed.

    rectifiers   a ReLU in place, where nobody else reads what it changes: the layer below applies
                 it (a convolution)
    crops        a Crop of a blob with several readers: the Split below cuts its part out as soon as
                 the blob is there, and backward adds the part's gradient where it came from; so the
                 larger blob need not wait for it, and has no second gradient full of zeros
    picked       a plain rectifier whose result is only picked from (by MAX poolings and Crops):
                 they rectify the gradient of what they picked, where it has the same sign, and do
                 not need the larger blob backward.  Convolutions that cut what they write (a
                 card's) count as well: they need it, but the gradient is not read and written once
                 more

The results are the same (where a gradient is zero, its sign may differ).  A net that keeps its
blobs keeps its layers: there one may look at a blob between two of them.  So does a net whose
shapes change in every pass: the engine may change with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..layers.base import Blob, Layer
from ..layers.crop import Crop
from ..layers.split import Split
from ..netspec.graph import Graph, Value
from .inference import Inferred, in_place


@dataclass(frozen=True)
class Fused:
    """rectifiers: {convolution's index: ReLU's index}; crops: {Crop's: Split's}; picked:
    {convolution's: indices of those who rectify for it backward}; slices: whether the bottoms of a
    Concat may lie in its top (net/slices.py)."""

    rectifiers: Mapping[int, int] = field(default_factory=dict)
    crops: Mapping[int, int] = field(default_factory=dict)
    picked: Mapping[int, frozenset[int]] = field(default_factory=dict)
    slices: bool = False

    @property
    def pickers(self) -> frozenset[int]:
        return frozenset().union(*self.picked.values())


def find(
    graph: Graph,
    layers: Sequence[Layer],
    inferred: Inferred,
    ahead: frozenset[int] = frozenset(),
) -> Fused:
    """All that can be fused, among the nodes that do not run ahead (net/ahead.py).  Pure."""
    if any(layer.reshapes for layer in layers):
        return Fused()
    readers: dict[Value, list[int]] = {value: [] for value in inferred.values}
    makers: dict[Value, int] = {}
    for node in graph.nodes:
        for top in node.tops:
            makers[top] = node.index
        for bottom in node.bottoms:
            readers[bottom].append(node.index)
    absorbed = rectifiers(graph, layers, inferred, readers, makers)
    absorbed = {conv: relu for conv, relu in absorbed.items() if conv not in ahead}
    cut = {crop: split for crop, split in crops(graph, readers).items() if split not in ahead}
    picked = {}
    for conv, relu in absorbed.items():
        pickers = _pickers(graph, layers, readers, graph.nodes[relu].tops[0])
        weights = (*graph.nodes[conv].layer.loss_weight, *graph.nodes[relu].layer.loss_weight)
        slope = layers[relu].slope  # type: ignore[attr-defined]
        if pickers and slope == 0 and not any(weights):
            picked[conv] = pickers
    return Fused(absorbed, cut, picked, slices=True)


def rectifiers(
    graph: Graph,
    layers: Sequence[Layer],
    inferred: Inferred,
    readers: Mapping[Value, Sequence[int]],
    makers: Mapping[Value, int],
) -> dict[int, int]:
    """Which node applies which ReLU."""
    found = {}
    for node in graph.nodes:
        if node.type != "ReLU" or not in_place(node, 0):
            continue
        bottom, slope = node.bottoms[0], layers[node.index].slope  # type: ignore[attr-defined]
        if slope < 0 or bottom not in makers or readers[bottom] != [node.index]:
            continue
        below = graph.nodes[makers[bottom]]
        shapes = [inferred.values[value] for value in below.bottoms]
        if len(below.tops) == 1 and layers[below.index].absorbs_rectifier(slope, *shapes):
            found[below.index] = node.index
    return found


def crops(graph: Graph, readers: Mapping[Value, Sequence[int]]) -> dict[int, int]:
    """Which Split does the work of which Crop.  A Split sums in the order of its tops: of three and
    more, only the last ones may be Crops, which come last."""
    found: dict[int, int] = {}
    for split in graph.nodes:
        if split.type != "Split" or any(split.layer.loss_weight):
            continue
        mine: list[int] = []
        for top in reversed(split.tops):
            above = [graph.nodes[i] for i in readers[top]]
            if len(above) == 1 and above[0].type == "Crop" and above[0].bottoms[0] == top:
                mine.append(above[0].index)
            elif len(split.tops) > 2:
                break
        found.update((crop, split.index) for crop in reversed(mine))
    return found


def _pickers(
    graph: Graph, layers: Sequence[Layer], readers: Mapping[Value, Sequence[int]], value: Value
) -> frozenset[int]:
    """Who picks from a value; nobody, if somebody reads it otherwise."""
    found: set[int] = set()
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if not readers[value]:
            return frozenset()
        for node in (graph.nodes[i] for i in readers[value]):
            if node.type == "Split" and not any(node.layer.loss_weight):
                waiting += node.tops
            elif (layers[node.index].picks or layers[node.index].cuts) and node.bottoms[0] == value:
                found.add(node.index)
            elif not all(
                k in layers[node.index].sizes_only
                for k, bottom in enumerate(node.bottoms)
                if bottom == value
            ):
                return frozenset()
    return frozenset(found)


def apply(layers: Sequence[Layer], fused: Fused, tops: Sequence[Sequence[Blob]]) -> None:
    """Tell the layers; tops: of each node."""
    for i, layer in enumerate(layers):
        relu = fused.rectifiers.get(i)
        layer.rectifier = 1.0 if relu is None else layers[relu].slope  # type: ignore[attr-defined]
        layer.rectified = i in fused.picked
        layer.rectifies = i in fused.pickers
        layer.absorbed = i in fused.rectifiers.values() or i in fused.crops
        if isinstance(layer, Split):
            layer.crops = []
    for crop, split in fused.crops.items():
        above, below = layers[crop], layers[split]
        assert isinstance(above, Crop) and isinstance(below, Split)
        below.crops.append((above, tops[crop][0]))
