"""How much memory a net may take: what there is, or what the caller allows.

Memory is refused from the plan, before any is asked for.  The operating system would promise more
than there is, and end the process when the net writes to it.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MemoryBudgetError
from .params import flat_size
from .planning import Planned

if TYPE_CHECKING:
    from .net import Net

# where Linux says how much a group of processes may use (a container's limit), version 2 and 1
_GROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def installed() -> int:
    """Bytes of memory that this process can ever use: the machine's, its container's or its own
    limit (`ulimit -v`)."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    if allowed != resource.RLIM_INFINITY:
        found.append(allowed)
    for path in _GROUPS:
        try:
            found.append(int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):  # another system, or "max"
            continue
    return min(found)


def room(net: Net) -> int:
    """Bytes that the net's arrays, and its solver's, may take in all: what is installed, or on
    another device what is free there and what they hold already."""
    free = net.device.free()
    if free is None:
        return installed()
    memory = getattr(net, "_memory", None)
    if memory is None:
        return free
    held = memory.block.nbytes + net.flat_diff.nbytes + (1 + net.histories) * net.flat_data.nbytes
    return free + int(held)


def check(net: Net, planned: Planned, limit: int | None) -> None:
    """Raise MemoryBudgetError where what is planned, and the parameters of the net with their
    gradients and what a solver remembers of them, exceed the limit (bytes; None: what there is room
    for)."""
    activations, itemsize = planned.arena_bytes, net.dtype.itemsize
    params = flat_size(net.param_table) * itemsize
    params *= (2 if net.plans_backward else 1) + net.histories
    most = room(net) if limit is None else limit
    if activations + params <= most:
        return
    made = [node.tops[0] for node in net.graph.nodes if not node.bottoms and node.tops]
    image = "x".join(map(str, planned.inferred.values[made[0]])) if made else "it"
    place = "there is" if net.device.on_host else f"is free on {net.device.title}"
    raise MemoryBudgetError(
        f"the net needs more memory than {place if limit is None else 'allowed'}",
        where=net.graph.path,
        expected=f"at most {mib(most)}",
        found=f"{mib(activations + params)}: {mib(activations)} of activations for {image}, "
        f"{mib(params)} of parameters and gradients{', and their history' * bool(net.histories)}",
        remedy="Take smaller tiles or a smaller batch" + (", or more --memory" if limit else ""),
    )


def mib(size: int) -> str:
    """As MiB; small sizes with digits enough to differ from 0."""
    return f"{size / 2**20:.3g} MiB" if size < 10 << 20 else f"{size / 2**20:,.0f} MiB"
