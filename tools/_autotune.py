"""`--autotune`: which engine is fastest for each convolution, measured once on this machine.

The table is demitasse/autotune.json in the user's cache folder: $XDG_CACHE_HOME, or what the system
has for it.  It may be deleted at any time.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DeviceError
from ..kernels.device import Device

if TYPE_CHECKING:
    from ..net.tuning import Tuner


def add_autotune(parser: argparse.ArgumentParser) -> None:
    """`--autotune`, beside `--engine`."""
    parser.add_argument(
        "--autotune",
        action="store_true",
        help="measure once on this machine which way is the fastest for each convolution, and keep "
        "it in the user's cache folder (another choice changes results in their last digits)",
    )


def tuner(args: argparse.Namespace, device: Device) -> Tuner | None:
    """What measures, where the command line asks for it; DeviceError on another device."""
    if not getattr(args, "autotune", False):
        return None
    if not device.on_host:
        raise DeviceError(
            "--autotune measures the CPU's engines, but the net is to run on a card",
            remedy="Leave --autotune or -gpu out",
        )
    from ..net.tuning import Tuner

    return Tuner(cache_folder(os.environ, sys.platform) / "autotune.json", machine, say)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def cache_folder(environment: Mapping[str, str], platform: str) -> Path:
    """demitasse's folder for what can be made again."""
    home = Path.home()
    named = Path(environment.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():  # the rule: a relative one is to be ignored
        base = named
    elif platform == "darwin":
        base = home / "Library" / "Caches"
    elif platform == "win32":
        base = Path(environment.get("LOCALAPPDATA") or home / "AppData" / "Local")
    else:
        base = home / ".cache"
    return base / "demitasse"


@cache
def machine() -> str:
    """What a measurement holds for: the processor, and the versions of what computes."""
    from ._environment import processor, versions
    from ._training import blas

    made = {name: v for name, v in versions().items() if name in ("demitasse", "numpy", "numba")}
    return ", ".join([processor(), *(f"{name} {v}" for name, v in made.items()), blas()])
