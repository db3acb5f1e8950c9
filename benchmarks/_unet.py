"""The net of models/unet.prototxt as a list of steps, from which every peer builds the same net.

    conv   3x3, unpadded, and ReLU        up     2x2 up-convolution of stride 2
    pool   maximum of 2x2                 join   concat(below, skip without `rim` pixels each side)
    score  1x1

Steps have the names of the layers in the prototxt.  Weights are Caffe's arrays: (outputs, inputs,
k, k), of an up-convolution (inputs, outputs, 2, 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DEPTH, CLASSES, LOST, STEP, SMALLEST = 4, 2, 184, 16, 188
LEARNT = {"conv": 3, "up": 2, "score": 1}  # kind: size of its kernel
Weights = Mapping[str, tuple[np.ndarray, np.ndarray]]


class Step(NamedTuple):
    """ends: blobs that nobody reads afterwards."""

    kind: str
    name: str
    bottoms: tuple[str, ...]
    top: str
    inputs: int
    outputs: int
    rim: int = 0
    ends: tuple[str, ...] = ()

    @property
    def kernel(self) -> int:
        return LEARNT[self.kind]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of its weights."""
        first = (self.inputs, self.outputs) if self.kind == "up" else (self.outputs, self.inputs)
        return (*first, self.kernel, self.kernel)


def steps(base: int) -> list[Step]:
    """The net with `base` channels at the top, in the order of the layers."""
    found: list[Step] = []
    blob, channels = "data", 1

    def conv(top: str, outputs: int) -> None:
        nonlocal blob, channels
        name = f"conv_{'d0a' if blob == 'data' else blob}-{top[-1]}"
        found.append(Step("conv", name, (blob,), top, channels, outputs))
        blob, channels = top, outputs

    for level in range(DEPTH + 1):
        conv(f"d{level}b", base << level)
        conv(f"d{level}c", base << level)
        if level < DEPTH:
            top = f"d{level + 1}a"
            name = f"pool_{blob}-{level + 1}a"
            found.append(Step("pool", name, (blob,), top, channels, channels))
            blob = top
    rim = 4
    for level in reversed(range(DEPTH)):
        up, skip, joined = f"u{level}a", f"d{level}c", f"u{level}b"
        found.append(Step("up", f"upconv_{blob}_{up}", (blob,), up, channels, channels // 2))
        name = f"concat_{skip}c_{up}-b"
        found.append(Step("join", name, (up, skip), joined, channels, channels, rim))
        blob, rim = joined, 2 * rim + 8
        conv(f"u{level}c", base << level)
        conv(f"u{level}d", base << level)
    found.append(Step("score", "conv_u0d-score", (blob,), "score", channels, CLASSES))
    last = {bottom: i for i, step in enumerate(found) for bottom in step.bottoms}
    return [
        step._replace(ends=tuple(b for b in step.bottoms if last[b] == i))
        for i, step in enumerate(found)
    ]


def sizes(size: int, base: int) -> dict[str, int]:
    """Pixels along an axis of every blob, for an input of `size`."""
    found = {"data": size}
    for step in steps(base):
        n = found[step.bottoms[0]]
        found[step.top] = {"conv": n - 2, "pool": n // 2, "up": 2 * n}.get(step.kind, n)
    return found


def flop(step: Step, size: Mapping[str, int], batch: int = 1) -> tuple[float, float]:
    """Operations of the direct algorithm, forward and backward (both gradients; the first layer
    has only one): 2 for each product; 0 for a step without weights."""
    if step.kind not in LEARNT:
        return 0.0, 0.0
    at = step.bottoms[0] if step.kind == "up" else step.top
    one = 2.0 * batch * np.prod(step.shape, dtype=float) * size[at] ** 2
    return one, one * (1 if step.bottoms == ("data",) else 2)


def he_weights(base: int, seed: int = 0) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """(name, w, b) of each step that learns: w from N(0, 2 / N) (an up-convolution 1 / inputs, as
    no ReLU follows), b small and not zero, so that a peer that forgets it is found out."""
    rng = np.random.default_rng(seed)
    for step in steps(base):
        if step.kind in LEARNT:
            spread = (1 if step.kind == "up" else 2) / (
                step.inputs * (1 if step.kind == "up" else step.kernel**2)
            )
            w = rng.standard_normal(step.shape, np.float32) * np.float32(spread**0.5)
            yield step.name, w, rng.standard_normal(step.outputs, np.float32) * np.float32(0.05)


def read_weights(path: str | Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The same from the file that `_models.py` wrote, one array in memory at a time."""
    with np.load(path) as file:
        for name in file.files:
            if name.endswith(".w"):
                yield name[:-2], file[name], file[name[:-2] + ".b"]


def pixels(size: int, batch: int = 1) -> np.ndarray:
    """A random image, the same for everybody: (batch, 1, size, size), float32."""
    return np.random.default_rng(size).standard_normal((batch, 1, size, size), np.float32)


def labels(size: int, batch: int = 1) -> np.ndarray:
    """Random labels of a training tile: (batch, size - 184, size - 184), uint8."""
    n = size - LOST
    return np.random.default_rng(size + 1).integers(0, CLASSES, (batch, n, n), np.uint8)


def source(base: int) -> Any:
    """models/unet.prototxt with `base` channels at the top instead of 64."""
    from demitasse import netspec

    found = netspec.read_net(str(ROOT / "models" / "unet.prototxt"))
    for layer in found.message.layer:
        if layer.type in ("Convolution", "Deconvolution") and layer.top[0] != "score":
            layer.convolution_param.num_output = layer.convolution_param.num_output * base // 64
    return found
