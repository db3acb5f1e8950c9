"""Times on a device: events that it passes in its stream; on the CPU the host's clock.

    clock.mark() -> mark          clock.milliseconds(mark, later)          clock.busy()

An event is passed when the device comes to it, so what a kernel takes is measured only if the host
is ahead of the device: `busy` keeps the device at work while the host launches the rest.
"""

from __future__ import annotations

import time
from typing import Any

BUSY = 40  # copies of BYTES, about 25 ms of a card's time
BYTES = 1 << 30


class HostClock:
    def mark(self) -> Any:
        return time.perf_counter()

    def milliseconds(self, mark: Any, later: Any) -> float:
        return 1e3 * (later - mark)

    def busy(self) -> None:
        """The host is the device."""

    def wait(self) -> None:
        """Until all is done."""


class CupyClock(HostClock):
    def __init__(self, card: Any) -> None:
        self.card, self.cuda = card, card.cupy.cuda
        self.source, self.target = (card.zeros(BYTES, "uint8") for _ in range(2))

    def mark(self) -> Any:
        event = self.cuda.Event()
        event.record(self.card.stream)
        return event

    def milliseconds(self, mark: Any, later: Any) -> float:
        later.synchronize()
        return float(self.cuda.get_elapsed_time(mark, later))

    def busy(self) -> None:
        for _ in range(BUSY):
            self.target[...] = self.source

    def wait(self) -> None:
        self.card.synchronize()


class TorchClock(HostClock):
    def __init__(self) -> None:
        import torch

        self.cuda = torch.cuda
        self.source, self.target = (
            torch.zeros(BYTES, dtype=torch.uint8, device="cuda") for _ in range(2)
        )

    def mark(self) -> Any:
        event = self.cuda.Event(enable_timing=True)
        event.record()
        return event

    def milliseconds(self, mark: Any, later: Any) -> float:
        later.synchronize()
        return float(mark.elapsed_time(later))

    def busy(self) -> None:
        for _ in range(BUSY):
            self.target.copy_(self.source)

    def wait(self) -> None:
        self.cuda.synchronize()


def timed(clock: HostClock, run: Any, times: int) -> float:
    """Milliseconds of one of several runs in a row."""
    clock.wait()
    begin = clock.mark()
    for _ in range(times):
        run()
    return clock.milliseconds(begin, clock.mark()) / times
