"""A layer's own random stream, counted by the passes made.

Key: the net's seed and the layer's place.  Counter: the pass, in the highest of Philox's four
words, so that passes never overlap and the state of a stream is one integer.  A layer that needs
several streams tells them apart by the word below.
"""

from __future__ import annotations

import numpy as np

from .base import Context

_WORD = (1 << 64) - 1


def stream(context: Context, passes: int, which: int = 0) -> np.random.Generator:
    """The generator for pass number `passes` of the layer that was built with `context`."""
    key, counter = np.split(words(context, passes, which), [2])
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def words(context: Context, passes: int, which: int = 0) -> np.ndarray:
    """The same stream as six 64-bit words: two of the key, four of the counter."""
    return np.array([context.seed & _WORD, context.index, 0, 0, which, passes], dtype=np.uint64)
