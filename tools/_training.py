"""What a training says: Caffe's lines.  On a terminal `_live.py` shows a view instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from ..net.engines import engines
from ..solvers.observer import Display, Observer, Tested

if TYPE_CHECKING:
    from ..solvers import Solver


class TrainingLog(Observer):
    """Writes to `out`, a line at a time."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.test_loss = False

    def header(self, solver: Solver) -> None:
        """What will run, and in how much memory."""
        net, param, planned = solver.net, solver.param, solver.net.planned
        self.test_loss = param.test_compute_loss
        count = sum(p.count for p in net.learnable)
        learning = mib(count * net.dtype.itemsize * (2 + solver.histories))
        activations = sum(n.planned.arena_bytes for n in (net, *solver.test_nets))
        name = net.name or "(no name)"
        self.said(f"net {name}: {count:,} parameters, {len(net.layers)} layers")
        self.said(
            f"memory: {learning} for parameters, gradients and history;"
            f" {mib(activations)} for activations"
            f" (one array per blob, as in Caffe: {mib(planned.one_each_bytes)})"
        )
        self.said(f"engine: {engines(net)}")
        place = f"CPU, {blas()}, {net.dtype.name}" if net.device.on_host else net.device.title
        self.said(f"device: {place}; random seed {net.seed}")
        goal = f"to iteration {param.max_iter}, results at {param.snapshot_prefix}*"
        self.said(f"solver: {solver.type} {goal}")

    @contextmanager
    def running(self, solver: Solver) -> Iterator[None]:
        """While the solver steps."""
        yield

    def said(self, message: str) -> None:
        print(message, file=self.out, flush=True)

    def displayed(self, display: Display) -> None:
        d = display
        speed = d.done / d.seconds if d.seconds > 0 else 0.0
        self.said(
            f"Iteration {d.iter} ({speed:.3g} iter/s, {d.seconds:.3g}s/{d.done} iters),"
            f" loss = {d.smoothed:.6g}"
        )
        self._outputs("Train", d.outputs, d.weights)
        self.said(f"Iteration {d.iter}, lr = {d.rate:g}, gradient norm = {d.gradient_norm:.4g}")

    def finished(self, iteration: int, smoothed: float) -> None:
        self.said(f"Iteration {iteration}, loss = {smoothed:.6g}")

    def testing(self, iteration: int, net: int) -> None:
        self.said(f"Iteration {iteration}, Testing net (#{net})")

    def tested(self, tested: Tested) -> None:
        if self.test_loss:
            self.said(f"Test loss: {tested.loss:.6g}")
        self._outputs("Test", tested.outputs, tested.weights)

    def remarked(self, layer_type: str, line: str) -> None:
        self.said(f"    {line}")

    def snapshotted(self, path: Path) -> None:
        kind = "HDF5" if path.suffix == ".h5" else "binary proto"
        self.said(f"Snapshotting solver state to {kind} file {path}")

    def _outputs(
        self, which: str, outputs: Mapping[str, np.ndarray], weights: Mapping[str, float]
    ) -> None:
        """`    Test net output #0: loss = 0.5 (* 1 = 0.5 loss)`, one line per element."""
        number = 0
        for name, values in outputs.items():
            for value in values[:100]:
                weight = weights[name]
                loss = f" (* {weight:g} = {weight * value:.6g} loss)" if weight else ""
                self.said(f"    {which} net output #{number}: {name} = {value:.6g}{loss}")
                number += 1


def mib(size: float) -> str:
    return f"{size / 2**20:,.0f} MiB"


def blas() -> str:
    """The BLAS that NumPy calls, and its threads."""
    from threadpoolctl import threadpool_info

    found = [i for i in threadpool_info() if i["user_api"] == "blas"]
    if not found:
        return "NumPy's BLAS"
    return f"{found[0]['internal_api']} {found[0]['version']} on {found[0]['num_threads']} threads"
