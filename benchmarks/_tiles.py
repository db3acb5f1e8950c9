"""Segmenting one image in demitasse's tiles, for the contest of scaling.py."""

from __future__ import annotations

from collections.abc import Callable

import _models
import _ours
import _unet
import numpy as np

BUDGET = 2048 << 20  # bytes: tools/deploy.py's own


def make(folder: str, base: int, threads: int, image: int, count: int | None) -> Callable[[], str]:
    """A function that segments random pixels once and says by which tiles.

    count: of tiles along each axis; None: the predictor chooses, as it does in tools/deploy.py.
    """
    from demitasse.imaging import tiles
    from demitasse.imaging.predict import Predictor

    net, _ = _ours.build(True, base, _unet.SMALLEST, 1, threads, {})
    for name, w, b in _unet.read_weights(_models.path(folder, base)):
        net.params[name][0].data[...], net.params[name][1].data[...] = w, b
    predictor, shape = Predictor(net), (image, image)
    if count is None:
        tiling = predictor.choose(shape, budget=BUDGET)
    else:
        tiling = predictor.tiling(shape, tiles.grid(shape, (count, count), predictor.geometries))
    pixels = np.random.default_rng(0).standard_normal((1, *shape), np.float32)
    counts, inputs = ("x".join(map(str, v)) for v in (tiling.counts, tiling.inputs))

    def run() -> str:
        predictor.predict(pixels, tiling)
        return f"{counts} of {inputs}"

    return run
