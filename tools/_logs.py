"""What a log in Caffe's words tells of a training: Caffe's own, of 2014 and later, and ours.

    Iteration 20 (3.1 iter/s, 6.4s/20 iters), loss = 0.52      Iteration 20, loss = 0.52
    Iteration 20, lr = 0.01                                    ..., gradient norm = 1.2
    Iteration 20, Testing net (#0)                             Test net output #0: accuracy = 0.9
    Snapshotting solver state to binary proto file net_iter_20.solverstate
    Initializing solver from parameters: ...                   prototxt, to the next header

Lines may have glog's header, whose times become seconds since the first, or none; then the times
between displays add up.  Everything else is passed over, as is what does not parse.

Source: glog's line format; Caffe's src/caffe/solver.cpp and solvers/sgd_solver.cpp.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

NUMBER = r"[-+]?(?:\d[\d.]*(?:e[-+]?\d+)?|inf|nan)"
_HEADER = re.compile(r"[IWEF]((?:\d{4})?\d{4} \d\d:\d\d:\d\d\.\d{1,6}) +\d+ [\w.]+(?::\d+)?\] ?")
_LOSS = re.compile(
    rf"Iteration (\d+)(?: \({NUMBER} iter/s, ({NUMBER})s/{NUMBER} iters?\))?, loss = ({NUMBER})"
)
_RATE = re.compile(rf"Iteration (\d+), lr = ({NUMBER})(?:, gradient norm = ({NUMBER}))?")
_TEST = re.compile(r"Iteration (\d+), Testing net \(#(\d+)\)")
_OUTPUT = re.compile(rf"\s*(Train|Test) net output #\d+: (\S+) = ({NUMBER})")
_STATE = re.compile(r"Snapshotting solver state to .*?file (.+)")
_SOLVER = "Initializing solver from parameters:"
_NET = "Initializing net from parameters:"
_HALF_A_YEAR = 183 * 86400  # seconds


@dataclass
class Step:
    """A displayed iteration; nan for what is not known."""

    iter: int
    loss: float = math.nan
    smoothed: float = math.nan
    rate: float = math.nan
    norm: float = math.nan
    seconds: float = math.nan
    resident: float = math.nan


@dataclass
class Score:
    """A test net's mean outputs."""

    iter: int
    net: int
    outputs: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = math.nan


@dataclass
class Log:
    """What was found; solver, net: prototxt; states: (iteration, path) of snapshots."""

    steps: list[Step] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    states: list[tuple[int, str]] = field(default_factory=list)
    solver: str = ""
    net: str = ""
    done: bool = False


def read(lines: Iterable[str]) -> Log:
    """Read the lines of a log, which may be cut anywhere."""
    log, clock = Log(), _Clock()
    into = ""  # "solver" or "net" while a prototxt goes on
    for line in lines:
        header = _HEADER.match(line)
        message = line[header.end() if header else 0 :].rstrip()
        if header:
            into = ""
            clock.at(header[1])
        if into:
            setattr(log, into, f"{getattr(log, into)}{message}\n")
        elif message.startswith(_SOLVER):
            into = "" if log.solver else "solver"
        elif message.startswith(_NET):
            into = "" if log.net else "net"
        else:
            _take(log, message, clock)
    return log


def _take(log: Log, message: str, clock: _Clock) -> None:
    """One message that is no prototxt."""
    if found := _LOSS.match(message):
        clock.took(found[2])
        step = Step(int(found[1]), smoothed=_number(found[3]), seconds=clock.seconds)
        log.steps.append(step)
    elif found := _RATE.match(message):
        if log.steps and log.steps[-1].iter == int(found[1]):
            log.steps[-1].rate = _number(found[2])
            log.steps[-1].norm = _number(found[3])
    elif found := _TEST.match(message):
        log.scores.append(Score(int(found[1]), int(found[2]), seconds=clock.seconds))
    elif found := _OUTPUT.match(message):
        if found[1] == "Test" and log.scores:
            log.scores[-1].outputs.setdefault(found[2], []).append(_number(found[3]))
        elif found[1] == "Train" and found[2] == "loss" and log.steps:
            log.steps[-1].loss = _number(found[3])
    elif found := _STATE.match(message):
        number = re.search(r"_iter_(\d+)\.solverstate", found[1])
        log.states.append((int(number[1]) if number else 0, found[1]))
    elif message.startswith("Optimization Done"):
        log.done = True


class _Clock:
    """Seconds since the first header, or the times between displays; they never run back."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last: datetime | None = None

    def at(self, when: str) -> None:
        if when.index(" ") == 4:  # a header before glog 0.6 has no year; 2000 has every day
            when = f"2000{when}"
        try:
            now = datetime.strptime(when, "%Y%m%d %H:%M:%S.%f")
        except ValueError:
            return
        passed = (now - self._last).total_seconds() if self._last else 0.0
        if passed < -_HALF_A_YEAR:  # a new year, which a header does not say
            passed += 366 * 86400
        self.seconds += max(passed, 0.0)  # else the clock was set back
        self._last = now

    def took(self, seconds: str | None) -> None:
        if self._last is None and seconds is not None:
            self.seconds += _number(seconds)


def _number(text: str | None) -> float:
    """nan where it is none, such as 1.2.3 in a damaged line."""
    try:
        return float(text) if text is not None else math.nan
    except ValueError:
        return math.nan
