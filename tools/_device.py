"""`-gpu N | auto | none` and `--precision`: which device a command computes on.

The words "invalid device ordinal" and "out of memory" are CUDA's; the Fiji plugin looks for them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from ..errors import DemitasseError, DeviceError
from ..kernels.device import CPU, Device

if TYPE_CHECKING:
    from ..netspec import Source

PRECISIONS = {
    "fp32": "float32 by three TF32 products on tensor cores",
    "fp32-strict": "float32 by fused multiply-adds, the slow way",
    "tf32": "operands of convolutions rounded to 10 bits",
    "bf16": "operands of convolutions rounded to 8 bits",
}


def add_gpu(parser: argparse.ArgumentParser) -> None:
    """The two options, as Caffe spells the first."""
    parser.add_argument(
        "-gpu",
        "--gpu",
        metavar="N|auto|none",
        help="device to compute on: a CUDA card by its number, the first one there is, or the CPU "
        "(default none: the CPU)",
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="fp32",
        help="of a card's convolutions: "
        + "; ".join(f"{name}: {what}" for name, what in PRECISIONS.items())
        + " (default fp32; all else is float32 always)",
    )


def choose(gpu: str | None, precision: str = "fp32", turn: int = 0) -> Device:
    """The device; DeviceError, with the flag and the cause, where it cannot be used.

    turn: which of the processes that compute together on this machine this is; with auto each takes
    another card, as long as there are some."""
    if gpu in (None, "none", ""):
        return CPU
    if gpu == "auto":
        from ..kernels.cuda.card import usable

        try:
            return _card(turn % max(1, usable()), precision)
        except DeviceError:
            return CPU
    if not gpu.isdecimal():
        more = "; one process computes on one card, mpiexec starts several (docs/scaling.md)"
        raise DeviceError(
            f"-gpu {gpu}: invalid device ordinal",
            expected="one number, auto or none",
            remedy="Leave -gpu out, or say -gpu none, to compute on the CPU"
            + more * (gpu == "all" or "," in gpu),
        )
    try:
        return _card(int(gpu), precision)
    except DemitasseError as error:
        if "invalid device ordinal" in error.what:
            raise
        cause = error.what.split(": ", 1)[-1]
        raise DeviceError(
            f"-gpu {gpu}: invalid device ordinal, because {cause}", remedy=error.remedy
        ) from error


def first_of_all(args: argparse.Namespace, said: Callable[[str], None]) -> None:
    """Let `-gpu all` be the first card, and say so: the Fiji plugin means any by it."""
    if args.gpu == "all":
        args.gpu = "0"
        title = choose(args.gpu, args.precision).title
        said(f"-gpu all: one process computes on one card: {title}")


def started(args: argparse.Namespace) -> Device:
    """The device of a command that begins; on a card it says on which, and in what precision."""
    device = choose(args.gpu, args.precision)
    if not device.on_host:
        print(f"device: {device.title}", flush=True)
    return device


def wants_card(param: Any) -> bool:
    """Whether a solver's prototxt says solver_mode: GPU."""
    return bool(param.HasField("solver_mode") and param.solver_mode == param.GPU)


def follow_mode(args: argparse.Namespace, solver: Source, *, alone: bool = True) -> None:
    """Take the card that the solver asks for where the command line says nothing; the CPU where
    there is none.  alone: no other process computes with this one, so that device_id counts."""
    param = solver.message
    if args.gpu is not None or not wants_card(param):
        return
    args.gpu = "auto"
    if not alone or not param.HasField("device_id") or not _any_card():
        return
    args.gpu = str(param.device_id)
    try:
        choose(args.gpu, args.precision)
    except DeviceError as error:
        raise DeviceError(
            f"device_id {args.gpu}: {error.what.split(': ', 1)[-1]}",
            where=solver.path,
            expected=error.expected,
            remedy="Change it, or say -gpu none to compute on the CPU",
        ) from error


def _any_card() -> bool:
    """Whether CuPy finds a card; none is opened."""
    from ..kernels.cuda.card import usable

    try:
        return usable() > 0
    except DeviceError:
        return False


@cache
def _card(number: int, precision: str) -> Device:
    from ..kernels.cuda.card import Card

    return Card(number, precision)
