"""How far each engine is from double precision, for the shapes of the U-Net's convolutions.

    error = max |found - right| / max |right|       of y, dw and dx; right: float64, by im2col

x and dy are N(0, 1), w N(0, 2 / terms).  Channels are the net's, maps are of OUTPUTS pixels along
an axis, so that double precision stays affordable; no sum over channels is shortened by that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import _unet
import numpy as np

OUTPUTS = 14


def shapes(base: int) -> list[tuple[int, int]]:
    """(inputs, outputs) of the 3x3 layers, each pair once."""
    pairs = ((s.inputs, s.outputs) for s in _unet.steps(base) if s.kind == "conv")
    return list(dict.fromkeys(pairs))


def errors(
    inputs: int, outputs: int, size: int, threads: int
) -> Iterator[tuple[str, Sequence[float]]]:
    """(engine, errors of y, dw, dx) of each that can compute such a layer."""
    from demitasse.kernels import convolution
    from demitasse.kernels.im2col import Window

    rng = np.random.default_rng(inputs + outputs)
    x = rng.standard_normal((1, inputs, size + 2, size + 2), np.float32)
    dy = rng.standard_normal((1, outputs, size, size), np.float32)
    w = rng.standard_normal((outputs, inputs, 3, 3), np.float32)
    w *= np.float32((2 / (9 * inputs)) ** 0.5)
    window = Window((3, 3), (1, 1), (0, 0), (1, 1))
    right = results(x.astype(float), w.astype(float), dy.astype(float), window, "im2col", threads)
    able = convolution.candidates(x.shape, w.shape, dy.shape, window, 1, np.float32)
    for engine in able:
        found = results(x, w, dy, window, engine, threads)
        yield (
            engine,
            [
                float(np.abs(a - b).max() / np.abs(b).max())
                for a, b in zip(found, right, strict=True)
            ],
        )


def results(x: Any, w: Any, dy: Any, window: Any, engine: str, threads: int) -> tuple[Any, ...]:
    """y, dw and dx."""
    from demitasse.kernels import convolution
    from demitasse.kernels.workers import Room, Workers

    form = convolution.Form(window, 1, engine, tile=convolution.largest_tile(learns=False))
    room = Room(20 << 20, Workers(threads))
    size = convolution.scratch_size(x.shape, w.shape, dy.shape, form, room)
    room = Room(room.budget, room.workers, np.empty(size, x.dtype))
    y, dw, dx = np.empty_like(dy), np.zeros_like(w), np.empty_like(x)
    convolution.forward(x, w, None, y, form, room)
    convolution.backward(x, w, y, dy, dw, None, dx, form, room)
    return y, dw, dx
