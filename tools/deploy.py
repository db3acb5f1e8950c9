"""Segment images: `python tools/deploy.py --weights unet.h5 img.tif`."""

from __future__ import annotations

if not __package__:  # run as a script
    import _root  # type: ignore[import-not-found]

    _root.run("deploy")

import sys
import time
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OutputError
from ..files import check_writable
from . import _device, _options
from ._batch import Batch, Done
from ._results import OBJECTS, OUTPUTS, each_score, info, planes, result, stored
from ._verify import add_verify

if TYPE_CHECKING:
    from ..data.normalize import Normalization
    from ..imaging.image import Image
    from ._model import Deployed

EPILOG = """\
examples:
  python tools/deploy.py --weights unet.h5 img.tif
        writes img.labels.tif beside the image: 0, 1, ... for each pixel
  python tools/deploy.py --weights unet.h5 stack.tif --output prob -o results/
        the probability of each class (with two classes: of class 1), one page for each page
  python tools/deploy.py --weights unet.h5 plate1/ 'plate2/*.tif' --instances --min-size 500
        folders and patterns; a number for each object of more than 500 pixels; a file that cannot
        be segmented is named in the table at the end, and the exit code is 1
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
    p.add_argument(
        "-weights", "--weights", required=True, metavar="FILE", help="unet.h5, or a Caffe file"
    )
    p.add_argument("-model", "--model", metavar="NET", help="prototxt, for a bare Caffe file")
    add_verify(p)
    p.add_argument(
        "--output",
        default="labels",
        metavar="KIND[,KIND]",
        help="labels, prob (probabilities), score (raw scores), instances (a number for each "
        "object); default labels",
    )
    p.add_argument("--instances", action="store_true", help="also write a number for each object")
    p.add_argument("-o", "--folder", help="where results go (default: beside each image)")
    p.add_argument("--overwrite", action="store_true", help="replace results that exist")
    p.add_argument("--dry-run", action="store_true", help="print the plan, write nothing")
    tiling = p.add_mutually_exclusive_group()
    tiling.add_argument(
        "--tile-size", type=_options.lengths, metavar="HxW", help="pixels the net sees"
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
    p.add_argument("--pages", type=_options.pages, help="which pages of a stack: 0-19 or 0,3,5-7")
    p.add_argument("--axes", help="how to read the image's axes, for example ZYX or TCYX")
    p.add_argument(
        "--average",
        choices=("none", "mirror", "rotate", "all", "rotate7"),
        default="none",
        help="mean over 4 flips, 4 rotations, all 8 symmetries of the image or 7 rotations by "
        "equal angles (default none)",
    )
    p.add_argument("--overlay", action="store_true", help="also write a PNG of the contours")
    g = p.add_argument_group("grey values")
    g.add_argument(
        "--normalization",
        metavar="NAME",
        help="instead of the model's: none, depth, min-max, z-score, max-norm or percentile",
    )
    g.add_argument("--percentiles", type=_options.two_numbers, metavar="LOW,HIGH", help="1,99")
    g.add_argument(
        "--nonfinite",
        choices=("refuse", "zero"),
        default="refuse",
        help="what to do with NaN and infinite pixels (default refuse)",
    )
    g = p.add_argument_group("pixel size, in micrometres: one number, or YxX")
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
    _options.add_instances(p)
    _options.add_gpu(p)
    _options.add_engine(p)
    _options.add_python(p)
    return p


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    _device.choose(args.gpu)
    kinds = output_kinds(args)
    rule = normalization(args)
    batch = Batch(find_images(args.images))
    opened = open_images(batch, args)
    targets = plan_outputs(batch, opened, kinds, args)
    if not batch.left:
        return batch.end()
    from ._model import load_deployed

    deployed = load_deployed(args.weights, args.model, rule, **_options.net_options(args))
    for path in batch.left:
        with batch.sparing(path):
            batch.done[path] = segment(deployed, opened[path], targets[path], args)
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
    unused = [name for name in OBJECTS if getattr(args, name) is not None]
    if unused and "instances" not in kinds:
        raise OutputError(
            f"--{unused[0].replace('_', '-')} says what an object is, but none are asked for",
            remedy="Give --instances as well",
        )
    return list(dict.fromkeys(kinds))


def normalization(args: Any) -> Normalization | None:
    """The rule that the options ask for, None for the model's own."""
    from ..data.normalize import Normalization

    name = args.normalization or ("percentile" if args.percentiles else None)
    if name is None:
        return None
    return Normalization(name, dict(zip(("low", "high"), args.percentiles or (), strict=False)))


