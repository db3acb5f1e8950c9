"""Which engine computes each convolution fastest on this machine: measured once, and kept.

    {machine: {problem: {"engine": the fastest, "ms": {engine: least milliseconds}}}}     JSON

machine: processor, versions, threads, scratch; problem: shapes and what is asked for, in words
(kernels/contest.py).  An engine takes the place of the one that the rule names only where it is
faster by MARGIN, so that noise alone changes little.  With the same table a net computes the same
bits; another choice of engines changes the last digits.

A table that cannot be read is made anew, one that cannot be written lasts as long as the process;
both are said once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..files import replacing
from ..kernels import contest
from ..kernels.contest import Problem
from ..kernels.workers import Room
from ..layers.base import Layer, Shape
from ..layers.filtering import Filtering
from ..netspec.graph import Graph, Value
from ..texts import parsed
from .schedule import schedule
from .suggest import infer_or_suggest

MARGIN = 0.95  # of the time of the usual engine

Measure = Callable[[Problem, Sequence[str], Room], Mapping[str, float]]


class Tuner:
    """path: of the table; machine: names what a measurement holds for; say: takes lines for people;
    measure: seconds of each engine that solves a problem."""

    def __init__(
        self,
        path: Path,
        machine: Callable[[], str],
        say: Callable[[str], None],
        measure: Measure = contest.measure,
    ) -> None:
        self.path, self.machine, self.say, self.measure = path, machine, say, measure
        self._known: dict[str, dict[str, Any]] = {}  # what this process measured, by machine
        self._said: set[str] = set()

    def engine(self, problem: Problem, able: Sequence[str], usual: str, room: Room) -> str:
        """The engine for a problem, from the table, or by measuring those that are able."""
        if len(able) < 2:
            return able[0]
        place = f"{self.machine()}, {room.threads} threads, {room.budget} elements of scratch"
        entry = self._read().get(place, {}).get(str(problem))
        if isinstance(entry, dict) and entry.get("engine") in able:
            return str(entry["engine"])
        seconds = self.measure(problem, able, room)
        best = min(seconds, key=lambda name: seconds[name])
        if usual in seconds and seconds[best] > MARGIN * seconds[usual]:
            best = usual
        ms = {name: round(1000 * s, 3) for name, s in seconds.items()}
        beside = ", ".join(f"{name} {t:.3g} ms" for name, t in ms.items())
        self.say(f"autotune: {problem}: {best} ({beside})")
        self._keep(place, str(problem), {"engine": best, "ms": ms})
        return best

    def _read(self) -> dict[str, dict[str, Any]]:
        """The table with what was measured since."""
        table: dict[str, dict[str, Any]] = {}
        try:
            found = parsed(self.path.read_text(encoding="utf-8"))
            table = {place: dict(entries) for place, entries in found.items()}
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, ValueError, TypeError, AttributeError) as error:
            self._once(f"autotune: {self.path} cannot be read ({error}), so it is made anew")
        for place, entries in self._known.items():
            table.setdefault(place, {}).update(entries)
        return table

    def _keep(self, place: str, problem: str, entry: dict[str, Any]) -> None:
        self._known.setdefault(place, {})[problem] = entry
        table = self._read()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(self.path) as temporary:
                temporary.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
        except (OSError, OutputError) as error:
            why = error.strerror if isinstance(error, OSError) else error.what
            self._once(f"autotune: {self.path} cannot be written ({why}), so nothing is kept")

    def _once(self, line: str) -> None:
        if line not in self._said:
            self.say(line)
        self._said.add(line)


def settle(
    graph: Graph,
    layers: Sequence[Layer],
    inputs: Mapping[str, Shape] | None,
    outside: Mapping[Value, Shape],
    backward: bool,
    tuner: Tuner,
) -> None:
    """Tell every convolution its engine for these input shapes; errors as when it is planned."""
    inferred = infer_or_suggest(graph, layers, inputs, outside)
    flags = schedule(graph, layers, inferred.needs)
    for i, (node, layer) in enumerate(zip(graph.nodes, layers, strict=True)):
        if isinstance(layer, Filtering):
            runs = backward and flags.backward[i]
            down = runs and flags.propagate_down[i][0]
            problem, able, usual = layer.contest(inferred.values[node.bottoms[0]], runs, down)
            room = layer.room
            layer.measured = {**layer.measured, problem.x: tuner.engine(problem, able, usual, room)}
