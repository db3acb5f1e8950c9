"""Small bright pieces of a map of probabilities, lowered into what surrounds them.

    opened(x) = image(x), or the highest t at which x no longer lies in a connected piece of
                {image > t} of `size` pixels or fewer

So whichever of these thresholds is chosen afterwards, no object of `size` pixels or fewer appears:
what is left are the objects of the image at that threshold, less the small ones.  t: LEVELS.

Source: L. Vincent, Grayscale area openings and closings, their efficient implementation and
applications, 1993.
"""

from __future__ import annotations

import numpy as np

LEVELS = np.arange(250) / 250


def area_opening(image: np.ndarray, size: int, *, connectivity: int = 4) -> np.ndarray:
    """image (height, width) or (depth, height, width), any floats.

    Pixels of a piece share an edge (connectivity 4), or also a corner (8).  Pixels that are not
    above 0 stay as they are.
    """
    from scipy import ndimage

    neighbours = ndimage.generate_binary_structure(
        image.ndim, 1 if connectivity == 4 else image.ndim
    )
    opened = image.copy()
    # from the top: a piece that is still small where it was lowered to goes on down
    for level in LEVELS[::-1].astype(image.dtype):
        pieces, count = ndimage.label(opened > level, neighbours)
        small = np.bincount(pieces.ravel(), minlength=count + 1) <= size
        small[0] = False
        if small.any():
            opened[small[pieces]] = level
    return opened
