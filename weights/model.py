"""The deployable, self-describing model file.

    /data/<layer>/<i>     the parameters, as in Caffe's HDF5 files (hdf5.py)
    attributes of /       format, version; deploy (prototxt text); input_channels; padding;
                          normalization, class_names, pixel_size, origin (JSON); description_sha256

So one file holds all that segmenting needs, and Caffe can still read its parameters.  The last
attribute is the digest of the others, as each blob has its own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from .. import h5
from ..errors import WeightsError
from .base import Model
from .hdf5 import check_layers, write_layers

FORMAT, VERSION = "demitasse model", 1
_TEXT = ("deploy", "padding")
_JSON = ("normalization", "class_names", "pixel_size", "origin")


def _attributes(model: Model) -> dict[str, str | int]:
    found: dict[str, str | int] = {"input_channels": model.input_channels}
    found |= {name: getattr(model, name) for name in _TEXT}
    for name in _JSON:
        value = getattr(model, name)
        found[name] = json.dumps(
            dict(value) if isinstance(value, Mapping) else list(value),
            allow_nan=False,
            ensure_ascii=False,
            sort_keys=True,
        )
    return found


def _digest(attributes: Mapping[str, str | int]) -> str:
    text = json.dumps(dict(sorted(attributes.items())), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def write_model(
    path: str | os.PathLike[str],
    layers: Mapping[str, Sequence[np.ndarray | None]],
    model: Model,
    *,
    overwrite: bool = True,
) -> None:
    """Write a model file, whole or not at all."""
    check_layers(path, layers, nested=True)
    try:
        attributes = _attributes(model)
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"the description cannot be written as JSON ({error})", where=os.fspath(path)
        ) from error
    # HDF5 1.8's format: older ones hold no attribute above 64 KiB
    with h5.create_h5(path, overwrite=overwrite, libver="v108") as file:
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        for name, value in attributes.items():
            file.attrs[name] = value
        file.attrs["description_sha256"] = _digest(attributes)
        write_layers(file, layers)


def is_model(file: h5py.File) -> bool:
    """Whether this is one of our model files, of whatever version."""
    return _get(file, "format") == FORMAT


def _get(file: h5py.File, name: str) -> Any:
    try:
        return file.attrs.get(name)
    except Exception:  # an attribute that HDF5 cannot decode
        return None


def read_model(file: h5py.File) -> Model:
    """The description; WeightsError where it is of a later version, damaged or incomplete."""
    version = _get(file, "version")
    if not isinstance(version, np.integer) or version < 1 or version > VERSION:
        raise WeightsError(
            "is a model of a version this demitasse does not know",
            where=file.filename,
            expected=f"version {VERSION}",
            found=version,
            remedy="Update demitasse",
        )
    attributes: dict[str, str | int] = {}
    for name, kind in [("input_channels", np.integer)] + [(name, str) for name in _TEXT + _JSON]:
        value = _get(file, name)
        if not isinstance(value, kind):
            raise _damaged(file, f"the attribute '{name}' is missing or of another type")
        attributes[name] = value if isinstance(value, str) else int(value)
    if _get(file, "description_sha256") != _digest(attributes):
        raise _damaged(file, "checksum mismatch in its description")
    parsed = {name: json.loads(str(attributes[name])) for name in _JSON}
    return Model(
        deploy=str(attributes["deploy"]),
        normalization=parsed["normalization"],
        class_names=tuple(parsed["class_names"]),
        input_channels=int(attributes["input_channels"]),
        padding=str(attributes["padding"]),
        pixel_size=tuple(parsed["pixel_size"]),
        origin=parsed["origin"],
    )


def _damaged(file: h5py.File, why: str) -> WeightsError:
    return WeightsError(
        f"is a damaged model: {why}",
        where=file.filename,
        remedy="The file has changed since it was written; fetch it again",
    )
