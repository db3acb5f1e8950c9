"""Reading what trainings left: log.jsonl (written by `_record.py`), or a log in Caffe's words.

    run = read("runs/unet")         a folder with log.jsonl, such a file, or Caffe's log as text
    run = read("runs/unet/first")   of several trainings in a folder the one with this prefix

A log.jsonl may hold several runs: the last is meant, or the last with the prefix.  One that went on
from a snapshot is joined to the run that wrote it: of that one counts what came before the
snapshot.  Lines that are no JSON objects of ours, as the last of a run that was cut, are passed
over; missing numbers are nan.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import DataError
from . import _logs
from ._logs import Score, Step
from ._record import NAME


@dataclass
class Run:
    """path: of the log; start: its first line, empty for Caffe's; states: (iteration, path) of the
    snapshots; model: the file to deploy; end: how it ended, empty where that is not said; parts:
    how many runs were joined; others: prefixes of other trainings in the log, if none was named."""

    path: Path
    start: Mapping[str, Any] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    scores: list[Score] = field(default_factory=list)
    states: list[tuple[int, str]] = field(default_factory=list)
    model: str = ""
    end: Mapping[str, Any] = field(default_factory=dict)
    parts: int = 1
    others: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of the folder and the prefix, or of the file."""
        prefix = _prefix(self.start)
        folder = self.path.absolute().parent.name
        return f"{folder}/{prefix}" if prefix else self.path.name

    @property
    def seconds(self) -> float:
        """From the first iteration to the last thing that was written down."""
        found = [s.seconds for s in self.steps] + [s.seconds for s in self.scores]
        found.append(number(self.end.get("seconds")))
        return max((s for s in found if s == s), default=math.nan)

    @property
    def iterations(self) -> int:
        """How far it came, as far as it is known."""
        known = [step.iter for step in self.steps] + [when for when, _ in self.states]
        return max([*known, int(number(self.end.get("iter"), 0.0))], default=0)

    def near(self, path: str) -> Path | None:
        """A file that the log names: beside the log, or where it was."""
        places = (self.path.parent / Path(path).name, self.folder / path)
        return next((p for p in places if p.is_file()), None)

    @property
    def folder(self) -> Path:
        """What its relative paths are relative to."""
        return Path(text(self.start.get("folder")))


def read(path: str | Path) -> Run:
    """Read a run; DataError where there is none."""
    where, prefix = Path(path), ""
    if where.is_dir():
        where = where / NAME
        if not where.is_file():
            below = [str(log.parent) for log in sorted(Path(path).glob(f"*/{NAME}"))]
            remedy = "Name the folder of a training's snapshots, or a log in Caffe's format"
            if below:
                remedy = f"Name one of {', '.join(below[:8])}{', ...' * (len(below) > 8)}"
            raise DataError(f"holds no {NAME}", where=str(path), remedy=remedy)
    elif not where.exists() and (where.parent / NAME).is_file():
        where, prefix = where.parent / NAME, where.name
    try:
        with open(where, encoding="utf-8", errors="replace") as file:
            lines = list(file)
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", where=str(where)) from error
    ours = is_ours(lines)
    run = _joined(where, lines, prefix) if ours else _from_caffe(where, _logs.read(lines))
    if not (run.steps or run.scores or run.start):
        raise DataError(
            "tells of no training",
            where=str(where),
            expected=f"{NAME}, or a log in Caffe's format: 'Iteration 20, loss = 0.5'",
        )
    return run


def is_ours(lines: Sequence[str]) -> bool:
    """Whether the first line that says something is one of a log.jsonl."""
    return next((line for line in lines if line.strip()), "").lstrip().startswith("{")


def _from_caffe(path: Path, log: _logs.Log) -> Run:
    start: dict[str, Any] = {}
    if log.solver:
        start["solver"] = {"text": log.solver, "path": "the log's solver"}
    if log.net:
        start["nets"] = {"the log's first net": log.net}
    end = {"reason": "finished"} if log.done else {}
    return Run(path, start, log.steps, log.scores, log.states, end=end)


def _records(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict) and isinstance(found.get("kind"), str):
            yield found


