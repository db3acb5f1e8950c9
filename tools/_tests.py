"""What tests of a training would hide: samples left out, a net that says the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import lcm
from typing import TYPE_CHECKING, Any

import numpy as np

from ..solvers.observer import Observer, Tested

if TYPE_CHECKING:
    from ..net import Net
    from ..netspec.graph import Node
    from ..solvers import Solver

SCORED = ("SoftmaxWithLoss", "Accuracy")  # layers that compare a score with labels


def left_out(solver: Solver) -> Iterator[str]:
    """A line for each test net whose tests do not look at every sample, or not equally often."""
    for k, (net, passes) in enumerate(zip(solver.test_nets, solver.param.test_iter, strict=False)):
        layers = zip(net.graph.nodes, net.layers, strict=True)
        node, layer = next(((n, la) for n, la in layers if la.samples), (None, None))
        if node is None or layer is None:
            continue
        batch, all_ = len(net.values[node.tops[0]].data), layer.samples
        if passes * batch % all_:
            yield (
                f"test net #{k}: test_iter {passes} with batches of {batch} takes {passes * batch} "
                f"samples, others in every test, of layer '{node.name}' with {all_}; "
                f"test_iter: {lcm(batch, all_) // batch} takes all"
            )


def ignored_label(node: Node) -> int | None:
    """Of a layer that compares a score with labels: the label that does not count."""
    param: Any = node.layer.accuracy_param if node.type == "Accuracy" else node.layer.loss_param
    return int(param.ignore_label) if param.HasField("ignore_label") else None


class Classes:
    """How often a net predicts each class, and how often it is there."""

    def __init__(self) -> None:
        self.predicted = self.true = np.zeros(0, np.intp)

    def add(self, score: np.ndarray, label: np.ndarray, ignored: int | None) -> None:
        """score (N, C, ...), label (N, ...) or (N, 1, ...)."""
        if score.ndim < 2 or label.size * score.shape[1] != score.size:
            return  # the classes are on another axis
        classes, best = score.shape[1], score.argmax(axis=1)
        truth = label.reshape(best.shape)
        known = truth != ignored if ignored is not None else np.ones(truth.shape, bool)
        found = (best[known], truth[known].clip(0, classes - 1).astype(np.intp))
        counts = [np.bincount(numbers, minlength=classes) for numbers in found]
        self.predicted = counts[0] + (self.predicted if len(self.predicted) else 0)
        self.true = counts[1] + (self.true if len(self.true) else 0)

    @property
    def only(self) -> int | None:
        """The one class that is predicted everywhere, or but for a hundredth of what belongs to
        others: a net that has died may still be of another opinion in a few pixels."""
        if not self.predicted.any():
            return None
        most = int(self.predicted.argmax())
        predicted, true = (int(n.sum() - n[most]) for n in (self.predicted, self.true))
        return most if true and 100 * predicted <= true else None


class Sameness(Observer):
    """Says after a test that the net predicted one class everywhere.  say: takes the line.  Of
    nets on the host alone: a card is not asked for its scores."""

    def __init__(self, solver: Solver, say: Callable[[str], None]) -> None:
        self._say, self._seen = say, [Classes() for _ in solver.test_nets]
        for k, net in enumerate(solver.test_nets):
            node = next((n for n in net.graph.nodes if n.type in SCORED), None)
            if node is not None and net.device.on_host:
                self._watch(k, net, node)

    def _watch(self, k: int, net: Net, node: Node) -> None:
        ignored = ignored_label(node)

        def look(i: int) -> None:  # before the layer reads: later its bottoms may be gone
            if i == node.index:
                score, label = (net.values[value].data for value in node.bottoms[:2])
                self._seen[k].add(score, label, ignored)

        net.callbacks.before_forward.append(look)

    def testing(self, iteration: int, net: int) -> None:
        self._seen[net] = Classes()

    def tested(self, tested: Tested) -> None:
        only = self._seen[tested.net].only
        if only is not None and tested.iter:
            self._say(
                f"Iteration {tested.iter}: the net predicts one class everywhere, {only}; if that "
                "stays so, see 'A net that learns nothing' in docs/how-to/train.md"
            )
