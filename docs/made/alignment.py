"""Where the maps of a U-Net lie in its image, along one axis.

Pixel i of a map is centred on pixel a i + b of the image; a layer composes with what is below it:

    convolution, pooling   i -> stride i + (kernel - 1) / 2
    deconvolution          i -> (i - (kernel - 1) / 2) / stride

`alignment.svg` shows each skip above the map it meets; `mask.png` a tile and its mask.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from demitasse import netspec
from demitasse.data import synthetic
from demitasse.drawing.scene import Arrow, Box, Item, Scene, Text
from demitasse.drawing.svg import to_svg
from demitasse.imaging import picture, tiles
from demitasse.layers.base import Context
from demitasse.net.inference import build_layers, infer

NET = str(Path(__file__).resolve().parents[2] / "models" / "unet.prototxt")
SIZE = 572
SCALE, LEFT, ROW = 1.25, 190, 46  # pixels of the drawing for one of the image; its margin; a row
FRAME = (224, 90, 43)


class Span(NamedTuple):
    """A map: its pixels, how far apart they are and where the first is, in pixels of the image."""

    pixels: int
    apart: float
    first: float

    @property
    def ends(self) -> tuple[float, float]:
        return self.first - self.apart / 2, self.first + (self.pixels - 0.5) * self.apart


def spans() -> dict[str, Span]:
    """{blob: where it lies} of the net's trunk and skips."""
    message = netspec.deploy(netspec.read_net(NET), shape=(1, 1, SIZE, SIZE), softmax=False)
    graph = netspec.build(message, "TEST")
    shapes = infer(graph, build_layers(graph, Context())).values
    found = {}
    for node in graph.nodes:
        top = node.tops[0]
        pixels = shapes[top][-1]
        if not node.bottoms:
            found[top.blob] = Span(pixels, 1.0, 0.0)
            continue
        _, apart, first = found[node.bottoms[0].blob]
        if node.type in ("Convolution", "Deconvolution", "Pooling"):
            kernel, stride = window(node)
            if node.type == "Deconvolution":
                apart, first = apart / stride, first - (kernel - 1) / 2 * apart / stride
            else:
                apart, first = apart * stride, first + (kernel - 1) / 2 * apart
        if node.type == "Crop":
            first += node.layer.crop_param.offset[0] * apart
        for one in node.tops:
            found[one.blob] = Span(pixels, apart, first)
    return found


def window(node: object) -> tuple[int, int]:
    layer = node.layer  # type: ignore[attr-defined]
    param = layer.pooling_param if layer.type == "Pooling" else layer.convolution_param
    return param.kernel_size[0], param.stride[0] if param.stride else 1


def bar(span: Span, y: float, style: str, title: str, height: float = 16) -> Box:
    left, right = span.ends
    return Box(LEFT + SCALE * left, y, SCALE * (right - left), height, style, title)


def scene() -> Scene:
    known, items, y = spans(), list[Item](), 0.0

    def said(words: str, span: Span) -> None:
        apart = "" if span.apart == 1 else f", {span.apart:g} apart"
        items.append(Text(LEFT - 14, y + 12, f"{words}: {span.pixels}{apart}", anchor="end"))

    items.append(bar(known["data"], y, "layer", "the tile"))
    said("data", known["data"])
    y += ROW
    for level in range(4):
        skip, cut, up = (known[f"{name}"] for name in (f"d{level}c", f"d{level}cc", f"u{level}a"))
        items += [bar(skip, y, "layer", f"d{level}c"), bar(cut, y, "copy", f"d{level}cc")]
        said(f"d{level}c", skip)
        for x in cut.ends:
            at = LEFT + SCALE * x
            items.append(Arrow(((at, y - 5), (at, y + 42)), "skip", head=False))
        y += 21
        items.append(bar(up, y, "map", f"u{level}a"))
        said(f"u{level}a", up)
        y += ROW
    items.append(bar(known["d4c"], y, "map", "d4c"))
    said("d4c", known["d4c"])
    y += ROW
    items.append(bar(known["score"], y, "map", "score"))
    said("score", known["score"])
    for pixel in (0, 92, 286, 480, 572):
        at = LEFT + SCALE * (pixel - 0.5)
        items.append(Text(at, y + 40, str(pixel), anchor="middle", style="soft"))
    words = "pixel of the tile; white: what is left of a skip after the crop"
    items.append(Text(LEFT + SCALE * SIZE / 2, y + 60, words, anchor="middle", style="soft"))
    return Scene(
        "Where the maps of the U-Net lie in a tile of 572 pixels",
        "Each skip, cropped, covers the same pixels as the up-convolved map below it.",
        tuple(items),
    )


def mask() -> bytes:
    """A tile with its mirrored margin, and the mask of what it answers for at the same place."""
    drawn = synthetic.image(7, (388, 388))
    margin = (SIZE - 388) // 2
    tile = tiles.cut(drawn.pixels[np.newaxis], (-margin, -margin), (SIZE, SIZE), "mirror")[0]
    left = np.repeat(tile[:, :, np.newaxis], 3, 2)
    right = np.full_like(left, 225)
    inner = slice(margin, margin + 388)
    right[inner, inner] = np.where(drawn.interior, 255, 30)[:, :, np.newaxis]
    for panel in (left, right):
        for at in (margin - 2, margin + 388):
            panel[at : at + 2, margin - 2 : margin + 390] = FRAME
            panel[margin - 2 : margin + 390, at : at + 2] = FRAME
    between = np.full((SIZE, 20, 3), 255, "u1")
    return picture.png(np.concatenate([left, between, right], axis=1))


def draw(folder: Path) -> None:
    (folder / "alignment.svg").write_text(to_svg(scene()), encoding="utf-8")
    (folder / "mask.png").write_bytes(mask())
