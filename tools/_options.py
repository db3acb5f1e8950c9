"""Options that several commands have, parsed and refused alike."""

from __future__ import annotations

import argparse
import difflib
import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import DemitasseError
from . import _autotune, _device

add_gpu = _device.add_gpu
YES, NO = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")  # gflags' words
MOST, MOST_PAGES = 2**31 - 1, 1_000_000  # the first is Caffe's int32
FILLERS_SAID = "fillers: xavier is N(0, sqrt(2 / fan_in)), as in the Caffe of the U-Net's release"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose help keeps the layout of examples, and which takes gflags' spelling
    of every long option: one dash or two, _ or -, a switch also as -name=true."""

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        for name in ("prog", "usage", "description", "epilog"):
            if settings.get(name):
                settings[name] = spoken(settings[name])
        super().__init__(allow_abbrev=False, **settings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        words = list(sys.argv[1:] if args is None else args)
        end = words.index("--") if "--" in words else len(words)
        spelt = [part for word in words[:end] for part in self._spelt(word)]
        self._refuse_unknown(spelt)
        return super().parse_known_args(spelt + words[end:], namespace)

    def _refuse_unknown(self, words: Sequence[str]) -> None:
        """Before argparse says which options are missing, of which this may be one, misspelt."""
        known = self._option_string_actions
        for word in words:
            name = word.partition("=")[0]
            joined = name[:2] in known and name[1:2] != "-"  # -ofolder
            if not re.match(r"--?[a-zA-Z]", name) or name in known or joined or " " in word:
                continue
            near = difflib.get_close_matches(name, known, 1, 0.7)
            meant = f"; did you mean {near[0]}?" if near else f": {self.prog} --help lists all"
            self.exit(2, f"{self.prog}: error: unknown option {name}{meant}\n")

    def _spelt(self, word: str) -> list[str]:
        """A word as argparse wants it; nothing for a switch that is set to false."""
        name, equals, value = word.partition("=")
        known = self._option_string_actions
        if not name.startswith("-") or (name in known and not equals):
            return [word]
        plain = name.lstrip("-")
        dashed, scored = plain.replace("_", "-"), plain.replace("-", "_")
        spellings = (name, f"--{plain}", f"--{dashed}", f"--{scored}")
        option = next((s for s in spellings if s in known), None)
        if option is None:
            return [word]
        if equals and known[option].nargs == 0 and value in (*YES, *NO):
            return [option] if value in YES else []
        return [f"{option}={value}" if equals else option]


def spoken(text: str) -> str:
    """Help in the words of whoever reads it: unless a script of tools/ runs, "python
    tools/deploy.py" and "deploy.py" are "demitasse deploy".  "-m mpi4py" wants a script."""
    from .cli import VERBS

    ran = Path(sys.argv[0])
    if ran.parent.name == "tools" and ran.suffix == ".py":
        return text
    verbs = {module: verb for verb, (module, _) in VERBS.items()}

    def verb(match: re.Match[str]) -> str:
        return f"demitasse {verbs[match[1]]}" if match[1] in verbs else match[0]

    return re.sub(r"(?<!pycaffe )(?<!mpi4py )(?:\bpython )?(?:\btools/|^)(\w+)\.py\b", verb, text)


def add_engine(parser: argparse.ArgumentParser) -> None:
    """`--engine auto|caffe|fast`, `--autotune`, `--no-fuse`, `--threads N`."""
    parser.add_argument(
        "--engine",
        choices=("auto", "caffe", "fast"),
        default="auto",
        help="how to convolve: as the net says (auto), by im2col as Caffe (caffe), or the fastest "
        "way everywhere (fast; within 3e-5 of the largest output of a layer)",
    )
    _autotune.add_autotune(parser)
    parser.add_argument(
        "--no-fuse",
        action="store_true",
        help="let no layer do another one's work, and no layers share memory: the same results",
    )
    parser.add_argument(
        "--threads", type=positive_int, metavar="N", help="to compute with (default: all CPUs)"
    )


def add_passes(parser: argparse.ArgumentParser, what: str) -> None:
    """`-iterations N -level N -stage NAME`, as Caffe spells them."""
    for name, kind, default, metavar, said in (
        ("iterations", positive_int, 50, "N", f"{what} (default 50)"),
        ("level", int, 0, "N", "the net's level (default 0)"),
        ("stage", str, "", "NAME[,NAME]", "the net's stages"),
    ):
        parser.add_argument(
            f"-{name}", f"--{name}", type=kind, default=default, metavar=metavar, help=said
        )


def add_recompute(parser: argparse.ArgumentParser) -> None:
    """`-recompute`: training in less memory."""
    parser.add_argument(
        "-recompute",
        "--recompute",
        action="store_true",
        help="train in less memory and more time: give up data and make them again (same results)",
    )


