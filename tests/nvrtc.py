"""NVIDIA's run-time compiler, as PyPI has it: compiles .cu files for cards that are not here."""

import ctypes
import re
from functools import cache
from importlib.metadata import PackageNotFoundError, files

MISSING = "needs NVRTC 13, which is not installed: pip install 'nvidia-cuda-nvrtc>=13'"

_usage = re.compile(
    r"Function properties for (\S+)\n"
    r"[^\n]*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
    r".*?Used (\d+) registers",
    re.DOTALL,
)


@cache
def library():
    """The library, or None."""
    try:
        found = files("nvidia-cuda-nvrtc") or ()
    except PackageNotFoundError:
        return None
    for file in found:
        if re.fullmatch(r"libnvrtc\.so\.\d+", file.name):
            return ctypes.CDLL(str(file.locate()))
    return None


@cache
def architectures():
    """Compute capabilities, times ten, that it can compile for."""
    lib = library()
    if lib is None:
        return ()
    count = ctypes.c_int()
    lib.nvrtcGetNumSupportedArchs(ctypes.byref(count))
    found = (ctypes.c_int * count.value)()
    lib.nvrtcGetSupportedArchs(found)
    return tuple(found)


def compile(text, name, headers, expressions, architecture, options=()):
    """{expression: (registers, bytes spilled)}, or RuntimeError, also where products of warpgroups
    would wait for each other; headers: {name: text}."""
    lib, program = library(), ctypes.c_void_p()
    texts = (ctypes.c_char_p * len(headers))(*(h.encode() for h in headers.values()))
    names = (ctypes.c_char_p * len(headers))(*(h.encode() for h in headers))
    _check(
        lib.nvrtcCreateProgram(
            ctypes.byref(program), text.encode(), name.encode(), len(headers), texts, names
        )
    )
    try:
        for expression in expressions:
            _check(lib.nvrtcAddNameExpression(program, expression.encode()))
        flags = [f"-arch={architecture}", "-std=c++17", "--ptxas-options=-v", *options]
        array = (ctypes.c_char_p * len(flags))(*(f.encode() for f in flags))
        failed = lib.nvrtcCompileProgram(program, len(flags), array)
        log = _log(lib, program)
        waits = [line for line in log.splitlines() if "Potential Performance Loss" in line]
        if failed or waits:
            raise RuntimeError("\n".join(waits) or log)
        usage = {m[1]: (int(m[5]), int(m[3]) + int(m[4])) for m in _usage.finditer(log)}
        return {e: usage[_lowered(lib, program, e)] for e in expressions}
    finally:
        lib.nvrtcDestroyProgram(ctypes.byref(program))


def _log(lib, program):
    size = ctypes.c_size_t()
    _check(lib.nvrtcGetProgramLogSize(program, ctypes.byref(size)))
    log = ctypes.create_string_buffer(size.value)
    _check(lib.nvrtcGetProgramLog(program, log))
    return log.value.decode()


def _lowered(lib, program, expression):
    name = ctypes.c_char_p()
    _check(lib.nvrtcGetLoweredName(program, expression.encode(), ctypes.byref(name)))
    return name.value.decode()


def _check(status):
    if status:
        library().nvrtcGetErrorString.restype = ctypes.c_char_p
        raise RuntimeError(library().nvrtcGetErrorString(status).decode())
