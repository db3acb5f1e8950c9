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
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from .. import h5
from ..errors import WeightsError
from ..texts import control, parsed, utf8
from .base import PADDINGS, Model
from .hdf5 import check_layers, write_layers

FORMAT, VERSION = "demitasse model", 1
_TEXT = ("deploy", "padding")
_JSON = ("normalization", "class_names", "pixel_size", "origin")


def _is_list_of(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple) and all(holds(v) for v in value)


def _is_size(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value <= sys.float_info.max


# what each part of a description has to be, in words, and whether it is
_RULES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "deploy": ("a text", lambda v: isinstance(v, str)),
    "padding": (" or ".join(PADDINGS), lambda v: v in PADDINGS),
    "input_channels": ("a whole number above 0", lambda v: isinstance(v, int) and v > 0),
    "normalization": ("a name and parameters", lambda v: isinstance(v, Mapping)),
    "class_names": (
        "a list of names without control characters",
        _is_list_of(lambda v: isinstance(v, str) and not control(v)),
    ),
    "pixel_size": ("a list of sizes above 0", _is_list_of(_is_size)),
    "origin": ("names and values", lambda v: isinstance(v, Mapping)),
}


def wrong_in(parts: Mapping[str, Any]) -> str:
    """The first of these parts of a description that is not what it has to be, in words; "" where
    all are; names that no description has are passed over."""
    for name, (expected, holds) in _RULES.items():
        if name in parts and not holds(parts[name]):
            return f"{name} is {repr(parts[name])[:80]}, not {expected}"
    return ""


def check_model(path: str | os.PathLike[str], model: Model) -> dict[str, str | int]:
    """The attributes of a model file; WeightsError where the description is none that a file at
    `path` may hold."""
    parts = {name: getattr(model, name) for name in _RULES}
    if why := wrong_in(parts):
        raise WeightsError(f"cannot be written: {why}", where=os.fspath(path))
    found = {"input_channels": parts["input_channels"]} | {name: parts[name] for name in _TEXT}
    try:
        for name in _JSON:
            value = parts[name]
            text = json.dumps(
                dict(value) if isinstance(value, Mapping) else list(value),
                allow_nan=False,
                ensure_ascii=False,
                sort_keys=True,
            )
            found[name] = utf8(text)
    except (TypeError, ValueError) as error:
        raise WeightsError(
            f"the description cannot be written as JSON ({error})", where=os.fspath(path)
        ) from error
    return found


def digest(attributes: Mapping[str, str | int]) -> str:
    """The SHA-256 of a description, as hexadecimal digits."""
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
    attributes = check_model(path, model)
    # HDF5 1.8's format: older ones hold no attribute above 64 KiB
    with h5.create_h5(path, overwrite=overwrite, libver="v108") as file:
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        for name, value in attributes.items():
            file.attrs[name] = value
        file.attrs["description_sha256"] = digest(attributes)
        write_layers(file, layers)


def is_model(file: h5py.File) -> bool:
    """Whether this is one of our model files, of whatever version."""
    return _is(_get(file, "format"), FORMAT)


def _is(found: Any, text: str) -> bool:
    """Whether an attribute is this text; an array, which compares by items, is not."""
    return isinstance(found, str) and found == text


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
    attributes = stored(file)
    if not _is(_get(file, "description_sha256"), digest(attributes)):
        raise _damaged(file, "checksum mismatch in its description")
    parts: dict[str, Any] = dict(attributes)
    for name in _JSON:
        try:
            parts[name] = parsed(str(attributes[name]))
        except ValueError as error:
            raise _damaged(file, f"its {name} is no JSON of ours ({error})") from error
    if why := wrong_in(parts):
        raise _damaged(file, f"its {why}")
    return Model(
        deploy=parts["deploy"],
        normalization=parts["normalization"],
        class_names=tuple(parts["class_names"]),
        input_channels=parts["input_channels"],
        padding=parts["padding"],
        pixel_size=tuple(parts["pixel_size"]),
        origin=parts["origin"],
    )


def stored(file: h5py.File) -> dict[str, str | int]:
    """The attributes that describe a model; WeightsError where one is missing or odd."""
    found: dict[str, str | int] = {}
    for name, kind in [("input_channels", np.integer)] + [(name, str) for name in _TEXT + _JSON]:
        value = _get(file, name)
        if not isinstance(value, kind):
            raise _damaged(file, f"the attribute '{name}' is missing or of another type")
        found[name] = value if isinstance(value, str) else int(value)
    return found


def _damaged(file: h5py.File, why: str) -> WeightsError:
    return WeightsError(
        f"is a damaged model: {why}",
        where=file.filename,
        remedy="The file has changed since it was written; fetch it again",
    )
