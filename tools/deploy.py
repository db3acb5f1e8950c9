"""Segment images: `python tools/deploy.py --weights unet.h5 img.tif`."""

from __future__ import annotations

if not __package__:  # run as a script
    import _root  # type: ignore[import-not-found]

    _root.run("deploy")

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ImageError, OutputError
from ..files import check_writable
from . import _options

EPILOG = """\
examples:
  python tools/deploy.py --weights unet.h5 img.tif
        writes img.labels.tif beside the image: 0, 1, ... for each pixel
  python tools/deploy.py --weights unet.h5 stack.tif --output prob -o results/
        the probability of each class (with two classes: of class 1), one page for each page
  python tools/deploy.py --weights old.caffemodel.h5 --model deploy.prototxt img.tif
        a bare Caffe file needs the net it belongs to
  python tools/deploy.py --weights unet.h5 big.tif --tiles 16
  python tools/deploy.py --weights unet.h5 big.tif --tile-size 572
  python tools/deploy.py --weights unet.h5 big.tif --memory 500
        tiles by number, by the pixels the net sees, or by MiB of activations: the same result
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
    tiling.add_argument("--tiles", type=int, metavar="N", help="about so many tiles")
    tiling.add_argument(
        "--memory", type=float, default=2048, metavar="MIB", help="for activations (default 2048)"
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
    p.add_argument("--overlay", action="store_true", help="also write a PNG of the contours")
    _options.add_gpu(p)
    return p


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    _options.check_gpu(args.gpu)
    kinds = output_kinds(args.output)
    targets = {path: plan_outputs(Path(path), args, kinds) for path in args.images}
    from ._model import load_deployed

    deployed = load_deployed(args.weights, args.model, args.normalization)
    for path in args.images:
        segment(deployed, Path(path), targets[path], args)
    return 0


def output_kinds(text: str) -> list[str]:
    kinds = text.split(",")
    for kind in kinds:
        if kind not in OUTPUTS:
            raise OutputError(
                f"--output {kind} is not known", expected="one or more of " + ", ".join(OUTPUTS)
            )
    return kinds


def plan_outputs(image: Path, args: Any, kinds: Sequence[str]) -> dict[str, Path]:
    """Where each result will go; refuses before any work what could not be written after it."""
    folder = Path(args.folder) if args.folder else image.parent
    names = {kind: folder / f"{image.stem}.{kind}.tif" for kind in kinds}
    if args.overlay:
        names["overlay"] = folder / f"{image.stem}.overlay.png"
    for target in names.values():
        if target.resolve() == image.resolve():
            raise OutputError("would overwrite its own input", where=str(target))
        check_writable(target, overwrite=args.overwrite)
    return names


def segment(deployed: Any, path: Path, targets: dict[str, Path], args: Any) -> None:
    """Read, normalise, predict and write one image, page by page."""
    from ..imaging import picture, tiff
    from ..imaging.predict import softmax
    from ._progress import track

    began = time.monotonic()
    image = tiff.read(path, axes=args.axes)
    shape = image.shape[-2:]
    tiling = choose(deployed.predictor, shape, args)
    print(f"{path}: {image.summary()}; {tiling}")
    results: dict[str, list[np.ndarray]] = {kind: [] for kind in targets}
    tiles_each = int(np.prod(tiling.counts))
    pages = chosen_pages(args.pages, len(image), path)
    with track(len(pages) * tiles_each, "tiles") as advance:
        for number in pages:
            pixels = deployed.normalization(
                image.page(number), nonfinite=args.nonfinite, where=f"{path}, page {number}"
            )
            score = deployed.predictor.predict(pixels, tiling, lambda done, n: advance())
            if "score" in results:
                results["score"].append(score.astype(np.float32))
            if "labels" in results or "overlay" in results:
                labels = score.argmax(axis=0).astype(np.uint8)
                if "labels" in results:
                    results["labels"].append(labels)
                if "overlay" in results and number == pages[0]:
                    results["overlay"].append(labels)
            if "prob" in results:
                prob = softmax(score).astype(np.float32)
                results["prob"].append(prob[1] if len(prob) == 2 else prob)
    for kind, target in targets.items():
        if kind == "overlay":
            picture.write_overlay(
                target,
                image.page(pages[0]),
                results[kind][0],
                class_names=deployed.class_names,
                pixel_size=image.pixel_size,
                unit=image.unit,
                overwrite=args.overwrite,
            )
        else:
            tiff.write(
                target,
                np.stack(results[kind]),
                pixel_size=image.pixel_size,
                unit=image.unit,
                display=(0, deployed.predictor.classes - 1) if kind == "labels" else None,
                overwrite=args.overwrite,
            )
        print(f"{target}: {kind}")
    print(f"{time.monotonic() - began:.1f} s")


def chosen_pages(wanted: Sequence[int] | None, count: int, path: Path) -> Sequence[int]:
    """The pages to segment; raises ImageError for a page that is not there."""
    if wanted is None:
        return range(count)
    for number in wanted:
        if not 0 <= number < count:
            raise ImageError(f"has no page {number}", where=str(path), expected=f"0 to {count - 1}")
    return wanted


def choose(predictor: Any, shape: Sequence[int], args: Any) -> Any:
    """The tiling that the options ask for."""
    if args.tile_size:
        return predictor.tiling(shape, args.tile_size)
    if args.tiles:
        return predictor.choose(shape, count=args.tiles)
    return predictor.choose(shape, budget=int(args.memory * 2**20))
