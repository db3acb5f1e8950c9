"""Segment images: `python tools/deploy.py --weights unet.h5 img.tif`."""

from __future__ import annotations

if not __package__:  # run as a script
    import _root  # type: ignore[import-not-found]

    _root.run("deploy")

import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ImageError, MemoryBudgetError, OutputError, WeightsError
from ..files import check_writable
from . import _options

EPILOG = """\
examples:
  python tools/deploy.py --weights unet.h5 img.tif
        writes img.labels.tif beside the image: 0, 1, ... for each pixel
  python tools/deploy.py --weights unet.h5 stack.tif --output prob -o results/
        the probability of each class (with two classes: of class 1), one page for each page
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
OUTPUTS = ("labels", "prob", "score")


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="deploy.py",
        description="Segment TIFF or PNG images of any size with a trained net.",
        epilog=EPILOG,
    )
    p.add_argument("images", nargs="+", metavar="IMAGE", help="TIFF (stacks too) or PNG")
    p.add_argument(
        "-weights", "--weights", required=True, metavar="FILE", help="unet.h5, or a Caffe file"
    )
    p.add_argument("-model", "--model", metavar="NET", help="prototxt, for a bare Caffe file")
    p.add_argument(
        "--output",
        default="labels",
        metavar="KIND[,KIND]",
        help="labels, prob (probabilities) or score (raw scores); default labels",
    )
    p.add_argument("-o", "--folder", help="where results go (default: beside each image)")
    p.add_argument("--overwrite", action="store_true", help="replace results that exist")
    tiling = p.add_mutually_exclusive_group()
    tiling.add_argument(
        "--tile-size", type=_options.size, metavar="HxW", help="pixels the net sees"
    )
    tiling.add_argument(
        "--tiles", type=_options.positive_int, metavar="N", help="about so many tiles"
    )
    tiling.add_argument(
        "--memory",
        type=_options.positive_float,
        default=2048,
        metavar="MIB",
        help="for activations (default 2048)",
    )
    p.add_argument("--pages", type=_options.pages, help="which pages of a stack: 0-19 or 0,3,5-7")
    p.add_argument("--normalization", help="instead of the model's: none, minmax, zscore, ...")
    p.add_argument(
        "--nonfinite",
        choices=("refuse", "zero"),
        default="refuse",
        help="what to do with NaN and infinite pixels (default refuse)",
    )
    p.add_argument("--axes", help="how to read the image's axes, for example ZYX or TCYX")
    p.add_argument(
        "--average",
        choices=("none", "mirror", "rotate", "all"),
        default="none",
        help="mean over 4 flips, 4 rotations or all 8 symmetries of the image (default none)",
    )
    p.add_argument("--overlay", action="store_true", help="also write a PNG of the contours")
    _options.add_gpu(p)
    _options.add_engine(p)
    _options.add_python(p)
    return p


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    _options.check_gpu(args.gpu)
    kinds = output_kinds(args.output)
    paths = [Path(image) for image in args.images]
    check_images(paths, args)
    targets = plan_outputs(paths, kinds, args)
    from ._model import load_deployed

    options = _options.net_options(args)
    deployed = load_deployed(args.weights, args.model, args.normalization, **options)
    for path, outputs in zip(paths, targets, strict=True):
        segment(deployed, path, outputs, args)
    return 0


def check_images(paths: Sequence[Path], args: Any) -> None:
    """Open the header of every image: raises ImageError before any work."""
    from ..imaging import tiff

    for path in paths:
        chosen_pages(args.pages, len(tiff.read(path, axes=args.axes)), path)


def output_kinds(text: str) -> list[str]:
    kinds = text.split(",")
    for kind in kinds:
        if kind not in OUTPUTS:
            raise OutputError(
                f"--output {kind} is not known", expected="one or more of " + ", ".join(OUTPUTS)
            )
    return kinds


def plan_outputs(images: Sequence[Path], kinds: Sequence[str], args: Any) -> list[dict[str, Path]]:
    """Where each result of each image will go; refuses before any work what could not be written
    after it."""
    read = {image.resolve() for image in images}
    taken: dict[Path, Path] = {}
    targets = []
    for image in images:
        folder = Path(args.folder) if args.folder else image.parent
        names = {kind: folder / f"{image.stem}.{kind}.tif" for kind in kinds}
        if args.overlay:
            names["overlay"] = folder / f"{image.stem}.overlay.png"
        for target in names.values():
            if target.resolve() in read:
                raise OutputError("would overwrite an image to be read", where=str(target))
            other = taken.setdefault(target.resolve(), image)
            if other is not image:
                raise OutputError(
                    "two images would be written to one file",
                    where=str(target),
                    found=f"{other} and {image}",
                    remedy="Segment them one after the other into different folders (-o), or "
                    "rename one",
                )
            check_writable(target, overwrite=args.overwrite)
        targets.append(names)
    return targets


def segment(deployed: Any, path: Path, targets: dict[str, Path], args: Any) -> None:
    """Read, normalise, predict and write one image, page by page."""
    from ..imaging import averaging, picture, tiff
    from ..net.engines import engines
    from ._progress import track

    began = time.monotonic()
    image = tiff.read(path, axes=args.axes)
    tiling = choose(deployed.predictor, image.shape[-2:], args)
    print(f"{path}: {image.summary()}; {tiling}")
    pages = chosen_pages(args.pages, len(image), path)

    def write(kind: str, results: Any) -> None:
        tiff.write(
            targets[kind],
            results,
            count=len(pages),
            pixel_size=image.pixel_size,
            unit=image.unit,
            display=(0, deployed.predictor.classes - 1) if kind == "labels" else None,
            overwrite=args.overwrite,
        )

    kinds = [kind for kind in targets if kind != "overlay"]
    versions = len(averaging.VERSIONS[args.average])
    with track(len(pages) * versions * int(np.prod(tiling.counts)), "tiles") as advance:
        scores = each_score(deployed, image, pages, tiling, args, advance)
        first = next(scores)
        contours = result("labels", first) if "overlay" in targets else None
        scores = chain([first], scores)
        if len(kinds) == 1:  # written as they come; several files would have to be open at once
            write(kinds[0], (result(kinds[0], score) for score in scores))
        else:
            made = [[result(kind, score) for kind in kinds] for score in scores]
            for i, kind in enumerate(kinds):
                write(kind, (page[i] for page in made))
    if contours is not None:
        picture.write_overlay(
            targets["overlay"],
            image.page(pages[0]),
            contours,
            class_names=deployed.class_names,
            pixel_size=image.pixel_size,
            unit=image.unit,
            overwrite=args.overwrite,
        )
    for kind, target in targets.items():
        print(f"{target}: {kind}")
    print(f"{time.monotonic() - began:.1f} s; {engines(deployed.predictor.net)}")


def each_score(
    deployed: Any,
    image: Any,
    pages: Sequence[int],
    tiling: Any,
    args: Any,
    advance: Callable[[], None],
) -> Iterator[np.ndarray]:
    """The scores (classes, height, width) of each page; WeightsError where they are not finite."""
    from ..imaging import averaging

    for number in pages:
        where = f"{image.path}, page {number}"
        pixels = deployed.normalization(image.page(number), nonfinite=args.nonfinite, where=where)
        score = averaging.predict(
            deployed.predictor,
            pixels,
            tiling,
            args.average,
            lambda done, n: advance(),
            where=str(image.path),
        )
        if not np.isfinite(score).all():
            raise WeightsError(
                f"the scores of {where}, are not finite",
                where=deployed.weights,
                remedy="The training may have diverged: take an earlier snapshot; or the pixels are"
                " far from those it saw: see --normalization",
            )
        yield score


def result(kind: str, score: np.ndarray) -> np.ndarray:
    """One page of a kind of output; its own memory."""
    from ..imaging.predict import softmax

    if kind == "labels":
        return score.argmax(axis=0).astype(np.uint8 if len(score) <= 256 else np.uint16)
    values = score.astype(np.float32)
    if kind == "score":
        return values
    prob = softmax(values)
    return prob[1].copy() if len(prob) == 2 else prob


def chosen_pages(wanted: Sequence[int] | None, count: int, path: Path) -> Sequence[int]:
    """The pages to segment; raises ImageError for a page that is not there."""
    if wanted is None:
        return range(count)
    for number in wanted:
        if not 0 <= number < count:
            raise ImageError(f"has no page {number}", where=str(path), expected=f"0 to {count - 1}")
    return wanted


def choose(predictor: Any, shape: Sequence[int], args: Any) -> Any:
    """The tiling that the options ask for; MemoryBudgetError where the machine is too small."""
    if args.tile_size:
        tiling = predictor.tiling(shape, args.tile_size)
    elif args.tiles:
        tiling = predictor.choose(shape, count=args.tiles)
    else:
        return predictor.choose(shape, budget=int(min(args.memory, 2.0**40) * 2**20))
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if tiling.memory > installed:
        raise MemoryBudgetError(
            f"a tile of {'x'.join(map(str, tiling.inputs))} pixels needs more memory than there is",
            expected=f"at most {installed / 2**20:,.0f} MiB",
            found=f"{tiling.memory / 2**20:,.0f} MiB",
            remedy="Take smaller tiles: --memory or --tile-size",
        )
    return tiling