def own(path: Path, prefix: str) -> Callable[[Path], bool]:
    """Whether a snapshot is of the last training with this prefix, by its log.jsonl, in however
    many runs; of a run that another one went on from only what came before that.  A file that the
    log does not name is taken for its own if it is no older than the last run."""
    name, order = Path(prefix).name, []
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
        lines = (line for line in file if '"start"' in line or '"snapshot"' in line)
        order = [r for r in _started(lines) if _prefix(r[0]) == name]
    chain = _chain(order)
    if not chain:
        return lambda snapshot: True
    named = {Path(state).name for _, state in _run(path, chain).states}
    named |= {
        Path(text(run[0]["resumed"].get("snapshot"))).name
        for run in chain
        if isinstance(run[0].get("resumed"), dict)
    }
    since = -math.inf
    with suppress(ValueError, OverflowError):
        since = datetime.fromisoformat(text(chain[-1][0].get("time"))).timestamp()

    def is_own(snapshot: Path) -> bool:
        state = snapshot.name.replace(".caffemodel", ".solverstate")
        return state in named or snapshot.stat().st_mtime >= since

    return is_own


def _joined(path: Path, lines: Sequence[str], prefix: str) -> Run:
    """The last run, with this prefix if there is one, and before it those that it goes on from."""
    order = _started(lines)
    names = [_prefix(run[0]) for run in order]
    if prefix and prefix not in names:
        raise DataError(
            f"tells of no training with the prefix '{prefix}'",
            where=str(path),
            expected=" or ".join(dict.fromkeys(names)),
        )
    while prefix and _prefix(order[-1][0]) != prefix:
        order.pop()
    chain = _chain(order)
    run = _run(path, chain) if chain else Run(path)
    if not prefix:
        run.others = tuple(name for name in dict.fromkeys(names) if name not in ("", names[-1]))
    return run


def _prefix(start: Mapping[str, Any]) -> str:
    """Of a training's files, without their folder."""
    return Path(text(start.get("prefix"))).name


def _started(lines: Iterable[str]) -> list[list[dict[str, Any]]]:
    """The records of each run."""
    runs: dict[str, list[dict[str, Any]]] = {}
    for record in _records(lines):
        runs.setdefault(text(record.get("run")), []).append(record)
    return [run for run in runs.values() if run[0]["kind"] == "start"]


def _chain(order: Sequence[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    """The last run, and before it those that it goes on from."""
    chain, at = [*order[-1:]], len(order) - 1
    while chain and (before := _before(order[:at], chain[0][0].get("resumed"))) is not None:
        chain.insert(0, order[before])
        at = before
    return chain


def _before(runs: Sequence[list[dict[str, Any]]], resumed: Any) -> int | None:
    """The last run that wrote the snapshot that another goes on from."""
    if not isinstance(resumed, dict):
        return None
    name = Path(text(resumed.get("snapshot"))).name
    for i in reversed(range(len(runs))):
        if any(r["kind"] == "snapshot" and Path(text(r.get("path"))).name == name for r in runs[i]):
            return i
    return None


def _run(path: Path, chain: Sequence[list[dict[str, Any]]]) -> Run:
    run = Run(path, chain[-1][0], parts=len(chain))
    since = 0.0  # seconds that the parts before took
    for k, records in enumerate(chain):
        following = chain[k + 1][0]["resumed"] if k + 1 < len(chain) else {}
        until, last = number(following.get("iter"), math.inf), since
        for record in records:
            when = number(record.get("iter"), 0.0)
            kind, seconds = record["kind"], since + number(record.get("seconds"))
            if (when > until if kind == "snapshot" else when >= until) or not 0 <= when < 1 << 53:
                continue
            _add(run, record, kind, int(when), seconds)
            last = max(last, seconds) if seconds == seconds else last
        since = last
    run.end = next((r for r in reversed(chain[-1]) if r["kind"] == "end"), {})
    if run.end:
        run.end = {**run.end, "seconds": since}
    return run


def _add(run: Run, record: Mapping[str, Any], kind: str, when: int, seconds: float) -> None:
    if kind == "train":
        names = ("loss", "smoothed", "lr", "gradient_norm")
        loss, smoothed, rate, norm = (number(record.get(name)) for name in names)
        resident = number(record.get("resident"))
        run.steps.append(Step(when, loss, smoothed, rate, norm, seconds, resident))
    elif kind == "final":
        smoothed = number(record.get("smoothed"))
        run.steps.append(Step(when, smoothed=smoothed, seconds=seconds))
    elif kind == "test":
        outputs = record.get("outputs")
        found = {k: numbers(v) for k, v in outputs.items()} if isinstance(outputs, dict) else {}
        run.scores.append(Score(when, int(number(record.get("net"), 0.0)), found, seconds))
    elif kind == "snapshot":
        run.states.append((when, text(record.get("path"))))
    elif kind == "model":
        run.model = text(record.get("path"))


def number(value: Any, otherwise: float = math.nan) -> float:
    """A finite number of a JSON object."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300
    return float(value) if good else otherwise


def numbers(value: Any) -> list[float]:
    return [number(v) for v in value] if isinstance(value, list) else []


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""
