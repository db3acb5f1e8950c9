"""Options that several commands have, parsed and refused alike."""

from __future__ import annotations

import argparse
import math
from typing import Any

from ..errors import DemitasseError, DeviceError

MOST, MOST_PAGES = 2**31 - 1, 1_000_000  # the first is Caffe's int32


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose help keeps the layout of examples."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **settings)


def add_gpu(parser: argparse.ArgumentParser) -> None:
    """`-gpu N | auto | none`, as Caffe spells it."""
    parser.add_argument(
        "-gpu",
        "--gpu",
        default="none",
        metavar="N|auto|none",
        help="device to compute on (this version computes on the CPU only)",
    )


def check_gpu(value: str) -> None:
    """Raise DeviceError where a GPU is asked for by number: there are no GPU kernels yet.
    The words "invalid device ordinal" are CUDA's; the Fiji plugin looks for them."""
    if value not in ("none", "auto", ""):
        raise DeviceError(
            f"-gpu {value}: invalid device ordinal, because this version has no GPU kernels",
            remedy="Leave -gpu out, or say -gpu none, to compute on the CPU",
        )


def add_engine(parser: argparse.ArgumentParser) -> None:
    """`--engine auto|caffe|fast`, `--threads N`."""
    parser.add_argument(
        "--engine",
        choices=("auto", "caffe", "fast"),
        default="auto",
        help="how to convolve: as the net says (auto), by im2col as Caffe (caffe), or the fastest "
        "way everywhere (fast; within 3e-5 of the largest output of a layer)",
    )
    parser.add_argument(
        "--threads", type=positive_int, metavar="N", help="to compute with (default: all CPUs)"
    )


def net_options(args: argparse.Namespace) -> dict[str, Any]:
    """What the command line says about every net, as arguments of `Net`."""
    return {
        "engine": args.engine,
        "threads": args.threads,
        "allow_python": getattr(args, "allow_python_layers", False),
    }


def add_python(parser: argparse.ArgumentParser) -> None:
    """`--allow-python-layers`: a net is data, but its Python layers are code."""
    parser.add_argument(
        "--allow-python-layers",
        action="store_true",
        help="run the code that the net's Python layers name",
    )


def positive_int(text: str) -> int:
    """A whole number from 1 to MOST."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 0 < number <= MOST:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 to {MOST}")
    return number


def positive_float(text: str) -> float:
    """A finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a finite number above 0")
    return number


def size(text: str) -> tuple[int, int]:
    """ "572" or "572x572" -> (572, 572)."""
    parts = text.lower().replace("*", "x").split("x")
    try:
        height, width = (positive_int(part) for part in (parts * 2 if len(parts) == 1 else parts))
    except (ValueError, argparse.ArgumentTypeError):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 572 or 572x572") from None
    return height, width


def seconds(text: str) -> float:
    """ "90s", "40m", "2h" or a number of seconds; finite, above 0."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        return positive_float(number) * units[unit]
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time such as 90s, 40m or 2h") from None


def pages(text: str) -> tuple[int, ...]:
    """ "0-19" or "0,3,5-7" -> the page numbers."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            low, high = int(first), int(last or first)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"'{text}' is not a list of pages such as 0-19 or 0,3,5-7"
            ) from None
        if not 0 <= low <= high < MOST_PAGES:
            raise argparse.ArgumentTypeError(
                f"'{part}' is not a range of pages from a first to a last, below {MOST_PAGES:,}"
            )
        found += range(low, high + 1)
    return tuple(found)


def one_of(given: dict[str, Any], what: str) -> Any:
    """The single value of several spellings of one option; refuses two that differ."""
    values = {name: value for name, value in given.items() if value is not None}
    if len(set(values.values())) > 1:
        raise DemitasseError(
            f"{what} is given twice", found=" and ".join(f"{n} {v}" for n, v in values.items())
        )
    return next(iter(values.values()), None)
