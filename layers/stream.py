"""A layer's own random stream, counted by the passes made.

Key: the net's seed and the layer's place.  Counter: the pass, in the highest of Philox's four
words, so that passes never overlap and the state of a stream is one integer.  A layer that needs
several streams tells them apart by the word below.  Of processes that train one net together each
draws with the key seed + rank, as in Caffe; what they must agree on is drawn with the seed.
"""

from __future__ import annotations

import numpy as np

from .base import Context

_WORD = (1 << 64) - 1


def stream(
    context: Context, passes: int, which: int = 0, *, common: bool = False
) -> np.random.Generator:
    """The generator for pass number `passes` of the layer that was built with `context`; common:
    the same in all processes."""
    key, counter = np.split(words(context, passes, which, common=common), [2])
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def words(context: Context, passes: int, which: int = 0, *, common: bool = False) -> np.ndarray:
    """The same stream as six 64-bit words: two of the key, four of the counter."""
    seed = context.seed if common else context.seed + context.rank
    return np.array([seed & _WORD, context.index, 0, 0, which, passes], dtype=np.uint64)
