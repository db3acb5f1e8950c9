"""Segment images: `python tools/deploy.py --weights unet.h5 img.tif`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("deploy")

import re
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DemitasseError, OutputError, counted
from ..files import check_writable
from . import _device, _options, _segmenting
from ._batch import Batch, Done, first_names, say_passed_over
from ._findings import listed, named, told
from ._results import OBJECTS, OUTPUTS, parted

if TYPE_CHECKING:
    from ..imaging.deployed import Deployed
    from ..imaging.image import Image

FILES = (".tif", ".tiff", ".png", ".csv", ".zip", ".h5")  # ends of names that are no folders
EPILOG = """\
examples:
  python tools/deploy.py --weights unet.h5 img.tif
        writes img.labels.tif beside the image: 0, 1, ... for each pixel
  python tools/deploy.py --weights unet.h5 stack.tif --output prob -o results/
        the probability of each class (with two classes: of class 1), one page for each page
  python tools/deploy.py --weights unet.h5 plate1/ 'plate2/*.tif' --instances --min-size 500
        folders and patterns; a number for each object of more than 500 pixels; a file that cannot
        be segmented is named in the table at the end, and the exit code is 1
  python tools/deploy.py --weights unet.h5 img.tif --overlay --measure --rois --ome
        contours with a scale bar (img.overlay.png), a table of the objects (img.objects.csv),
        their outlines for ImageJ (img.rois.zip), probabilities for OME readers (img.ome.tif)
  python tools/deploy.py --weights unet.h5 img.tif --dry-run
        how it would be rescaled and cut, and the bytes it takes; nothing is written
  python tools/deploy.py --weights unet.h5 img.tif --pixel-size 0.19 --model-pixel-size 0.5
        micrometres, where the files do not say them or say them wrong
  python tools/deploy.py --weights old.caffemodel.h5 --model deploy.prototxt img.tif
        a bare Caffe file needs the net it belongs to: its prototxt, or a .modeldef.h5 of Fiji's
        plugin, which also says how to normalise
  python tools/deploy.py --weights unet.h5 img.tif --average rotate
        the mean over four rotations: slower, and a little better
  python tools/deploy.py --weights unet.h5 big.tif --tiles 16
  python tools/deploy.py --weights unet.h5 big.tif --tile-size 572
  python tools/deploy.py --weights unet.h5 big.tif --memory 500
        tiles by number, by the pixels the net sees, or by MiB of activations: the same result
        (a net that pads its input takes the image as one tile)
  python tools/deploy.py --weights unet.h5 --dask local:2 big.zarr
        an image larger than memory, OME-Zarr or TIFF with tiles, into OME-Zarr, on two workers;
        what was cut short goes on with the same command (docs/scaling.md)
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="deploy.py",
        description="Segment TIFF or PNG images of any size with a trained net.",
        epilog=EPILOG,
    )
    p.add_argument(
        "images", nargs="+", metavar="IMAGE", help="TIFF (stacks too) or PNG, folders, patterns"
    )
    _segmenting.add_model(p)
    p.add_argument(
        "--output",
        default="labels",
        metavar="KIND[,KIND]",
        help="labels, prob (probabilities), score (raw scores), instances (a number for each "
        "object), ome (probabilities as OME-TIFF); default labels",
    )
    p.add_argument("--instances", action="store_true", help="also write a number for each object")
    p.add_argument("-o", "--folder", help="where results go (default: beside each image)")
    p.add_argument("--overwrite", action="store_true", help="replace results that exist")
    p.add_argument("--dry-run", action="store_true", help="print the plan, write nothing")
    p.add_argument("--zarr", action="store_true", help="write OME-Zarr, tile by tile")
    p.add_argument(
        "--dask",
        metavar="ADDRESS",
        help="the same on the workers of a Dask scheduler, tcp://host:8786, or on N workers on this"
        " machine, local:N",
    )
    _segmenting.add(p)
    g = p.add_argument_group("what to write besides")
    g.add_argument(
        "--overlay",
        action="store_true",
        help="img.overlay.png: image and contours of classes, or of objects where they are asked "
        "for; of a stack, one for each page",
    )
    g.add_argument(
        "--measure",
        action="store_true",
        help="img.objects.csv: class, area, place and mean probability of each object",
    )
    g.add_argument(
        "--rois",
        action="store_true",
        help="img.rois.zip: each object for ImageJ's ROI Manager (extra rois)",
    )
    g.add_argument(
        "--ome",
        action="store_true",
        help="img.ome.tif: OME-TIFF of the probabilities, a channel for each class",
    )
    _segmenting.add_rest(p)
    p.add_argument(
        "--area-opening",
        type=_options.count,
        metavar="N",
        help="with --output prob: lower what is brighter than its surroundings and has at most N "
        "pixels, so that no threshold shows so small an object",
    )
    return p


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    _device.started(args)
    kinds = output_kinds(args)
    rule = _segmenting.normalization(args)
    from ..imaging.ngff import is_zarr

    if args.dask or args.zarr or any(is_zarr(path) for path in args.images):
        from . import _big

        each = ([Path(p)] if is_zarr(p) else find_images([p]) for p in args.images)
        return _big.main([path for paths in each for path in paths], kinds, rule, args)
    batch = Batch(find_images(args.images), "planned" if args.dry_run else "done")
    opened = open_images(batch, args)
    targets = plan_outputs(batch, opened, kinds, args)
    if not batch.left:
        return batch.end()
    from ..imaging.deployed import load_deployed
    from ._model import grey_values, print_note

    options = _options.net_options(args)
    deployed = load_deployed(args.weights, args.model, rule, said=print_note, **options)
    print(grey_values(deployed))
    for path in batch.left:
        with batch.sparing(path):
            batch.done[path] = segment(deployed, opened[path], targets[path], args)
    warn_of_one_class(batch, deployed)
    return batch.end()


