"""Cut training tiles: `python tools/pack.py --images a.tif --labels b.tif -o train.h5`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("pack")

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError, counted
from ..files import check_writable
from ..texts import utf8
from . import _options, _pack_plugin
from ._pack_pages import (
    Pages,
    check_pairs,
    check_swapped,
    choose,
    compare_names,
    describe,
    origin,
    pixel_size,
    read,
    read_labels,
)
from ._pack_preview import draw
from ._progress import follow

if TYPE_CHECKING:
    from ..data.cut import Recipe
    from ..data.labels import LabelRule
    from ..data.pack import Summary

EPILOG = """\
Images and labels are TIFF (stacks too) or PNG files, folders or patterns, paired in their order.
Names are compared as well (t007.tif, man_seg007.tif): a pair that does not fit among others that
do is refused.
Labels may be
  binary      0 membrane or background, any other value interior
  instances   0 background, every other value one object (touching objects are parted by a gap)
  classes     the value is the class, 0, 1, 2, ...
which is told from the values, and said; --labels-are overrides.  Or, for each image, a .zip of
ImageJ's ROI Manager (or a .roi): every selection is one object.

examples:
  python tools/pack.py --images volume.tif --labels labels.tif --slices 0-19 --output em/train.h5
        all of slices 0 to 19, in overlapping tiles of 572 pixels for the U-Net of 2015
  python tools/pack.py --images volume.tif --labels labels.tif --slices 0-19 --output em/train.h5 \\
      --tiles 400 --augment flips,elastic,grey --seed 1
        400 tiles at random places, mirrored, turned, bent and re-lit as in the paper
  python tools/pack.py --images 'hela/t*.tif' --labels 'hela/seg*.tif' --labels-are instances \\
      --ignore 65535 --output hela/train.h5

  python tools/pack.py --convention plugin --images hela.tif --labels instances.tif \\
      --background 0 --pixel-size 0.19 --element-size 0.5 --class-names background,cell \\
      --output hela/train.h5 --preview hela/train.png
        the files of Freiburg's Fiji plugin: /data, /labels, /weights and /weights2 (where a
        CreateDeformation layer cuts tiles); --for validation writes tiles, --for predict inputs
  python tools/pack.py --convention plugin --images hela.tif --points points.csv \\
      --pixel-size 0.19 --modeldef 2d_cell_net.modeldef.h5 --output hela/train.h5
        cells marked by a click each; sizes, normalisation and weights as a model says

The result is train.h5 (several, when large) with /data, /label and /weight, and train.txt for
  layer { type: "HDF5Data" top: "data" top: "label" top: "weight"
          hdf5_data_param { source: "em/train.txt" batch_size: 1 } }
