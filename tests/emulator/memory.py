"""Arrays as a card would hold them, but watched.

The last bytes of an array touch memory that nobody may read or write, and so does what lies up to a
page before its first; what is between the array and these walls (in front, and up to 15 bytes
behind, because arrays start at multiples of 16 bytes) is a pattern whose change is found after each
launch.  Unwritten memory is NaN (or -1).
"""

import ctypes
import mmap
from math import prod

import numpy as np

POISON = 0xFF
WALL = 16 << 20  # bytes of forbidden addresses on both sides; no memory is behind them
_protect = ctypes.CDLL(None, use_errno=True).mprotect
_protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class Guarded(mmap.mmap):
    """Anonymous memory between two walls."""

    start: int  # of the first byte that may be used, and how many there are
    used: int
    end: int  # where the wall begins

    def __new__(cls, size):
        body = -(-max(size, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        made = super().__new__(cls, -1, body + 2 * WALL, flags=flags)
        made.used, made.end = size, WALL + body
        made.start = made.end - -(-size // 16) * 16
        made[WALL : made.end] = bytes([POISON]) * body
        address = ctypes.addressof(ctypes.c_char.from_buffer(made))
        for wall in (address, address + made.end):
            if _protect(wall, WALL, 0):
                raise OSError(ctypes.get_errno(), "mprotect")
        return made

    def damaged(self):
        """Whether somebody wrote where the array is not; repairs it."""
        found = False
        for part in (slice(WALL, self.start), slice(self.start + self.used, self.end)):
            pattern = bytes([POISON]) * (part.stop - part.start)
            found |= self[part] != pattern
            self[part] = pattern
        return found


def empty(shape, dtype=np.float32):
    """An array of poison."""
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    dtype = np.dtype(dtype)
    memory = Guarded(prod(shape) * dtype.itemsize)
    return np.frombuffer(memory, dtype, prod(shape), memory.start).reshape(shape)


def array(values, dtype=None):
    """A watched copy, C-contiguous."""
    values = np.asarray(values, dtype)
    made = empty(values.shape, values.dtype)
    made[...] = values
    return made


def guard_of(a):
    """The guarded memory that an array lies in, or None."""
    while a is not None and not isinstance(a, Guarded):
        a = a.obj if isinstance(a, memoryview) else getattr(a, "base", None)
    return a
