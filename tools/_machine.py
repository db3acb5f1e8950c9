"""What computes: versions, processor, threads; and how much memory this process takes."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from .. import __version__

LIBRARIES = ("numpy", "scipy", "h5py", "protobuf", "numba", "tifffile", "imagecodecs")


def versions() -> dict[str, str]:
    """Of demitasse, Python, and the libraries whose results may depend on theirs; installed ones
    only."""
    found = {"demitasse": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str | int]:
    """The system, the processor and the BLAS."""
    from ..kernels.workers import usable_cpus
    from ..net.limits import installed
    from ._training import blas

    return {
        "system": platform.platform(),
        "processor": processor(),
        "cpus": usable_cpus(),
        "memory": installed(),
        "blas": blas(),
    }


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def resident() -> int:
    """Bytes of this process in memory now; elsewhere than on Linux the most there ever were."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource
        import sys

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak * (1 if sys.platform == "darwin" else 1024)