def output_kinds(args: Any) -> list[str]:
    """What to write of each image; OutputError for a kind that is not there, or an option of
    objects without them."""
    kinds = args.output.split(",")
    for kind in kinds:
        if kind not in OUTPUTS:
            raise OutputError(
                f"--output {kind} is not known", expected="one or more of " + ", ".join(OUTPUTS)
            )
    if args.instances:
        kinds.append("instances")
    kinds += [kind for kind in ("ome", "overlay", "rois") if getattr(args, kind)]
    kinds += ["objects"] if args.measure else []
    unused = [name for name in OBJECTS if getattr(args, name, None) is not None]
    if unused and not {"instances", "rois", "objects"} & set(kinds):
        raise OutputError(
            f"--{unused[0].replace('_', '-')} says what an object is, but none are asked for",
            remedy="Give --instances, --rois or --measure as well",
        )
    if args.area_opening and "prob" not in kinds:
        raise OutputError(
            "--area-opening changes probabilities, but none are asked for",
            remedy="Give --output prob; --min-size is for --instances",
        )
    if args.rois:
        from ..imaging.rois import library

        library()
    return list(dict.fromkeys(kinds))


def find_images(patterns: Sequence[str]) -> list[Path]:
    """The files of paths, folders and patterns, less the results of earlier runs among them."""
    from ..imaging import tiff

    say_passed_over(patterns)
    found: list[Path] = []
    for pattern in patterns:
        paths = tiff.find([pattern])
        if Path(pattern) not in paths:
            stems = {path.with_suffix("") for path in paths}
            results = [p for p in paths if is_result(p) and p.parent / parted(p)[0] in stems]
            if results:
                said = f"{counted(len(results), 'result')} of an earlier run left out"
                print(f"{pattern}: {said} ({first_names(results)})", file=sys.stderr)
            paths = [path for path in paths if path not in results]
        found += paths
    return found


def is_result(path: Path) -> bool:
    """Whether a file has the name of something that this command writes; of NAME.ome.tif, which
    microscopes write as well, whether this command wrote it."""
    kind = parted(path)[1]
    return is_ours(path) if kind == "ome" else kind != ""


def is_ours(path: Path) -> bool:
    """Whether a file says that it holds probabilities of ours; one that cannot be read does not."""
    from ..imaging import tiff

    with suppress(DemitasseError, OSError):
        return re.search(r"demitasse \S+: ome of ", tiff.read(path).description) is not None
    return False


def open_images(batch: Batch, args: Any) -> dict[Path, Image]:
    """Read the header of every image before any work."""
    from ._segmentation import opened

    images = {}
    for path in batch.paths:
        with batch.sparing(path):
            images[path] = opened(path, args)
    return images


