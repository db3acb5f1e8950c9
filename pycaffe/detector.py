"""Detector: a net that classifies windows of images, with some context around them.

Source: Caffe's python/caffe/detector.py (after R-CNN, Girshick et al., 2014).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from . import TEST, io
from .classifier import transformer
from .net import Net


class Detector(Net):
    """context_pad: pixels of the net's input that show what lies around the window; mean,
    input_scale, raw_scale, channel_swap: as in `io.Transformer`."""

    def __init__(
        self,
        model_file: str,
        pretrained_file: str,
        mean: np.ndarray | None = None,
        input_scale: float | None = None,
        raw_scale: float | None = None,
        channel_swap: Sequence[int] | None = None,
        context_pad: int | None = None,
    ) -> None:
        super().__init__(model_file, TEST, weights=pretrained_file)
        self.transformer = transformer(self, mean, input_scale, raw_scale, channel_swap)
        self.configure_crop(context_pad)

    def detect_windows(
        self, images_windows: Iterable[tuple[str, Sequence[Any]]]
    ) -> list[dict[str, Any]]:
        """Classify windows (ymin, xmin, ymax, xmax) of image files.

        Returns a dict of window, prediction and filename for each.
        """
        name, crops, found = self.inputs[0], [], []
        for filename, windows in images_windows:
            image = io.load_image(filename)
            for window in windows:
                crops.append(self.transformer.preprocess(name, self.crop(image, window)))
                found.append({"window": window, "filename": filename})
        given: Any = np.stack(crops)
        scores = self.forward_all(None, **{name: given})[self.outputs[0]]
        return [{**one, "prediction": score} for one, score in zip(found, scores, strict=True)]

    def detect_selective_search(self, image_fnames: Sequence[str]) -> list[dict[str, Any]]:
        """Classify the windows that selective search proposes.

        It needs the package selective_search_ijcv_with_python, and MATLAB for it.
        """
        import selective_search_ijcv_with_python as proposals  # type: ignore[import-not-found]

        names = [os.path.abspath(name) for name in image_fnames]
        windows = proposals.get_windows(names, cmd="selective_search_rcnn")
        return self.detect_windows(zip(names, windows, strict=True))

    def crop(self, im: np.ndarray, window: Sequence[float]) -> np.ndarray:
        """The window of an image; with context_pad scaled to the net's input, its surroundings
        included, and the mean where these reach over the image's edge."""
        box = np.array(window, float)
        if not self.context_pad:
            y0, x0, y1, x1 = box.astype(int)
            return im[y0:y1, x0:x1]
        size = self.blobs[self.inputs[0]].width  # assumed square
        scale = size / (size - self.context_pad * 2.0)
        half = (box[2:] - box[:2] + 1) / 2
        centre = box[:2] + half
        box = np.round(np.concatenate([centre - scale * half, centre + scale * half]))
        zoom = size / (box[2:] - box[:2] + 1)
        pad = np.round(np.maximum(0, -box[:2]) * zoom).astype(int)
        box = np.clip(box, 0, np.tile(im.shape[:2], 2))
        inside = box[2:] - box[:2] + 1
        assert (inside > 0).all()
        inside = np.minimum(np.round(inside * zoom).astype(int), size - pad)
        (y0, x0, y1, x1), (top, left), (height, width) = box.astype(int), pad, inside
        crop = np.array(np.broadcast_to(self.crop_mean, tuple(self.crop_dims)), np.float32)
        crop[top : top + height, left : left + width] = io.resize_image(
            im[y0:y1, x0:x1], (height, width)
        )
        return crop

    def configure_crop(self, context_pad: int | None) -> None:
        """Set how much context is shown, and the mean image that stands where there is none."""
        name, t = self.inputs[0], self.transformer
        back = np.argsort(t.transpose[name])
        self.crop_dims = np.array(self.blobs[name].data.shape[1:])[back]
        self.context_pad = context_pad
        if not context_pad:
            return
        # the mean, in the space of images that were not transformed yet
        mean = t.mean.get(name)
        if mean is None:
            self.crop_mean = np.zeros(self.crop_dims, np.float32)
            return
        mean = mean.transpose(back)
        if name in t.channel_swap:
            mean = mean[:, :, np.argsort(t.channel_swap[name])]
        self.crop_mean = mean / t.raw_scale.get(name, 1)
