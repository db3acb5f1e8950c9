"""A picture to judge a segmentation by: the image, and beside it the image with contours.

Contours are drawn on the inner edge of classes, or of objects, two display pixels wide: each class
in its colour or, where there is a truth to compare with, the prediction in orange, the truth in
blue, and white where both agree within two pixels of the image.  The colours are Okabe and Ito's,
which people with any kind of colour vision can tell apart.  Small images are enlarged by a whole
factor, large ones reduced; the scale bar comes from the pixel size.

Source of the colours: M. Okabe, K. Ito, Color Universal Design, 2008.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ImageError

PREDICTION = (230, 159, 0)  # orange
TRUTH = (86, 180, 233)  # sky blue
BOTH = (255, 255, 255)
COMPARED = ((PREDICTION, "prediction only"), (TRUTH, "truth only"), (BOTH, "both"))
CLASSES = (PREDICTION, (0, 158, 115), (204, 121, 167), (240, 228, 66), (213, 94, 0), (0, 114, 178))

PANEL = 1000  # display pixels of a panel's longer side, about
_GAP, _PAPER, _INK = 8, (255, 255, 255), (40, 40, 40)
_DIMMED = 0.8  # brightness of the image under the contours
_AGREE = 2.0  # pixels of the image
_BAR_STEPS = (1.0, 2.0, 5.0)


def overlay(
    image: np.ndarray,
    labels: np.ndarray,
    truth: np.ndarray | None = None,
    *,
    objects: np.ndarray | None = None,
    class_names: Sequence[str] = (),
    pixel_size: tuple[float, float] | None = None,
    unit: str = "",
    keyed: bool = True,
) -> np.ndarray:
    """The panel, (height, width, 3) uint8.

    image: (H, W) or (channels, H, W), any type; labels, truth: class indices (H, W), 0 without a
    contour; objects: numbers (H, W), each of one class, whose edges are drawn instead of those of
    classes; class_names: for the legend, by class index; keyed: with the legend below.
    ImageError where the sizes differ.
    """
    import PIL.Image

    planes = image if image.ndim == 3 else image[None]
    for what, other in (("label map", labels), ("truth", truth)):
        if other is not None and other.shape != planes.shape[1:]:
            raise ImageError(
                f"image and {what} have different sizes (height, width)",
                expected=planes.shape[1:],
                found=other.shape,
            )
    size = display_size((labels.shape[0], labels.shape[1]))
    base = np.asarray(
        PIL.Image.fromarray(to_rgb(planes)).resize(
            size[::-1], PIL.Image.Resampling.BICUBIC if size[0] >= len(labels) else _reduction()
        )
    )
    drawn = (base * _DIMMED).astype(np.uint8)
    shown = _enlarged(labels, size)
    legend: list[tuple[tuple[int, int, int], str]] = []
    if truth is None:
        edges = contour(shown if objects is None else _enlarged(objects, size))
        present = [int(c) for c in np.unique(labels) if c > 0]
        for c in present:
            drawn[edges & (shown == c)] = colour(c)
            legend.append((colour(c), class_names[c] if c < len(class_names) else f"class {c}"))
        if len(present) == 1 and not class_names:
            legend = [(PREDICTION, "prediction")]
    else:
        ours, theirs = contour(shown > 0), contour(_enlarged(truth, size) > 0)
        reach = max(1, round(_AGREE * size[0] / len(labels)))
        drawn[theirs & ~_near(ours, reach)] = TRUTH
        drawn[ours] = PREDICTION
        drawn[ours & _near(theirs, reach)] = BOTH
        legend = list(COMPARED)
    left = base.copy()
    if pixel_size is not None:
        left = _scale_bar(left, pixel_size[1] * labels.shape[1] / size[1], unit)
    return _panel(left, drawn, legend if keyed else ())


def colour(kind: int) -> tuple[int, int, int]:
    """Of a class above 0; after six they come again."""
    return CLASSES[(kind - 1) % len(CLASSES)]


def to_rgb(planes: np.ndarray) -> np.ndarray:
    """Channels (C, H, W) for the screen, (H, W, 3) uint8: three are RGB, else the first in grey.

    Values between the percentiles 0.5 and 99.5 fill the range; 8-bit RGB stays as it is.
    """
    if len(planes) == 3 and planes.dtype == np.uint8:
        return np.ascontiguousarray(planes.transpose(1, 2, 0))
    shown = planes[:3] if len(planes) == 3 else planes[:1]
    values = np.nan_to_num(shown.astype(np.float64), posinf=0, neginf=0)
    low, high = np.percentile(values, [0.5, 99.5])
    unit = np.clip((values - low) / (high - low if high > low else 1), 0, 1)
    grey = np.rint(255 * unit).astype(np.uint8).transpose(1, 2, 0)
    return np.ascontiguousarray(np.broadcast_to(grey, (*grey.shape[:2], 3)))


def display_size(shape: tuple[int, int]) -> tuple[int, int]:
    """Display pixels (height, width): enlarged by a whole factor up to 8, or reduced."""
    longer = max(shape)
    if longer <= PANEL:
        factor = min(max(1, round(PANEL / longer)), 8)
        return shape[0] * factor, shape[1] * factor
    return max(1, round(shape[0] * PANEL / longer)), max(1, round(shape[1] * PANEL / longer))


def contour(numbers: np.ndarray) -> np.ndarray:
    """The outermost two pixels of the regions of each number above 0 (bool); the image's edge is no
    contour."""
    from scipy import ndimage

    highest = ndimage.maximum_filter(numbers, 5, mode="nearest")
    lowest = ndimage.minimum_filter(numbers, 5, mode="nearest")
    edges: np.ndarray = (numbers > 0) & (highest != lowest)
    return edges


def _near(mask: np.ndarray, reach: int) -> np.ndarray:
    from scipy import ndimage

    near: np.ndarray = ndimage.binary_dilation(mask, np.ones((3, 3)), iterations=reach)
    return near


def _enlarged(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Labels at display resolution: nearest pixel."""
    rows = (np.arange(size[0]) + 0.5) * labels.shape[0] / size[0]
    columns = (np.arange(size[1]) + 0.5) * labels.shape[1] / size[1]
    return labels[rows.astype(np.intp)[:, None], columns.astype(np.intp)]


