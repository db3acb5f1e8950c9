"""Refusing numbers that are not finite, where they first appear."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import NonFiniteError
from ..layers.base import Blob, Layer
from ..netspec.graph import Node


def refuse_nonfinite(node: Node, layer: Layer, tops: Sequence[Blob]) -> None:
    """Raise NonFiniteError where a top of this layer holds NaN or infinity."""
    for value, top in zip(node.tops, tops, strict=True):
        if top.data is not None and not np.isfinite(top.data).all():
            bad = np.argwhere(~np.isfinite(np.atleast_1d(top.data)))[0]
            raise NonFiniteError(
                f"{layer.label} is the first layer whose output is not finite: "
                f"blob '{value.blob}' at {tuple(int(k) for k in bad)}",
                where=node.where,
            )
