"""The HDF5 layouts of Freiburg's Fiji plugin of 2019.

    what         file             datasets
    training     one an image     data, labels, weights, weights2 (the sampling pdf), and a group
                                  conversionParameters whose attributes say how they were made
    validation   one a tile       data3 (the net's input blob, a tile mirrored beyond the image),
                                  labels, weights (an output tile; weight 0 outside the image)
    prediction   one an image     data

Every dataset is float32, (n, channels, height, width) with all slices and times in n, or (times,
channels, depth, height, width); a chunk is one plane, deflated at level 3; its attribute
element_size_um has the pixel size, [z,] y, x.

Source: Tools.saveBlob and TrainingSample.saveBlobs, saveTiledBlobs of
lmb-freiburg/Unet-Segmentation, commit 870e5036.  (The attribute sigma1_um is in pixels, whatever
its name says: so is it there.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from .normalize import TYPES, Normalization
from .plugin_weights import WeightParameters

DATA, BLOB = "data", "data3"
LABELS, WEIGHTS, PDF = "labels", "weights", "weights2"
PARAMETERS = "conversionParameters"
_DEFLATE = 3


def add_blob(
    file: h5py.File, name: str, shape: Sequence[int], element_size: Sequence[float]
) -> h5py.Dataset:
    """An empty dataset of `shape` (n, channels, *spatial); element_size: um of the spatial axes."""
    blob = file.create_dataset(
        name,
        tuple(shape),
        "f4",
        chunks=(*(1,) * (len(shape) - 2), *shape[-2:]),
        compression="gzip",
        compression_opts=_DEFLATE,
    )
    blob.attrs["element_size_um"] = np.array(element_size, np.float64)
    return blob


def add_parameters(
    file: h5py.File,
    weights: WeightParameters,
    normalization: Normalization,
    class_names: Sequence[str],
) -> None:
    """The group conversionParameters; class_names: the background's first."""
    attributes = file.create_group(PARAMETERS).attrs
    attributes["foregroundBackgroundRatio"] = np.float64(weights.foreground_background_ratio)
    attributes["sigma1_um"] = np.float64(weights.sigma1_px)
    attributes["borderWeightFactor"] = np.float64(weights.border_weight_factor)
    attributes["borderWeightSigmaPx"] = np.float64(weights.border_weight_sigma_px)
    attributes["normalizationType"] = np.int32(TYPES.index(normalization.name))
    attributes["classNames"] = np.array([n.encode() for n in class_names])


def add_attributes(file: h5py.File, attributes: Mapping[str, Any]) -> None:
    """The root attributes by which our own deployment repeats the packing; others ignore them."""
    for key, value in attributes.items():
        if key == "class_names":
            value = np.array(value, dtype=h5py.string_dtype())
        file.attrs[key] = value
