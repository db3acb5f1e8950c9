"""The image that a net reads, as far as its own text tells.

    Input, DummyData, MemoryData      its whole shape
    CreateDeformation                 size: the tile that it cuts (ny, nx, nz)
    Data, ImageData, WindowData       batch_size; size: crop_size, or new_height and new_width;
                                      channels: is_color, force_color, force_gray, mean_values
    HDF5Data                          batch_size

What is not told is guessed: the size of the paper's tile, 572 x 572, and one channel, or three
where a mean image is subtracted, as from photographs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..errors import counted
from . import schema
from .deploy import deploy, is_data
from .filter import kept_layers, net_state
from .source import Source

SIZE = (572, 572)
_READING = {
    "Data": "data_param",
    "HDF5Data": "hdf5_data_param",
    "ImageData": "image_data_param",
    "WindowData": "window_data_param",
}
PICTURES = frozenset(_READING) - {"HDF5Data"}  # types whose second top is a number for each image


@dataclass(frozen=True)
class Image:
    """blob: its name; shape: (images, channels, *size) as the net is deployed; batch: images of a
    pass in the state that was asked for; channels_told, size_told: False where guessed."""

    blob: str
    shape: tuple[int, ...]
    batch: int
    channels_told: bool = True
    size_told: bool = True

    @property
    def read(self) -> tuple[int, ...]:
        """The shape of a pass's batch."""
        return (self.batch, *self.shape[1:])

    @property
    def guess(self) -> str:
        """What of it is guessed, as "572 x 572" or "3 channels"; empty where nothing is."""
        size = self.shape[2:] if self.channels_told else self.shape[1:]
        if not self.size_told:
            return " x ".join(map(str, size))
        if self.channels_told:
            return ""
        return counted(self.shape[1], "channel")

    def having(self, channels: int | None, size: Sequence[int] | None) -> Image:
        """The same with what the caller gives."""
        number, own = (*self.shape[1:], 1)[0], self.shape[2:]
        if channels or size:
            shape = (*(self.shape[:1] or (1,)), channels or number, *(size or own))
            told = (self.channels_told or bool(channels), self.size_told or bool(size))
            return replace(self, shape=shape, channels_told=told[0], size_told=told[1])
        return self


def image_of(source: Source, state: Any = None) -> Image | None:
    """The image that the deployment net of a training net reads, the first of its inputs; None
    where it has no input.

    state: a NetState, whose batch and size come before those of others (default: that of training).
    Raises GraphError as `deploy` does.
    """
    state = state or net_state(source.message, schema.TRAIN)
    net = deploy(source, softmax=False, level=state.level, stages=state.stage)
    first = next((layer for layer in net.layer if layer.type == "Input"), None)
    if first is None:
        return None
    blob = first.top[0]
    if first.input_param.shape:
        shape = tuple(first.input_param.shape[0].dim)
        return Image(blob, shape, (*shape, 1)[0])
    layers = list(_layers_from(source, state))
    makers = [layer for layer in layers if blob in layer.top and is_data(layer)]
    batch = next((b for layer in makers if (b := _batch(layer))), 1)
    sizes = (*map(tile, layers), *map(_size, makers))
    size = next((s for s in sizes if s), None)
    told = next((c for layer in makers if (c := _channels(layer))), None)
    pictured = any(layer.transform_param.HasField("mean_file") for layer in makers)
    channels = told or (3 if pictured else 1)
    return Image(blob, (1, channels, *(size or SIZE)), batch, told is not None, size is not None)


def tile(layer: Any) -> tuple[int, ...]:
    """The size of what a CreateDeformation cuts; empty where it takes its bottom's."""
    param = layer.create_deformation_param
    if layer.type != "CreateDeformation" or not (param.ny and param.nx):
        return ()
    return tuple(n for n in (param.nz, param.ny, param.nx) if n)


def _layers_from(source: Source, state: Any) -> Iterator[Any]:
    """The layers that are in the net in a state, then the others."""
    kept = dict.fromkeys(kept_layers(source, state))
    yield from (source.message.layer[i] for i in kept)
    yield from (layer for i, layer in enumerate(source.message.layer) if i not in kept)


def _batch(layer: Any) -> int:
    """Images of a pass; 0 where the layer does not say."""
    name = _READING.get(layer.type)
    return int(getattr(layer, name).batch_size) if name else 0


def _size(layer: Any) -> tuple[int, ...]:
    crop, new = layer.transform_param.crop_size, layer.image_data_param
    if layer.type in PICTURES and crop:
        return (crop, crop)
    if layer.type == "ImageData" and new.new_height and new.new_width:
        return (new.new_height, new.new_width)
    return ()


def _channels(layer: Any) -> int | None:
    param = layer.transform_param
    if layer.type == "WindowData":
        return 3
    if layer.type == "ImageData":
        return 3 if layer.image_data_param.is_color else 1
    if layer.type == "Data" and (param.force_color or param.force_gray):
        return 3 if param.force_color else 1
    means = len(param.mean_value)
    return means if layer.type == "Data" and means > 1 else None
