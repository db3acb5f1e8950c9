"""Layers as scripts see them: `net.layers[i]`, and the base class of layers written in Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..layers import base
from ..layers.registry import MODULES
from ..layers.scripted import PythonLayer as Layer
from .blob import Blob, ParameterBlob

__all__ = ["Layer", "NetLayer", "layer_type_list", "seen"]


class NetLayer:
    """A layer of a net: its type and its parameters."""

    def __init__(self, layer: base.Layer) -> None:
        self.type = layer.type
        self.blobs: list[Blob] = [ParameterBlob(layer, i) for i in range(len(layer.blobs))]

    def setup(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        """The net has done it."""

    def reshape(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        """The net does it."""


def seen(layer: base.Layer) -> Any:
    """What `net.layers` shows: of a Python layer the object that the script's class made."""
    code = getattr(layer, "code", None)
    return code if isinstance(code, Layer) else NetLayer(layer)


def layer_type_list() -> list[str]:
    """Every layer type there is."""
    return sorted(MODULES)
