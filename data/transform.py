"""What transform_param does to an image on its way into a net.

    y = (x - mean) scale        of a crop_size x crop_size part, perhaps mirrored left to right

    x: (channels, h, w), uint8 or float       mean: an image as large as x, or a value a channel

In training the part lies at random, in testing in the middle; mirroring is random in both, as in
Caffe.  The mean belongs to the pixel, wherever it is moved to.

Source: Caffe's src/caffe/data_transformer.cpp.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import DataError

Shape = tuple[int, ...]


class Transformer:
    """mean: (channels, h, w), or one value for all or for each channel, or nothing."""

    def __init__(
        self,
        *,
        scale: float = 1.0,
        crop: int = 0,
        mirror: bool = False,
        mean: np.ndarray | Sequence[float] = (),
        train: bool = False,
        mean_name: str = "the mean",
    ) -> None:
        self.scale, self.crop, self.mirror, self.train = scale, crop, mirror, train
        self.mean, self._mean_name = np.asarray(mean), mean_name

    def shape(self, image: Shape, where: str) -> Shape:
        """What becomes of an image of this shape; DataError where it does not fit."""
        channels, height, width = image
        size = " x ".join(map(str, image))
        if self.crop and min(height, width) < self.crop:
            raise DataError(
                "is smaller than crop_size",
                where=where,
                expected=f"{self.crop} pixels or more",
                found=f"{height} x {width}",
            )
        if self.mean.ndim == 3 and self.mean.shape != image:
            raise DataError(
                f"has another size than {self._mean_name}",
                where=where,
                expected=" x ".join(map(str, self.mean.shape)),
                found=size,
                remedy="Give mean_value instead, or resize the images as for the mean",
            )
        if self.mean.ndim == 1 and len(self.mean) not in (0, 1, channels):
            raise DataError(
                f"has another number of channels than there are {self._mean_name}s",
                where=where,
                expected=f"{len(self.mean)} channels",
                found=f"{size} (channels, height, width)",
                remedy="Give one mean_value, or one for each channel",
            )
        return (channels, self.crop, self.crop) if self.crop else tuple(image)

    def __call__(
        self, image: np.ndarray, out: np.ndarray, rng: np.random.Generator, where: str
    ) -> None:
        """Write the transformed image into `out`; DataError where `out` has another shape."""
        shape = self.shape(image.shape, where)
        if shape != out.shape:
            raise DataError(
                "has another size than the first image of its batch",
                where=where,
                expected=" x ".join(map(str, out.shape)),
                found=" x ".join(map(str, shape)),
                remedy="Make all images of one size, set crop_size, or take batches of one",
            )
        mirrored = self.mirror and bool(rng.integers(2))
        rest = [whole - part for whole, part in zip(image.shape[1:], shape[1:], strict=True)]
        if self.crop and self.train:
            top, left = (int(rng.integers(r + 1)) for r in rest)
        else:
            top, left = (r // 2 for r in rest)
        part = (slice(None), slice(top, top + shape[1]), slice(left, left + shape[2]))
        target = out[..., ::-1] if mirrored else out
        target[...] = image[part]
        if self.mean.ndim == 3:
            target -= self.mean[part]
        elif self.mean.size:
            target -= self.mean.astype(out.dtype)[:, None, None]
        if self.scale != 1:
            target *= out.dtype.type(self.scale)
