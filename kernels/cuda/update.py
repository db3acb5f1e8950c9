"""A solver's update over all parameters in one pass, and the norm of the gradient.

What is computed says solvers/<type>.py; the learning rate lies on the device, and the gradient's
scale is computed there, so that they may change while the launches stay the same.

    set                          what the host knows of an iteration
    measure, permit, run         launches, in this order; nothing is waited for
    norm                         what `measure` found
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .families import BLOCK
from .launch import BLOCKS, Array, blocks, name, record

KINDS = ("SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam")
RULE = np.dtype(
    [("kind", "i4"), ("l1", "i4")]
    + [(n, "f4") for n in ("momentum", "momentum2", "delta", "decay", "rms_decay")]
)


class Update:
    """segments: (start, end, lr_mult, decay_mult) of every parameter, in order, without gaps;
    lr_mult None for one that stays as it is.  param: the SolverParameter."""

    def __init__(
        self,
        device: Any,
        kind: str,
        param: Any,
        segments: Sequence[tuple[int, int, float | None, float]],
        dtype: np.dtype,
    ) -> None:
        self.device, self.kind, self.param, self.dtype = device, kind, param, dtype
        self.count = segments[-1][1] if segments else 0
        starts = [start for start, *_ in segments]
        rates = [-1.0 if rate is None else rate for _, _, rate, _ in segments]
        self._starts = device.upload(np.array([*starts, self.count], np.int64))
        self._rates = device.upload(np.array(rates, dtype))
        self._decays = device.upload(np.array([decay for *_, decay in segments], dtype))
        self.segments = len(starts)
        self._given = device.zeros(2, dtype)  # the learning rate, Adam's correction
        self._scale = device.zeros(1, dtype)
        self._sums = device.zeros(BLOCKS, np.float64)
        self._norm = device.zeros(1, np.float64)
        self._rule = record(
            RULE,
            KINDS.index(kind),
            param.regularization_type == "L1",
            param.momentum,
            param.momentum2,
            param.delta,
            param.weight_decay,
            param.rms_decay,
        )

    def set(self, rate: float, constants: Sequence[float]) -> None:
        """The learning rate of the next run, and `Solver.constants` of it: Adam's last one changes
        from one to the next."""
        correction = constants[-1] if self.kind == "Adam" else 1.0
        self.device.write(self._given, np.array([rate, correction], self.dtype))

    def measure(self, g: Array) -> None:
        """The gradient's norm, and from that what `run` multiplies the gradient by: clip_gradients
        / norm where that is below 1, over iter_size; no finite norm: nothing."""
        if not g.size:
            return
        parts = blocks(g.size)
        squares = self.device.function("update.cu", f"squares<{name(g)}>")
        squares((parts,), BLOCK, (g, np.int64(g.size), self._sums))
        root = self.device.function("update.cu", f"root<{name(g)}>")
        most, passes = np.float64(self.param.clip_gradients), np.int32(self.param.iter_size)
        root((1,), BLOCK, (self._sums, np.int32(parts), most, passes, self._norm, self._scale))

    def permit(self, losses: Sequence[Array]) -> None:
        """Let `run` change nothing where one of these is not finite."""
        for loss in losses:
            permit = self.device.function("update.cu", f"permit<{name(loss)}>")
            permit((1,), BLOCK, (loss, np.int64(loss.size), self._scale))

    def norm(self) -> float:
        """sqrt(sum g^2), summed in double precision."""
        return float(self.device.host(self._norm)[0])

    def run(self, w: Array, g: Array, history: Sequence[Array]) -> None:
        """w <- w - step; g becomes the step.  Nothing changes where the norm is not finite."""
        if not self.count:
            return
        h0, h1 = (*history, g, g)[:2]
        arrays = (w, g, h0, h1, self._starts, self._rates, self._decays)
        args = (np.int32(self.segments), self._rule, self._given, self._scale)
        kernel = self.device.function("update.cu", f"update<{name(w)}>")
        kernel((blocks(self.count),), BLOCK, (*arrays, *args, np.int64(self.count)))
