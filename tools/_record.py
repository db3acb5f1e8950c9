"""`log.jsonl`: what a training does, one JSON object a line, beside its snapshots.

    start       solver, nets, seed, versions, machine, SHA-256 of every file that was read
    train       a displayed iteration: loss, its mean over average_loss, learning rate, outputs, L2
                norm of the gradient (before clip_gradients, as Caffe measures it)
    test        mean outputs of a test net
    snapshot, model     a file that was written
    final       the loss of one more forward pass, with the last parameters
    end         finished, stopped, interrupted or failed, and why

Every line but the first kind has `seconds` since the start and `resident`, bytes of this process in
memory.  All lines of a run carry its `run`, so several may share a folder; a training that goes on
from a snapshot appends another run, which says from where.  Each line is one write to a file opened
for appending: what a crash or a full disk cuts is the last line, and the next run begins a new one.
A value that is not finite is null.  `_runs.py` reads it.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import netspec
from ..data.hdf5 import read_list
from ..solvers.observer import Display, Observer, Tested
from ._environment import machine, resident, versions

if TYPE_CHECKING:
    from ..solvers import Solver

NAME = "log.jsonl"
HASHED = 2 << 30  # bytes of files that are hashed before a training: two seconds


def beside(prefix: str) -> Path:
    """Where the log of a training with this snapshot_prefix is."""
    return Path(os.path.dirname(prefix), NAME)


class RunLog(Observer):
    """path: the file; say: where a line goes if the log cannot be written, which ends the log but
    not the training.  As a context it ends the run, however that came about."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self.path, self._say = path, say
        self.run = secrets.token_hex(4)
        self._began = time.monotonic()
        self._file: int | None = None
        self._solver: Solver | None = None

    def begin(
        self,
        solver: Solver,
        source: netspec.Source,
        *,
        options: Mapping[str, Any],
        command: Sequence[str] = (),
        snapshot: str | Path | None = None,
    ) -> None:
        """Write what is known before the first iteration; snapshot: the state that was restored."""
        self._solver, self._began = solver, time.monotonic()
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND
            self._file = os.open(self.path, flags, 0o666)
            size = os.fstat(self._file).st_size
            if size and os.pread(self._file, 1, size - 1) != b"\n":  # an earlier run was cut
                os.write(self._file, b"\n")
        except OSError as error:
            self._give_up(error)
            return
        resumed = {"snapshot": str(snapshot), "iter": solver.iter} if snapshot else None
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        self._write(
            "start",
            time=now.isoformat(),
            folder=os.getcwd(),
            command=list(command),
            resumed=resumed,
            **described(solver, source),
            options={k: v for k, v in options.items() if k not in ("device", "tuner")},
            device=solver.net.device.title,
            versions=versions(),
            machine=machine(),
        )

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if self._solver is None:
            return
        reason = "stopped" if self._solver.stop else "finished"
        if kind is not None:
            reason = "interrupted" if issubclass(kind, KeyboardInterrupt) else "failed"
        self._now("end", iter=self._solver.iter, reason=reason, error=str(error or "") or None)
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def displayed(self, display: Display) -> None:
        self._now(
            "train",
            iter=display.iter,
            loss=float(display.loss),
            smoothed=float(display.smoothed),
            lr=float(display.rate),
            gradient_norm=display.gradient_norm,
            outputs=lists(display.outputs),
        )

    def tested(self, tested: Tested) -> None:
        outputs = lists(tested.outputs)
        self._now("test", iter=tested.iter, net=tested.net, loss=tested.loss, outputs=outputs)

    def snapshotted(self, path: Path) -> None:
        self._now("snapshot", iter=self._solver.iter if self._solver else 0, path=str(path))

    def wrote(self, model: Path) -> None:
        """The deployable model is on disk."""
        self._now("model", path=str(model))

    def finished(self, iteration: int, smoothed: float) -> None:
        self._now("final", iter=iteration, smoothed=smoothed)

    def _now(self, kind: str, **fields: Any) -> None:
        seconds = round(time.monotonic() - self._began, 3)
        self._write(kind, **fields, seconds=seconds, resident=resident())

    def _write(self, kind: str, **fields: Any) -> None:
        if self._file is None:
            return
        line = json.dumps(finite({"kind": kind, "run": self.run, **fields}), allow_nan=False)
        try:
            data = line.encode() + b"\n"
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._say(f"{self.path}: {error.strerror or error}: the training goes on without this log")


def described(solver: Solver, source: netspec.Source) -> dict[str, Any]:
    """The solver, its nets and its data."""
    net, param = solver.net, solver.param
    budget = HASHED
    files: dict[str, dict[str, Any]] = {}
    named = dict.fromkeys([source.path, *nets(param), *weights(param), *data(solver)])
    for path in named:
        files[path] = file_record(path, budget)
        budget -= files[path].get("bytes", 0) if "sha256" in files[path] else 0
    return {
        "solver": {"path": source.path, "type": solver.type, "text": netspec.to_text(param)},
        "nets": {path: netspec.to_text(netspec.read_net(path).message) for path in nets(param)},
        "net": {
            "name": net.name,
            "layers": len(net.layers),
            "parameters": sum(p.count for p in net.learnable),
            "activations": sum(n.planned.arena_bytes for n in (net, *solver.test_nets)),
            "dtype": net.dtype.name,
        },
        "seed": net.seed,
        "max_iter": param.max_iter,
        "prefix": param.snapshot_prefix,
        "files": files,
    }


def nets(param: Any) -> list[str]:
    """The files that name the solver's nets."""
    named = [getattr(param, n) for n in ("net", "train_net") if param.HasField(n)]
    return [*named, *param.test_net]


def weights(param: Any) -> list[str]:
    """The parameter files that the training starts from."""
    from ..solvers.build import weight_files

    return weight_files(param)


def data(solver: Solver) -> list[str]:
    """The files of training and test data: lists, what HDF5 lists name, databases."""
    found: list[str] = []
    for net in (solver.net, *solver.test_nets):
        for node in net.graph.nodes:
            if node.type == "HDF5Data":
                source = node.layer.hdf5_data_param.source
                found += [source, *read_list(source)]
            elif node.type == "Data":
                found.append(os.path.join(node.layer.data_param.source, "data.mdb"))
            elif node.type == "ImageData":
                found.append(node.layer.image_data_param.source)
    return found


def file_record(path: str, budget: int) -> dict[str, Any]:
    """Size, time and, where it is no larger than `budget`, SHA-256; empty if it has gone."""
    try:
        stat = os.stat(path)
        changed = datetime.datetime.fromtimestamp(int(stat.st_mtime), datetime.UTC)
        found: dict[str, Any] = {"bytes": stat.st_size, "changed": changed.isoformat()}
        if stat.st_size <= budget:
            with open(path, "rb") as file:
                found["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return {}
    return found


def lists(outputs: Mapping[str, np.ndarray]) -> dict[str, list[float]]:
    return {name: np.ravel(values)[:100].tolist() for name, values in outputs.items()}


def finite(value: Any) -> Any:
    """The same for JSON: None for numbers that are not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [finite(v) for v in value]
    return value
