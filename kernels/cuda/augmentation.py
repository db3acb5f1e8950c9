"""Deformation fields and grey-value curves on a device; what they are says the specification.

Random numbers, angles and control points are drawn on the host, as everywhere, so the same seed
gives the same tiles on every device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import deformation, lookup
from .families import BLOCK, Family
from .launch import Array, blocks, name, record

FIELD = np.dtype(
    [(n, "i4", 3) for n in ("size", "points", "spacing")]
    + [(n, "i4") for n in ("axes", "k", "curved")]
    + [("a", "f8", 9), ("b", "f8", 3)],
    align=True,
)
WARP = np.dtype(
    [(n, "i4", 3) for n in ("source", "field", "corner", "out")]
    + [(n, "i4") for n in ("channels", "k", "linear", "mirror")]
)


def _three(values: Sequence[int], fill: int = 1) -> tuple[int, ...]:
    return (fill,) * (3 - len(values)) + tuple(values)


class Deformation(Family):
    specification, file = deformation, "augmentation.cu"

    def create(
        self, a: Array, b: Array, control: Array | None, spacing: Sequence[int], field: Array
    ) -> None:
        """a, b and control are the host's."""
        *size, k = field.shape
        points = np.zeros(1) if control is None else (a * control[..., None, :]).sum(-1)
        matrix, shift = np.zeros(9), np.zeros(3)
        matrix[: k * k], shift[:k] = np.ravel(a), b
        shape = _record(
            _three(size),
            _three(points.shape[:-1]) if control is not None else (1, 1, 1),
            _three(spacing) if control is not None else (1, 1, 1),
            len(size),
            k,
            control is not None,
            matrix,
            shift,
        )
        there = self.device.upload(np.ascontiguousarray(points, np.float64))
        kernel = self.device.function(self.file, f"create<{name(field)}>")
        kernel((blocks(field.size // k),), BLOCK, (there, shape, field))

    def apply(
        self,
        source: Array,
        field: Array,
        corner: Sequence[int],
        out: Array,
        *,
        linear: bool,
        mirror: bool,
    ) -> bool:
        """Always True: what comes from nowhere is NaN."""
        shape = record(
            WARP,
            _three(source.shape[1:]),
            _three(field.shape[:-1]),
            _three(corner, 0),
            _three(out.shape[1:]),
            len(out),
            field.shape[-1],
            linear,
            mirror,
        )
        kernel = self.device.function(self.file, f"apply<{name(out)}>")
        kernel((blocks(out.size // len(out)),), BLOCK, (source, field, out, shape))
        return True


class Lookup(Family):
    specification, file = lookup, "augmentation.cu"

    def apply(self, x: Array, table: Any, y: Array) -> None:
        """The table is the host's."""
        there = self.device.upload(np.asarray(table).astype(x.dtype))
        args = (x, there, y, np.int32(len(table) - 1), np.int64(x.size))
        self.device.function(self.file, f"look_up<{name(x)}>")((blocks(x.size),), BLOCK, args)


def _record(*values: Any) -> np.ndarray:
    return record(FIELD, *values)
