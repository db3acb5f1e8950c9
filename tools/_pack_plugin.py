"""`pack.py --convention plugin`: from image files to the files of Freiburg's Fiji plugin."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError, counted
from . import _options
from ._pack_pages import (
    Pages,
    check_pairs,
    check_swapped,
    choose,
    compare_names,
    describe,
    origin,
    read,
)
from ._pack_sources import follow_model, points_of
from ._progress import follow

if TYPE_CHECKING:
    from ..data.masks import MaskRule
    from ..data.plugin_pack import PluginRecipe, PluginSummary
    from ..imaging.image import Image

DETECT_IN = 8  # masks looked at to tell what they are
_NOT_HERE = ("tiles", "augment", "seed", "w0", "sigma", "border_term")  # the paper's convention


def add_options(parser: argparse.ArgumentParser) -> None:
    g = parser.add_argument_group(
        "the Fiji plugin's files (--convention plugin)",
        "masks have 0 for pixels to ignore, 1 for background, and from 2 on objects or classes",
    )
    g.add_argument(
        "--for",
        dest="purpose",
        choices=("train", "validation", "predict"),
        help="who reads the files: training (default), validation (tiles), or the net's input",
    )
    g.add_argument("--background", type=int, metavar="VALUE", help="its label (1; 0 where you say)")
    g.add_argument(
        "--instances", nargs="+", metavar="PATH", help="object ids, where --labels are classes"
    )
    g.add_argument(
        "--points",
        metavar="FILE",
        help="objects known by a point: a table with x, y, slice, class, or ImageJ's .roi or .zip",
    )
    g.add_argument("--ignore-regions", nargs="+", metavar="PATH", help="not 0: do not learn there")
    g.add_argument("--volumes", action="store_true", help="pages are slices, the net is 3-D")
    g.add_argument(
        "--element-size",
        type=_options.pixel_size,
        metavar="[ZxY]xX",
        help="um a pixel, to rescale to",
    )
    g.add_argument(
        "--border-weight-factor",
        type=float,
        metavar="L",
        help="height of the ridge between objects (default 50)",
    )
    g.add_argument("--border-weight-sigma", type=float, metavar="PX", help="its width (default 6)")
    g.add_argument(
        "--foreground-background-ratio",
        type=float,
        metavar="V",
        help="weight far from objects (default 0.1)",
    )
    g.add_argument(
        "--sigma1",
        type=float,
        metavar="PX",
        help="how far around objects the background weighs 1 (default 10)",
    )
    g.add_argument(
        "--disk-radius",
        type=_options.positive_int,
        metavar="PX",
        help="radius of an object known by a point (default 2)",
    )
    g.add_argument(
        "--modeldef", metavar="FILE", help="a .modeldef.h5: what is not given here is as it says"
    )
    g.add_argument(
        "--input-dataset-name", metavar="NAME", help="of the training data (default data)"
    )
    g.add_argument(
        "--input-blob-name", metavar="NAME", help="of validation tiles and inputs (default data3)"
    )


OPTIONS = (
    *("purpose", "background", "instances", "ignore_regions", "volumes", "element_size"),
    *("border_weight_factor", "border_weight_sigma", "foreground_background_ratio"),
    *("sigma1", "input_dataset_name", "input_blob_name", "points", "disk_radius", "modeldef"),
)


def check_options(args: argparse.Namespace, defaults: argparse.ArgumentParser) -> None:
    """Refuse options that the chosen convention would not look at."""
    plugin = args.convention == "plugin"
    for name in _NOT_HERE if plugin else OPTIONS:
        if getattr(args, name) != defaults.get_default(name):
            spelt = "for" if name == "purpose" else name.replace("_", "-")
            raise DataError(
                f"--{spelt} is of the {'paper' if plugin else 'plugin'}'s convention",
                found=f"--convention {args.convention}",
                remedy="The net's CreateDeformation layer cuts and bends tiles"
                if name in ("tiles", "augment")
                else f"Leave it away, or give --convention {'paper' if plugin else 'plugin'}",
            )


class Volumes(Sequence[np.ndarray]):
    """Pages joined to volumes, read when they are asked for."""

    def __init__(self, pages: Pages, groups: Sequence[Sequence[int]]) -> None:
        self._pages, self._groups = pages, groups

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, i: int) -> np.ndarray:  # type: ignore[override]  # no slices needed
        # (C, H, W) pages become (C, Z, H, W), (H, W) pages (Z, H, W)
        return np.stack([self._pages[k] for k in self._groups[i]], axis=-3)


def depth_groups(pages: Pages) -> list[list[int]]:
    """The numbers of the pages of each volume: those that differ in Z alone.

    A file whose only page axis is not called Z or T is one volume.
    """
    groups: list[list[int]] = []
    start = 0
    for file in pages.files:
        axes = [a for a in file.axes if a not in "YXCS"]
        lengths = [file.layout.shape[file.axes.index(a)] for a in axes]
        if "Z" not in axes and (len(axes) != 1 or "T" in axes):
            raise DataError(
                "it cannot be told which axis is the depth",
                where=str(file.path),
                found=f"axes {file.axes}",
                remedy="Say it: --axes and --label-axes, for example ZYX or TZYX",
            )
        at = axes.index("Z") if "Z" in axes else 0
        numbers = np.moveaxis(np.arange(len(file)).reshape(lengths), at, -1) + start
        groups += numbers.reshape(-1, lengths[at]).tolist()
        start += len(file)
    return groups


def sizes_of(image: Image, args: argparse.Namespace) -> tuple[float, ...]:
    """um of a pixel of an image, [z,] y, x; 1 where nobody knows and nothing is rescaled."""
    from ..imaging.pixel_size import micrometres

    axes = 3 if args.volumes else 2
    if args.pixel_size is not None:
        return spread(args.pixel_size, axes, "--pixel-size")
    known: tuple[float, ...] | None = image.pixel_size
    if known is not None and args.volumes:
        known = None if image.depth is None else (image.depth, *known)
    size = micrometres(known, image.unit)
    if size is not None:
        return size
    if args.element_size is None:
        return (1.0,) * axes
    raise DataError(
        "the size of its pixels is not known, so it cannot be rescaled",
        where=str(image.path),
        remedy="Give --pixel-size" + (" ZxYxX" if args.volumes else "") + ", or no --element-size",
    )


def spread(size: tuple[float, ...], axes: int, option: str) -> tuple[float, ...]:
    if len(size) not in (1, axes):
        raise DataError(
            f"{option} does not fit {'volumes' if axes == 3 else 'images'}",
            expected=f"1 or {axes} numbers",
            found=len(size),
        )
    return size * axes if len(size) == 1 else size


def run(args: argparse.Namespace) -> str:
    """Pack and say so; returns the name of the files' list."""
    from ..data import plugin_pack
    from ..data.plugin_frames import Frames

    follow_model(args)
    predict = args.purpose == "predict"
    images = read(args.images, args.axes, channels=args.channel)
    describe("images", images)
    others: dict[str, Pages] = {}
    for name, paths in (
        ("labels", args.labels),
        ("instances", args.instances),
        ("ignored regions", args.ignore_regions),
    ):
        if paths is not None and not predict:
            others[name] = read(paths, args.label_axes, one=True)
            check_pairs(images, others[name], name)
            describe(name, others[name])
            compare_names(images, others[name], name, in_order=args.in_order)
    groups = depth_groups(images) if args.volumes else [[k] for k in range(len(images))]
    every = [images.names[group[0]] for group in groups]
    if args.volumes:
        every = [f"{images.pages[group[0]][0].path}" for group in groups]
    places = choose(args.slices, every, (images, *others.values()))
    chosen, names = [groups[i] for i in places], [every[i] for i in places]

    def frames(pages: Pages | None) -> Sequence[np.ndarray] | None:
        if pages is None or args.volumes:
            return pages and Volumes(pages, chosen)
        return pages.only([k for (k,) in chosen])

    of = [images.pages[group[0]][0] for group in chosen]
    numbers = {id(file): n for n, file in enumerate(images.files)}
    if "labels" in others:
        check_swapped(images, others["labels"])
    masks = frames(others.get("labels"))
    image_frames = frames(images)
    assert image_frames is not None
    sizes = [sizes_of(file, args) for file in of]
    rule = understand(masks, args)
    recipe = make_recipe(rule, args)
    plan(recipe, of, sizes, args.volumes, [len(group) for group in chosen])
    summary = plugin_pack.pack(
        Frames(
            image_frames,
            masks,
            names,
            [numbers[id(file)] for file in of],
            sizes,
            frames(others.get("instances")),
            frames(others.get("ignored regions")),
            None if predict else points_of(args, chosen),
        ),
        args.output,
        recipe,
        origin=origin(images, others.get("labels"), args.slices),
        overwrite=args.overwrite,
        track=follow,
    )
    print("\n".join(report(summary, recipe)))
    return str(summary.list_file)