def _reduction() -> Any:
    import PIL.Image

    return PIL.Image.Resampling.BOX


def font(size: int) -> Any:
    """Pillow's own font, for plain letters."""
    import PIL.ImageFont

    return PIL.ImageFont.load_default(size)


def _scale_bar(panel: np.ndarray, per_pixel: float, unit: str) -> np.ndarray:
    """A white bar of a round length, about a fifth of the width, outlined, at the lower left."""
    import PIL.Image
    import PIL.ImageDraw

    height, width = panel.shape[:2]
    goal = per_pixel * width / 5
    power = 10.0 ** np.floor(np.log10(goal))
    length = max(s for s in _BAR_STEPS if s * power <= goal) * power
    picture = PIL.Image.fromarray(panel)
    draw = PIL.ImageDraw.Draw(picture)
    text = max(12, width // 50)
    margin, thick = text, max(3, width // 200)
    x, y = margin, height - margin - thick
    end = x + round(length / per_pixel)
    draw.rectangle([x - 1, y - 1, end + 1, y + thick + 1], fill=(0, 0, 0))
    draw.rectangle([x, y, end, y + thick], fill=(255, 255, 255))
    label = _length(length, unit)
    draw.text(
        (x, y - text - 6),
        label,
        fill="white",
        font=font(text),
        stroke_width=2,
        stroke_fill="black",
    )
    return np.asarray(picture)


def _length(length: float, unit: str) -> str:
    """ "200 nm" rather than "0.2 um"; plain letters, for the built-in font has no Greek ones."""
    if unit == "um" and length < 1:
        length, unit = 1000 * length, "nm"
    elif unit == "nm" and length >= 1000:
        length, unit = length / 1000, "um"
    return f"{length:g} {unit}"


def _panel(
    left: np.ndarray, right: np.ndarray, legend: Sequence[tuple[tuple[int, int, int], str]]
) -> np.ndarray:
    """Both side by side on white, the legend below the right one."""
    import PIL.Image
    import PIL.ImageDraw

    height, width = left.shape[:2]
    text = max(12, min(width // 50, 20))
    strip = text + 2 * _GAP if legend else 0
    sheet = PIL.Image.new("RGB", (2 * width + _GAP, height + strip), _PAPER)
    sheet.paste(PIL.Image.fromarray(left), (0, 0))
    sheet.paste(PIL.Image.fromarray(right), (width + _GAP, 0))
    draw, letters = PIL.ImageDraw.Draw(sheet), font(text)
    x, y = width + _GAP, height + _GAP
    for colour, name in legend:
        draw.rectangle([x, y, x + text, y + text], fill=colour, outline=_INK)
        draw.text((x + text + 6, y - 1), name, fill=_INK, font=letters)
        x += text + 6 + int(draw.textlength(name, font=letters)) + 2 * text
    return np.asarray(sheet)


def png(pixels: np.ndarray) -> bytes:
    """(height, width, 3) uint8 as the bytes of a PNG file."""
    import PIL.Image

    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
