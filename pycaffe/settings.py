"""Caffe's global switches: mode, device, random seed, and what several solvers are told.

They exist only because the interface has them: no other package reads them, and a net or solver
takes what it needs from here when it is made.

Source: Caffe's python/caffe/_caffe.cpp and src/caffe/common.cpp.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import DeviceError

if TYPE_CHECKING:
    from ..kernels.device import Device

GOLDEN = 0x9E3779B1  # odd, so that multiples of it modulo 2^31 repeat only after 2^31 seeds


@dataclass
class Settings:
    """seed: what set_random_seed was told; made: seeds given away since."""

    gpu: bool = False
    device: int = 0
    seed: int | None = None
    made: int = 0
    solver_count: int = 1
    solver_rank: int = 0
    multiprocess: bool = False


current = Settings()


def next_seed() -> int:
    """The seed of the next net or solver: after set_random_seed(s) s itself, then others that
    follow from it; without it, a random one."""
    if current.seed is None:
        return secrets.randbits(31)
    seed = (current.seed + current.made * GOLDEN) % (1 << 31)
    current.made += 1
    return seed


def set_random_seed(seed: int) -> None:
    """What is made from now on repeats what was made after an earlier call with this seed."""
    current.seed, current.made = int(seed), 0


def set_mode_cpu() -> None:
    """What is made from now on computes on the CPU."""
    current.gpu = False


def set_mode_gpu() -> None:
    """What is made from now on computes on a CUDA card, the first one unless set_device says which;
    DeviceError, with the cause, where it cannot."""
    _check("set_mode_gpu()", current.device)
    current.gpu = True


def set_device(device: int) -> None:
    """Which card, by its number; once the mode is GPU, DeviceError where it is not there."""
    if current.gpu:
        _check(f"set_device({device})", int(device))
    current.device = int(device)


def device() -> Device:
    """Where a net or a solver that is made now computes."""
    from ..tools import _device

    if not current.gpu:
        return _device.choose(None)
    with _said_here(f"set_device({current.device})"):
        return _device.choose(str(current.device))


def _check(call: str, number: int) -> None:
    """Refuse a card that is not there, without opening one."""
    from ..kernels.cuda import card

    with _said_here(call):
        count = card.usable()
        if not 0 <= number < count:
            raise DeviceError(
                f"{call}: invalid device ordinal {number}",
                expected=f"0 to {count - 1}" if count > 1 else "0, the only card",
                remedy=card.FREE,
            )


@contextmanager
def _said_here(call: str) -> Iterator[None]:
    """Errors that speak of a command's options speak of a script's calls."""
    from ..kernels.cuda import card

    try:
        yield
    except DeviceError as error:
        remedy = error.remedy.replace(card.FREE, "Call set_mode_cpu() to compute on the CPU")
        raise DeviceError(
            f"{call}: {error.what.split(': ', 1)[-1]}",
            expected=error.expected,
            found=error.found,
            remedy=remedy,
        ) from error


def solver_count() -> int:
    """How many solvers share the work."""
    return current.solver_count


def set_solver_count(count: int) -> None:
    current.solver_count = int(count)


def solver_rank() -> int:
    """Which of them this one is."""
    return current.solver_rank


def set_solver_rank(rank: int) -> None:
    current.solver_rank = int(rank)


def set_multiprocess(multiprocess: bool) -> None:
    """Whether they are processes of their own."""
    current.multiprocess = bool(multiprocess)


def has_nccl() -> bool:
    """Whether several GPUs can work together: not by this interface."""
    return False
