"""Options of every command that segments: model, tiles, grey values, pixel sizes, objects."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from . import _options
from ._verify import add_verify

if TYPE_CHECKING:
    from ..data.normalize import Normalization


def add_model(parser: argparse.ArgumentParser) -> None:
    """`--weights FILE`, `--model NET`, `--verify FILE`."""
    parser.add_argument(
        "-weights", "--weights", required=True, metavar="FILE", help="unet.h5, or a Caffe file"
    )
    parser.add_argument("-model", "--model", metavar="NET", help="prototxt, for a bare Caffe file")
    add_verify(parser)


def add(parser: argparse.ArgumentParser) -> None:
    """How images are cut and averaged."""
    tiling = parser.add_mutually_exclusive_group()
    tiling.add_argument(
        "--tile-size",
        type=_options.lengths,
        metavar="HxW",
        help="pixels the net sees (of volumes DxHxW)",
    )
    tiling.add_argument(
        "--tiles", type=_options.positive_int, metavar="N", help="about so many tiles"
    )
    tiling.add_argument(
        "--memory",
        type=_options.positive_float,
        metavar="MIB",
        help="for activations (default 2048, or half of what there is)",
    )
    parser.add_argument(
        "--pages", type=_options.pages, help="which pages of a stack: 0-19 or 0,3,5-7"
    )
    parser.add_argument("--axes", help="how to read the image's axes, for example ZYX or TCYX")
    parser.add_argument(
        "--channel",
        type=_options.pages,
        metavar="LIST",
        help="which of the image's channels the net gets, for example 1 (the first is 0)",
    )
    parser.add_argument(
        "--series",
        type=_options.count,
        metavar="N",
        help="which image of a file of several (the first is 0)",
    )
    parser.add_argument(
        "--average",
        choices=("none", "mirror", "rotate", "all", "rotate7"),
        default="none",
        help="mean over 4 flips, 4 rotations, all 8 symmetries of the image or 7 rotations by "
        "equal angles (default none)",
    )


def add_rest(parser: argparse.ArgumentParser) -> None:
    """Grey values, pixel sizes, objects, and what to compute with."""
    g = parser.add_argument_group("grey values")
    g.add_argument(
        "--normalization",
        metavar="NAME",
        help="instead of the model's: none, depth, min-max, z-score, max-norm or percentile",
    )
    g.add_argument(
        "--percentiles",
        type=_options.two_numbers,
        metavar="LOW,HIGH",
        help="which grey values become 0 and 1 with --normalization percentile (default 1,99)",
    )
    g.add_argument(
        "--nonfinite",
        choices=("refuse", "zero"),
        default="refuse",
        help="what to do with NaN and infinite pixels (default refuse)",
    )
    g = parser.add_argument_group("pixel size, in micrometres: one number, or YxX")
    g.add_argument(
        "--pixel-size",
        type=_options.pixel_size_or_none,
        metavar="UM|none",
        help="of the images, instead of what they say; none: nothing is rescaled",
    )
    g.add_argument(
        "--model-pixel-size", type=_options.pixel_size, metavar="UM", help="instead of the model's"
    )
    g.add_argument(
        "--max-tiles", type=_options.positive_int, metavar="N", help="of a page (default 10,000)"
    )
    g.add_argument(
        "--max-memory",
        type=_options.positive_float,
        metavar="GIB",
        help="for a page and its scores (default: the machine's)",
    )
    _options.add_seeds(_options.add_instances(parser))
    _options.add_gpu(parser)
    _options.add_engine(parser)
    _options.add_python(parser)


def reading(args: Any) -> dict[str, Any]:
    """How the options say that an image is to be read: arguments of `tiff.read`."""
    return {"axes": args.axes, "series": args.series, "channels": args.channel}


def normalization(args: Any) -> Normalization | None:
    """The rule that the options ask for, None for the model's own."""
    from ..data.normalize import Normalization

    name = args.normalization or ("percentile" if args.percentiles else None)
    if name is None:
        return None
    return Normalization(name, dict(zip(("low", "high"), args.percentiles or (), strict=False)))
