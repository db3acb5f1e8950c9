"""Compare a segmentation with the truth: `python tools/evaluate.py labels.tif prediction.tif`."""

from __future__ import annotations

if not __package__:  # run as a script
    import _root  # type: ignore[import-not-found]

    _root.run("evaluate")

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ImageError
from ..files import check_writable, replacing
from . import _options
from ._progress import follow

if TYPE_CHECKING:
    from ..imaging.image import Image
    from ..imaging.metrics import Report

EPILOG = """\
The prediction is the probability of cell interior (1 interior, 0 membrane): floating point numbers
from 0 to 1, or integers of which the type's greatest value means 1; a map with one value besides 0
is taken as binary.  In the truth every value above 0 is interior.

  pixel error   1 - F of interior pixels                                  best 0
  Rand error    1 - F of pairs of pixels in the same object (ISBI 2012)   best 0
  V_rand        F of pairs, borders thinned to one pixel (2014)           best 1
  V_info        F of information, borders thinned (2014)                  best 1
  IoU           intersection over union at threshold 0.5                  best 1

All but IoU are the best over the thresholds 0.0, 0.1, ... 1.0, as in the ISBI challenge.

examples:
  python tools/evaluate.py truth.tif img.prob.tif
  python tools/evaluate.py truth.tif img.prob.tif --slices 20-23 --json scores.json
        only the slices that were kept out of training
  python tools/evaluate.py truth.tif membranes.tif --invert
        a prediction that is high on membranes
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="evaluate.py",
        description="Measure how well a segmentation of cells agrees with the truth.",
        epilog=EPILOG,
    )
    p.add_argument("truth", metavar="TRUTH", help="labels, TIFF or PNG: above 0 is cell interior")
    p.add_argument("prediction", metavar="PREDICTION", help="probability of cell interior")
    p.add_argument("--slices", type=_options.pages, metavar="LIST", help="such as 0-19 or 0,3,5-7")
    p.add_argument("--channel", type=int, help="channel of the prediction (of two: 1)")
    p.add_argument("--invert", action="store_true", help="the prediction is that of membrane")
    p.add_argument("--axes", help="how to read the prediction's axes, for example ZYX or ZCYX")
    p.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    p.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    return p


def main(argv: Sequence[str]) -> int:
    from ..imaging import metrics, tiff

    args = parser().parse_args(argv)
    if args.json:
        check_writable(args.json, overwrite=args.overwrite)
    truth, prediction = tiff.read(args.truth), tiff.read(args.prediction, axes=args.axes)
    if len(truth) != len(prediction):
        raise ImageError(
            "truth and prediction have different numbers of pages",
            where=args.prediction,
            expected=f"{len(truth)} as in {args.truth}",
            found=f"{len(prediction)} ({prediction.summary()})",
        )
    slices = args.slices if args.slices is not None else tuple(range(len(truth)))
    if not slices or max(slices) >= len(truth):
        raise ImageError(
            "a slice that is not there is asked for",
            where=args.truth,
            expected=f"0 to {len(truth) - 1}",
            found=max(slices, default="none"),
        )
    labels = [_labels(truth, i) for i in slices]
    channel = choose_channel(prediction, args.channel)
    raw = [prediction.page(i)[channel] for i in slices]
    maps, how = probabilities(raw, args.prediction)
    if args.invert:
        maps = [1 - m for m in maps]
        how += ", inverted"
    print(f"truth       {args.truth}: {truth.summary()}; above 0 = interior")
    print(f"prediction  {args.prediction}: {prediction.summary()}; {how}")
    report = metrics.evaluate(labels, maps, track=follow)
    print("\n".join(["", *table(report, slices)]))
    if looks_inverted(labels, maps):
        print(
            "\nnote: the prediction is higher on membranes than inside cells; if it is the "
            "probability of membrane, give --invert"
        )
    if args.json:
        record = {
            "truth": str(args.truth),
            "prediction": str(args.prediction),
            "read_as": how,
            "slices": list(slices),
            **asdict(report),
            "mean_iou": report.mean_iou,
        }
        with replacing(args.json, overwrite=args.overwrite) as temporary:
            temporary.write_text(json.dumps(_without_nan(record), indent=1) + "\n", "utf-8")
        print(f"\n{args.json}: the same numbers")
    return 0


def _labels(image: Image, i: int) -> np.ndarray:
    from ..imaging.image import one_channel

    return one_channel(image.page(i), f"{image.path}, page {i}", image.axes)


def choose_channel(prediction: Image, asked: int | None) -> int:
    """The channel that holds the probability of interior; ImageError where it cannot be told."""
    channels = prediction.shape[1]
    if asked is None and channels <= 2:
        return channels - 1  # of the two classes, interior is number 1
    if asked is None or not 0 <= asked < channels:
        raise ImageError(
            "it is not clear which channel is the probability of interior",
            where=str(prediction.path),
            expected=f"--channel 0 to {channels - 1}",
            found=f"{channels} channels (axes {prediction.axes})"
            + ("" if asked is None else f" and --channel {asked}"),
            remedy="If these are pages and not channels, say so with --axes, for example ZYX",
        )
    return asked


def probabilities(maps: Sequence[np.ndarray], where: str) -> tuple[list[np.ndarray], str]:
    """The maps as numbers from 0 to 1, and in words how they were read."""
    kind = maps[0].dtype
    if kind.kind == "f":
        return list(maps), f"{kind} probabilities"
    values = np.unique(np.concatenate([np.unique(m) for m in maps]))
    if len(values) <= 2 and values[0] == 0:
        return [(m > 0).astype(np.float32) for m in maps], "binary, above 0 = interior"
    if kind.kind == "i" and values[0] < 0:
        raise ImageError("the prediction has negative values", where=where, found=int(values[0]))
    if len(values) > 2 and values[-1] < 16:
        raise ImageError(
            "the prediction looks like a map of classes or objects, not of probabilities",
            where=where,
            found=f"the values {', '.join(map(str, values))}",
            remedy="tools/deploy.py writes probabilities with --output prob",
        )
    greatest = np.iinfo(kind).max
    return [m / greatest for m in maps], f"{kind} divided by {greatest}"


def looks_inverted(labels: Sequence[np.ndarray], maps: Sequence[np.ndarray]) -> bool:
    """Whether the maps' mean is lower inside cells than on membranes."""
    inside = np.concatenate([m[t > 0] for t, m in zip(labels, maps, strict=True)])
    outside = np.concatenate([m[t == 0] for t, m in zip(labels, maps, strict=True)])
    return bool(inside.size and outside.size and inside.mean() < outside.mean())


