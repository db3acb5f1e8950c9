"""The first pictures that a reader sees: the net as figure 1 of the paper, what the demo finds."""

from __future__ import annotations

from pathlib import Path

import PIL.Image
from demitasse.tools import demo, draw

WIDTH = 1028


def net(folder: Path) -> None:
    """unet.svg."""
    draw.main(["models/unet.prototxt", "-o", str(folder / "unet.svg")])


def segmented(folder: Path) -> None:
    """demo.png, smaller than it is and in 64 colours; the demo runs where it has not yet."""
    found = Path("demo/image.overlay.png")
    if not found.exists():
        demo.main([])
    picture = PIL.Image.open(found).convert("RGB")
    picture.thumbnail((WIDTH, picture.height), PIL.Image.Resampling.LANCZOS)
    picture.quantize(64).save(folder / "demo.png", optimize=True)
