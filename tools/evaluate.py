"""Compare a segmentation with the truth: `python tools/evaluate.py labels.tif prediction.tif`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("evaluate")

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DemitasseError, ImageError, counted
from ..files import check_writable, replacing
from . import _frames, _options
from ._batch import say_notes
from ._progress import follow
from ._table import Table, number, show

if TYPE_CHECKING:
    from ..imaging.metrics import Settings
    from ..imaging.score import Score
    from ..imaging.views import Pair
    from ._compared import Compared

KINDS = ("membrane", "classes", "instances")
EPILOG = """\
TRUTH and PREDICTION are each one TIFF or PNG file, a folder, or a pattern in quotes.  Pages are
compared one by one; files of folders by their names, but for last words that all of a folder have
(A1_mask.tif, a01.prob.tif).  Where no names agree, and those of each folder differ in the last
number alone, it is the number of the frame (man_seg005.tif and mask005.tif of the Cell Tracking
Challenge), which is said; not where the names say other things before it (A2.tif and B2.tif,
exp1_05.tif and exp2_05.tif).  Left out are predictions without truth and, of a single prediction,
all truth but its own.

What is compared is told from the values, or by --kind:

  membrane   truth: above 0 is cell interior.  Prediction: the probability of interior, floating
             point from 0 to 1, or integers of which the type's greatest value means 1; a map with
             one value besides 0 is taken as binary
  classes    each value is a class (a probability of each class in channels is taken too)
  instances  each value besides 0 is an object; a map of probabilities, or with one value besides 0,
             is taken apart into its connected pieces

  pixel_error      1 - F of interior pixels                                          best 0
  rand_error       1 - F of pairs of pixels in the same object (ISBI 2012)           best 0
  warping_error    pixels that split or merge objects / all pixels (ISBI 2012)       best 0
  v_rand           F of pairs, borders thinned to one pixel (2014)                   best 1
  v_info           F of information, borders thinned (2014)                          best 1
  seg              mean Jaccard index of the truth's objects, 0 for those that no
                   prediction covers by more than half (Cell Tracking Challenge)     best 1
  f1_detection     F1 of objects whose centres are at most --distance apart          best 1
  f1_segmentation  F1 of objects whose IoU is at least --min-iou                     best 1
  iou              intersection over union, mean over classes                        best 1

The first five are the best over the thresholds 0.0, 0.1, ... 1.0 (warping: to 0.9), as in the ISBI
challenge; the others are taken at --threshold.

examples:
  python tools/evaluate.py truth.tif img.prob.tif
  python tools/evaluate.py truth.tif img.prob.tif --slices 20-23 --json scores.json
        only the slices that were kept out of training
  python tools/evaluate.py truth.tif membranes.tif --invert
        a prediction that is high on membranes
  python tools/evaluate.py 01_GT/SEG 01_RES
  python tools/evaluate.py '01_GT/SEG/man_seg*.tif' frames.labels.tif --metrics seg
        instance masks; frame 5 of the truth is page 5 of the prediction
  python tools/evaluate.py classes.tif stack.labels.tif --ignore 255
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="evaluate.py",
        description="Measure how well a segmentation of cells agrees with the truth.",
        epilog=EPILOG,
    )
    p.add_argument("truth", metavar="TRUTH", help="labels: TIFF or PNG, a folder or a pattern")
    p.add_argument("prediction", metavar="PREDICTION", help="what is compared with them, alike")
    p.add_argument("--kind", choices=KINDS, help="what is compared (default: told from the values)")
    p.add_argument(
        "--metrics",
        metavar="NAME[,NAME]",
        help="which of the measures below, or all (default: those that suit the kind)",
    )
    p.add_argument(
        "--slices",
        type=_options.pages,
        metavar="LIST",
        help="pages or frame numbers, such as 0-19 or 0,3,5-7",
    )
    p.add_argument(
        "--volumes", action="store_true", help="compare volumes: the pages of a file along Z"
    )
    p.add_argument("--channel", type=int, metavar="N", help="channel of the prediction (of two: 1)")
    p.add_argument("--invert", action="store_true", help="the prediction is that of membrane")
    p.add_argument("--axes", help="how to read the prediction's axes, for example ZYX or ZCYX")
    p.add_argument("--truth-axes", metavar="AXES", help="the same for the truth")
    p.add_argument("--ignore", type=int, metavar="VALUE", help="of truth pixels that do not count")
    p.add_argument(
        "--classes",
        type=_options.pages,
        default=(),
        metavar="LIST",
        help="the truth's value of class 0, 1, ... (default 0,1,...)",
    )
    p.add_argument(
        "--threshold",
        type=_unit,
        default=0.5,
        metavar="P",
        help="interior is where the probability is greater (default 0.5)",
    )
    p.add_argument(
        "--distance",
        type=_options.positive_float,
        default=3.0,
        metavar="PX",
        help="between centres, for f1_detection (default 3)",
    )
    p.add_argument(
        "--min-iou", type=_share, default=0.5, metavar="J", help="for f1_segmentation (default 0.5)"
    )
    p.add_argument("--json", type=Path, metavar="FILE", help="write the results there as well")
    p.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")
    return p


