"""How much memory a net may take: what there is, or what the caller allows.

Memory is refused from the plan, before any is asked for.  The operating system would promise more
than there is, and end the process when the net writes to it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..errors import MemoryBudgetError
from ..layers.base import Shape

# where Linux says how much a group of processes may use (a container's limit), version 2 and 1
_GROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def installed() -> int:
    """Bytes of memory that this process can ever use: the machine's, or its container's."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in _GROUPS:
        try:
            found.append(int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):  # another system, or "max"
            continue
    return min(found)


def check(
    activations: int, params: int, limit: int | None, images: Sequence[Shape], where: str
) -> None:
    """Raise MemoryBudgetError where activations and parameters (bytes) exceed the limit.

    limit: None is what is installed; images: shapes of what the net reads, for the message.
    """
    most = installed() if limit is None else limit
    if activations + params <= most:
        return
    of = ", ".join("x".join(map(str, shape)) for shape in images)
    raise MemoryBudgetError(
        "the net needs more memory than "
        + ("there is" if limit is None or installed() < limit else "allowed"),
        where=where,
        expected=f"at most {mib(most)}",
        found=f"{mib(activations + params)}: {mib(activations)} of activations"
        + (f" for {of}" if of else "")
        + f", {mib(params)} of parameters and gradients",
        remedy="Take smaller tiles or a smaller batch"
        + (", or give more --memory" if limit else ""),
    )


def mib(size: int) -> str:
    """As MiB; small sizes with digits enough to differ from 0."""
    return f"{size / 2**20:.3g} MiB" if size < 10 << 20 else f"{size / 2**20:,.0f} MiB"
