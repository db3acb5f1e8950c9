"""Images, arrays and messages for Caffe: load, resize, transform; arrays to BlobProto and Datum.

Images are (height, width, channels), RGB, float32 in [0, 1].  Resizing and grey values are those of
scikit-image at Caffe's time: bilinear, centres aligned, zeros outside, no smoothing before
shrinking; grey = 0.2125 R + 0.7154 G + 0.0721 B.

Source: Caffe's python/caffe/io.py, and scikit-image's resize and rgb2gray.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ImageError
from . import caffe_pb2

Sizes = Sequence[int] | np.ndarray
Images = Sequence[np.ndarray] | np.ndarray

GREY = (0.2125, 0.7154, 0.0721)


# ---------------------------------------------------------------------- messages


def blobproto_to_array(blob: Any, return_diff: bool = False) -> np.ndarray:
    """The data (or diff) of a BlobProto, in its shape; a single number without one stays one."""
    if return_diff:
        values = np.array(blob.diff if len(blob.diff) else blob.double_diff)
    else:
        values = np.array(blob.data if len(blob.data) else blob.double_data)
    if any(blob.HasField(name) for name in ("num", "channels", "height", "width")):
        return values.reshape(blob.num, blob.channels, blob.height, blob.width)
    return values.reshape(tuple(blob.shape.dim))


def array_to_blobproto(arr: np.ndarray, diff: np.ndarray | None = None) -> Any:
    """A BlobProto of an array and, if given, its gradient."""
    blob = caffe_pb2.BlobProto()
    blob.shape.dim.extend(arr.shape)
    blob.data.extend(arr.astype(float).ravel())
    if diff is not None:
        blob.diff.extend(diff.astype(float).ravel())
    return blob


def arraylist_to_blobprotovector_str(arraylist: Sequence[np.ndarray]) -> bytes:
    """A serialized BlobProtoVector."""
    vector = caffe_pb2.BlobProtoVector()
    vector.blobs.extend(array_to_blobproto(array) for array in arraylist)
    return bytes(vector.SerializeToString())


def blobprotovector_str_to_arraylist(str: bytes) -> list[np.ndarray]:
    """The arrays of a serialized BlobProtoVector."""
    return [blobproto_to_array(blob) for blob in caffe_pb2.BlobProtoVector.FromString(str).blobs]


def array_to_datum(arr: np.ndarray, label: int | None = None) -> Any:
    """A Datum of an array (channels, height, width): bytes as bytes, the rest as floats."""
    if arr.ndim != 3:
        raise ValueError("Incorrect array shape.")
    datum = caffe_pb2.Datum()
    datum.channels, datum.height, datum.width = arr.shape
    if arr.dtype == np.uint8:
        datum.data = arr.tobytes()
    else:
        datum.float_data.extend(arr.astype(float).ravel())
    if label is not None:
        datum.label = label
    return datum


def datum_to_array(datum: Any) -> np.ndarray:
    """The array of a Datum; the label is datum.label."""
    if len(datum.data):
        values = np.frombuffer(datum.data, np.uint8).copy()
    else:
        values = np.array(datum.float_data, float)
    return values.reshape(datum.channels, datum.height, datum.width)


# ---------------------------------------------------------------------- transforming


class Transformer:
    """Turns images into what a net's inputs want, and back.

    inputs: shape of every input by name.  In order: resize, transpose, swap channels, times
    raw_scale, minus mean, times input_scale; each only where it was set.
    """

    def __init__(self, inputs: Mapping[str, Sequence[int]]) -> None:
        self.inputs = inputs
        self.transpose: dict[str, Sequence[int]] = {}
        self.channel_swap: dict[str, Sequence[int]] = {}
        self.raw_scale: dict[str, float] = {}
        self.mean: dict[str, np.ndarray] = {}
        self.input_scale: dict[str, float] = {}

    def _check(self, in_: str) -> None:
        if in_ not in self.inputs:
            raise Exception(f"{in_} is not one of the net inputs: {self.inputs}")

    def preprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """An image (height, width, channels) as input `in_` wants it."""
        self._check(in_)
        found, size = data.astype(np.float32), tuple(self.inputs[in_][2:])
        if found.shape[:2] != size:
            found = resize_image(found, size)
        if in_ in self.transpose:
            found = found.transpose(self.transpose[in_])
        if in_ in self.channel_swap:
            found = found[list(self.channel_swap[in_])]
        if in_ in self.raw_scale:
            found = found * np.float32(self.raw_scale[in_])
        if in_ in self.mean:
            found = (found - self.mean[in_]).astype(np.float32)
        if in_ in self.input_scale:
            found = found * np.float32(self.input_scale[in_])
        return found

    def deprocess(self, in_: str, data: np.ndarray) -> np.ndarray:
        """The way back, but for the size."""
        self._check(in_)
        found = data.copy().squeeze()
        if in_ in self.input_scale:
            found = found / found.dtype.type(self.input_scale[in_])
        if in_ in self.mean:
            found = (found + self.mean[in_]).astype(found.dtype)
        if in_ in self.raw_scale:
            found = found / found.dtype.type(self.raw_scale[in_])
        if in_ in self.channel_swap:
            found = found[np.argsort(self.channel_swap[in_])]
        if in_ in self.transpose:
            found = found.transpose(np.argsort(self.transpose[in_]))
        return found

    def set_transpose(self, in_: str, order: Sequence[int]) -> None:
        """The order of axes: (2, 0, 1) puts channels first."""
        self._check(in_)
        if len(order) != len(self.inputs[in_]) - 1:
            raise Exception(
                "Transpose order needs to have the same number of dimensions as the input."
            )
        self.transpose[in_] = tuple(order)

    def set_channel_swap(self, in_: str, order: Sequence[int]) -> None:
        """The order of channels, which are first by then: (2, 1, 0) makes BGR of RGB."""
        self._check(in_)
        if len(order) != self.inputs[in_][1]:
            raise Exception(
                "Channel swap needs to have the same number of dimensions as the input channels."
            )
        self.channel_swap[in_] = tuple(order)

    def set_raw_scale(self, in_: str, scale: float) -> None:
        """A factor before the mean is subtracted: 255 for nets that know bytes."""
        self._check(in_)
        self.raw_scale[in_] = scale

    def set_mean(self, in_: str, mean: np.ndarray) -> None:
        """What to subtract: a value for each channel, or an image (channels, height, width)."""
        self._check(in_)
        wanted = tuple(self.inputs[in_][1:])
        if mean.ndim == 1:
            if mean.shape[0] != wanted[0]:
                raise ValueError("Mean channels incompatible with input.")
            mean = mean[:, None, None]
        else:
            if mean.ndim == 2:
                mean = mean[None]
            if mean.ndim != 3:
                raise ValueError("Mean shape invalid")
            if mean.shape != wanted:
                mean = resize_image(mean.transpose(1, 2, 0), wanted[1:]).transpose(2, 0, 1)
        self.mean[in_] = mean

    def set_input_scale(self, in_: str, scale: float) -> None:
        """A factor at the very end."""
        self._check(in_)
        self.input_scale[in_] = scale


# ---------------------------------------------------------------------- images


def load_image(filename: str, color: bool = True) -> np.ndarray:
    """An image file as (height, width, 3), or with color=False as (height, width, 1)."""
    pixels = _unit(_read(filename))
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        pixels = pixels[:, :, :-1]  # without alpha
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if not color and pixels.ndim == 3:
        pixels = pixels @ np.array(GREY)
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3 if color else 1, axis=2)
    return pixels.astype(np.float32)


def _read(filename: str) -> np.ndarray:
    """Pixels as stored; of several pages the first."""
    try:
        if str(filename).lower().endswith((".tif", ".tiff")):
            import tifffile

            return np.asarray(tifffile.imread(filename, key=0))
        from PIL import Image

        with Image.open(filename) as image:
            if image.mode not in ("1", "L", "LA", "RGB", "RGBA", "I", "I;16", "I;16B", "F"):
                image = image.convert("RGB")  # type: ignore[assignment]
            wide = image.mode == "I" and image.format == "PNG"  # 16 bits, in older Pillow
            pixels = np.asarray(image)
            return pixels.astype(np.uint16) if wide else pixels
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ImageError(f"cannot be read as an image ({error})", where=str(filename)) from error


def _unit(pixels: np.ndarray) -> np.ndarray:
    """Integers as parts of their type's largest; floats as they are."""
    if pixels.dtype.kind in "iu":
        return pixels / np.float64(np.iinfo(pixels.dtype).max)
    return pixels.astype(np.float64)