def table(report: Report, slices: Sequence[int]) -> list[str]:
    """Lines: a slice each, all of them, and the thresholds."""
    scores = (report.pixel_error, report.rand_error, report.v_rand, report.v_info)
    head = (
        "slice",
        "pixel error",
        "Rand error",
        "V_rand",
        "V_info",
        "IoU border",
        "IoU interior",
    )
    rows = [
        (str(name), *(_number(s.slices[k]) for s in scores), *map(_number, report.iou_slices[k]))
        for k, name in enumerate(slices)
    ]
    rows.append(("all", *(_number(s.value) for s in scores), *map(_number, report.iou)))
    rows.append(("at", *(f"> {s.threshold:.1f}" for s in scores), "> 0.5", "> 0.5"))
    widths = [max(len(row[c]) for row in (head, *rows)) for c in range(len(head))]
    lines = [
        "  ".join(cell.rjust(w) for cell, w in zip(r, widths, strict=True)) for r in (head, *rows)
    ]
    lines.insert(len(lines) - 2, "-" * len(lines[0]))
    return [*lines, f"mean IoU {_number(report.mean_iou)}"]


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _without_nan(value: Any) -> Any:
    """JSON knows no nan: null."""
    if isinstance(value, dict):
        return {key: _without_nan(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value
