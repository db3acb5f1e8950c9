"""Classifier: a net that classifies images, whole, in the centre, or by ten crops.

Source: Caffe's python/caffe/classifier.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import TEST, io
from .net import Net


def transformer(
    net: Net,
    mean: np.ndarray | None,
    input_scale: float | None,
    raw_scale: float | None,
    channel_swap: Sequence[int] | None,
) -> io.Transformer:
    """A Transformer for the first input of a net, channels first."""
    name = net.inputs[0]
    made = io.Transformer({name: net.blobs[name].data.shape})
    made.set_transpose(name, (2, 0, 1))
    if mean is not None:
        made.set_mean(name, mean)
    if input_scale is not None:
        made.set_input_scale(name, input_scale)
    if raw_scale is not None:
        made.set_raw_scale(name, raw_scale)
    if channel_swap is not None:
        made.set_channel_swap(name, channel_swap)
    return made


class Classifier(Net):
    """image_dims: what images are scaled to before crops are cut (default: the net's input); mean,
    input_scale, raw_scale, channel_swap: as in `io.Transformer`."""

    def __init__(
        self,
        model_file: str,
        pretrained_file: str,
        image_dims: Sequence[int] | None = None,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.crop_dims = np.array(self.blobs[self.inputs[0]].data.shape[2:])
        self.image_dims = self.crop_dims if image_dims is None else np.array(image_dims)

    def predict(self, inputs: Sequence[np.ndarray], oversample: bool = True) -> np.ndarray:
        """What the net says of each image (height, width, channels): a row each.

        oversample: the mean over ten crops, instead of the centre alone.
        """
        images = np.stack([io.resize_image(image, self.image_dims) for image in inputs])
        if oversample:
            images = io.oversample(images, self.crop_dims)
        else:
            y, x = (int(n) for n in self.image_dims / 2 - self.crop_dims / 2)
            height, width = self.crop_dims
            images = images[:, y : y + height, x : x + width]
        name = self.inputs[0]
        given: Any = np.stack([self.transformer.preprocess(name, image) for image in images])
        scores = self.forward_all(None, **{name: given})[self.outputs[0]]
        if oversample:
            scores = scores.reshape(len(scores) // 10, 10, -1).mean(axis=1)
        return scores
