"""Runs our .cu files on the CPU, as they are, and stricter than a card.

    module = Module(path)
    module.function("scale<4>")((grid,), (block,), (x, np.float32(2)), shared=0)

Arrays pass their address (strides are the kernel's affair), NumPy scalars and one-element
structured arrays their value; kinds and sizes must be the parameter's.  A `Fault` says what a
kernel did, in which block and thread, and where in the source: barriers that not all threads reach,
shuffles from absent lanes, accesses out of bounds or misaligned, indices outside arrays, overflow,
shared memory that nobody wrote, and races: two threads or two blocks at the same bytes, one of them
writing, and no barrier between; products of warpgroups whose operands or sums are touched before
they are waited for.  New arrays (`empty`) are NaN until written.  `SCHEDULES` are
orders in which blocks, warps and lanes run; results must not depend on them.
"""

from .build import COMPILER, MISSING, CompileError
from .device import KERNELS, EmulatedDevice
from .memory import array, empty
from .module import SCHEDULES, Fault, Function, Module

__all__ = [
    "COMPILER",
    "KERNELS",
    "MISSING",
    "SCHEDULES",
    "CompileError",
    "EmulatedDevice",
    "Fault",
    "Function",
    "Module",
    "array",
    "empty",
]
