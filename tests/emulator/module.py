"""Modules, functions and launches, shaped like a card's: arguments are checked, faults reported."""

import ctypes
from functools import cache
from pathlib import Path
from threading import Lock

import numpy as np

from . import build
from .memory import guard_of

SCHEDULES = ("forward", "reverse", 7, 8)  # numbers seed random ones

_LAUNCHING = Lock()  # the runtime holds one launch at a time


class Fault(Exception):
    """What a kernel did that it must not do, or a launch that cannot be."""


class _Report(ctypes.Structure):
    _fields_ = (
        ("what", ctypes.c_char * 400),
        ("file", ctypes.c_char * 200),
        ("line", ctypes.c_int),
        ("block", ctypes.c_uint * 3),
        ("thread", ctypes.c_uint * 3),
        ("address", ctypes.c_ulonglong),
        ("code", ctypes.c_ulonglong),
        ("other_code", ctypes.c_ulonglong),
    )


class _Symbol(ctypes.Structure):
    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


@cache
def _runtime():
    return ctypes.CDLL(str(build.runtime()), mode=ctypes.RTLD_GLOBAL)


class Module:
    """One .cu file; kernels are compiled when they are first asked for."""

    def __init__(self, path, schedule="forward", defines=()):
        self.path, self.schedule, self.defines = Path(path), schedule, tuple(defines)
        self._functions = {}

    def function(self, expression):
        """The kernel of this name, template arguments included."""
        if expression not in self._functions:
            library = build.kernel(self.path, expression, self.defines)
            self._functions[expression] = Function(self, expression, library)
        return self._functions[expression]


class Function:
    """A kernel: `function(grid, block, args, shared=0)`."""

    def __init__(self, module, expression, library):
        self.module, self.expression, self._path = module, expression, library
        self._launch = _runtime().emulator_launch
        self._library = ctypes.CDLL(str(library))
        self._library.anchor.restype = ctypes.c_void_p
        kinds = (ctypes.c_int * 256)()
        count = self._library.parameters(kinds)
        pairs = [(chr(k >> 16), k & 0xFFFF) for k in kinds[: 2 * count]]
        self.parameters = list(zip(pairs[::2], pairs[1::2], strict=True))

    def __call__(self, grid, block, args, shared=0, schedule=None):
        if len(args) != len(self.parameters):
            raise Fault(
                f"{self.expression}: {len(args)} arguments for {len(self.parameters)} parameters"
            )
        values = [
            self._value(i, a, *p)
            for i, (a, p) in enumerate(zip(args, self.parameters, strict=True))
        ]
        pointers = (ctypes.c_void_p * len(values))(*(v.ctypes.data for v in values))
        schedule = self.module.schedule if schedule is None else schedule
        number = {"forward": 0, "reverse": 1}.get(schedule)
        watched = [n for a in args if _is_array(a) for n in (*_bounds(a), min(a.itemsize, 4))]
        report = _Report()
        with _LAUNCHING:
            failed = self._launch(
                self._library.enter,
                ctypes.c_void_p(self._library.anchor()),
                (ctypes.c_uint * 3)(*grid, *(1,) * (3 - len(grid))),
                (ctypes.c_uint * 3)(*block, *(1,) * (3 - len(block))),
                ctypes.c_size_t(shared),
                pointers,
                ctypes.c_uint(schedule + 2 if number is None else number),
                ctypes.byref(report),
                (ctypes.c_size_t * len(watched))(*watched),
                len(watched) // 3,
            )
        if failed:
            raise Fault(self._describe(report, args))
        for i, a in enumerate(args):
            memory = guard_of(a) if isinstance(a, np.ndarray) else None
            if memory is not None and memory.damaged():
                raise Fault(f"{self.expression}: wrote around the array that is argument {i}")

    def _value(self, i, a, parameter, target):
        """What the kernel's parameter is set to, as an array of one element."""
        kind, size = parameter
        if kind == "p":
            if isinstance(a, np.ndarray) and a.ndim and _fits(a.dtype, target):
                return np.array(a.ctypes.data, np.uint64)
            if isinstance(a, np.uint64 | np.int64) and a == 0:
                return np.array(a)
            wanted = "an array" if target[0] in "s*" else f"an array of {_name(*target)}"
        elif kind == "s":
            if isinstance(a, np.ndarray | np.void) and a.dtype.names and a.nbytes == size:
                return np.ascontiguousarray(a)
            wanted = f"one record of {size} bytes"
        else:
            if isinstance(a, np.generic) and _fits(a.dtype, parameter):
                return np.array(a)
            wanted = _name(kind, size)
        raise Fault(f"{self.expression}: argument {i} must be {wanted}, not {_describe(a)}")

    def _describe(self, report, args):
        place = f"{report.file.decode()}:{report.line}" if report.line else ""
        what = report.what.decode()
        if report.code:
            place = self._place(report.code) or place
        if report.address:
            what += _nearest(report.address, args)
        if report.other_code:
            what += f" ({self._place(report.other_code)})"
        at = f"block {tuple(report.block)}, thread {tuple(report.thread)}"
        return f"{self.expression}: {what} ({f'{place}, ' if place else ''}{at})"

    def _place(self, code):
        """file:line of an instruction of this kernel, or nothing."""
        symbol = _Symbol()
        ctypes.CDLL(None).dladdr(ctypes.c_void_p(code), ctypes.byref(symbol))
        if symbol.file != str(self._path).encode():
            return ""
        return build.place_of(self._path, code - symbol.base)


def _is_array(a):
    return isinstance(a, np.ndarray) and a.ndim and a.dtype.names is None


def _bounds(a):
    """The addresses of an array's first byte, and of what is behind its last one."""
    low = a.ctypes.data
    return low, low + sum((n - 1) * s for n, s in zip(a.shape, a.strides, strict=True)) + a.itemsize


def _fits(dtype, wanted):
    kind, size = wanted
    if kind in "s*":
        return True
    kinds = {"f": "f", "i": "iub", "p": ""}[kind]
    return dtype.kind in kinds and dtype.itemsize == size


def _name(kind, size):
    return f"{8 * size}-bit {'float' if kind == 'f' else 'integer'}"


def _describe(a):
    if isinstance(a, np.ndarray):
        return f"an array of {a.dtype}"
    return a.dtype if isinstance(a, np.generic) else type(a).__name__


def _nearest(address, args):
    """Which argument's array a bad address is close to."""
    found = ""
    for i, a in enumerate(args):
        if not _is_array(a):
            continue
        low, high = _bounds(a)
        if high <= address < high + 4096:
            found = f", {address - high} bytes behind argument {i}"
        elif low - 4096 <= address < low:
            found = f", {low - address} bytes before argument {i}"
    return found