Paths in it are relative to the folder you are in now, as Caffe wants them.
"""
DETECT_IN = 8  # label slices looked at to tell what labels are


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="pack.py",
        description="Make training data from microscope images and their labels.",
        epilog=EPILOG,
    )
    p.add_argument("--images", nargs="+", required=True, metavar="PATH", help="what the net sees")
    p.add_argument("--labels", nargs="+", metavar="PATH", help="what it shall say")
    p.add_argument(
        "-o",
        "--output",
        required=True,
        type=Path,
        metavar="FILE.h5",
        help="what to write; beside it FILE.txt, the list that an HDF5Data layer reads",
    )
    p.add_argument("--overwrite", action="store_true", help="replace an output that exists")
    p.add_argument(
        "--convention",
        default="paper",
        choices=("paper", "plugin"),
        help="tiles with equation 2's weights (paper, default), or the Fiji plugin's files",
    )
    p.add_argument("--preview", type=Path, metavar="FILE.png", help="draw samples of the result")
    p.add_argument(
        "--in-order",
        action="store_true",
        help="files are pairs in their order, whatever their names say",
    )
    p.add_argument(
        "--slices",
        type=_options.pages,
        metavar="LIST",
        help="such as 0-19 or 0,3,5-7: the numbers in the names of files of one page each, as "
        "evaluate has it; else counted from 0",
    )
    p.add_argument(
        "--pixel-size",
        type=_options.pixel_size,
        metavar="[ZxY]xX",
        help="um a pixel of the images has (default: as the files say); the model keeps it",
    )
    p.add_argument("--axes", help="how to read the images' axes, for example ZYX or CYX")
    p.add_argument("--label-axes", metavar="AXES", help="the same for the labels")
    p.add_argument(
        "--channel",
        type=_options.pages,
        metavar="LIST",
        help="which of the images' channels to learn from, for example 1 (the first is 0)",
    )

    g = p.add_argument_group("labels")
    g.add_argument(
        "--labels-are",
        default="auto",
        choices=("auto", "binary", "instances", "classes"),
        help="what their values mean (default auto: as they look; see below)",
    )
    g.add_argument("--ignore", type=int, metavar="VALUE", help="label of pixels not to learn from")
    g.add_argument(
        "--classes", type=_integers, default=(), metavar="V,V,...", help="label of class 0, 1, ..."
    )
    g.add_argument(
        "--class-names",
        type=_words,
        default=(),
        metavar="NAME,NAME,...",
        help="from class 0 on; the model keeps them",
    )

    g = p.add_argument_group("tiles")
    for name, pixels, said in (
        ("--input-size", 572, "what the net sees of a tile, in pixels"),
        ("--output-size", 388, "what it answers for, in the middle; `plan` says both"),
    ):
        g.add_argument(
            name,
            type=_options.lengths,
            default=(pixels, pixels),
            metavar="HxW",
            help=f"{said} (default {pixels}x{pixels})",
        )
    g.add_argument("--tiles", type=int, metavar="N", help="random ones instead of covering images")
    g.add_argument("--augment", type=_words, default=(), metavar="KINDS", help="flips,elastic,grey")
    g.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    g.add_argument("--files-of", type=int, metavar="M", help="tiles in a file (default ~256 MiB)")

    g = p.add_argument_group("grey values and weights")
    g.add_argument(
        "--normalization",
        metavar="NAME",
        help="none, depth, minmax (the plugin's default), zscore (default), max, percentile; used "
        "again at deployment",
    )
    g.add_argument(
        "--percentiles",
        type=_options.two_numbers,
        metavar="LOW,HIGH",
        help="which grey values become 0 and 1 with --normalization percentile (default 1,99)",
    )
    g.add_argument("--nonfinite", default="refuse", choices=("refuse", "zero"), help="NaN pixels")
    g.add_argument("--w0", type=float, default=10.0, help="height of the border weights (10)")
    g.add_argument("--sigma", type=float, default=5.0, help="their width in pixels (5)")
    g.add_argument(
        "--border-term",
        default="everywhere",
        choices=("everywhere", "background"),
        help="where border weights apply; the paper: everywhere, Freiburg's plugin: background",
    )
    _pack_plugin.add_options(p)
    return p


def main(argv: Sequence[str]) -> int:
    from ..data import pack

    options = parser()
    args = options.parse_args(argv)
    _pack_plugin.check_options(args, options)
    pack.check_output(args.output, overwrite=args.overwrite)
    if args.preview is not None:
        check_writable(args.preview, overwrite=args.overwrite)
    if args.labels is None and args.points is None and args.purpose != "predict":
        raise DataError("there are no label images", remedy="Give --labels")
    listed = _pack_plugin.run(args) if args.convention == "plugin" else _paper(args)
    if args.preview is not None:
        draw(listed, args.preview, overwrite=args.overwrite)
    return 0


def _paper(args: argparse.Namespace) -> str:
    """Pack tiles with the paper's weights; returns the name of the files' list."""
    from ..data import pack

    told = None
    if args.pixel_size is not None:
        y, x = _pack_plugin.spread(args.pixel_size, 2, "--pixel-size")
        told = y, x
    images = read(args.images, args.axes, channels=args.channel)
    labels = read_labels(args.labels, args.label_axes, images)
    check_pairs(images, labels)
    describe("images", images)
    describe("labels", labels)
    compare_names(images, labels, "labels", in_order=args.in_order)
    chosen = choose(args.slices, images.names, (images, labels))
    images, labels = images.only(chosen), labels.only(chosen)
    check_swapped(images, labels)
    rule = understand(labels, args)
    pixel, unit = pixel_size(images, told)
    summary = pack.pack(
        images,
        labels,
        args.output,
        recipe(rule, args),
        names=images.names,
        origin=origin(images, labels, args.slices),
        pixel_size=pixel,
        unit=unit,
        overwrite=args.overwrite,
        track=follow,
    )
    print("\n".join(report(summary)))
    return str(summary.list_file)


def understand(labels: Pages, args: argparse.Namespace) -> LabelRule:
    """What the labels are: as told, or as their values look."""
    from ..data.labels import LabelRule, detect
    from ..imaging import roi_labels

    kind = "classes" if args.classes and args.labels_are == "auto" else args.labels_are
    if kind == "auto" and any(roi_labels.is_named(f.path) for f in labels.files):
        kind = "instances"
        print("labels are instances, drawn from ImageJ's selections")
    elif kind == "auto":
        some = np.unique(np.linspace(0, len(labels) - 1, DETECT_IN).astype(int))
        kind, why = detect((labels[int(i)] for i in some), args.ignore)
        print(f"labels are {kind} ({why}); --labels-are says otherwise")
    else:
        print(f"labels are {kind}, as told")
    return LabelRule(kind, args.ignore, args.classes)


def recipe(rule: LabelRule, args: argparse.Namespace) -> Recipe:
    from ..data.crops import Pair
    from ..data.cut import Recipe
    from ..data.normalize import Normalization

    parameters = dict(zip(("low", "high"), args.percentiles or (), strict=False))
    return Recipe(
        Pair(_two(args.input_size), _two(args.output_size)),
        rule,
        Normalization(args.normalization or "zscore", parameters),
        nonfinite=args.nonfinite,
        class_names=args.class_names,
        tiles=args.tiles,
        augment=args.augment,
        seed=args.seed,
        per_file=args.files_of,
        w0=args.w0,
        sigma=args.sigma,
        border_inside=args.border_term == "everywhere",
    )


def _two(size: tuple[int, ...]) -> tuple[int, int]:
    if len(size) != 2:
        raise DataError("tiles have two sizes", expected="such as 572 or 444x892", found=size)
    return size[0], size[1]


def report(s: Summary) -> list[str]:
    """What was written, for the eye."""
    from ..net.limits import mib

    from_ = f"{counted(s.tiles, 'tile')} from {counted(s.slices, 'slice')}"
    lines = ["", f"{from_}, mean weight of a pixel {s.mean_weight:.3g}"]
    width = max(len(c.name) for c in s.classes)
    lines.append(f"  {'class'.ljust(width + 2)}  {'share of pixels':>15}  {'weight w_c':>10}")
    for number, c in enumerate(s.classes):
        name = f"{number} {c.name}".ljust(width + 2)
        lines.append(f"  {name}  {100 * c.share:>13.2f} %  {c.balance:>10.3f}")
    lines.append("  w_c: what a pixel counts for its class, so that rare classes are learnt too;")
    lines.append("       in narrow gaps between objects it counts more")
    if s.ignored:
        lines.append(f"  ignored (label 255): {100 * s.ignored:.2f} % of all pixels")
    lines += [f"warning: {text}" for text in s.warnings]
    names = str(s.files[0]) if len(s.files) == 1 else f"{s.files[0]} ... {s.files[-1].name}"
    lines += ["", f"{names}: {mib(s.bytes)}", f"{s.list_file}: the list for HDF5Data's source"]
    return lines


def _integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a list of whole numbers") from None


def _words(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in utf8(text).split(",") if part.strip())
