"""What Ctrl-C and kill do to a training: Caffe's signal effects.

    with obeyed(solver, {signal.SIGINT: "stop", signal.SIGHUP: "snapshot"}):
        solver.solve()

"stop" finishes the iteration, writes a snapshot and ends; "snapshot" writes one after the iteration
and goes on; "none" ignores the signal.  Afterwards the signals mean what they meant before.

Source: Caffe's src/caffe/util/signal_handler.cpp.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from ..scale.wishes import Wishes
    from ..solvers import Solver

EFFECTS = ("stop", "snapshot", "none")


def add_effects(parser: argparse.ArgumentParser) -> None:
    """`-sigint_effect`, `-sighup_effect`, as Caffe spells them."""
    for name, default in (("sigint", "stop"), ("sighup", "snapshot")):
        parser.add_argument(
            f"-{name}_effect",
            f"--{name}_effect",
            choices=EFFECTS,
            default=default,
            help=f"what {name.upper()} does (default {default})",
        )


@contextmanager
def obeyed(
    solver: Solver,
    effects: Mapping[signal.Signals, str],
    *,
    again_at_once: bool = False,
    quiet: bool = False,
    asked: Solver | Wishes | None = None,
) -> Iterator[None]:
    """Let signals act on the solver meanwhile.

    again_at_once: say so when a stop is asked for, and let the second one interrupt at once; quiet:
    a view says so.  Where it interrupts, the solver's observer is told which snapshot holds the
    progress.  asked: what is told to stop or to snapshot, if not the solver itself.
    """
    told, asked = False, asked or solver

    def handler(number: int, frame: object) -> None:
        nonlocal told
        effect = effects[signal.Signals(number)]
        if effect == "snapshot":
            asked.snapshot_now = True
        elif effect == "stop":
            if told and again_at_once:
                raise KeyboardInterrupt
            told = asked.stop = True
            if again_at_once and not quiet:
                # not print: a handler may interrupt a print
                os.write(2, b"stopping after this iteration (again: at once)\n")

    before = {number: signal.signal(number, handler) for number in effects}
    try:
        yield
    except KeyboardInterrupt:
        solver.observer.said(f"interrupted at iteration {solver.iter}: {go_on(solver)}")
        raise
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def go_on(solver: Solver) -> str:
    """Which snapshot holds the progress, and how to go on from it."""
    from ..solvers.snapshot import kept

    last = solver.last_snapshot
    return kept(solver) + (
        f"; to go on from it: --resume auto, or -snapshot {last}" if last else ""
    )


def last_words(solver: Solver, began: int, path: str) -> str:
    """How to go on with a training that was stopped, or that has gone no further than where it
    began; "" of any other.  path: the solver's prototxt."""
    if solver.stop:
        return f"stopped at iteration {solver.iter}: {go_on(solver)}"
    if began >= solver.param.max_iter:
        more = f"for more iterations raise max_iter in {path}, or give a larger --max-iter"
        return f"nothing was left to do: iteration {began} is as far as max_iter; {more}"
    return ""