def resize_image(im: np.ndarray, new_dims: Sizes, interp_order: int = 1) -> np.ndarray:
    """An image (height, width, channels) in another size, by splines of an order (1: bilinear)."""
    from scipy.ndimage import zoom

    dims = (int(new_dims[0]), int(new_dims[1]))
    if im.shape[-1] not in (1, 3):
        factors = (dims[0] / im.shape[0], dims[1] / im.shape[1], 1)
        return np.asarray(zoom(im, factors, order=interp_order)).astype(np.float32)
    low, high = float(im.min()), float(im.max())
    if low == high:
        return np.full((*dims, im.shape[-1]), low, np.float32)
    # zeros outside are the image's own minimum: it is mapped to [0, 1] meanwhile
    unit = (im.astype(np.float64) - low) / (high - low)
    resized = _resized(unit, dims, interp_order)
    return (resized * (high - low) + low).astype(np.float32)


def _resized(unit: np.ndarray, dims: tuple[int, int], order: int) -> np.ndarray:
    """An image of values in [0, 1] in another size: pixel i looks at (i + 0.5) n/m - 0.5."""
    from scipy.ndimage import map_coordinates

    at = [(np.arange(m) + 0.5) * (n / m) - 0.5 for n, m in zip(unit.shape[:2], dims, strict=True)]
    where = np.meshgrid(*at, indexing="ij")
    planes = [
        map_coordinates(plane, where, order=order, mode="grid-constant", cval=0.0)
        for plane in np.moveaxis(unit, 2, 0)
    ]
    return np.clip(np.stack(planes, axis=2), 0.0, 1.0)


def oversample(images: Images, crop_dims: Sizes) -> np.ndarray:
    """Of each image (height, width, channels) ten crops: corners, centre, and their mirrors."""
    height, width = (int(n) for n in crop_dims)
    rows, columns, channels = images[0].shape
    corners = [(y, x) for y in (0, rows - height) for x in (0, columns - width)]
    places = [*corners, (int(rows / 2 - height / 2), int(columns / 2 - width / 2))]
    crops = np.empty((len(images), 10, height, width, channels), np.float32)
    for i, image in enumerate(images):
        for k, (y, x) in enumerate(places):
            crops[i, k] = image[y : y + height, x : x + width]
        crops[i, 5:] = crops[i, :5, :, ::-1]
    return crops.reshape(-1, height, width, channels)
