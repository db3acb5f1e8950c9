"""The variance of every feature map of an untrained U-Net, for three ways to draw its weights.

    msra       N(0, sqrt(2 / N)), the paper's (He et al. 2015)
    xavier     U(-sqrt(3 / N), sqrt(3 / N)), of variance 1 / N
    gaussian   N(0, 0.01), what many nets of the time began with

N is Caffe's fan_in, the weights of a blob over its first axis.  Measured is what each convolution
gives, before its ReLU, over all channels and pixels; the image is a drawn micrograph with mean 0
and variance 1.  `python docs/made/variances.py` prints the table.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
from demitasse import netspec
from demitasse.data import synthetic
from demitasse.drawing.scene import Arrow, Item, Scene, Text
from demitasse.drawing.svg import to_svg
from demitasse.net import Net

ROOT = Path(__file__).resolve().parents[2]
SIZE, SEED = 188, 1505  # the smallest tile of the net, so that this takes seconds
FILLERS = {
    "msra": "N(0, sqrt(2 / N))",
    "xavier": "U(-sqrt(3 / N), sqrt(3 / N))",
    "gaussian": "N(0, 0.01)",
}


def net(filler: str, path: Path = ROOT / "models/unet.prototxt") -> Net:
    """The net with that filler everywhere, every ReLU with a top of its own."""
    message = netspec.deploy(netspec.read_net(str(path)), shape=(1, 1, SIZE, SIZE), softmax=False)
    for layer in message.layer:
        if layer.type in ("Convolution", "Deconvolution"):
            weights = layer.convolution_param.weight_filler
            weights.Clear()
            weights.type = filler
            if filler == "gaussian":
                weights.std = 0.01
            layer.top[0] += " before"
        elif layer.type == "ReLU":
            layer.bottom[0] += " before"
    followed = {layer.bottom[0] for layer in message.layer if layer.type == "ReLU"}
    for layer in message.layer:  # the up-convolutions and the scores have no ReLU
        if layer.type in ("Convolution", "Deconvolution") and layer.top[0] not in followed:
            layer.top[0] = layer.top[0].removesuffix(" before")
    return Net(netspec.build(message, "TEST"), seed=SEED, keep=True)


def image() -> np.ndarray:
    pixels = synthetic.image(SEED, (SIZE, SIZE)).pixels.astype("f4")
    return ((pixels - pixels.mean()) / pixels.std())[np.newaxis, np.newaxis]


def measure(filler: str) -> dict[str, float]:
    """{feature map: variance}, in the order of the net."""
    made = net(filler)
    made.blobs["data"].data[...] = image()
    made.forward()
    found = {}
    for node in made.graph.nodes:
        if node.layer.type in ("Convolution", "Deconvolution"):
            top = node.layer.top[0]
            found[top.removesuffix(" before")] = float(made.read(top).astype("f8").var())
    return found


@cache
def measured() -> dict[str, dict[str, float]]:
    return {filler: measure(filler) for filler in FILLERS}


def table() -> str:
    """Markdown."""
    found = measured()
    lines = ["| map | " + " | ".join(FILLERS.values()) + " |", "|---|" + "---|" * len(FILLERS)]
    for name in found["msra"]:
        lines.append("| " + " | ".join([name, *(f"{m[name]:.2g}" for m in found.values())]) + " |")
    return "\n".join(lines)


def scene() -> Scene:
    """The variances from the first map to the last, on a logarithmic axis."""
    found, step, decade, left, top = measured(), 34, 22, 60, 2  # of 10 at the top
    items: list[Item] = []
    names = list(found["msra"])
    for power in range(top, -14, -2):
        y = decade * (top - power)
        items.append(Arrow(((left - 12, y), (left + step * len(names), y)), "rule", head=False))
        items.append(Text(left - 18, y + 4, f"1e{power}" if power else "1", anchor="end"))
    for (filler, values), style in zip(found.items(), ("up", "conv", "down"), strict=True):
        points = [
            (left + step * k, decade * (top - math.log10(value)))
            for k, value in enumerate(values.values())
        ]
        items.append(Arrow(tuple(points), style, head=False))
        x, y = points[-1]
        items.append(Text(x + 10, y + 4, FILLERS[filler], style="ink bold"))
    for k, name in enumerate(names):
        items.append(Text(left + step * k + 4, decade * (top + 15), name, 10, "end", "soft", True))
    return Scene(
        "Variance of every feature map of an untrained U-Net",
        "With sqrt(2 / N) it stays within a factor of six of the first; otherwise it shrinks.",
        tuple(items),
    )


def draw(folder: Path) -> None:
    (folder / "variances.svg").write_text(to_svg(scene()), encoding="utf-8")


if __name__ == "__main__":
    print(table())
