"""A training on a terminal: one view that stays in place, and what is worth keeping above it.

    loss, learning rate, gradient norm, test scores     what the solver says (solvers/observer.py)
    speed                                               iterations over the last minute
    left                                                to max_iter at that speed, or until --time
    memory                                              of this process now

The view is drawn from numbers alone, twice a second and whatever the solver does meanwhile.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from ..solvers.observer import Display, Tested
from ._environment import resident
from ._trace import Trace, bars, curve, logarithmic
from ._training import TrainingLog

if TYPE_CHECKING:
    from ..solvers import Solver

WINDOW = 60.0  # seconds over which the speed is taken
WIDEST, HEIGHT = 100, 6  # of the view and of its curve, characters
MOST_SCORES = 6  # values of one test that are shown


def possible(out: TextIO) -> bool:
    """Whether `out` can show something that changes in place."""
    return out.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


class LiveLog(TrainingLog):
    """`TrainingLog` on a terminal: instead of lines for every display a view.  seconds: after which
    the training will be stopped."""

    def __init__(self, out: TextIO, seconds: float | None = None) -> None:
        super().__init__(out)
        self.view = View(seconds)
        self.console: Any = None

    @contextmanager
    def running(self, solver: Solver) -> Iterator[None]:
        # imported here: rich takes a tenth of a second, and a pipe does not need it
        from rich.console import Console
        from rich.live import Live

        self.view.begin(solver)
        console = Console(file=self.out)
        with Live(get_renderable=self.view.draw, console=console, refresh_per_second=2) as live:
            self.console = live.console
            try:
                yield
            finally:
                self.view.end()
                live.refresh()
                self.console = None

    def said(self, message: str) -> None:
        if self.console is None:
            super().said(message)
        else:
            self.console.print(message, markup=False, highlight=False, soft_wrap=True)

    def stepped(self, iteration: int, loss: float, rate: float, gradient_norm: float) -> None:
        self.view.step(iteration, loss, rate, gradient_norm)

    def displayed(self, display: Display) -> None:
        """The view shows it."""

    def finished(self, iteration: int, smoothed: float) -> None:
        """The view shows it."""

    def testing(self, iteration: int, net: int) -> None:
        self.view.doing = f"testing (net #{net})"

    def tested(self, tested: Tested) -> None:
        self.view.test(tested)

    def remarked(self, layer_type: str, line: str) -> None:
        """Too many for a view."""


class View:
    """The numbers, and `draw`, what rich makes of them.  clock: seconds.  For tests and pictures it
    and `memory`, bytes, may be others."""

    def __init__(self, seconds: float | None = None, clock: Any = time.monotonic) -> None:
        self._clock, self._limit = clock, seconds
        self.title, self.iter, self.goal = "", 0, 1
        self.loss, self.norm, self.rate = Trace(), Trace(), 0.0
        self.doing, self._ended = "", False
        self._stopping: Any = None
        self._scores: dict[str, tuple[int, float, int, float]] = {}  # last and best: when, value
        self._began = self._seen = clock()
        self._marks: deque[tuple[float, int]] = deque()
        self.memory: Callable[[], int] = resident

    def begin(self, solver: Solver) -> None:
        name = solver.net.name or Path(solver.net.graph.path).stem
        self.title = _plain(f"{name} · {solver.type} · {solver.param.snapshot_prefix}")
        self.iter, self.goal, self._stopping = solver.iter, solver.param.max_iter, solver
        self._began = self._seen = self._clock()
        self._marks.append((self._began, solver.iter))

    def step(self, iteration: int, loss: float, rate: float, norm: float) -> None:
        self.iter, self.rate, self.doing = iteration, rate, ""
        self.loss.add(loss)
        self.norm.add(norm)
        self._seen = self._clock()
        self._marks.append((self._seen, iteration))
        while self._seen - self._marks[0][0] > WINDOW and len(self._marks) > 2:
            self._marks.popleft()

    def test(self, tested: Tested) -> None:
        self.doing = ""
        for name, values in tested.outputs.items():
            for i, value in enumerate(np.ravel(values)[:MOST_SCORES]):
                which = f" #{tested.net}" if tested.net else ""
                key = f"{name}[{i}]{which}" if np.size(values) > 1 else f"{name}{which}"
                self._score(
                    _plain(key), float(value), tested.iter, least=bool(tested.weights[name])
                )

    def _score(self, key: str, value: float, when: int, *, least: bool) -> None:
        """least: it is a loss, so the smallest is the best; NaN is never the best."""
        _, _, since, best = self._scores.get(key, (0, 0.0, when, value))
        if best != best or (value < best if least else value > best):
            since, best = when, value
        self._scores[key] = (when, value, since, best)

    def end(self) -> None:
        self._ended, self.doing = True, ""

    # ------------------------------------------------------------------ what follows from them

    def speed(self) -> float:
        """Iterations a second over the last minute; 0 before the first."""
        (since, first), (until, last) = self._marks[0], self._marks[-1]
        return (last - first) / (until - since) if until > since else 0.0

    def left(self) -> float | None:
        """Seconds to the end; None before that can be told."""
        now, speed = self._clock(), self.speed()
        found = [self._began + self._limit - now] if self._limit is not None else []
        if speed:
            found.append((self.goal - self.iter) / speed - (now - self._seen))
        return max(min(found), 0.0) if found else None

    def state(self) -> str:
        if self._ended:
            return "stopped" if self.iter < self.goal else "done"
        if self._stopping is not None and self._stopping.stop:
            return "stopping after this iteration; Ctrl-C again: at once"
        return self.doing or "training"

    # ------------------------------------------------------------------ how it looks

    def draw(self) -> Any:
        from rich.console import Group
        from rich.panel import Panel
        from rich.text import Text

        # a terminal writes ^C behind the view, which must not begin another line
        width = min(WIDEST, max(40, _columns() - 3))
        inner = width - 4
        parts = [*self._curve(inner), self._bar(), self._figures(inner)]
        if self._scores:
            parts.append(self._tests())
        return Panel(
            Group(*parts),
            title=Text(self.title, "bold"),
            subtitle=Text(self.state(), "cyan"),
            title_align="left",
            subtitle_align="right",
            border_style="dim",
            width=width,
        )

    def _curve(self, width: int) -> list[Any]:
        """The loss over the whole training, its largest and smallest mean beside it."""
        from rich.text import Text

        values = self.loss.values
        scale = ", log scale" if logarithmic(values) else ""
        head = Text.assemble(("loss ", "dim"), (_short(self.loss.last), "bold green"))
        head.append(f"   mean of {self.loss.each}{scale}" if self.loss.each > 1 else scale, "dim")
        if not values:
            return [head]
        margin = 9
        lines = curve(values, width - margin, HEIGHT)
        labels = [_short(max(values)), *[""] * (HEIGHT - 2), _short(min(values))]
        rows = [
            Text.assemble((f"{label:>{margin - 1}} ", "dim"), (line, "green"))
            for label, line in zip(labels, lines, strict=True)
        ]
        return [head, *rows]

    def _bar(self) -> Any:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        left = self.left()
        words = f"{self.iter:,} of {self.goal:,}  {_speed(self.speed())}  "
        spent = _clock(self._clock() - self._began)
        words += f"{spent} taken" if self._ended else f"{_clock(left)} left"
        row = Table.grid(padding=(0, 2, 0, 0), expand=True)
        row.add_column(ratio=1)
        row.add_column(justify="right", no_wrap=True)
        bar = ProgressBar(self.goal, self.iter, complete_style="green", finished_style="green")
        row.add_row(bar, Text(words))
        return row

    def _figures(self, width: int) -> Any:
        from rich.text import Text

        text = Text.assemble(
            ("learning rate ", "dim"),
            _short(self.rate),
            ("   gradient norm ", "dim"),
            f"{_short(self.norm.last)} ",
            (bars(self.norm.values, max(8, width - 76)), "magenta"),
            ("   memory ", "dim"),
            f"{self.memory() / 2**20:,.0f} MiB",
        )
        text.no_wrap = width >= 76
        return text

    def _tests(self) -> Any:
        from rich.table import Table
        from rich.text import Text

        rows = Table.grid(padding=(0, 3, 0, 0))
        for name, (when, value, since, best) in self._scores.items():
            known = f"best {_short(best)} at {since:,}" if since != when else "the best so far"
            told = (_short(value), "bold"), (f"  at {when:,}, {known}", "dim")
            rows.add_row(Text("test", "dim"), Text(name), Text.assemble(*told))
        return rows


def _plain(name: str) -> str:
    """A name without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in name)


def _columns() -> int:
    import shutil

    return shutil.get_terminal_size().columns


def _short(value: float) -> str:
    """Four digits."""
    return f"{value:.4g}" if value == value else "-"


def _speed(speed: float) -> str:
    if not speed:
        return "- it/s"
    return f"{speed:.3g} it/s" if speed >= 1 else f"{1 / speed:.3g} s/it"


def _clock(seconds: float | None) -> str:
    """0:07, 12:34 or 5:01:07."""
    if seconds is None:
        return "-"
    minutes, s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{s:02}" if hours else f"{minutes}:{s:02}"
