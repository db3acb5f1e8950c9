"""Segment an image with a peer: what benchmarks/deploy.py compares tools/deploy.py with.

    python benchmarks/deploy_peer.py peer_torch FOLDER image.tif labels.tif --tile 700 --base 64

FOLDER holds the net as the peer likes it (_models.py).  The image is normalised to mean 0 and
standard deviation 1, mirrored beyond its edges, cut into tiles, and the scores become labels.
"""

from __future__ import annotations

import argparse
import importlib

import _unet
import numpy as np
import tifffile


def main() -> None:
    p = argparse.ArgumentParser()
    p.add_argument("module")
    p.add_argument("folder")
    p.add_argument("image")
    p.add_argument("result")
    p.add_argument("--tile", type=int, required=True)
    p.add_argument("--base", type=int, required=True)
    p.add_argument("--threads", type=int, required=True)
    p.add_argument("--output", choices=("labels", "prob"), default="labels")
    p.add_argument("--channels-last", action="store_true")
    args = p.parse_args()
    peer = importlib.import_module(args.module)
    options = {"channels_last": True} if args.channels_last else {}
    predict = peer.predictor(args.folder, args.base, args.tile, args.threads, **options)

    image = tifffile.imread(args.image).astype(np.float32)
    image = (image - image.mean(dtype=np.float64)) / image.std(dtype=np.float64)
    result = segment(image.astype(np.float32), args.tile, predict)
    if args.output == "labels":
        result = result.argmax(0).astype(np.uint8)
    else:
        result = np.exp(result - result.max(0))
        result = result[1] / result.sum(0)
    tifffile.imwrite(args.result, result)


def segment(image, tile, predict):
    """Scores (classes, height, width) by tiles that lie a multiple of the net's step apart."""
    height, width = image.shape
    border, out = _unet.LOST // 2, tile - _unet.LOST
    apart = out if out >= max(height, width) else out // _unet.STEP * _unet.STEP
    padded = np.pad(image, [(border, border + out)] * 2, "reflect")
    scores = np.empty((_unet.CLASSES, height, width), np.float32)
    for y in range(0, height, apart):
        for x in range(0, width, apart):
            part = np.ascontiguousarray(padded[y : y + tile, x : x + tile])
            found = predict(part[None, None])[0]
            end_y, end_x = min(y + apart, height), min(x + apart, width)
            scores[:, y:end_y, x:end_x] = found[:, : end_y - y, : end_x - x]
    return scores


if __name__ == "__main__":
    main()
