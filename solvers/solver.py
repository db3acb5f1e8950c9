"""The step loop: forward, backward, update; tests, display and snapshots on the way.

One iteration, in Caffe's order:

    clear parameter diffs -> test if due -> iter_size x (forward, backward) -> hooks ->
    clip -> per parameter: normalize, regularize, update value, subtract -> snapshot if due

Source: Caffe's Solver::Step and Solver::Solve (src/caffe/solver.cpp), and SGDSolver::ApplyUpdate
(src/caffe/solvers/sgd_solver.cpp).
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from .. import weights
from ..errors import OutputError, SolverError
from ..net import Net, origin
from ..net.captured import Captured
from . import compiled, lr_policy, nonfinite, snapshot, space
from .checks import check
from .observer import Display, Hook, Observer, Tested

CHUNK = 1 << 16  # elements updated at a time, so that all passes over them stay in the cache


class Solver(ABC):
    """Base of all solvers; concrete solvers are final.

    param: the SolverParameter; net: the training net; test_nets: share its parameters; hooks:
    called around the gradient computation (MPI's seam); observer: told what happens; where: the
    solver's file, for messages; stop, snapshot_now: set from outside (signals), obeyed after the
    iteration.

    Raises SolverError where the settings cannot be followed, before iteration 0.
    """

    type: ClassVar[str]
    histories: ClassVar[int]  # how many arrays it remembers for each parameter
    uses_momentum: ClassVar[bool] = True
    # fields of the SolverParameter: name, the least value, and what it must stay below
    limits: ClassVar[tuple[tuple[str, float, float | None], ...]] = ()

    def __init__(
        self,
        param: Any,
        net: Net,
        test_nets: Sequence[Net] = (),
        *,
        hooks: Sequence[Hook] = (),
        observer: Observer | None = None,
        where: str = "",
    ) -> None:
        lr_policy.check(param, where)
        check(param, test_nets, where)
        self.check_fields(param, where)
        self.param, self.net, self.test_nets = param, net, tuple(test_nets)
        self.hooks, self.observer, self.where = hooks, observer or Observer(), where
        self.momentum, self.delta = (net.dtype.type(x) for x in (param.momentum, param.delta))
        self.iter = self.current_step = 0
        self.history = [
            net.device.zeros(net.flat_data.shape, net.dtype) for _ in range(self.histories)
        ]
        self.stop = self.snapshot_now = False
        self._before: origin.State = {}  # the net's state before the pass that made the gradient
        self.last_snapshot: Path | None = None
        self.unwritten: OutputError | None = None  # why the snapshot after it is missing
        self.losses: deque[float] = deque(maxlen=param.average_loss)
        self._scratch = net.device.zeros(
            (net.workers.threads, 2 * min(CHUNK, net.flat_data.size)), net.dtype
        )
        self._at_once, self._recorded = self._fused(), Captured(net, self.observer.said)
        self._tests = [Captured(n, self.observer.said, backward=False) for n in self.test_nets]
        self._updated = False  # with the pass
        self._rule = compiled.rule(self.type, net)

    @abstractmethod
    def update(
        self, g: np.ndarray, history: Sequence[np.ndarray], rate: float, scratch: np.ndarray
    ) -> None:
        """Turn the gradient `g` into what is subtracted from the parameter, in place; scratch: two
        arrays as long as g.  Called from several threads, each with its part."""

    @abstractmethod
    def constants(self) -> tuple[float, ...]:
        """What the update of this iteration depends on beside the rate, as its compiled twin takes
        it (kernels/update_numba.py)."""

    @classmethod
    def check_fields(cls, param: Any, where: str) -> None:
        """Refuse what this solver cannot follow."""
        if param.momentum and not cls.uses_momentum:
            raise SolverError(
                f"{cls.type} cannot be used with momentum",
                where=where,
                expected="momentum: 0",
                found=f"{param.momentum:g}",
                remedy="Leave momentum out",
            )
        for name, least, below in cls.limits:
            value = getattr(param, name)
            if not (least <= value and (below is None or value < below)):
                raise SolverError(
                    f"{name} is out of range for {cls.type}",
                    where=where,
                    expected=f"at least {least:g}" + (f", below {below:g}" if below else ""),
                    found=f"{value:g}",
                )

    # ------------------------------------------------------------------ the loop

    def solve(self) -> None:
        """Step to max_iter, write the last snapshot, display and test once more."""
        p = self.param
        space.check_space(self)
        self.step(p.max_iter - self.iter)
        if p.snapshot_after_train and (self.unwritten or not self._snapshot_due()):
            self.snapshot()
        if self.stop:
            return
        if p.display and self.iter % p.display == 0:
            self.losses.append(self.net.forward())  # with the final parameters, as Caffe does
            self.observer.finished(self.iter, self._smoothed())
        if p.test_interval and self.iter % p.test_interval == 0:
            self.test_all()

    def step(self, iterations: int) -> None:
        """Make this many iterations, or fewer if `stop` is set meanwhile."""
        end, begun, since = self.iter + iterations, time.monotonic(), self.iter
        p = self.param
        while self.iter < end and not self.stop:
            whole = self._whole()
            if not whole:
                self.net.clear_param_diffs()
            if (
                p.test_interval
                and self.iter % p.test_interval == 0
                and (self.iter > 0 or p.test_initialization)
            ):
                self.test_all()
                if self._stopped():
                    break
            for hook in self.hooks:
                hook.on_start()
            self._updated = whole  # by what is recorded, even if a hook has come since
            loss = self.accumulate()
            self.losses.append(loss)
            for hook in self.hooks:
                hook.on_gradients_ready()
            norm = self.gradient_norm()
            if p.display and self.iter % p.display == 0:
                now = time.monotonic()
                done, begun, elapsed = self.iter - since, now, now - begun
                since = self.iter
                self.observer.displayed(self._display(loss, norm, done, elapsed))
            rate = self.apply_update(norm)
            self.iter += 1
            self.observer.stepped(self.iter, loss, rate, norm)
            if self._snapshot_due() or self.snapshot_now:
                self.snapshot_now = False
                space.attempt(self)

    def accumulate(self) -> float:
        """iter_size forward and backward passes; the gradients add up; return the mean loss.  In a
        step that is recorded whole, the update comes with it."""
        total, recorded = 0.0, self._updated or self._recorded.possible
        update = self._launch_update if self._updated else None
        for _ in range(self.param.iter_size):
            if self._updated:
                self._at_once.set(self.rate()[0], self.constants())
            before = self._before = self.net.state()
            with origin.named(self.net, before):
                loss = self._recorded.run(update) if recorded else self.net.forward()
            if not math.isfinite(loss):
                nonfinite.refuse(self, "the loss", loss, before, rerun=True)
            self._remark(self.net)
            if not recorded:
                self.net.backward()
            total += loss
        return total / self.param.iter_size

    def gradient_norm(self) -> float:
        """sqrt(sum of g^2) over all parameters, as accumulated; refused if not finite."""
        g = self.net.flat_diff
        if self._at_once is not None:
            if not self._updated:
                self._at_once.measure(g)
            norm = self._at_once.norm()
        else:
            with np.errstate(all="ignore"):
                norm = math.sqrt(max(float(np.dot(g, g)), 0.0)) if g.size else 0.0
        if not math.isfinite(norm):
            # a NaN spreads downward, so the topmost bad layer is the first
            bad = next(
                (p for p in reversed(self.net.learnable) if not nonfinite.finite(self._view(g, p))),
                None,
            )
            name = f"the gradient of layer '{bad.layer}'" if bad else "the gradient norm"
            nonfinite.refuse(self, name, norm, self._before)
        return norm

    def apply_update(self, norm: float) -> float:
        """Clip, normalize, regularize, update; return the learning rate that was used."""
        rate, self.current_step = self.rate()
        if self._at_once is None:
            with np.errstate(all="ignore"):  # what overflows is found by `check_finite` or the loss
                self._subtract(rate, norm)
        elif not self._updated:
            self._at_once.set(rate, self.constants())
            self._at_once.run(self.net.flat_data, self.net.flat_diff, self.history)
        self._updated = False
        return rate

    def rate(self) -> tuple[float, int]:
        """The learning rate of this iteration, and the step counter after it."""
        dtype = self.net.dtype
        return lr_policy.learning_rate(self.param, self.iter, self.current_step, dtype)

    def _subtract(self, rate: float, norm: float) -> None:
        """The update itself, chunk by chunk, on all threads."""
        p, net = self.param, self.net
        scale = 1.0
        if p.clip_gradients >= 0 and norm > p.clip_gradients:
            scale = p.clip_gradients / norm
        scale /= p.iter_size
        tasks = [
            (q, slice(start, min(start + CHUNK, q.offset + q.count)))
            for q in net.learnable
            if self._learns(q)
            for start in range(q.offset, q.offset + q.count, CHUNK)
        ]

        dtype, l1 = net.dtype.type, p.regularization_type == "L1"
        constants = np.array(self.constants(), net.dtype)

        def update(i: int, slot: int) -> None:
            q, part = tasks[i]
            w, g, decay = net.flat_data[part], net.flat_diff[part], p.weight_decay * q.decay_mult
            history, step = [h[part] for h in self.history], dtype(rate * q.lr_mult)
            if self._rule is not None:
                ends = (history[0], history[-1])
                self._rule(w, g, *ends, dtype(scale), dtype(decay), l1, step, constants)
                return
            scratch = self._scratch[slot, : 2 * g.size].reshape(2, -1)
            if scale != 1.0:
                g *= dtype(scale)
            if decay:
                self._regularize(w, g, dtype(decay), scratch[0])
            self.update(g, history, step, scratch)
            w -= g

        net.workers.run(update, len(tasks))

    def _whole(self) -> bool:
        """Whether pass and update can be recorded as one."""
        return (
            self._at_once is not None
            and self.param.iter_size == 1
            and not any(hook.looks() for hook in self.hooks)
            and self._recorded.possible
        )

    def _launch_update(self) -> None:
        """Behind a pass, on a device that updates all parameters at once."""
        net = self.net
        self._at_once.measure(net.flat_diff)
        self._at_once.permit([net.values[top].data for _, top in net.losses()])
        self._at_once.run(net.flat_data, net.flat_diff, self.history)

    def _learns(self, p: Any) -> bool:
        return bool(self.net.flags.param_propagate_down[p.node][p.index])

    def _fused(self) -> Any:
        """The device's way to update all parameters in one pass, if it has one."""
        net = self.net
        if net.device.update is None:
            return None
        segments = [
            (p.offset, p.offset + p.count, p.lr_mult if self._learns(p) else None, p.decay_mult)
            for p in net.learnable
        ]
        return net.device.update(self.type, self.param, segments, net.dtype)

    def _regularize(self, w: np.ndarray, g: np.ndarray, decay: Any, extra: np.ndarray) -> None:
        """L2: g += decay * w.  L1: g += decay * sign(w)."""
        if self.param.regularization_type == "L1":
            np.sign(w, out=extra)
            extra *= decay
        else:
            np.multiply(w, decay, out=extra)
        g += extra

    # ------------------------------------------------------------------ tests, display, snapshots

    def test_all(self) -> None:
        """Run every test net test_iter times and report the mean of each output."""
        for k, net in enumerate(self.test_nets):
            sums: dict[str, np.ndarray] = {}
            loss = 0.0
            self.observer.testing(self.iter, k)
            for _ in range(self.param.test_iter[k]):
                if self._test_interrupted():
                    return
                with origin.named(net, net.state()):
                    loss += self._tests[k].run()
                self._remark(net)
                for name in net.outputs:
                    data = np.asarray(net.read(name), np.float64).ravel()
                    sums[name] = sums[name] + data if name in sums else data.copy()
            n = self.param.test_iter[k]
            weights = net.output_weights()
            self.observer.tested(
                Tested(self.iter, k, loss / n, {b: s / n for b, s in sums.items()}, weights)
            )

    def _remark(self, net: Net) -> None:
        for layer_type, line in net.remarks():
            self.observer.remarked(layer_type, line)

    def _test_interrupted(self) -> bool:
        """Obey a signal that came during a test: tests may take long."""
        if self.snapshot_now:
            self.snapshot_now = False
            space.attempt(self)
        if self._stopped():
            self.observer.said("Test interrupted.")
        return self._stopped()

    def _display(self, loss: float, norm: float, done: int, elapsed: float) -> Display:
        outputs = {
            name: np.array(self.net.read(name), np.float64).ravel() for name in self.net.outputs
        }
        rate, _ = self.rate()
        weights = self.net.output_weights()
        return Display(
            self.iter, loss, self._smoothed(), rate, norm, done, elapsed, outputs, weights
        )

    def _smoothed(self) -> float:
        """The mean loss of the last average_loss iterations (also across calls of `step`)."""
        return sum(self.losses) / len(self.losses)

    def _stopped(self) -> bool:
        """Whether `stop` was set meanwhile (a signal may come at any time)."""
        return self.stop

    def _snapshot_due(self) -> bool:
        return bool(self.param.snapshot) and self.iter % self.param.snapshot == 0

    def snapshot(self) -> Path:
        """Write parameters and solver state; return the state's path.

        Raises NonFiniteError, and writes nothing, where a parameter is not finite.
        """
        self.check_finite()
        self.last_snapshot, self.unwritten = snapshot.write(self), None
        self.observer.snapshotted(self.last_snapshot)
        return self.last_snapshot

    def check_finite(self) -> None:
        """Raise NonFiniteError where a parameter has become NaN or infinite."""
        for p in self.net.learnable:
            if not nonfinite.finite(self._view(self.net.flat_data, p)):
                nonfinite.refuse(self, f"a parameter of layer '{p.layer}'", math.nan, {})

    def restore(self, path: str | Path) -> None:
        """Continue from a solver state, binary or HDF5; raises SolverError or WeightsError."""
        snapshot.read(self, Path(path))
        self.last_snapshot = Path(path)

    def load_weights(self, path: str | Path) -> weights.Report:
        """Copy the parameters of a file into the nets; layers it lacks keep theirs.

        The report is of the training net, whose parameters the test nets see.
        """
        found = weights.read(path)
        report = self.net.load(found, complete=False)
        for net in self.test_nets:
            names = net.params.keys() - self.net.params
            own = {n: blobs for n, blobs in found.layers.items() if n in names and blobs}
            if own:
                net.load(replace(found, layers=own), complete=False)
        return report

    def _view(self, flat: np.ndarray, p: Any) -> np.ndarray:
        return flat[p.offset : p.offset + p.count]
