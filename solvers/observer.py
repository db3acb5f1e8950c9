"""What a solver tells the world, and the seam through which gradients can be shared.

The solver prints nothing: it calls an Observer, and `tools/` decides whether that becomes a line in
Caffe's format, a progress bar or a record in a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Display:
    """One displayed iteration.  loss: of this iteration; smoothed: mean over average_loss; done,
    seconds: iterations since the last display and the time they took; outputs: by blob."""

    iter: int
    loss: float
    smoothed: float
    rate: float
    gradient_norm: float
    done: int
    seconds: float
    outputs: Mapping[str, np.ndarray]
    weights: Mapping[str, float]


@dataclass(frozen=True)
class Tested:
    """Mean outputs of test net `net` over test_iter passes."""

    iter: int
    net: int
    loss: float
    outputs: Mapping[str, np.ndarray]
    weights: Mapping[str, float]


class Observer:
    """Does nothing; override what is of interest."""

    def stepped(self, iteration: int, loss: float, rate: float, gradient_norm: float) -> None:
        """After every update."""

    def displayed(self, display: Display) -> None:
        """Every `display` iterations."""

    def finished(self, iteration: int, smoothed: float) -> None:
        """After the last iteration, with the loss of one more forward pass."""

    def testing(self, iteration: int, net: int) -> None:
        """Before the first pass of test net `net`."""

    def tested(self, tested: Tested) -> None:
        """After every test net."""

    def remarked(self, layer_type: str, line: str) -> None:
        """A line that a layer has for the log, after each forward pass."""

    def snapshotted(self, path: Path) -> None:
        """After a snapshot is safely on disk."""

    def said(self, message: str) -> None:
        """One line worth a user's notice."""


class Observers(Observer):
    """Several at once, told in this order."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers

    def stepped(self, iteration: int, loss: float, rate: float, gradient_norm: float) -> None:
        for observer in self.observers:
            observer.stepped(iteration, loss, rate, gradient_norm)

    def displayed(self, display: Display) -> None:
        for observer in self.observers:
            observer.displayed(display)

    def finished(self, iteration: int, smoothed: float) -> None:
        for observer in self.observers:
            observer.finished(iteration, smoothed)

    def testing(self, iteration: int, net: int) -> None:
        for observer in self.observers:
            observer.testing(iteration, net)

    def tested(self, tested: Tested) -> None:
        for observer in self.observers:
            observer.tested(tested)

    def remarked(self, layer_type: str, line: str) -> None:
        for observer in self.observers:
            observer.remarked(layer_type, line)

    def snapshotted(self, path: Path) -> None:
        for observer in self.observers:
            observer.snapshotted(path)

    def said(self, message: str) -> None:
        for observer in self.observers:
            observer.said(message)


class Hook:
    """Called around the computation of a gradient (Caffe's Solver::Callback)."""

    def on_start(self) -> None:
        """Before the first forward pass of an iteration."""

    def on_gradients_ready(self) -> None:
        """After the last backward pass, before the update."""

    def looks(self) -> bool:
        """Whether `on_gradients_ready` does anything with the gradients: if so, no device updates
        the parameters before it."""
        return True