def net_options(args: argparse.Namespace, *, debug: bool = False) -> dict[str, Any]:
    """What the command line says about every net, as arguments of `Net`; debug: every layer's
    gradients will be looked at, so each layer does its own work."""
    device = _device.choose(getattr(args, "gpu", None), getattr(args, "precision", "fp32"))
    return {
        "device": device,
        "engine": args.engine,
        "tuner": _autotune.tuner(args, device),
        "threads": args.threads,
        "fuse": not (args.no_fuse or debug),
        "recompute": getattr(args, "recompute", False),
        "allow_python": getattr(args, "allow_python_layers", False),
        "memory": getattr(args, "most", None),
        "caffe_unet_2015": getattr(args, "caffe_unet_2015", False),
    }


def add_python(parser: argparse.ArgumentParser) -> None:
    """`--allow-python-layers`: a net is data, but its Python layers are code."""
    parser.add_argument(
        "--allow-python-layers",
        action="store_true",
        help="run the code that the net's Python layers name",
    )


def add_memory(parser: argparse.ArgumentParser) -> None:
    """`--memory MIB`: the most that each net may take."""
    parser.add_argument(
        "--memory",
        dest="most",
        type=mebibytes,
        metavar="MIB",
        help="refuse a net whose activations, parameters and gradients need more (default: what "
        "there is)",
    )


def mebibytes(text: str) -> int:
    """A number of MiB, in bytes."""
    return int(min(positive_float(text), 2.0**40) * 2**20)


def add_fillers(parser: argparse.ArgumentParser) -> None:
    """`--caffe-unet-2015`: what filler xavier means."""
    parser.add_argument(
        "-caffe_unet_2015",
        "--caffe-unet-2015",
        action="store_true",
        help="filler xavier draws from N(0, sqrt(2 / fan_in)), as the Caffe of the U-Net's release "
        "did, and not from U(-sqrt(3 / fan_in), sqrt(3 / fan_in))",
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


def pixel_size(text: str) -> tuple[float, ...]:
    """ "0.19" or "0.5x0.19x0.19" -> micrometres along every axis, or along z, y, x."""
    try:
        sizes = tuple(positive_float(part) for part in text.lower().replace("*", "x").split("x"))
    except argparse.ArgumentTypeError:
        sizes = ()
    if not 1 <= len(sizes) <= 3:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a pixel size in micrometres such as 0.19 or 0.5x0.19x0.19"
        )
    return sizes


def pixel_size_or_none(text: str) -> tuple[float, ...] | str:
    """The same, or "none": not to be considered."""
    return "none" if text.lower() == "none" else pixel_size(text)


def add_instances(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """`--min-size N --connectivity 4|8 --border E --fill-holes`: what counts as an object."""
    group = parser.add_argument_group("objects")
    group.add_argument(
        "--min-size",
        type=count,
        metavar="N",
        help="remove objects of N pixels or fewer (the paper: 500; default 0)",
    )
    group.add_argument(
        "--connectivity",
        type=int,
        choices=(4, 8),
        help="whether pixels of an object share an edge (4, default) or also a corner (8)",
    )
    group.add_argument(
        "--border",
        type=count,
        metavar="E",
        help="leave out objects wholly within E pixels of the edge (the release of 2015: 50)",
    )
    group.add_argument(
        "--fill-holes", action="store_true", default=None, help="holes belong to their object"
    )
    return group


def net_of(parser: argparse.ArgumentParser, args: argparse.Namespace) -> str:
    """The net that NET or -model names; a usage error where neither does."""
    found = one_of({"NET": args.net, "-model": args.model}, "the net")
    if found is None:
        parser.error("the net is missing: NET, or -model NET")
    return found


def add_seeds(group: argparse._ArgumentGroup) -> None:
    """`--seeds P`: objects that hang together."""
    group.add_argument(
        "--seeds",
        type=fraction,
        metavar="P",
        help="tell objects apart that hang together: each piece with a probability above P is the "
        "core of one (such as 0.75)",
    )


def fraction(text: str) -> float:
    """A number between 0 and 1."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number between 0 and 1")
    return value


def count(text: str) -> int:
    """A whole number from 0 to MOST."""
    return 0 if text == "0" else positive_int(text)


def lengths(text: str) -> tuple[int, ...]:
    """ "572", "572x572" or "116x132x132" -> (572, 572), (572, 572), (116, 132, 132)."""
    parts = text.lower().replace("*", "x").split("x")
    if len(parts) != 3:
        return size(text)
    return tuple(positive_int(part) for part in parts)


def two_numbers(text: str) -> tuple[float, float]:
    """ "1,99" -> (1.0, 99.0)."""
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not two numbers such as 1,99") from None
    return low, high


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
