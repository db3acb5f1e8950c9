"""Layers whose state is how many passes they have made: it counts their random stream, or files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .base import Layer


class Counted(Layer):
    """`_passes` is counted by the layer itself, and kept by snapshots."""

    _passes: int = 0

    def state(self) -> Mapping[str, Any]:
        return {"passes": self._passes}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._passes = int(state["passes"])
