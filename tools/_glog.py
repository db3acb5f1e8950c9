"""Caffe's log: lines in glog's format, so that scripts written for Caffe's logs read ours.

    I1122 23:59:59.123456  1234 solver.cpp:239] Iteration 0 (0 iter/s, 0s/20 iters), loss = 0.75

level and date, time, thread, then the place in Caffe's sources where Caffe says the same (BVLC 1.0;
scripts look for it), or `demitasse` where we say something that Caffe does not.

Source: glog's line format; the sentences that log readers depend on (src/caffe/solver.cpp).
"""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from ..solvers.observer import Display, Observer, Tested

if TYPE_CHECKING:
    from ..solvers import Solver

OURS = "demitasse"
LEVELS = "IWEF"  # INFO, WARNING, ERROR, FATAL


def environments_level() -> int:
    """The index in LEVELS below which GLOG_minloglevel silences a log."""
    said = os.environ.get("GLOG_minloglevel", "0")  # noqa: SIM112 (glog's own spelling)
    return int(said) if said.isdigit() else 0


class Glog:
    """log("solver.cpp:289", "Solving net") writes one entry; its first line carries the header.

    least: the index in LEVELS below which nothing is written.
    """

    def __init__(self, out: TextIO, least: int = 0) -> None:
        self.out, self.least = out, least

    def __call__(self, place: str, message: str, level: str = "I") -> None:
        if LEVELS.index(level) < self.least:
            return
        now = f"{datetime.now():%m%d %H:%M:%S.%f}"
        print(
            f"{level}{now} {threading.get_native_id():5d} {place}] {message}",
            file=self.out,
            flush=True,
        )

    def own(self, message: str, level: str = "I") -> None:
        """Our own words."""
        self(OURS, message, level)


def add_glog(parser: argparse.ArgumentParser) -> None:
    """glog's flags, which Caffe's commands have: `-minloglevel N`, `-logtostderr`, and `-log_dir`,
    which is refused."""
    parser.add_argument(
        "-minloglevel",
        "--minloglevel",
        type=int,
        choices=range(len(LEVELS)),
        default=environments_level(),
        help="silence the log below 1 WARNING, 2 ERROR, 3 FATAL (default: GLOG_minloglevel in the "
        "environment, or 0)",
    )
    parser.add_argument(
        *("-alsologtostderr", "--alsologtostderr", "-logtostderr", "--logtostderr"),
        action="store_true",
        help="as without it: the log goes to stderr alone",
    )
    parser.add_argument(
        "-log_dir", "--log_dir", type=_no_files, metavar="DIR", help="refused: 2>&1 | tee FILE"
    )


def _no_files(folder: str) -> str:
    raise argparse.ArgumentTypeError(
        "the log goes to stderr alone; leave this out, and keep it with 2>&1 | tee "
        + os.path.join(folder, "caffe.log")
    )


class Spoken(Glog):
    """Of the log what a reader of a table must know: our own words, and layers left out."""

    def __call__(self, place: str, message: str, level: str = "I") -> None:
        if place in (OURS, "net.cpp:746"):
            print(message, file=self.out, flush=True)


def elements(
    outputs: Mapping[str, np.ndarray], weights: Mapping[str, float]
) -> Iterator[tuple[str, str]]:
    """(blob, "value" or "value (* weight = loss loss)") for every element of every output."""
    for name, values in outputs.items():
        weight = weights[name]
        for value in np.ravel(values):
            loss = f" (* {weight:g} = {weight * value:g} loss)" if weight else ""
            yield name, f"{value:g}{loss}"


class SolverLog(Observer):
    """Says what a solver does, in Caffe's sentences."""

    def __init__(self, log: Glog, param: Any) -> None:
        self.log, self.param = log, param
        self.unshared: Sequence[Sequence[str]] = ()  # layers that each test net lacks
        self.solver: Solver | None = None
        self.step = 0  # how far multistep has come

    def attach(self, solver: Solver) -> None:
        """To be called before the first iteration: where does it start, and which layers of the
        training net does each test net lack?"""
        self.solver, self.step = solver, solver.current_step
        there = [{node.name for node in net.graph.nodes} for net in solver.test_nets]
        names = [node.name for node in solver.net.graph.nodes]
        self.unshared = [[name for name in names if name not in net] for net in there]

    def said(self, message: str) -> None:
        self.log.own(message)

    def displayed(self, display: Display) -> None:
        d = display
        speed = d.done / (d.seconds or 1.0)
        self.log(
            "solver.cpp:239",
            f"Iteration {d.iter} ({speed:g} iter/s, {d.seconds:g}s/{self.param.display} iters),"
            f" loss = {d.smoothed:g}",
        )
        for i, (name, value) in enumerate(elements(d.outputs, d.weights)):
            self.log("solver.cpp:258", f"    Train net output #{i}: {name} = {value}")
        self.log("sgd_solver.cpp:112", f"Iteration {d.iter}, lr = {d.rate:g}")

    def stepped(self, iteration: int, loss: float, rate: float, gradient_norm: float) -> None:
        step = self.solver.current_step if self.solver else 0
        if self.param.lr_policy == "multistep" and step > self.step:
            self.step = step
            said = f"MultiStep Status: Iteration {iteration - 1}, step = {step}"
            self.log("sgd_solver.cpp:50", said)
        clip = self.param.clip_gradients
        if 0 <= clip < gradient_norm:
            self.log(
                "sgd_solver.cpp:99",
                f"Gradient clipping: scaling down gradients (L2 norm {gradient_norm:g} > {clip:g})"
                f" by scale factor {clip / gradient_norm:g}",
            )

    def finished(self, iteration: int, smoothed: float) -> None:
        self.log("solver.cpp:327", f"Iteration {iteration}, loss = {smoothed:g}")

    def testing(self, iteration: int, net: int) -> None:
        self.log("solver.cpp:347", f"Iteration {iteration}, Testing net (#{net})")
        for name in self.unshared[net]:
            self.log("net.cpp:678", f"Ignoring source layer {name}")

    def remarked(self, layer_type: str, line: str) -> None:
        self.log(f"{layer_type.lower()}_layer.cpp", f"    {line}")

    def tested(self, tested: Tested) -> None:
        if self.param.test_compute_loss:
            self.log("solver.cpp:401", f"Test loss: {tested.loss:g}")
        for i, (name, value) in enumerate(elements(tested.outputs, tested.weights)):
            self.log("solver.cpp:414", f"    Test net output #{i}: {name} = {value}")

    def snapshotted(self, path: Path) -> None:
        model = path.with_name(path.name.replace(".solverstate", ".caffemodel"))
        if path.suffix == ".h5":
            self.log("solver.cpp:474", f"Snapshotting to HDF5 file {model}")
            self.log("sgd_solver.cpp:296", f"Snapshotting solver state to HDF5 file {path}")
        else:
            self.log("solver.cpp:464", f"Snapshotting to binary proto file {model}")
            self.log("sgd_solver.cpp:284", f"Snapshotting solver state to binary proto file {path}")
