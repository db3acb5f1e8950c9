"""Options that several commands have, parsed and refused alike."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import DemitasseError, DeviceError


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
    """Raise DeviceError where a GPU is asked for by number: there are no GPU kernels yet."""
    if value not in ("none", "auto", ""):
        raise DeviceError(
            f"-gpu {value} was asked for, but this version has no GPU kernels",
            remedy="Leave -gpu out, or say -gpu none, to compute on the CPU",
        )


def size(text: str) -> tuple[int, ...]:
    """ "572" or "572x572" -> (572, 572)."""
    parts = text.lower().replace("*", "x").split("x")
    try:
        numbers = tuple(int(part) for part in parts)
    except ValueError:
        numbers = ()
    if not numbers or any(n < 1 for n in numbers):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 572 or 572x572")
    return numbers * 2 if len(numbers) == 1 else numbers


def seconds(text: str) -> float:
    """ "90s", "40m", "2h" or a number of seconds."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        return float(number) * units[unit]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a time such as 90s, 40m or 2h") from None


def pages(text: str) -> tuple[int, ...]:
    """ "0-19" or "0,3,5-7" -> the page numbers."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        try:
            found += range(int(first), int(last or first) + 1)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"'{text}' is not a list of pages such as 0-19 or 0,3,5-7"
            ) from None
    return tuple(found)


def one_of(given: dict[str, Any], what: str) -> Any:
    """The single value of several spellings of one option; refuses two that differ."""
    values = {name: value for name, value in given.items() if value is not None}
    if len(set(values.values())) > 1:
        raise DemitasseError(
            f"{what} is given twice", found=" and ".join(f"{n} {v}" for n, v in values.items())
        )
    return next(iter(values.values()), None)
