"""init_log, log, and a solver's lines: glog's format on stderr.

Caffe writes to files in /tmp once init_log was called without `stderr`; here lines go to stderr in
any case.  GLOG_minloglevel in the environment (or init_log's level) silences what is below it:
0 INFO, 1 WARNING, 2 ERROR, 3 FATAL.
"""

from __future__ import annotations

import sys

from ..tools._glog import Glog, SolverLog, environments_level

_asked: list[int] = []  # the last level that init_log was told, if any


class Lines(Glog):
    """A log whose lines go to whatever stderr is at the time, unless they are silenced."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def __call__(self, place: str, message: str, level: str = "I") -> None:
        self.out, self.least = sys.stderr, _asked[-1] if _asked else environments_level()
        super().__call__(place, message, level)


def init_log(level: int | None = None, stderr: bool = False) -> None:
    """Silence lines below `level`."""
    if level is not None:
        _asked[:] = [int(level)]


def log(message: str) -> None:
    """One line at INFO."""
    Lines()("_caffe.cpp:68", message)


def warn(message: str) -> None:
    """One line at WARNING."""
    Lines().own(message, "W")


def solver_log(param: object) -> SolverLog:
    """Says what a solver does."""
    return SolverLog(Lines(), param)
