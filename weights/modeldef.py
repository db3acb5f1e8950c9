"""Model definitions of the Fiji plugin (.modeldef.h5): a net, its solver and how to feed it.

    /.unet-ident          which model it is        /model_prototxt, /solver_prototxt    texts
    /unet_param/          name, description, input_blob_name, input_dataset_name ("data"),
                          normalization_type (0 none, 1 minmax, 2 zscore, 3 max), padding,
                          element_size_um ([z]yx; its length is the number of spatial axes),
                          downsampleFactor, padInput, padOutput (one, or one for each axis),
                          mapInputNumPxGPUMemMB (2 x N), classNames, diskRadiusPx
    /unet_param/pixelwise_loss_weights/    borderWeightFactor, borderWeightSigmaPx,
                                           foregroundBackgroundRatio, sigma1Px

With d pixels at the deepest level a tile has downsampleFactor * d + padInput pixels and the net
answers for downsampleFactor * d + padOutput of them.

A trap: the MATLAB writer, and so the published 2d_cell_net_v0, calls the last group's lengths
sigma1_um and borderWeightSigma_um.  The plugin looks for the names in pixels, misses them, and
takes its own defaults for all four.  Here they are read, and divided by the element size; `notes`
says what was read so and what was assumed.

Source: createModeldef_H5.py and .m of caffe_unet, ModelDefinition.java of the plugin.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import h5py
import numpy as np

from .. import h5
from ..errors import WeightsError
from .base import PADDINGS

NORMALIZATIONS = ("none", "minmax", "zscore", "max")
SUFFIX = ".modeldef.h5"
_PARTS = (".unet-ident", "model_prototxt", "solver_prototxt", "unet_param")
_GROUP, _LOSS = "unet_param", "unet_param/pixelwise_loss_weights"

T = TypeVar("T")


@dataclass(frozen=True)
class LossWeights:
    """How the plugin weighs pixels; lengths in pixels.  The defaults are the plugin's."""

    border_factor: float = 50.0
    border_sigma: float = 6.0
    foreground_background_ratio: float = 0.1
    sigma1: float = 10.0


@dataclass(frozen=True)
class ModelDef:
    """The content of a .modeldef.h5; sizes are (z,) y, x, one for each axis.

    element_size_um: micrometres; memory_map: (pixels of a tile, MB of GPU memory), measured once by
    whoever made the file; input_channels: None where the file does not say; notes: what was not
    read as it stands.
    """

    ident: str
    model_prototxt: str
    solver_prototxt: str
    element_size_um: tuple[float, ...]
    downsample_factor: tuple[int, ...]
    pad_input: tuple[int, ...]
    pad_output: tuple[int, ...]
    name: str = ""
    description: str = ""
    input_blob_name: str = "data3"
    input_dataset_name: str = "data"
    normalization_type: int = 0
    padding: str = "mirror"
    class_names: tuple[str, ...] = ()
    disk_radius_px: int = 2
    loss_weights: LossWeights = LossWeights()
    memory_map: tuple[tuple[int, int], ...] = ()
    input_channels: int | None = None
    path: str = ""
    notes: tuple[str, ...] = ()

    @property
    def axes(self) -> int:
        """Spatial axes: 2 or 3."""
        return len(self.element_size_um)

    @property
    def normalization(self) -> str:
        """The name of the normalisation (data/normalize.py)."""
        return NORMALIZATIONS[self.normalization_type]

    def pixels_for(self, megabytes: int) -> int:
        """How many pixels a tile may have in that much GPU memory, by the memory map.

        As caffe_unet: the last entry before the first that needs more, and the first in any case.
        WeightsError where there is no map, or where its memory does not rise with the pixels.
        """
        if not self.memory_map:
            raise WeightsError(
                "has no memory map (mapInputNumPxGPUMemMB)",
                where=self.path,
                remedy="Choose tiles by number (-n_tiles) or size (-tile_size)",
            )
        pairs = np.array(self.memory_map)
        if pairs.min() < 1 or (np.diff(pairs, axis=0) < 0).any():
            raise WeightsError(
                "its memory map (mapInputNumPxGPUMemMB) is nonsense",
                where=self.path,
                expected="pixels and MB above 0 that rise together",
                found=", ".join(f"{px} px in {mb} MB" for px, mb in self.memory_map[:4]),
                remedy="Choose tiles by number (-n_tiles) or size (-tile_size)",
            )
        fits = int((pairs[:, 1] <= megabytes).sum())
        return int(pairs[max(fits - 1, 0), 0])


