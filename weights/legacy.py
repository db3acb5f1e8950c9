"""Shapes of the times when every blob had four axes: num, channels, height, width.

    convolution       weights (n, c, h, w) stay                    bias (1, 1, 1, n) -> (n,)
    inner product     weights (1, 1, n, k) -> (n, k)               bias (1, 1, 1, n) -> (n,)

No other layer had parameters then.  Caffe compares such shapes with a net's as if these were padded
with leading ones, but only in binary files; in an HDF5 file they would fit nothing.

Source: Caffe's Blob::ShapeEquals (src/caffe/blob.cpp).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .base import Layers, Shape, Weights

AXES = {
    "Convolution": (4, 1),
    "Deconvolution": (4, 1),
    "InnerProduct": (2, 1),
}


@dataclass(frozen=True)
class Reshaped:
    """Blob `blob` of a layer had the shape `old` in the file and has `new` now."""

    layer: str
    blob: int
    old: Shape
    new: Shape

    def __str__(self) -> str:
        return f"{self.layer}/{self.blob}: {_dims(self.old)} -> {_dims(self.new)}"


def _dims(shape: Shape) -> str:
    return "x".join(map(str, shape)) if shape else "a single number"


def modern(weights: Weights) -> tuple[Weights, list[Reshaped]]:
    """The same with today's shapes, and what changed.

    `legacy` is still set if a layer of unknown type has a shape that may have had fewer axes.
    """
    if not weights.legacy:
        return weights, []
    layers: Layers = {}
    changed = []
    unsettled = False
    for name, blobs in weights.layers.items():
        axes = AXES.get(weights.types.get(name, ""), ())
        layers[name] = list(blobs)
        for i, array in enumerate(blobs):
            if array is None or array.ndim != 4:
                continue
            short = without_ones(array, axes[i] if i < len(axes) else 4)
            unsettled |= i >= len(axes) and array.shape[0] == 1
            if short.shape != array.shape:
                layers[name][i] = short
                changed.append(Reshaped(name, i, array.shape, short.shape))
    return replace(weights, layers=layers, legacy=unsettled), changed


def without_ones(array: np.ndarray, axes: int) -> np.ndarray:
    """The array with its last axes alone, if the others are 1; else as it is."""
    lead = array.ndim - axes
    if lead > 0 and array.shape[:lead] == (1,) * lead:
        return array.reshape(array.shape[lead:])
    return array
