"""Several trainings of one length, each in a folder of its own; a second call goes on.

    folder/max_iter        how long they are: --max-iter, or what their share of --hours allows
    folder/failed.txt      why a training ended, where its loss or gradient was not finite

`summary` of [iteration, mean loss, gradient norm]: diverged is what was not finite, or ended with a
mean loss above the first iteration's.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from _experiment import Recipe, affordable, curve, train
from demitasse.errors import NonFiniteError

Runs = Mapping[Path, tuple[Any, Recipe]]  # folder -> its options and recipe


def trained(args: Any, runs: Runs) -> dict[Path, dict[str, Any]]:
    """Train them one after the other until --hours are over; what came of those that ended."""
    deadline = time.monotonic() + args.hours * 3600
    set_length(args, runs)
    found: dict[Path, dict[str, Any]] = {}
    for folder, (options, recipe) in runs.items():
        left = (deadline - time.monotonic()) / 3600
        if left <= 0 and not ends(folder, recipe):
            break
        found[folder] = one(having(options, hours=left), folder, recipe)
        if not found[folder]["complete"]:  # the time is over, or somebody said stop
            break
    return found


def ends(folder: Path, recipe: Recipe) -> bool:
    """Whether a training has ended here, for now or for good."""
    return (folder / f"{recipe.name}.h5").exists() or (folder / "failed.txt").exists()


def set_length(args: Any, runs: Runs) -> None:
    """The same number of iterations for all, by the speed of the first."""
    for folder in runs:
        folder.mkdir(parents=True, exist_ok=True)
    stamps = [folder / "max_iter" for folder in runs]
    if not stamps[0].exists():
        folder, (options, recipe) = next(iter(runs.items()))
        recipe.put(folder, args.base)
        share = having(options, hours=args.hours / len(runs))
        stamps[0].write_text(str(args.max_iter or affordable(share, folder, recipe)))
    for stamp in stamps[1:]:
        stamp.write_text(stamps[0].read_text())


def one(args: Any, folder: Path, recipe: Recipe) -> dict[str, Any]:
    """Train, unless that is done or has failed, and sum up."""
    failed = folder / "failed.txt"
    record: dict[str, Any] = {"seed": args.seed, "curve": curve(folder / "train.log")}
    if not failed.exists():
        try:
            record = train(args, folder, recipe)
        except NonFiniteError as error:
            failed.write_text(str(error), encoding="utf-8")
            record["curve"] = curve(folder / "train.log")
    why = failed.read_text() if failed.exists() else ""
    most = int((folder / "max_iter").read_text())
    return record | {
        "failed": why,
        "complete": bool(why) or record["iterations"] >= most,
        **summary(record["curve"], why),
    }


def summary(points: Iterable[tuple[float, float, float]], failed: str = "") -> dict[str, Any]:
    """How loss and gradient norm went; the last loss is the mean of the last quarter."""
    points = list(points)
    if not points:
        return {"diverged": bool(failed)}
    losses, norms = ([point[i] for point in points] for i in (1, 2))
    last = statistics.fmean(losses[-max(1, len(losses) // 4) :])
    return {
        "loss": {"first": losses[0], "last": last, "highest": max(losses)},
        "gradient_norm": {"median": statistics.median(norms), "highest": max(norms)},
        "diverged": bool(failed) or not last <= losses[0],
    }


def having(args: Any, **changes: Any) -> Any:
    return argparse.Namespace(**{**vars(args), **changes})


def cells(record: Mapping[str, Any]) -> list[str]:
    """Of a table: iterations, losses, gradient norms, and how it ended."""
    if "loss" not in record:
        return ["0", "-", "-", "-", "-", "-", state(record)]
    loss, norm = record["loss"], record["gradient_norm"]
    done = record.get("iterations", record["curve"][-1][0])
    figures = [loss["first"], loss["last"], loss["highest"], norm["median"], norm["highest"]]
    return [f"{done:.0f}", *(f"{figure:.3g}" for figure in figures), state(record)]


HEAD = ["iterations", "first loss", "last", "highest", "gradient norm", "highest", ""]


def state(record: Mapping[str, Any]) -> str:
    if record["diverged"]:
        return "not finite" if record["failed"] else "diverged"
    return "steady" if record["complete"] else "not finished"
