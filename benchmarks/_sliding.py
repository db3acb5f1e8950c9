"""A classifier of windows at work: windows drawn for training, all pixels of an image at once.

    Patches       a Python layer without bottoms: windows of half membrane, half interior
    Fragments     a Python layer before a pooling: (n, c, h, w) -> (4 n, c, ...), the four ways to
                  lay 2 x 2 blocks, so that pooling has an answer for every pixel
    whole         the net that answers for every pixel, and `assembled`, which sorts its answers

With pooling by 2, a net that is moved over an image gives answers 16 pixels apart.  Behind a
Fragments layer the four shifts go on as images of the batch: nothing is computed twice, and every
answer is that of its own window.  Of 16 k + 94 pixels there are 16 k answers.

Source: Giusti, Ciresan, Masci, Gambardella, Schmidhuber, "Fast Image Scanning with Deep Max-Pooling
Convolutional Neural Networks", arXiv 1302.1700, 2013 (max-pooling fragments).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from demitasse import netspec
from demitasse.data import augment
from demitasse.data.crops import window
from demitasse.data.normalize import Normalization
from demitasse.imaging import tiff
from demitasse.layers.scripted import PythonLayer

WINDOW, STRIDE, POOLINGS = 95, 16, 4
HALF = WINDOW // 2


class Patches(PythonLayer):
    """Tops: windows (batch, 1, 95, 95), mirrored or turned by chance, and labels (batch, 1, 1, 1).

    param_str, JSON: images, labels: stacks; slices: which of them; batch, seed.  A batch is a
    function of the seed and its number, which a snapshot keeps.
    """

    count = 0

    def setup(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        self.given = given = json.loads(self.param_str)
        self.images, self.interior = stack(given["images"], given["labels"], given["slices"])
        self.places = [np.flatnonzero(self.interior == value) for value in (0, 1)]

    def reshape(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        top[0].reshape(self.given["batch"], 1, WINDOW, WINDOW)
        top[1].reshape(self.given["batch"], 1, 1, 1)

    def forward(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        rng = augment.generator(self.given["seed"], self.count)
        self.count += 1
        for i in range(self.given["batch"]):
            label = i % 2
            place = self.places[label][rng.integers(len(self.places[label]))]
            z, y, x = np.unravel_index(place, self.interior.shape)
            patch = self.images[z, y : y + WINDOW, x : x + WINDOW]
            turned = augment.symmetry(patch, augment.random_symmetry(rng, square=True))
            top[0].data[i, 0], top[1].data[i] = turned, label

    def backward(self, top: Sequence[Any], down: Sequence[bool], bottom: Sequence[Any]) -> None:
        """There is nothing below."""

    def state(self) -> dict[str, Any]:
        return {"count": self.count}

    def load_state(self, state: Any) -> None:
        self.count = int(state["count"])


class Fragments(PythonLayer):
    """Top: the bottom from (0, 0), (0, 1), (1, 0) and (1, 1) on, one after the other."""

    def reshape(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        n, channels, *size = bottom[0].shape
        top[0].reshape(4 * n, channels, *(2 * ((length - 1) // 2) for length in size))

    def forward(self, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        n, (h, w) = bottom[0].shape[0], top[0].shape[2:]
        for i in range(4):
            y, x = divmod(i, 2)
            top[0].data[i * n : (i + 1) * n] = bottom[0].data[:, :, y : y + h, x : x + w]


def stack(images: str, labels: str, slices: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Slices as `margined`, so that a window begins at the number of its pixel; and interior."""
    grey, truth = (tiff.read(path) for path in (images, labels))
    padded = np.stack([margined(grey.page(i)[0]) for i in slices])
    return padded, np.stack([truth.page(i)[0] > 0 for i in slices])


def margined(plane: np.ndarray, beyond: tuple[int, int] = (0, 0)) -> np.ndarray:
    """A slice, normalised, with half a window around it, and `beyond` at its ends."""
    size = [n + 2 * HALF + more for n, more in zip(plane.shape, beyond, strict=True)]
    return window(Normalization()(plane), (-HALF, -HALF), size)


def whole(path: str, shape: Sequence[int]) -> Any:
    """The net in the file for images of this shape, with an answer for every pixel: "prob"."""
    deployed = netspec.deploy(netspec.read_net(path), shape=shape)
    net = netspec.schema.NetParameter(name=deployed.name)
    for layer in deployed.layer:
        if layer.type == "Pooling":
            cut = net.layer.add(name=f"{layer.name}_fragments", type="Python")
            cut.bottom.append(layer.bottom[0])
            cut.top.append(cut.name)
            cut.python_param.module, cut.python_param.layer = __name__, "Fragments"
            layer.bottom[0] = cut.name
        net.layer.append(layer)
    return net


def assembled(answers: np.ndarray) -> np.ndarray:
    """Answers (4^4, classes, h, w) of a `whole` net -> (classes, 16 h, 16 w), in their places.

    The batch counts the last pooling's shifts slowest; the first one's are of one pixel.
    """
    _, classes, h, w = answers.shape
    bits = answers.reshape([2, 2] * POOLINGS + [classes, h, w])
    at = 2 * POOLINGS
    rows, columns = range(0, at, 2), range(1, at, 2)
    ordered = bits.transpose(at, at + 1, *rows, at + 2, *columns)
    return ordered.reshape(classes, STRIDE * h, STRIDE * w)
