"""The view of a training on a terminal, and the curves in it."""

import io
import os
import pty
import re
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from demitasse.solvers import observer
from demitasse.tools import _live, _trace

ROOT = Path(__file__).resolve().parent.parent.parent


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@dataclass
class Param:
    max_iter: int = 100
    snapshot_prefix: str = "out/[red]net"


class Net:
    name = "a [bold]net"


class Solver:
    iter, stop, type, net, param = 0, False, "SGD", Net(), Param()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def view(clock):
    view = _live.View(clock=clock)
    view.begin(Solver())
    return view


def text(view, width=100, monkeypatch=None):
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=width).print(view.draw())
    return out.getvalue()


def steps(view, clock, count, seconds=2.0):
    for i in range(count):
        clock.now += seconds
        view.step(view.iter + 1, 1.0 / (i + 1), 0.01, 0.5)


def test_it_shows_how_far_it_is_and_how_long_it_takes(view, clock):
    steps(view, clock, 25)
    said = text(view)
    assert "25 of 100  2 s/it  2:30 left" in said and "learning rate 0.01" in said
    assert "loss 0.04, log scale" in said and "gradient norm 0.5" in said and " MiB" in said


def test_names_are_no_markup(view):
    assert "a [bold]net · SGD · out/[red]net" in text(view)


def test_names_give_the_terminal_no_orders(clock):
    view = _live.View(clock=clock)
    solver = Solver()
    solver.param = Param(snapshot_prefix="a\x1b[2Jb\r\nc")
    view.begin(solver)
    view.test(observer.Tested(1, 0, 1.0, {"\x1b]0;x\x07": np.array([1.0])}, {"\x1b]0;x\x07": 1}))
    said = text(view)
    assert "\x1b" not in said and "\x07" not in said and "\r" not in said and "a?[2Jb??c" in said


def test_before_the_first_iteration_nothing_is_promised(view):
    assert "0 of 100  - it/s  - left" in text(view)


def test_the_speed_is_that_of_the_last_minute(view, clock):
    steps(view, clock, 10, seconds=100.0)
    steps(view, clock, 80, seconds=1.0)
    assert view.speed() == pytest.approx(1.0)


def test_time_goes_on_during_a_long_iteration(view, clock):
    steps(view, clock, 10, seconds=10.0)
    before = view.left()
    clock.now += 7
    assert before == pytest.approx(900) and view.left() == pytest.approx(893)


def test_what_is_left_counts_the_time_that_was_given(clock):
    view = _live.View(60.0, clock)
    view.begin(Solver())
    clock.now += 20
    assert view.left() == 40
    steps(view, clock, 1)
    assert view.left() == 38


def test_test_scores_with_the_best_so_far(view):
    for when, accuracy, loss in ((10, 0.8, 0.5), (20, 0.9, 0.2), (30, 0.85, 0.3)):
        outputs = {"accuracy": np.array([accuracy]), "loss": np.array([loss])}
        view.test(observer.Tested(when, 0, loss, outputs, {"accuracy": 0.0, "loss": 1.0}))
    said = text(view)
    assert re.search(r"accuracy +0.85  at 30, best 0.9 at 20", said)
    assert re.search(r"loss +0.3  at 30, best 0.2 at 20", said)


def test_nan_is_never_the_best_score(view):
    for when, loss in ((10, np.nan), (20, 0.4), (30, np.nan)):
        view.test(observer.Tested(when, 0, loss, {"loss": np.array([loss])}, {"loss": 1.0}))
    assert "best 0.4 at 20" in text(view, 140)


def test_what_it_is_doing(view, clock):
    assert view.state() == "training"
    view.doing = "testing (net #0)"
    assert view.state() == "testing (net #0)"
    view.step(1, 1.0, 0.1, 1.0)
    view._stopping.stop = True
    try:
        assert view.state().startswith("stopping after this iteration")
    finally:
        view._stopping.stop = False
    view.end()
    assert view.state() == "stopped"


@pytest.mark.parametrize("columns", [20, 60, 80, 200])
def test_it_fits_its_terminal(view, clock, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    steps(view, clock, 5)
    lines = text(view, columns).splitlines()
    assert max(map(len, lines)) <= min(max(columns, 20), 100)


def test_a_pipe_and_a_plain_terminal_get_lines(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert _live.possible(Terminal()) and not _live.possible(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not _live.possible(Terminal())


@pytest.mark.parametrize("plain", [False, True])
def test_on_a_terminal(tiny, plain):
    """In a real one: the view, or with --no-live the lines of a pipe; snapshots above the view."""
    with open("solver.prototxt", "a") as file:
        file.write("display: 1 test_iter: 1 test_interval: 2\n")
    parent, child = pty.openpty()
    command = [sys.executable, ROOT / "tools" / "solve.py", "solver.prototxt"]
    command += ["--no-live"] if plain else []
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "90", "LINES": "40"}
    with subprocess.Popen(command, stdout=child, stderr=child, env=environment) as process:
        os.close(child)
        said = b""
        while True:
            try:
                said += os.read(parent, 1 << 16)
            except OSError:  # Linux: the other end is closed
                break
        assert process.wait() == 0
    os.close(parent)
    shown = said.decode()
    assert ("╭" in shown) != plain and ("Iteration 0, lr = 0.01" in shown) == plain
    assert shown.count("Snapshotting solver state") == 2 and "tiny.h5: the model" in shown
    assert plain or "done" in shown


# ---------------------------------------------------------------------- curves


def test_a_trace_keeps_the_whole_curve_in_little_room():
    trace = _trace.Trace()
    for i in range(10_000):
        trace.add(float(i))
    assert len(trace.values) <= _trace.MOST and trace.each == 32 and trace.last == 9999
    assert trace.values[0] == np.mean(range(32)) and trace.values == sorted(trace.values)


def test_a_trace_passes_over_what_is_not_finite():
    trace = _trace.Trace()
    for value in (1.0, float("nan"), float("inf")):
        trace.add(value)
    assert trace.values == [1.0] and trace.last == 1.0


def dots(lines):
    """The places (x, y from the top) of the dots."""
    found = set()
    for row, line in enumerate(lines):
        for column, cell in enumerate(line):
            for y, bits in enumerate(_trace.DOTS):
                for x, bit in enumerate(bits):
                    if (ord(cell) - 0x2800) & bit:
                        found.add((2 * column + x, 4 * row + y))
    return found


def test_a_falling_line_goes_from_corner_to_corner():
    assert dots(_trace.curve([7.0, 0.0], 4, 2)) == {(i, i) for i in range(8)}


def test_a_steep_line_holds_together():
    for values in ([0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [3.0, 1.0, 2.0, 0.5]):
        found = dots(_trace.curve(values, 3, 4))
        columns = [sorted(y for x, y in found if x == column) for column in range(6)]
        for column in columns:
            assert column == list(range(column[0], column[-1] + 1))
        for a, b in pairwise(columns):
            assert a[0] <= b[-1] + 1 and b[0] <= a[-1] + 1


@pytest.mark.parametrize("values", [[], [2.0], [2.0, 2.0, 2.0], [-1.0, 5.0], [1e-9, 1.0]])
def test_any_curve_has_its_size(values):
    lines = _trace.curve(values, 10, 3)
    assert [len(line) for line in lines] == [10, 10, 10]
    assert bool(dots(lines)) == bool(values)


def test_bars():
    assert _trace.bars([0.0, 7.0, 3.0], 10) == "▁█▄"
    assert _trace.bars([1.0] * 20, 10) == "▁" * 10 and _trace.bars([], 10) == ""