def understand(masks: Sequence[np.ndarray] | None, args: argparse.Namespace) -> MaskRule:
    """What the masks are: as told, or as their values look."""
    from ..data.labels import detect
    from ..data.masks import MaskRule

    background = args.background if args.background is not None else 1
    if args.classes:
        background = args.classes[0]
    ignore = args.ignore
    if ignore is None and background != 0 and 0 not in args.classes:
        ignore = 0
    kind = args.labels_are
    if kind == "auto" and (args.classes or args.instances):
        kind = "classes"
    if kind == "instances" and args.instances:
        raise DataError(
            "--labels are instances, so --instances says the same again",
            remedy="Leave one of them away, or let --labels be classes",
        )
    if masks is not None and kind == "auto":
        some = np.unique(np.linspace(0, len(masks) - 1, DETECT_IN).astype(int))
        looked = (np.where(masks[int(i)] == background, 0, masks[int(i)]) for i in some)
        kind, why = detect(looked, ignore)
        print(f"labels are {kind} ({why}, the background's {background} left out)")
    return MaskRule("binary" if kind == "auto" else kind, background, ignore, args.classes)


def make_recipe(rule: MaskRule, args: argparse.Namespace) -> PluginRecipe:
    from ..data.crops import Pair
    from ..data.normalize import Normalization
    from ..data.plugin_files import BLOB, DATA
    from ..data.plugin_pack import RADIUS, PluginRecipe
    from ..data.plugin_weights import WeightParameters

    axes = 3 if args.volumes else 2
    given = {
        "border_weight_factor": args.border_weight_factor,
        "border_weight_sigma_px": args.border_weight_sigma,
        "foreground_background_ratio": args.foreground_background_ratio,
        "sigma1_px": args.sigma1,
    }
    pair = None
    if args.purpose == "validation":
        if len(args.input_size) != axes or len(args.output_size) != axes:
            raise DataError(
                f"validation tiles need {axes} sizes",
                expected="such as --input-size 116x132x132 --output-size 28x44x44"
                if axes == 3
                else "such as --input-size 540 --output-size 356",
            )
        pair = Pair(args.input_size, args.output_size)
    element = args.element_size
    return PluginRecipe(
        args.purpose or "train",
        rule,
        Normalization(args.normalization or "minmax"),
        nonfinite=args.nonfinite,
        class_names=args.class_names,
        weights=WeightParameters(**{k: v for k, v in given.items() if v is not None}),
        element_size=None if element is None else spread(element, axes, "--element-size"),
        pair=pair,
        dataset=args.input_dataset_name or DATA,
        blob=args.input_blob_name or BLOB,
        radius=args.disk_radius or RADIUS,
        per_file=args.files_of,
    )


