"""An ONNX graph while it is written: nodes, constants and names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .pieces import library

OPSET, IR = 17, 8
EXTRA = "onnx"


class Writer:
    """dynamic: the size of the image is not fixed, so nothing may depend on it."""

    def __init__(self, *, dynamic: bool) -> None:
        self.dynamic = dynamic
        self.onnx = library("onnx", EXTRA)
        self.nodes: list[Any] = []
        self.arrays: dict[str, np.ndarray] = {}
        self._names: dict[str, int] = {}

    def fresh(self, stem: str) -> str:
        """A name that no other value has."""
        count = self._names[stem] = self._names.get(stem, 0) + 1
        return f"{stem}/{count}"

    def constant(self, name: str, array: Any, dtype: Any = np.float32) -> str:
        """A parameter or another constant, under a name of its own; the same name is the same."""
        self.arrays.setdefault(name, np.ascontiguousarray(array, dtype))
        return name

    def sizes(self, stem: str, values: Sequence[int]) -> str:
        """A list of whole numbers that an operator reads."""
        return self.constant(self.fresh(stem), np.array(values), np.int64)

    def number(self, stem: str, value: float) -> str:
        return self.constant(self.fresh(stem), value)

    def emit(
        self, op: str, inputs: Sequence[str], tops: Sequence[str] | str = "", **attributes: Any
    ) -> str:
        """Add an operator; returns its first output."""
        names = [tops] if isinstance(tops, str) else list(tops)
        names = [name or self.fresh(op.lower()) for name in names]
        made = self.onnx.helper.make_node(op, list(inputs), names, **attributes)
        made.name = self.fresh(f"{op}:{names[0]}")
        self.nodes.append(made)
        return names[0]
