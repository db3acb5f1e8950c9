"""The least time that each layer of a net can take on a card, from the net's graph.  Pure.

floor = max(operations / rate, bytes / bandwidth)

forward    2 for each product; inputs, weights and outputs read or written once, float32
           (2 bytes a number in bf16); ReLU, bias and dropout are done on the way
backward   both gradients of a layer with weights, each a product like the forward one, of the
           first layer only the weights': what it reads and writes is the other two arrays
update     parameters, gradients and momentum read, parameters and momentum written: float32
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

from _cards import Card

MICRO = 1e6
FREE = ("ReLU", "Dropout", "Split", "Input", "Softmax", "SoftmaxWithLoss")  # on the way


class Work(NamedTuple):
    """Operations, and numbers moved by each of the products."""

    flop: float
    moved: float

    def floor(self, card: Card, mode: str) -> float:
        """Seconds."""
        bytes_ = (2 if mode == "bf16" else 4) * self.moved
        return max(self.flop / card.rate(mode), bytes_ / card.bandwidth)


class Row(NamedTuple):
    """One layer; backward: one entry for each product."""

    name: str
    type: str
    shape: tuple[int, ...]
    forward: Work
    backward: tuple[Work, ...]

    @property
    def back(self) -> Work:
        return Work(sum(w.flop for w in self.backward), sum(w.moved for w in self.backward))

    def floors(self, card: Card, mode: str) -> tuple[float, float]:
        """Seconds forward and backward."""
        back = sum(work.floor(card, mode) for work in self.backward)
        return self.forward.floor(card, mode), back


def rows(nodes: Sequence[Any], shapes: Mapping[Any, Sequence[int]], weights: Any) -> list[Row]:
    """The layers that take time: `nodes` of a graph, shapes of its values, and by name of a layer
    with weights those weights' shape."""
    found = []
    for node in nodes:
        if node.type in FREE or not node.bottoms:
            continue
        ins, out = [prod(shapes[v]) for v in node.bottoms], prod(shapes[node.tops[0]])
        if node.name in weights:
            w = weights[node.name]
            flop = 2.0 * (ins[0] if node.type == "Deconvolution" else out) * prod(w[1:])
            work = Work(flop, ins[0] + prod(w) + out)
            from_image = not any(node.bottoms[0] in n.tops and n.bottoms for n in nodes)
            backward = (work,) * (1 if from_image else 2)
        elif node.type == "Pooling":
            work = Work(0.0, ins[0] + out)
            backward = (work,)
        elif node.type == "Crop":
            work = Work(0.0, 2.0 * out)
            backward = (work,)
        else:  # a Concat's bottoms are written where its top lies
            continue
        found.append(Row(node.name, node.type, tuple(shapes[node.tops[0]]), work, backward))
    return found


def update(parameters: int, card: Card) -> float:
    """Seconds of SGD with momentum."""
    return 5 * 4 * parameters / card.bandwidth


def totals(found: Sequence[Row], card: Card, mode: str, parameters: int) -> dict[str, float]:
    """Seconds: forward, backward, update, step."""
    forward, backward = (sum(r.floors(card, mode)[i] for r in found) for i in (0, 1))
    last = update(parameters, card)
    return {
        "forward": forward,
        "backward": backward,
        "update": last,
        "step": forward + backward + last,
    }
