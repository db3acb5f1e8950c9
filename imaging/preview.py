"""Training samples as a picture: image, labels, weights and sampling pdf side by side.

One row a sample.  Labels have the classes' colours on black; weights and pdf are shown by their
logarithm, from dark to bright, with the range below; what weighs nothing is grey.  A label map
smaller than its image lies in its middle, in a frame: the net sees more than it answers for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files import replacing
from .picture import CLASSES, font, png, to_rgb

SIDE = 420  # display pixels of a panel's longer side
_GAP, _PAPER, _INK = 10, (255, 255, 255), (40, 40, 40)
NOTHING, _FRAME = (128, 128, 128), (255, 255, 255)
# dark blue, violet, orange, pale yellow: brighter all the way, for any kind of colour vision
SCALE = ((10, 8, 60), (110, 30, 130), (230, 100, 60), (255, 235, 150))


@dataclass(frozen=True)
class Sample:
    """image (channels, H, W); labels (h, w) class indices; maps: (name, (h, w)) each; name."""

    image: np.ndarray
    labels: np.ndarray
    maps: tuple[tuple[str, np.ndarray], ...]
    name: str = ""


def write_preview(path: str | Path, samples: Sequence[Sample], *, overwrite: bool = False) -> None:
    """Write `preview` as PNG, whole or not at all; OutputError."""
    sheet = preview(samples)
    with replacing(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(png(sheet))


def preview(samples: Sequence[Sample]) -> np.ndarray:
    """The sheet, (height, width, 3) uint8."""
    import PIL.Image
    import PIL.ImageDraw

    rows = [_row(sample) for sample in samples]
    text = 14
    line = text + _GAP
    width = max(sum(p.shape[1] + _GAP for p, _ in row) for row in rows) + _GAP
    height = sum(row[0][0].shape[0] + line + _GAP for row in rows) + _GAP
    sheet = PIL.Image.new("RGB", (width, height), _PAPER)
    draw = PIL.ImageDraw.Draw(sheet)
    y = _GAP
    for row in rows:
        x = _GAP
        for panel, words in row:
            sheet.paste(PIL.Image.fromarray(panel), (x, y))
            draw.text((x, y + panel.shape[0] + 3), words, fill=_INK, font=font(text))
            x += panel.shape[1] + _GAP
        y += row[0][0].shape[0] + line + _GAP
    return np.asarray(sheet)


def _row(sample: Sample) -> list[tuple[np.ndarray, str]]:
    """The panels of a sample and the words below them."""
    height, width = sample.image.shape[1:]
    size = (height, width)
    panels = [(_framed(to_rgb(sample.image), sample.labels.shape), sample.name or "image")]
    colours = np.array([(0, 0, 0), *CLASSES], np.uint8)
    known = sample.labels.astype(np.intp)
    shown = colours[np.where(known > 0, 1 + (known - 1) % len(CLASSES), 0)]
    if sample.maps:
        shown[sample.maps[0][1] == 0] = NOTHING
    panels.append((_centred(shown, size), "labels"))
    for name, values in sample.maps:
        positive = values[values > 0]
        low, high = (float(positive.min()), float(positive.max())) if positive.size else (0.0, 0.0)
        panels.append((_centred(_heat(values, low, high), size), f"{name} {low:.3g} to {high:.3g}"))
    return [(_sized(panel), words) for panel, words in panels]


def _heat(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Colours of the logarithm between low and high."""
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.log(values / low) / np.log(high / low) if high > low else np.ones(values.shape)
    at = np.clip(np.nan_to_num(part), 0, 1) * (len(SCALE) - 1)
    colour = np.stack(
        [np.interp(at, np.arange(len(SCALE)), c) for c in zip(*SCALE, strict=True)], axis=-1
    )
    shown = np.rint(colour).astype(np.uint8)
    shown[values <= 0] = NOTHING
    return shown


def _corner(inner: Sequence[int], outer: Sequence[int]) -> tuple[int, int]:
    return (outer[0] - inner[0]) // 2, (outer[1] - inner[1]) // 2


def _centred(panel: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The panel in the middle of a white one of `size`."""
    sheet = np.full((*size, 3), 255, np.uint8)
    y, x = _corner(panel.shape, size)
    sheet[y : y + panel.shape[0], x : x + panel.shape[1]] = panel
    return sheet


def _framed(image: np.ndarray, inner: Sequence[int]) -> np.ndarray:
    """The image with the net's output region framed, where that is smaller."""
    if image.shape[:2] != tuple(inner):
        image = image.copy()
        y, x = _corner(inner, image.shape)
        bottom, right = y + inner[0] - 1, x + inner[1] - 1
        image[[y, bottom], x : right + 1] = _FRAME
        image[y : bottom + 1, [x, right]] = _FRAME
    return image


def _sized(panel: np.ndarray) -> np.ndarray:
    """Enlarged by a whole factor, or reduced, to about SIDE."""
    import PIL.Image

    longer = max(panel.shape[:2])
    factor = max(1, SIDE // longer) if longer <= SIDE else SIDE / longer
    height, width = (max(1, round(n * factor)) for n in panel.shape[:2])
    how = PIL.Image.Resampling.NEAREST if factor >= 1 else PIL.Image.Resampling.BOX
    return np.asarray(PIL.Image.fromarray(panel).resize((width, height), how))
