"""Caffe's global switches: mode, device, random seed, and what several solvers are told.

They exist only because the interface has them: no other package reads them, and a net or solver
takes what it needs from here when it is made.

Source: Caffe's python/caffe/_caffe.cpp and src/caffe/common.cpp.
"""

from __future__ import annotations

import secrets
import warnings
from dataclasses import dataclass

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
    """Compute on the CPU."""
    current.gpu = False


def set_mode_gpu() -> None:
    """Ask for the GPU.  There is none here yet: a warning says so, and the CPU does the work."""
    current.gpu = True
    warnings.warn(
        "set_mode_gpu(): demitasse computes on the CPU; the results are the same, only later",
        RuntimeWarning,
        stacklevel=2,
    )


def set_device(device: int) -> None:
    """Which GPU to use; remembered only."""
    current.device = int(device)


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
    """Whether several GPUs can work together: not on nets of this interface."""
    return False
