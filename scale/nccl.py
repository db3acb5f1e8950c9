"""The mean over cards, each of another rank: NCCL, through CuPy.

    meet(world, card)        world.sums = Nccl(...), where every rank has a card of its own
    sums.begin(array)        array = 1/n sum_r array_r
    sums.broadcast(array)    array = that of rank 0
    sums.finish()            until all of it is done; raises what failed

NCCL computes in place, in a stream of its own: behind what the card had been told when a sum was
begun (an event says when), beside what it is told afterwards.  Each of its algorithms adds an
element in one place and hands the sum to all, so every rank has the same bits.

It may fail while the host waits, as when a network does; so `finish` asks it, again and again.

Source: NCCL's user guide ("CUDA stream semantics", "Error handling and communicator abort"); CuPy
14.2, cupy_backends/cuda/libs/nccl.pyx.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import DeviceError

if TYPE_CHECKING:
    from .mpi import World

PAUSE = 1e-4  # seconds between two looks: threads that read ahead need Python's lock meanwhile


def meet(world: World, device: Any) -> None:
    """Let NCCL sum for a job whose ranks compute on cards; called by all of them.

    DeviceError in a rank without a card where others have one, in one whose card a lower rank has
    as well (NCCL refuses that), and where there is no NCCL.
    """
    mine = (world.machine, device.name, None if device.on_host else device.place)
    ranks = world.gather(mine)
    theirs = [rank for rank, (*_, place) in enumerate(ranks) if place is not None]
    if not theirs:
        return
    if device.on_host:
        raise DeviceError(
            f"there is no card for this rank, while rank {theirs[0]} computes on one",
            expected="all on cards, or none",
            remedy="`demitasse doctor` on this machine says why; -gpu none computes on CPUs",
        )
    first = next(r for r in theirs if (ranks[r][0], ranks[r][2]) == (mine[0], mine[2]))
    if first < world.rank:
        raise DeviceError(
            f"rank {first} computes on this rank's card, {device.name}, as well",
            expected="a card for each rank",
            remedy="Say -gpu auto, and start as many ranks on a machine as it has cards",
        )
    uid = world.share(new_uid(device) if world.rank == 0 else None)
    names = ", ".join(f"{machine} {name}" for machine, name, _ in ranks)
    world.sums = Nccl(device, uid, world.rank, world.size, names)


def new_uid(card: Any) -> bytes:
    """What the ranks of one communicator know each other by."""
    nccl = card.nccl()
    with in_words(nccl, "begin"):
        found: bytes = nccl.get_unique_id()
    return found


class Nccl:
    """A rank's part in a communicator, made by all `size` of them together; title: for people."""

    def __init__(self, card: Any, uid: bytes, rank: int, size: int, names: str = "") -> None:
        card.use()
        cuda, self._card, self._nccl = card.cupy.cuda, card, card.nccl()
        self._stream = cuda.Stream(non_blocking=True)
        self._ready, self._done = (cuda.Event(disable_timing=True) for _ in range(2))
        with in_words(self._nccl, "connect the cards"):
            self._comm = self._nccl.NcclCommunicator(size, uid, rank)
        version = self._nccl.get_version()
        number = f"{version // 10000}.{version // 100 % 100}.{version % 100}"
        self.title = f"NCCL {number} sums on {names}"

    def begin(self, array: Any) -> None:
        """Enqueue the mean; it is there when `finish` returns."""
        self._enqueue(self._comm.allReduce, array, self._nccl.NCCL_AVG)

    def broadcast(self, array: Any) -> None:
        """Enqueue rank 0's array."""
        self._enqueue(self._comm.broadcast, array, 0)

    def _enqueue(self, call: Callable[..., None], array: Any, how: int) -> None:
        """how: the operation, or the root."""
        self._ready.record(self._card.stream)
        self._stream.wait_event(self._ready)
        place, dtype = array.data.ptr, getattr(self._nccl, f"NCCL_{array.dtype.name.upper()}")
        with in_words(self._nccl, "begin a sum"):
            call(place, place, array.size, dtype, how, self._stream.ptr)

    def finish(self) -> None:
        """Wait; what the card is told afterwards sees the sums."""
        self._done.record(self._stream)
        while not self._done.done:
            with in_words(self._nccl, "end a sum"):
                self._comm.check_async_error()
            time.sleep(PAUSE)


@contextmanager
def in_words(nccl: Any, what: str) -> Iterator[None]:
    """NCCL's errors as ours."""
    try:
        yield
    except nccl.NcclError as error:
        raise DeviceError(
            f"NCCL could not {what}: {error}",
            remedy="NCCL_DEBUG=WARN in the environment of all ranks lets NCCL say more",
        ) from error