# ---------------------------------------------------------------------- reading


def is_modeldef(path: str | os.PathLike[str]) -> bool:
    """Whether this is a file that holds a net as a model definition does; told by its content."""
    try:
        with h5.open_h5(path, error=WeightsError) as file:
            return "model_prototxt" in h5.members(file, error=WeightsError)
    except WeightsError:
        return False


def read_modeldef(path: str | os.PathLike[str]) -> ModelDef:
    """Read a model definition; WeightsError where it is another file, lacks a part or has a part
    that says nothing sensible."""
    with h5.open_h5(path, error=WeightsError) as file:
        names = h5.members(file, error=WeightsError)
        missing = [name for name in _PARTS if name not in names]
        if missing:
            weights = "data" in names and len(missing) > 2
            raise WeightsError(
                "is no model definition: it has no " + ", ".join(f"/{name}" for name in missing),
                where=os.fspath(path),
                found=", ".join(names[:8]) or "nothing in it",
                remedy="It seems to hold weights: give it to -weights, and a .modeldef.h5 to -model"
                if weights
                else "",
            )
        return _Reader(file).modeldef()


class _Reader:
    """Reads one file, and keeps what it had to assume."""

    def __init__(self, file: h5py.File) -> None:
        self.file, self.where = file, str(file.filename)
        self.names = set(h5.members(file, _GROUP, error=WeightsError))
        self.notes: list[str] = []

    def modeldef(self) -> ModelDef:
        size = tuple(float(v) for v in self.numbers("element_size_um"))
        if len(size) not in (2, 3) or not all(0 < v < np.inf for v in size):
            raise self.wrong("element_size_um", "2 or 3 sizes above 0", size)
        kind = self.whole("normalization_type")
        if not 0 <= kind < len(NORMALIZATIONS):
            raise self.wrong("normalization_type", "0, 1, 2 or 3", kind)
        padding = self.text("padding")
        if padding not in PADDINGS:
            raise self.wrong("padding", " or ".join(PADDINGS), repr(padding))
        down = self.sizes("downsampleFactor", len(size))
        if min(down) < 1:
            raise self.wrong("downsampleFactor", "at least 1", down)
        ident = h5.read_text(self.file, ".unet-ident", error=WeightsError)
        channels = self.optional("input_num_channels", self.whole, None)
        return ModelDef(
            ident=ident,
            model_prototxt=h5.read_text(self.file, "model_prototxt", error=WeightsError),
            solver_prototxt=h5.read_text(self.file, "solver_prototxt", error=WeightsError),
            element_size_um=size,
            downsample_factor=down,
            pad_input=self.sizes("padInput", len(size)),
            pad_output=self.sizes("padOutput", len(size)),
            name=self.optional("name", self.text, ident),
            description=self.optional("description", self.text, ""),
            input_blob_name=self.text("input_blob_name"),
            input_dataset_name=self.optional("input_dataset_name", self.text, "data"),
            normalization_type=kind,
            padding=padding,
            class_names=self.optional("classNames", self.texts, ()),
            disk_radius_px=self.optional("diskRadiusPx", self.whole, 2),
            loss_weights=self.loss_weights(size),
            memory_map=self.optional("mapInputNumPxGPUMemMB", self.memory_map, ()),
            input_channels=channels,
            path=self.where,
            notes=tuple(self.notes),
        )

    def wrong(self, name: str, expected: str, found: object) -> WeightsError:
        what = f"'{_GROUP}/{name}' says nothing sensible"
        return WeightsError(what, where=self.where, expected=expected, found=found)

    def optional(self, name: str, read: Callable[[str], T], default: Any) -> T:
        return read(name) if name in self.names else default

    def text(self, name: str) -> str:
        return h5.read_text(self.file, f"{_GROUP}/{name}", error=WeightsError)

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(h5.read_texts(self.file, f"{_GROUP}/{name}", error=WeightsError))

    def numbers(self, name: str) -> np.ndarray:
        return h5.read_dataset(self.file, f"{_GROUP}/{name}", error=WeightsError).ravel()

    def whole(self, name: str) -> int:
        values = self.numbers(name)
        if values.size != 1 or not float(values[0]).is_integer():
            raise self.wrong(name, "one whole number", values[:4].tolist())
        return int(values[0])

    def sizes(self, name: str, axes: int) -> tuple[int, ...]:
        """One whole number for each axis; a single one counts for all."""
        values = self.numbers(name).astype(float)
        if values.size not in (1, axes) or not all(v.is_integer() for v in values.tolist()):
            expected = f"1 or {axes} whole numbers (element_size_um has {axes})"
            raise self.wrong(name, expected, values[:4].tolist())
        return tuple(int(v) for v in np.broadcast_to(values, (axes,)))

    def memory_map(self, name: str) -> tuple[tuple[int, int], ...]:
        """The pairs; whether they make sense matters only to those who use them (pixels_for)."""
        values = h5.read_dataset(self.file, f"{_GROUP}/{name}", error=WeightsError)
        if values.ndim != 2 or values.shape[0] != 2 or not np.isfinite(values).all():
            shape = "x".join(map(str, values.shape))
            self.notes.append(f"{name} is left aside: it is {shape} numbers, not 2xN finite ones")
            return ()
        return tuple((int(px), int(mb)) for px, mb in values.T)

    def loss_weights(self, size: Sequence[float]) -> LossWeights:
        group = self.file[_GROUP]
        inside = h5.is_group(group, "pixelwise_loss_weights", error=WeightsError)
        names = h5.members(self.file, _LOSS, error=WeightsError) if inside else []
        got: dict[str, float] = {}
        for field, name in _LOSS_NAMES.items():
            micrometres = name.replace("Px", "_um")
            if name in names:
                got[field] = self.loss_number(name)
            elif micrometres in names:
                length = self.loss_number(micrometres)
                got[field] = length / size[-1]
                self.notes.append(
                    f"{micrometres} {length:g} was read as {name} {got[field]:g} (element size"
                    f" {size[-1]:g} um); the Fiji plugin does not look at it"
                )
            else:
                assumed = getattr(LossWeights, field)
                self.notes.append(f"{name} is not in the file: {assumed:g} was assumed")
        if any(name not in names for name in _LOSS_NAMES.values()) and names:
            defaults = ", ".join(f"{getattr(LossWeights, field):g}" for field in _LOSS_NAMES)
            self.notes.append(f"the Fiji plugin takes {defaults} for all four of them")
        return LossWeights(**got)

    def loss_number(self, name: str) -> float:
        values = h5.read_dataset(self.file, f"{_LOSS}/{name}", error=WeightsError).ravel()
        if values.size != 1 or not np.isfinite(values[0]):
            raise self.wrong(f"pixelwise_loss_weights/{name}", "one number", values[:4].tolist())
        return float(values[0])


