"""What this computer has to compute with, in words: libraries, cores, memory, and why no GPU."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from ..errors import DeviceError
from ..net.limits import installed, mib

NEEDED = ("numpy", "scipy", "h5py", "protobuf", "tifffile", "imagecodecs", "rich", "pillow")
OPTIONAL = ("numba", "lmdb", "pydot")
NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE


def version(name: str) -> str | None:
    """Of a distribution; None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def versions() -> tuple[list[str], list[str]]:
    """What is installed, with versions, and what is missing though needed."""
    from h5py import version as h5py_version

    found = {name: version(name) for name in (*NEEDED, *OPTIONAL)}
    there = [f"Python {platform.python_version()}"]
    there += [f"{name} {v}" for name, v in found.items() if v is not None]
    there.append(f"HDF5 {h5py_version.hdf5_version}")
    return there, [name for name in NEEDED if found[name] is None]


def compiled() -> str:
    """Whether there are compiled kernels, and if not, why."""
    if importlib.util.find_spec("numba") is None:
        return (
            "no: Numba is not installed (pip install 'demitasse[fast]'), so transforms are NumPy's"
        )
    try:
        import numba
    except ImportError as error:  # it does not go with this NumPy
        return (
            f"no: Numba {version('numba')} cannot be imported ({error}), so transforms are NumPy's"
        )
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return "no: NUMBA_DISABLE_JIT is set, so transforms are NumPy's"
    cache = os.environ.get("NUMBA_CACHE_DIR")
    return f"Numba {numba.__version__}" + (f", cached in {cache}" if cache else "")


def memory() -> str:
    """What may be used, and what is free now."""
    free = available()
    return f"{mib(installed())} to use" + (f", {mib(free)} free" if free is not None else "")


def available() -> int | None:
    """Bytes that Linux could give now; None on another system."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError):
        pass
    return None


def gpu() -> tuple[list[str], list[str]]:
    """The cards that CUDA's driver shows, and every reason why none can be used; no reason where
    `-gpu N` works."""
    from ..kernels.cuda.card import usable

    found, driver = _devices()
    reasons = [driver] if driver else []
    try:
        usable()
    except DeviceError as error:
        reasons.append(error.what.removeprefix("--gpu auto: "))
    return found, reasons


def _devices() -> tuple[list[str], str]:
    """Names of the GPUs that CUDA's driver shows, or what keeps it from showing any."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return [], "no NVIDIA driver is installed (libcuda.so.1 cannot be loaded)"
    code = cuda.cuInit(0)
    if code == NO_DEVICE:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        why = f"; CUDA_VISIBLE_DEVICES is '{hidden}'" if hidden is not None else ""
        return [], f"the NVIDIA driver finds no GPU{why}"
    if code:
        return [], f"the NVIDIA driver cannot be used (cuInit gives error {code})"
    return list(_names(cuda)), ""


def _names(cuda: ctypes.CDLL) -> Iterator[str]:
    count, device, size = ctypes.c_int(), ctypes.c_int(), ctypes.c_size_t()
    cuda.cuDeviceGetCount(ctypes.byref(count))
    for i in range(count.value):
        name = ctypes.create_string_buffer(256)
        cuda.cuDeviceGet(ctypes.byref(device), i)
        cuda.cuDeviceGetName(name, len(name), device)
        cuda.cuDeviceTotalMem_v2(ctypes.byref(size), device)
        yield f"{i}: {name.value.decode(errors='replace')}, {mib(size.value)}"