def find_images(patterns: Sequence[str]) -> list[Path]:
    """The files of paths, folders and patterns, less the results of earlier runs among them."""
    from ..imaging import tiff

    found: list[Path] = []
    for pattern in patterns:
        paths = tiff.find([pattern])
        if Path(pattern) not in paths:
            stems = {path.with_suffix("") for path in paths}
            results = [p for p in paths if is_result(p) and p.parent / Path(p.stem).stem in stems]
            if results:
                said = f"{len(results)} results of an earlier run left out"
                print(f"{pattern}: {said}", file=sys.stderr)
            paths = [path for path in paths if path not in results]
        found += paths
    return found


def is_result(path: Path) -> bool:
    """Whether a file has the name of something that this command writes."""
    return Path(path.stem).suffix[1:] in (*OUTPUTS, "overlay")


def open_images(batch: Batch, args: Any) -> dict[Path, Image]:
    """Read the header of every image before any work."""
    from ..imaging import tiff
    from ._segmentation import chosen_pages

    opened = {}
    most = int(args.max_memory * 2**30) if args.max_memory else None
    for path in batch.paths:
        with batch.sparing(path):
            image = tiff.read(path, axes=args.axes, max_bytes=most)
            chosen_pages(args.pages, image)
            opened[path] = image
    return opened


def plan_outputs(
    batch: Batch, opened: dict[Path, Image], kinds: Sequence[str], args: Any
) -> dict[Path, dict[str, Path]]:
    """Where each result of each image will go; refuses before any work what could not be written
    after it."""
    read = {image.resolve() for image in batch.paths}
    taken: dict[Path, Path] = {}
    targets: dict[Path, dict[str, Path]] = {}
    for number, image in enumerate(batch.paths):
        folder = Path(args.folder) if args.folder else image.parent
        names = {kind: folder / f"{image.stem}.{kind}.tif" for kind in kinds}
        if args.overlay:
            names["overlay"] = folder / f"{image.stem}.overlay.png"
        for target in names.values():
            if target.resolve() in read:
                raise OutputError("would overwrite an image to be read", where=str(target))
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
    return targets


def segment(deployed: Deployed, image: Image, targets: dict[str, Path], args: Any) -> Done:
    """Plan, read, normalise, predict and write one image, sample by sample."""
    from ..imaging import picture, tiff
    from ..net.engines import engines
    from ._progress import track
    from ._segmentation import plan

    began = time.monotonic()
    made = plan(deployed, image, args)
    print(f"{image.path}: {image.summary()}")
    for line in made.lines():
        print(f"  {line}")
    if args.dry_run:
        for kind, target in targets.items():
            print(f"  would write {target}: {kind}")
        return Done(made.pages, made.tiles, 0.0, "planned")

    volume = deployed.predictor.axes == 3

    def write(kind: str, pages: Any) -> None:
        tiff.write(
            targets[kind],
            pages,
            count=made.pages,
            pixel_size=image.pixel_size,
            unit=image.unit,
            depth=image.depth,
            volumes=len(made.samples) if volume else 1,
            display=(0, deployed.predictor.classes - 1) if kind == "labels" else None,
            info=info(deployed, made, kind, args),
            overwrite=args.overwrite,
        )

    objects: list[int] = []
    contours = None
    kinds = [kind for kind in targets if kind != "overlay"]
    with track(made.tiles, "tiles") as advance:
        scores = each_score(deployed, made, args, advance)
        first = next(scores)
        if "overlay" in targets:
            contours = next(planes(result("labels", first), volume))
        scores = chain([first], scores)
        if len(kinds) == 1 and kinds[0] != "instances":
            # written as they come; several files would have to be open at once
            write(kinds[0], (p for s in scores for p in planes(result(kinds[0], s), volume)))
        else:
            where = str(image.path)
            results = [[result(kind, score, args, where) for kind in kinds] for score in scores]
            for i, kind in enumerate(kinds):
                of_kind = [sample[i] for sample in results]
                if kind == "instances":
                    objects = [int(sample.max()) for sample in of_kind]
                    of_kind = stored(of_kind)
                write(kind, (page for sample in of_kind for page in planes(sample, volume)))
    if contours is not None:
        picture.write_overlay(
            targets["overlay"],
            image.page(made.samples[0][0]),
            contours,
            class_names=deployed.class_names,
            pixel_size=image.pixel_size,
            unit=image.unit,
            overwrite=args.overwrite,
        )
    for kind, target in targets.items():
        print(f"{target}: {kind}" + (f", {sum(objects):,} objects" if kind == "instances" else ""))
    seconds = time.monotonic() - began
    print(f"{seconds:.1f} s; {engines(deployed.predictor.net)}", flush=True)
    names = ", ".join(target.name for target in targets.values())
    names += f" ({sum(objects):,} objects)" if objects else ""
    return Done(made.pages, made.tiles, seconds, names)
