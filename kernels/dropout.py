"""Random masks, and arrays multiplied by them.

    draw    mask[i] = 1 with probability p, else 0
    apply   y = x mask scale

An element is kept if its 32 random bits, as a number, are at most p (2^32 - 1): Caffe's rule.  The
bits are the low, then the high half of each 64-bit word of the stream, in the order of the
elements.  y may be x.  scratch: `strips.length` elements.
"""

from __future__ import annotations

import numpy as np

from .strips import Array, strips

WORDS = 1 << 14  # 64-bit words drawn at once


def draw(mask: Array, p: float, stream: Array) -> None:
    """Write a C-contiguous uint8 mask; stream: Philox's key and counter, six 64-bit words."""
    bits = np.random.Philox(key=stream[:2], counter=stream[2:])
    flat, last = mask.reshape(-1).view(np.bool_), np.uint32(p * (2**32 - 1))
    for start in range(0, flat.size, 2 * WORDS):
        part = flat[start : start + 2 * WORDS]
        words = bits.random_raw(-(-part.size // 2)).astype("<u8", copy=False)
        np.less_equal(words.view("<u4")[: part.size], last, out=part)


def apply(x: Array, mask: Array, scale: float, y: Array, scratch: Array) -> None:
    """Write y."""
    for t, x_, mask_, y_ in strips(scratch, x, mask, y):
        np.multiply(mask_, t.dtype.type(scale), out=t)
        np.multiply(x_, t, out=y_)