def main(argv: Sequence[str]) -> int:
    from ..imaging import metrics
    from ._compared import Compared, Options

    options = parser()
    args, more = options.parse_known_args(argv)
    if more:
        found = more[0] + (f" and {len(more) - 1} more" if more[1:] else "")
        options.error(f"{found}: TRUTH and PREDICTION are one name each; put patterns in quotes")
    names = chosen_metrics(args.metrics)
    if args.json:
        check_writable(args.json, overwrite=args.overwrite)
    truth = _frames.Files(args.truth_axes, "--truth-axes")
    guess = _frames.Files(args.axes)
    each = "volume" if args.volumes else "slice"
    sides = {"truth": truth, "guess": guess}
    frames, how, left = _frames.match(
        args.truth,
        args.prediction,
        lambda side, path: len(sides[side].parts(path, args.volumes)),
        volume=args.volumes,
        asked=args.slices,
    )
    frames = chosen_frames(frames, args.slices, args.truth, each)
    reading = Options(
        args.kind, args.threshold, args.channel, args.invert, args.ignore, args.classes
    )
    compared = Compared(frames, truth, guess, reading)
    compared.understand()
    settings = metrics.Settings(args.distance, args.min_iou, compared.kind)
    names = names or metrics.DEFAULTS[compared.kind]
    for name in names:
        if args.volumes and not metrics.MEASURES[name].volumes:
            raise ImageError(f"{name} is not defined for volumes", remedy="Choose with --metrics")
    describe(compared, args, how, left, each)

    inversion = Inversion()
    scored: list[int | str] = []
    report = metrics.evaluate(_pairs(compared, scored, inversion), names, settings)
    print()
    print_report(report, scored, len(frames), settings, each)
    if compared.kind == "membrane" and inversion.suspected:
        print(
            "\nnote: the prediction is higher on membranes than inside cells; if it is the "
            "probability of membrane, give --invert"
        )
    for frame, error in compared.failed.items():
        print(f"error: {each} {frame} is left out: {error}", file=sys.stderr)
    if args.json:
        record = {
            "truth": args.truth,
            "prediction": args.prediction,
            "kind": compared.kind,
            "read_as": compared.read_as,
            "settings": {"threshold": args.threshold, **asdict(settings)},
            "slices": scored,
            "failed": {str(frame): str(error) for frame, error in compared.failed.items()},
            **{name: asdict(score) for name, score in report.items()},
        }
        with replacing(args.json, overwrite=args.overwrite) as temporary:
            temporary.write_text(json.dumps(_without_nan(record), indent=1) + "\n", "utf-8")
        print(f"\n{args.json}: the same numbers")
    return DemitasseError.exit_code if compared.failed else 0


def chosen_metrics(text: str | None) -> tuple[str, ...]:
    """Names of measures; empty where none were asked for; ImageError for one that is unknown."""
    from ..errors import did_you_mean
    from ..imaging.metrics import MEASURES

    if text is None:
        return ()
    if text == "all":
        return tuple(MEASURES)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in MEASURES:
            raise ImageError(
                f"--metrics {name} is not known",
                expected=f"all, or of {', '.join(MEASURES)}",
                remedy=did_you_mean(name, MEASURES),
            )
    return names


def chosen_frames(
    frames: list[_frames.Frame], asked: Sequence[int] | None, where: str, each: str
) -> list[_frames.Frame]:
    """Those of the pages or frame numbers asked for; ImageError where one is not there.

    each: what messages call a frame, slice or volume.
    """
    if asked is None:
        chosen = frames
    else:
        by_number = {frame.name: frame for frame in frames}
        missing = [n for n in asked if n not in by_number]
        if missing:
            raise ImageError(
                f"a {each} that is not there is asked for",
                where=where,
                expected=_frames.spans([*by_number]) if by_number else f"no {each}",
                found=missing[-1],
            )
        chosen = [by_number[n] for n in asked]
    if not chosen:
        raise ImageError("there is nothing to compare", where=where)
    return chosen


