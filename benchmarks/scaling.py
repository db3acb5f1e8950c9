"""How the cost grows: seconds and peak memory against tile size, width, batch and threads.

    python benchmarks/scaling.py                                  everything, half an hour
    python benchmarks/scaling.py --series size --jobs forward
    python benchmarks/scaling.py --series tiles --image 1024      is the deployer's tile the best?
    python benchmarks/scaling.py --series size,base --peer torch

    size      tiles of 188 ... 1084 pixels; also seconds for each megapixel of output
    base      8 ... 64 channels at the top
    batch     1 ... 8 tiles of 284 pixels
    threads   1, 2, ... all CPUs
    tiles     one image, cut as tools/deploy.py chooses and otherwise

Fitted are seconds = c x^e and peak memory = constant + c x^e; the constant is what a process needs
at any rate.  Points are measured one after the other, contestants in turns.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import _contestants
import _fit
import _models
import _report
import _unet
from _turns import Contestant, Outcome, compete

SERIES = ("size", "base", "batch", "threads", "tiles")
SIZES = [188, 284, 380, 476, 572, 700, 828, 956, 1084]
BASES, BATCHES, BATCH_SIZE = [8, 16, 32, 64], [1, 2, 4, 8], 284
GRIDS = [1, 2, 3, 4, 6]
Law = _fit.Power | _fit.Growth
WITHIN = 1.10  # of the best tile's seconds
WHAT = {"size": "pixels of the tile", "base": "channels", "batch": "tiles", "threads": "threads"}


def main() -> int:
    p = _report.parser(__doc__, repeat=3)
    p.add_argument("--series", type=_report.several(SERIES), default=list(SERIES))
    p.add_argument("--jobs", type=_report.several(("forward", "step")), default=["forward", "step"])
    p.add_argument("--size", type=int, help="of a tile in the other series, default 572")
    p.add_argument("--sizes", type=_report.numbers, help="of the series of sizes")
    p.add_argument("--bases", type=_report.numbers, help="of the series of widths")
    p.add_argument("--batches", type=_report.numbers, help="of the series of batches")
    p.add_argument("--image", type=int, help="pixels along each axis for `tiles`, default 1024")
    p.add_argument(
        "--grids",
        type=_report.numbers,
        default=GRIDS,
        help="tiles along an axis to try beside the chosen ones, default 1,2,3,4,6",
    )
    args = p.parse_args()
    short = args.short
    base, size = args.base or (16 if short else 64), args.size or (284 if short else 572)
    image = args.image or (512 if short else 1024)
    args.repeat = min(args.repeat, 2) if short else args.repeat
    values = {
        "size": args.sizes or (SIZES[:4] if short else SIZES),
        "base": args.bases or (BASES[:3] if short else BASES),
        "batch": args.batches or (BATCHES[:2] if short else BATCHES),
        "threads": threads_up_to(args.threads),
    }
    report = _report.Report(args, f"how the cost of the U-Net of {base} channels grows")
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        usual = {"folder": folder, "base": base, "size": size, "threads": args.threads}
        for series in args.series:
            if series == "tiles":
                found = report.results["tiles"] = tiles(usual, image, args.grids, args.repeat)
                failed |= bool(found["error"])
                continue
            for job in args.jobs:
                setting = usual | ({"size": BATCH_SIZE} if series == "batch" else {})
                setting["size"] = min(setting["size"], size)
                points = measure(series, values[series], job, setting, report, args.repeat)
                report.results[f"{series} {job}"] = show(series, job, setting, points)
                failed |= any(o.error for outs in points.values() for o in outs.values())
    report.write()
    return int(failed)


def threads_up_to(most: int) -> list[int]:
    """1, 2, 4, ... and the most."""
    return sorted({n for n in (1, 2, 4, 8, 16, 32, 64) if n <= most} | {most})


def measure(
    series: str,
    values: Sequence[int],
    job: str,
    setting: Mapping[str, Any],
    report: _report.Report,
    repeat: int,
) -> dict[int, dict[str, Outcome]]:
    """The contest at every value."""
    found = {}
    for value in values:
        who = _contestants.contestants(job, report.ours, report.peers, **{**setting, series: value})
        found[value] = compete(who, repeat)
    return found


def show(
    series: str, job: str, setting: Mapping[str, Any], points: Mapping[int, Mapping[str, Outcome]]
) -> dict[str, Any]:
    """Print a series; its figures and fits for JSON."""
    fixed = ", ".join(f"{setting[k]} {w}" for k, w in WHAT.items() if k != series and k in setting)
    print(f"\n{job} against {WHAT[series]} ({fixed})")
    per_area = series == "size"
    head = [WHAT[series], "", "median", "loaded", "peak memory"]
    rows = []
    for value, outcomes in points.items():
        for name, o in outcomes.items():
            if o.error:
                rows.append([str(value), name, o.error, "", "", ""])
                continue
            cells = [str(value), name, _report.seconds(o.median)]
            cells += [_report.mib(o.ready_bytes), _report.mib(o.peak_bytes)]
            rows.append([*cells, f"{o.median / megapixels(value):.2f} s" if per_area else ""])
    print(_report.table([*head, "per output Mpixel" if per_area else ""], rows, left=2))
    fits = fit(points)
    for name, laws in fits.items():
        said = [law_text(what, WHAT[series], law) for what, law in laws.items()]
        print(f"  {name}: {', '.join(said)}", flush=True)
    found: dict[str, Any] = {
        "setting": {k: v for k, v in setting.items() if k not in ("folder", series)},
        "points": {
            value: {name: o.record() for name, o in outcomes.items()}
            for value, outcomes in points.items()
        },
        "fits": {
            name: {what: law._asdict() for what, law in laws.items()} for name, laws in fits.items()
        },
    }
    if per_area:
        found["seconds_per_output_megapixel"] = {
            value: {n: o.median / megapixels(value) for n, o in outs.items() if not o.error}
            for value, outs in points.items()
        }
    return found


def megapixels(size: int) -> float:
    """Of the output of a tile."""
    return (size - _unet.LOST) ** 2 / 1e6


def fit(points: Mapping[int, Mapping[str, Outcome]]) -> dict[str, dict[str, Law]]:
    """The laws of seconds and of peak memory, for each contestant; of memory from four points on,
    as it has a constant."""
    names = dict.fromkeys(name for outcomes in points.values() for name in outcomes)
    laws: dict[str, dict[str, Law]] = {}
    for name in names:
        done = {v: o[name] for v, o in points.items() if name in o and not o[name].error}
        laws[name] = {}
        if len(done) > 1:
            laws[name]["seconds"] = _fit.power(list(done), [o.median for o in done.values()])
        if len(done) > 3:
            laws[name]["memory"] = _fit.growth(list(done), [o.peak_bytes for o in done.values()])
    return laws


def law_text(what: str, x: str, law: Law) -> str:
    always = f"{_report.mib(law.constant)} + c " if isinstance(law, _fit.Growth) else "c "
    return f"{what} = {always}({x}){law}"


# ---------------------------------------------------------------------- tiles


def tiles(setting: dict[str, Any], image: int, grids: Sequence[int], repeat: int) -> dict[str, Any]:
    """Segment an image by the chosen tiles and by n x n others, in turns; what each took, printed
    and for JSON."""
    _models.write(setting["folder"], setting["base"], [])
    common = {k: setting[k] for k in ("folder", "base", "threads")} | {"image": image}
    who = [Contestant(label(n), "_tiles", {**common, "count": n}) for n in (None, *grids)]
    outcomes = compete(who, repeat)
    chosen, done = label(None), {n: o for n, o in outcomes.items() if not o.error}
    print(f"\nan image of {image} x {image} pixels, {setting['base']} channels, tile by tile")
    best = min(done, key=lambda n: done[n].median)
    rows = [
        [name, o.found[0], _report.seconds(o.median), _report.mib(o.peak_bytes),
         f"{o.median / done[best].median:.2f}"]
        for name, o in done.items()
    ]  # fmt: skip
    print(_report.table(["", "tiles", "median", "peak memory", "/ best"], rows, left=2))
    errors = {name: o.error for name, o in outcomes.items() if o.error}
    for name, error in errors.items():
        print(f"  {name}: {error}")
    over = done[chosen].median / done[best].median if chosen in done else float("inf")
    verdict = "within 10 % of" if over <= WITHIN else "NOT within 10 % of"
    print(f"  the deployer's own choice is {verdict} the best ({over:.2f})", flush=True)
    return {
        "image": image,
        "base": setting["base"],
        "tilings": {name: o.record() | {"tiles": o.found[:1]} for name, o in outcomes.items()},
        "chosen_over_best": over,
        "error": ", ".join(errors.values()),
    }


def label(count: int | None) -> str:
    return "chosen" if count is None else f"{count} x {count}"


if __name__ == "__main__":
    sys.exit(main())