def plan_outputs(
    batch: Batch, opened: dict[Path, Image], kinds: Sequence[str], args: Any
) -> dict[Path, dict[str, Path]]:
    """Where each result of each image will go; refuses before any work what could not be written
    after it."""
    from ._segmentation import chosen_pages

    ends = named(kinds, (0,)).values()
    check_folder(args.folder, f"{batch.paths[0].stem}.{next(iter(ends))}")
    read = {image.resolve() for image in batch.paths}
    taken: dict[Path, Path] = {}
    targets: dict[Path, dict[str, Path]] = {}
    for number, image in enumerate(batch.paths):
        folder = Path(args.folder) if args.folder else image.parent
        pages = chosen_pages(args.pages, opened[image]) if image in opened else (0,)
        names = {k: folder / f"{image.stem}.{end}" for k, end in named(kinds, pages).items()}
        for target in names.values():
            if target.resolve() in read:
                raise OutputError(
                    "would overwrite an image to be read",
                    where=str(target),
                    remedy="Write into another folder (-o)",
                )
            other = taken.setdefault(target.resolve(), image)
            if other is not image and number:
                raise OutputError(
                    "two images would be written to one file",
                    where=str(target),
                    found=f"{other} and {image}",
                    remedy="Segment them one after the other into different folders (-o), or "
                    "rename one",
                )
        targets[image] = names
    if not args.dry_run:
        for image in opened:
            with batch.sparing(image):
                for target in targets[image].values():
                    check_writable(target, overwrite=args.overwrite)
                check_is_result(targets[image].get("ome"))
    return targets


def check_is_result(target: Path | None) -> None:
    """Refuse to replace an OME-TIFF that is there and was not written by this command."""
    if target and target.exists() and not is_ours(target):
        raise OutputError(
            "was not written by demitasse, and is not overwritten",
            where=str(target),
            expected="a description that says 'demitasse ...: ome of NAME'",
            remedy="Write into another folder (-o), or remove the file if nobody wants it",
        )


def check_folder(folder: str | None, first: str) -> None:
    """Refuse what -o names where it is meant to be the file `first`."""
    if folder is None or Path(folder).is_dir():
        return
    path = Path(folder)
    if path.exists() or path.suffix.lower() in FILES:
        raise OutputError(
            "-o names a folder, not a file",
            where=folder,
            remedy=f"With -o {path.parent} the result is {path.parent / first}",
        )


def segment(deployed: Deployed, image: Image, targets: dict[str, Path], args: Any) -> Done:
    """Plan, read, normalise, predict and write one image, sample by sample."""
    from ..net.engines import engines
    from ._progress import track
    from ._segmentation import plan
    from ._writing import write

    began = time.monotonic()
    made = plan(deployed, image, args)
    print(f"{image.path}: {image.summary()}")
    for line in made.lines():
        print(f"  {line}")
    if args.dry_run:
        for kind, files in told(targets):
            print(f"  would write {files}: {kind}")
        return Done(made.pages, made.tiles, 0.0, "planned")

    with track(made.tiles, "tiles") as advance:
        objects, only = write(deployed, made, targets, args, advance)
    for kind, files in told(targets):
        count = (
            f", {counted(objects or 0, 'object')}"
            if kind in ("instances", "objects", "rois")
            else ""
        )
        print(f"{files}: {kind}{count}")
    if only == 0:  # it may well be empty
        print(f"note: every pixel of {image.path} is class 0, the background")
    seconds = time.monotonic() - began
    print(f"{seconds:.1f} s; {engines(deployed.predictor.net)}", flush=True)
    names = listed(targets)
    names += f" ({counted(objects, 'object')})" if objects is not None else ""
    return Done(made.pages, made.tiles, seconds, names, only)


def warn_of_one_class(batch: Batch, deployed: Deployed) -> None:
    """Say once that images are nothing but one kind of object, as a dead net finds them."""
    images = [path for path, one in batch.done.items() if one.only]
    if images:
        number = batch.done[images[0]].only or 0
        names = deployed.class_names
        known = f" ({names[number]})" if number < len(names) else ""
        more = f", as in {len(images) - 1} more of the images" if images[1:] else ""
        print(
            f"warning: every pixel of {images[0]} is class {number}{known}{more}: the net may not "
            "have learned",
            file=sys.stderr,
        )
