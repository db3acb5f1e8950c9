"""Contestants take turns, each in a process of its own, so that a noisy neighbour meets all alike.

    compete(contestants, repeat)     a function of each, called again and again: A B C A B C ...
    compete_commands(argvs, repeat)  whole processes, from start to exit, in turns as well

The first turn is a warm-up.  Peak memory is the largest resident set of the process; the process
that measures stays small and does no arithmetic.
"""

from __future__ import annotations

import importlib
import math
import multiprocessing
import os
import resource
import statistics
import subprocess
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

REST = 0.3  # seconds until the threads of whoever ran have gone to sleep


class Contestant(NamedTuple):
    """module.make(**options) returns the function to be timed."""

    name: str
    module: str
    options: Mapping[str, Any]


@dataclass
class Outcome:
    """seconds of each turn; bytes resident when ready and at most; what the function returned in
    each turn; error: why it did not finish."""

    seconds: list[float] = field(default_factory=list)
    ready_bytes: int = 0
    peak_bytes: int = 0
    found: list[Any] = field(default_factory=list)
    error: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def record(self) -> dict[str, Any]:
        """For JSON."""
        if self.error:
            return {"error": self.error}
        return {
            "median": self.median,
            "seconds": self.seconds,
            "ready_bytes": self.ready_bytes,
            "peak_bytes": self.peak_bytes,
        }


def compete(
    contestants: Sequence[Contestant], repeat: int, warm_up: int = 1, budget: float = math.inf
) -> dict[str, Outcome]:
    """The outcome of each by its name; one that fails drops out and the others go on.

    budget: seconds; when two thirds are used nobody else starts, and no turn begins that would not
    end in them, as long as the last one.
    """
    context, began = multiprocessing.get_context("spawn"), time.monotonic()
    running, outcomes = {}, {c.name: Outcome() for c in contestants}

    def ask(name: str) -> Any:
        """The next message of a contestant; None where it failed."""
        pipe, process = running[name]
        try:
            kind, *message = pipe.recv()
        except EOFError:
            process.join()
            kind, message = "error", [f"ended with exit code {process.exitcode}"]
        if kind != "error":
            return message
        outcomes[name].error = message[0]
        del running[name]
        return None

    for c in contestants:  # one after the other: what one builds shall not disturb another
        if time.monotonic() - began > budget * 2 / 3:
            outcomes[c.name].error = f"left out: {budget:.0f} s were not enough for all"
            continue
        pipe, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(c.module, dict(c.options), theirs))
        process.start()
        theirs.close()
        running[c.name] = (pipe, process)
        if message := ask(c.name):
            (outcomes[c.name].ready_bytes,) = message
    started, last = dict(running), 0.0
    for turn in range(warm_up + repeat):
        turned = time.monotonic()
        if turn > warm_up and turned - began + last > budget:
            break
        for name in list(running):
            running[name][0].send(True)
            if message := ask(name):
                seconds, outcomes[name].peak_bytes, found = message
                if turn >= warm_up:
                    outcomes[name].seconds.append(seconds)
                    outcomes[name].found.append(found)
            time.sleep(REST)
        last = time.monotonic() - turned
    for name, (pipe, process) in started.items():
        if name in running:
            pipe.send(False)
        process.join()
    return outcomes


def _serve(module: str, options: dict[str, Any], pipe: Any) -> None:
    """Build, then run each time the parent says so; answer with seconds and the peak so far."""
    try:
        run = importlib.import_module(module).make(**options)
        pipe.send(("ready", resident("VmRSS")))
        while pipe.recv():
            begin = time.perf_counter()
            found = run()
            seconds = time.perf_counter() - begin
            pipe.send(("ran", seconds, resident("VmHWM"), found))
    except Exception as error:
        traceback.print_exc()
        pipe.send(("error", f"{type(error).__name__}: {error}".splitlines()[0]))


def resident(what: str) -> int:
    """Bytes of this process in memory now (VmRSS) or at most (VmHWM); elsewhere than on Linux at
    most, both."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def compete_commands(argvs: Mapping[str, Sequence[str]], repeat: int) -> dict[str, Outcome]:
    """Each command's seconds from start to exit, and its peak memory.

    The kernel counts what a process had before its exec too, so peaks below this one's are wrong.
    """
    outcomes = {name: Outcome() for name in argvs}
    for turn in range(repeat + 1):
        for name, argv in argvs.items():
            if outcomes[name].error:
                continue
            begin = time.perf_counter()
            process = subprocess.Popen(
                argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            said = process.stderr.read()
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            process.stderr.close()
            if process.returncode:
                last = (said.strip().splitlines() or [""])[-1]
                outcomes[name].error = f"exit code {process.returncode}: {last}"
            else:
                outcomes[name].peak_bytes = max(outcomes[name].peak_bytes, usage.ru_maxrss * 1024)
                if turn:
                    outcomes[name].seconds.append(seconds)
            time.sleep(REST)
    return outcomes