class Inversion:
    """Whether predictions are lower inside cells than on membranes, on the mean."""

    def __init__(self) -> None:
        self._sums, self._counts = np.zeros(2), np.zeros(2)

    def add(self, pair: Pair) -> None:
        for k, where in enumerate((pair.truth.interior, ~pair.truth.interior)):
            self._sums[k] += pair.guess.probability[where].sum()
            self._counts[k] += np.count_nonzero(where)

    @property
    def suspected(self) -> bool:
        if not self._counts.all():
            return False
        inside, outside = self._sums / self._counts
        return bool(inside < outside)


def _pairs(compared: Compared, scored: list[int | str], inversion: Inversion) -> Iterator[Pair]:
    """The pairs of all frames that can be compared; scored: their names."""
    for frame in follow(compared.frames, len(compared.frames), "comparing"):
        if frame.name in compared.failed:
            continue
        try:
            pair = compared.pair(frame)
        except DemitasseError as error:
            compared.fail(frame, error)
            continue
        if compared.kind == "membrane":
            inversion.add(pair)
        scored.append(frame.name)
        yield pair


# ---------------------------------------------------------------------- what is printed


def describe(compared: Compared, args: argparse.Namespace, how: str, left: str, each: str) -> None:
    for side, files, path in (
        ("truth", compared.truth, compared.frames[0].truth.path),
        ("prediction", compared.guess, compared.frames[0].guess.path),
    ):
        named = getattr(args, side)
        first = "" if str(path) == str(Path(named)) else f"{path.name} "
        try:
            summary = files.open(path).summary(notes=False)
        except DemitasseError:
            summary = "cannot be read"
        print(f"{side:<11} {named}: {first}{summary}; read as {compared.read_as[side]}")
    if pairs := _frames.pairs(compared.frames, how):
        print(f"pairs       {pairs}")
    print(f"comparing   {compared.kind}, {counted(len(compared.frames), each)}")
    say_notes(compared.truth.notes | compared.guess.notes)
    if left:
        print(f"note: {left}")


def print_report(
    report: Mapping[str, Score],
    names: Sequence[int | str],
    count: int,
    settings: Settings,
    each: str,
) -> None:
    from ..imaging.metrics import MEASURES

    titles = [MEASURES[name].title for name in report]
    scores = list(report.values())
    digits = [MEASURES[name].digits for name in report]
    rows = [
        (str(n), *(number(s.slices[k], d) for s, d in zip(scores, digits, strict=True)))
        for k, n in enumerate(names)
    ]
    every = "all" if len(names) == count else f"{len(names)} of {count}"
    values = (number(s.value, d) for s, d in zip(scores, digits, strict=True))
    foot = [(every, *values)]
    if any(s.threshold is not None for s in scores):
        foot.append(("at", *("" if s.threshold is None else _at(s.threshold) for s in scores)))
    show(Table((each, *titles), rows, foot))

    parted = {name: s for name, s in report.items() if len(s.classes) > 1}
    if parted:
        classes = list(dict.fromkeys(c for s in parted.values() for c in s.classes))
        cells = [
            (c, *(number(s.classes[c].value) if c in s.classes else "-" for s in parted.values()))
            for c in classes
        ]
        heads = ["IoU" if name == "iou" else MEASURES[name].title for name in parted]
        print()
        show(Table(("class", *heads), cells))
    said = [
        f"{MEASURES[name].title}: "
        + ", ".join(_number_of(n, what) for what, n in s.counts.items())
        + (f" ({means})" if (means := MEASURES[name].means(settings)) else "")
        for name, s in report.items()
        if s.counts
    ]
    if said:
        print("\n" + "\n".join(said))


def _number_of(n: int, what: str) -> str:
    """ "1 object", of "objects"; "1 matched"."""
    return counted(n, what[:-1]) if what.endswith("s") else f"{n:,} {what}"


def _at(threshold: float) -> str:
    return "-" if math.isnan(threshold) else f">{threshold:.1f}"


def _without_nan(value: Any) -> Any:
    """JSON knows no nan: null."""
    if isinstance(value, Mapping):
        return {key: _without_nan(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _unit(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 0 to 1")
    return value


def _share(text: str) -> float:
    """A number above 0, up to 1."""
    value = _unit(text)
    if value == 0:
        raise argparse.ArgumentTypeError("0 lets everything match; give a number above 0")
    return value
