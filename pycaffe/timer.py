"""Timer: start, stop, milliseconds."""

from __future__ import annotations

import time


class Timer:
    """Measures from `start` to `stop`; `ms` stops it where it still runs (Caffe's Timer)."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._ms = 0.0

    def start(self) -> None:
        """Begin, unless begun already."""
        if self._began is None:
            self._began = time.perf_counter()

    def stop(self) -> None:
        if self._began is not None:
            self._ms = (time.perf_counter() - self._began) * 1e3
            self._began = None

    @property
    def ms(self) -> float:
        """Milliseconds of the last measurement; 0 before the first."""
        self.stop()
        return self._ms
