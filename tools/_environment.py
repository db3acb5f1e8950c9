"""What a training ran on, to be kept with it: versions, processor, threads, and memory taken."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from .. import __version__
from ._machine import NEEDED, OPTIONAL, version


def versions() -> dict[str, str]:
    """Of demitasse, Python and the libraries that are installed."""
    found = {"demitasse": __version__, "python": platform.python_version()}
    known = {name: version(name) for name in (*NEEDED, *OPTIONAL)}
    return found | {name: v for name, v in known.items() if v is not None}


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
