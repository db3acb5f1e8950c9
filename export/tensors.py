"""Parameters as safetensors: names and arrays, and nothing that could run.

    layer/weight, layer/bias        BatchNorm: layer/mean_sum, variance_sum, factor; PReLU: slope

The header says where they come from and has the SHA-256 of all names, shapes and bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

import numpy as np

from ..files import replacing
from ..net import Net
from .pieces import library

EXTRA = "safetensors"
NAMES = {  # layer type: names of its parameters, where they are not weight and bias
    "BatchNorm": ("mean_sum", "variance_sum", "factor"),
    "Bias": ("bias",),
    "PReLU": ("slope",),
    "Parameter": ("value",),
}


def named_parameters(net: Net) -> dict[str, np.ndarray]:
    """Every parameter under "layer/name"; one that layers share stands under its owner's name."""
    found = {}
    types = {node.name: node.type for node in net.graph.nodes}
    for layer, arrays in net.owned_parameters().items():
        names = NAMES.get(types[layer], ("weight", "bias"))
        for i, array in enumerate(arrays):
            if array is not None:
                name = names[i] if i < len(names) else str(i)
                found[f"{layer}/{name}"] = np.ascontiguousarray(array, np.float32)
    return found


def digest(tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names, shapes and little-endian bytes, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name]
        total.update(f"{name} {array.shape} {array.dtype.str}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def write_tensors(
    path: str | os.PathLike[str],
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, str],
    *,
    overwrite: bool = True,
) -> None:
    """Write a safetensors file, whole or not at all."""
    save = library("safetensors.numpy", EXTRA).save
    said = {**metadata, "sha256": digest(tensors)}
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(save(dict(tensors), metadata=said))