_LOSS_NAMES = {
    "border_factor": "borderWeightFactor",
    "border_sigma": "borderWeightSigmaPx",
    "foreground_background_ratio": "foregroundBackgroundRatio",
    "sigma1": "sigma1Px",
}


# ---------------------------------------------------------------------- writing


def write_modeldef(
    path: str | os.PathLike[str], modeldef: ModelDef, *, overwrite: bool = True
) -> None:
    """Write a model definition that the plugin and caffe_unet read, whole or not at all.

    Strings have fixed length, lengths are float64, loss weights float32, counts int32.
    """
    m = modeldef
    with h5.create_h5(path, overwrite=overwrite) as file:

        def text(name: str, value: str) -> None:
            file[name] = np.bytes_(value.encode("utf-8", "surrogateescape"))

        text(".unet-ident", m.ident)
        text("model_prototxt", m.model_prototxt)
        text("solver_prototxt", m.solver_prototxt)
        group = file.create_group(_GROUP)
        text(f"{_GROUP}/name", m.name or m.ident)
        for name in ("description", "input_dataset_name", "input_blob_name", "padding"):
            text(f"{_GROUP}/{name}", getattr(m, name))
        group["element_size_um"] = np.array(m.element_size_um, np.float64)
        group["normalization_type"] = np.int32(m.normalization_type)
        group["downsampleFactor"] = np.array(m.downsample_factor, np.int32)
        group["padInput"] = np.array(m.pad_input, np.int32)
        group["padOutput"] = np.array(m.pad_output, np.int32)
        group["diskRadiusPx"] = np.int32(m.disk_radius_px)
        if m.class_names:
            names = [name.encode("utf-8", "surrogateescape") for name in m.class_names]
            group["classNames"] = np.array(names)
        if m.memory_map:
            group["mapInputNumPxGPUMemMB"] = np.array(m.memory_map, np.int32).T
        if m.input_channels is not None:
            group["input_num_channels"] = np.int32(m.input_channels)
        weights = file.create_group(_LOSS)
        for field, name in _LOSS_NAMES.items():
            weights[name] = np.float32(getattr(m.loss_weights, field))
