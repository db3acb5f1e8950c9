"""Pictures made larger or smaller, bit for bit as OpenCV's resize does it.

    y[i] = (1 - f) x[floor(c)] + f x[floor(c) + 1],    c = (i + 1/2) in / out - 1/2,   f = c mod 1

along each axis, in whole numbers: f is rounded to 1/2048 and the sums are cut to 8 bits in the
steps OpenCV takes.  There is no smoothing before a picture is made smaller.

Source: the definition of cv::resize with INTER_LINEAR for 8 bit (modules/imgproc/src/resize.cpp);
compared with OpenCV 4.14 and 5.0 (tests/golden/README.md).
"""

from __future__ import annotations

import numpy as np

_ONE = 1 << 11  # a weight of 1


def bilinear(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """A uint8 picture (h, w, channels) as (height, width, channels)."""
    if picture.shape[:2] == (height, width):
        return picture
    top, bottom, above, below = _taps(picture.shape[0], height, clamp=False)
    left, right, before, after = _taps(picture.shape[1], width, clamp=True)
    wide = picture.astype(np.int32)
    rows = (wide[:, left] * before[:, None] + wide[:, right] * after[:, None]) >> 4
    upper = (rows[top] * above[:, None, None]) >> 16
    lower = (rows[bottom] * below[:, None, None]) >> 16
    return ((upper + lower + 2) >> 2).astype(np.uint8)


def _taps(
    size: int, wanted: int, *, clamp: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """For each new pixel the two old ones and their weights.

    clamp: outside the picture the edge pixel has all the weight (along rows); otherwise the weights
    stay and both pixels are the edge's (along columns): the roundings differ.
    """
    scale = 1 / (wanted / size)
    centre = ((np.arange(wanted) + 0.5) * scale - 0.5).astype(np.float32)
    first = np.floor(centre).astype(np.int64)
    part = (centre - first).astype(np.float32)
    if clamp:
        part[(first < 0) | (first >= size - 1)] = 0
    weights = [np.rint(w * np.float32(_ONE)).astype(np.int32) for w in (1 - part, part)]
    return first.clip(0, size - 1), (first + 1).clip(0, size - 1), weights[0], weights[1]
