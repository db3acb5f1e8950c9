"""How long each engine of kernels/convolution.py takes for a convolution of given shapes.

    forward, and in training backward: the least seconds of some turns, engine after engine in each
    turn, so that a noisy neighbour meets all of them; of what takes little, more turns

Pixels and gradients are N(0, 1), weights N(0, 1 / terms).  An engine whose results differ from the
first one's by more than ACCURACY of the largest is left out, whatever its speed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod, sqrt
from typing import NamedTuple

import numpy as np

from . import convolution
from .convolution import ACCURACY, Form
from .im2col import Array, Sizes, Window
from .workers import Room

TURNS, MANY = 3, 15  # how many at least, and at most, while all together took less than ENOUGH
ENOUGH = 0.25  # seconds
HOPELESS = 3.0  # of the fastest: an engine that is slower in every turn yet takes no further one
SAMPLE = 13  # every so many of the results are compared


class Problem(NamedTuple):
    """A convolution in float32; backward: training asks for the gradient of w; down: and of x."""

    x: Sizes
    w: Sizes
    y: Sizes
    window: Window
    group: int
    backward: bool
    down: bool

    def __str__(self) -> str:
        """Such as "1x64x570x570 by 64x64x3x3, stride 1x1, pad 0x0, dilation 1x1, group 1, forward";
        two problems with the same words are the same."""
        window = self.window
        named = zip(
            ("stride", "pad", "dilation"), (window.stride, window.pad, window.dilation), strict=True
        )
        ways = ["forward", "weights"][: 1 + self.backward] + ["data"] * self.down
        return ", ".join(
            [
                f"{times(self.x)} by {times(self.w)}",
                *(f"{name} {times(sizes)}" for name, sizes in named),
                f"group {self.group}",
                " + ".join(ways),
            ]
        )


def times(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def measure(
    problem: Problem,
    engines: Sequence[str],
    room: Room,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Seconds of each engine that computes the same as the first; room: without scratch."""
    ask = _Arrays(problem, room)
    right = [a.copy() for a in ask.run(engines[0])]
    fit = [engines[0], *(e for e in engines[1:] if same(ask.run(e), right))]
    least = dict.fromkeys(fit, float("inf"))
    since = clock()
    for turn in range(MANY):
        if turn >= TURNS and clock() - since > ENOUGH:
            break
        best = min(least.values())
        for engine in fit:
            if HOPELESS * best < least[engine] < float("inf"):
                continue
            begun = clock()
            ask.run(engine)
            least[engine] = min(least[engine], clock() - begun)
    return least


def same(found: Sequence[Array], right: Sequence[Array]) -> bool:
    """Whether no result differs by more than ACCURACY of the largest."""
    return all(
        float(np.abs(a - b).max()) <= ACCURACY * float(np.abs(b).max())
        for a, b in zip(found, right, strict=True)
    )


class _Arrays:
    """What a problem computes with."""

    def __init__(self, problem: Problem, room: Room) -> None:
        rng = np.random.default_rng(0)
        self.problem, self.room = problem, room

        def normal(shape: Sizes) -> Array:
            return rng.standard_normal(shape, np.float32)

        self.x, self.y = normal(problem.x), np.zeros(problem.y, np.float32)
        self.w = normal(problem.w) / np.float32(sqrt(prod(problem.w[1:])))
        self.b = normal(problem.w[:1])
        if problem.backward:
            self.dy = normal(problem.y)
            self.dw, self.db = np.zeros_like(self.w), np.zeros_like(self.b)
            self.dx: Array = np.zeros_like(self.x) if problem.down else None

    def run(self, engine: str) -> list[Array]:
        """Compute everything; return samples of the results."""
        p = self.problem
        tile = convolution.largest_tile(p.backward)
        form = Form(p.window, p.group, engine, tile=tile)
        size = convolution.scratch_size(p.x, p.w, p.y, form, self.room)
        room = replace(self.room, scratch=np.empty(size, np.float32))
        convolution.forward(self.x, self.w, self.b, self.y, form, room)
        made: list[Array] = [self.y]
        if p.backward:
            self.dw.fill(0)
            self.db.fill(0)
            convolution.backward(
                self.x, self.w, self.y, self.dy, self.dw, self.db, self.dx, form, room
            )
            made += [self.dw] if self.dx is None else [self.dw, self.dx]
        return [a.reshape(-1)[::SAMPLE] for a in made]
