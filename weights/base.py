"""Parameters as they come from a file: arrays by layer name, and what is known of the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Shape = tuple[int, ...]

PADDINGS = ("mirror", "zero")

# None stands for a blob that the file leaves out because another layer owns it (shared parameters)
Layers = dict[str, list[np.ndarray | None]]


@dataclass(frozen=True)
class Model:
    """What a self-describing file says beside its parameters.

    deploy: prototxt text of the net to run; normalization: {"name": ..., numbers ...}, as training
    applied it; padding: how a tile looks beyond the image, one of PADDINGS; pixel_size: micrometres
    along each spatial axis, () if unknown; origin: where it comes from (training configuration,
    iteration, date, versions), free but for being JSON.
    """

    deploy: str
    normalization: Mapping[str, Any]
    class_names: tuple[str, ...]
    input_channels: int
    padding: str = "mirror"
    pixel_size: tuple[float, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Weights:
    """The content of a parameter file.

    layers: every layer of the file, also those without parameters; kind: "caffemodel" (binary),
    "hdf5" or "model" (ours, self-describing); legacy: shapes are the old num, channels, height,
    width, so a bias is (1, 1, 1, n); verified: every blob had a checksum, and it was right;
    duplicates: layer names that came more than once; the second is called "name#2" and so on;
    types: of layers, in today's words, where the file says them; dialect: of a binary file.
    """

    layers: Layers
    kind: str
    path: str
    legacy: bool = False
    verified: bool = False
    duplicates: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    dialect: str = ""
    model: Model | None = None

    @property
    def count(self) -> int:
        """Numbers in all arrays together."""
        return sum(a.size for blobs in self.layers.values() for a in blobs if a is not None)

    def nonfinite(self) -> list[str]:
        """The blobs, as "layer/index", that hold a NaN or an infinity."""
        return [
            f"{name}/{i}"
            for name, blobs in self.layers.items()
            for i, array in enumerate(blobs)
            if array is not None and not np.isfinite(array).all()
        ]