def plan(
    recipe: PluginRecipe,
    files: Sequence[Image],
    sizes: Sequence[tuple[float, ...]],
    volumes: bool,
    depths: Sequence[int],
) -> None:
    """Say what is rescaled before it is done."""
    from ..data.rescale import new_shape, scale

    if recipe.element_size is None:
        return
    said: set[str] = set()
    for file, size, depth in zip(files, sizes, depths, strict=True):
        shape = (*((depth,) if volumes else ()), *file.shape[2:])
        new = new_shape(shape, scale(size, recipe.element_size))
        line = (
            f"rescaled: {_times(shape)} pixels of {_times(size)} um to {_times(new)} of "
            f"{_times(recipe.element_size)} um"
        )
        if line not in said and len(said) < 4:
            print(line)
        said.add(line)


def _times(numbers: Sequence[float]) -> str:
    return " x ".join(f"{n:.4g}" if isinstance(n, float) else str(n) for n in numbers)


def report(s: PluginSummary, recipe: PluginRecipe) -> list[str]:
    """What was written, for the eye."""
    from ..net.limits import mib

    lines = ["", f"{counted(s.frames, 'frame')} for {recipe.purpose}"]
    if s.classes:
        width = max(len(c.name) for c in s.classes) + 2
        heads = ("share of pixels", "mean weight", "share of weight")
        lines.append(f"  {'class'.ljust(width)}  {heads[0]:>15}  {heads[1]:>11}  {heads[2]:>15}")
        for number, c in enumerate(s.classes):
            lines.append(
                f"  {f'{number} {c.name}'.ljust(width)}  {100 * c.share:>13.2f} %  "
                f"{c.mean_weight:>11.3f}  {100 * c.weight_share:>13.2f} %"
            )
        lines.append(f"  ignored: {100 * s.ignored:.2f} % of all pixels")
    lines += [f"warning: {text}" for text in s.warnings]
    names = str(s.files[0]) if len(s.files) == 1 else f"{s.files[0]} ... {s.files[-1].name}"
    use = "the list of them" if recipe.purpose == "predict" else "the list for HDF5Data's source"
    return [*lines, "", f"{names}: {mib(s.bytes)}", f"{s.list_file}: {use}"]
