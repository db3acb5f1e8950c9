"""What the experiments share: a narrow U-Net, trained within a budget of time, and what is kept.

    work/recipe.json       the settings; a folder made with others is refused
    work/unet.prototxt     models/unet.prototxt with `base` channels at the top
    work/solver.prototxt   SGD, momentum 0.99, the rate falling to 0 at max_iter (poly, power 0.9)
    work/train.log         what training printed, over all calls
    work/unet.h5           the trained model

A `Recipe` says what is to be otherwise.

Where --max-iter is left out, it is what --hours allow at the speed of the first iterations, so that
the rate has fallen to 0 when the time is over.  A second call goes on from the last snapshot.

The score's weights start from N(0, 0.01) instead of He's: the first loss is then ln 2, and the
first steps are small.  From He's, scores start with a standard deviation of 6, and at a rate above
0.001 the first hundred steps switch most rectifiers off for good (docs/experiments.md).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demitasse import netspec
from demitasse.tools import solve
from demitasse.tools._record import finite

FULL = 64  # channels at the top of models/unet.prototxt
TRIAL = 15  # iterations by which the speed is known
ROOT = Path(__file__).resolve().parent.parent

Run = Callable[[Sequence[str]], int]


@dataclass(frozen=True)
class Recipe:
    """How something is trained.  write: of (folder, base), puts NAME.prototxt there; options: more
    of solve.py's."""

    name: str = "unet"
    write: Callable[[Path, int], None] | None = None  # None: write_net
    momentum: float = 0.99
    options: tuple[str, ...] = ()

    def put(self, work: Path, base: int) -> None:
        (self.write or write_net)(work, base)


def parser(
    doc: str | None, folder: str, base_lr: float, tiles: int | None = None, base: int = 16
) -> argparse.ArgumentParser:
    """The options that every experiment has; --base and --tiles where tiles are packed."""
    p = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--data", type=Path, required=True, help="folder with the TIFF files")
    p.add_argument("--folder", type=Path, default=Path(folder), help=f"for results ({folder})")
    p.add_argument("--hours", type=float, default=2.0, help="of training in this call (2)")
    if tiles is None:
        p.set_defaults(base=None)
    else:
        widths = (4, 8, 16, 32, 64)
        p.add_argument("--base", type=int, default=base, choices=widths, help=f"channels ({base})")
        p.add_argument("--tiles", type=int, default=tiles, help=f"packed, augmented ({tiles})")
    p.add_argument("--max-iter", type=int, help="iterations (default: as many as --hours allow)")
    p.add_argument("--base-lr", type=float, default=base_lr, help=f"rate at first ({base_lr:g})")
    p.add_argument("--seed", type=int, default=2015, help="of the net, 1 more of the tiles (2015)")
    p.add_argument("--json", type=Path, help="instead of benchmarks/results/NAME-DATE.json")
    return p


def blocks(numbers: Sequence[int], step: int = 1) -> str:
    """ "0-16, 72-82": runs of numbers that are `step` apart."""
    runs: list[list[int]] = []
    for n in numbers:
        if runs and n - runs[-1][-1] == step:
            runs[-1].append(n)
        else:
            runs.append([n])
    return ", ".join(f"{r[0]}-{r[-1]}" if len(r) > 1 else str(r[0]) for r in runs)


def settle(work: Path, recipe: dict[str, Any]) -> None:
    """Keep the settings, or refuse others than those that a folder was made with."""
    work.mkdir(parents=True, exist_ok=True)
    stamp, text = work / "recipe.json", json.dumps(recipe, indent=1)
    if stamp.exists() and json.loads(stamp.read_text()) != json.loads(text):
        raise SystemExit(f"error: {work} was made with other settings: give another --folder")
    stamp.write_text(text, encoding="utf-8")


def run(main: Run, *argv: Iterable[Any]) -> None:
    """One of the commands, shown first."""
    words = [str(word) for part in argv for word in part]
    name = main.__module__.rpartition(".")[2]
    print(f"\n$ python tools/{name}.py {' '.join(words)}", flush=True)
    if main(words):
        raise SystemExit(1)


def train(args: Any, work: Path, recipe: Recipe = Recipe()) -> dict[str, Any]:
    """Train, or go on; what was trained, for how long, and how the loss fell."""
    name = recipe.name
    recipe.put(work, args.base)
    length = work / "max_iter"
    if not length.exists():
        length.write_text(str(args.max_iter or affordable(args, work, recipe)))
    most = int(length.read_text())
    write_solver(work, args, most, recipe, name)
    states = sorted(work.glob(f"{name}_iter_*.solverstate.h5"), key=iteration)
    if not states or iteration(states[-1]) < most:
        go_on = ["-snapshot", states[-1]] if states else []
        hours = ["--time", f"{max(args.hours * 3600, 1):.0f}s", "--overwrite", *recipe.options]
        with logged(work / "train.log"):
            run(solve.main, [work / "solver.prototxt", *go_on, *hours])
    from demitasse import weights

    model = weights.read(work / f"{name}.h5").model
    assert model is not None
    return {
        "base": args.base,
        "base_lr": args.base_lr,
        "momentum": recipe.momentum,
        "seed": args.seed,
        "iterations": model.origin["iterations"],
        "max_iter": most,
        "seconds_of_training": seconds(work / "log.jsonl"),
        "weights_sha256": sha256(work / f"{name}.h5"),
        "curve": curve(work / "train.log"),
    }


def seconds(log: Path) -> float:
    """Of training, in all calls."""
    records = [json.loads(line) for line in log.read_text().splitlines()]
    return round(sum(r["seconds"] for r in records if r["kind"] == "end"), 1)


def write_net(
    work: Path,
    base: int,
    edit: Callable[[Any], None] = lambda message: None,
    tiles: Path | None = None,
) -> None:
    """work/unet.prototxt; edit: changes the message; tiles: where train.txt is (work)."""
    message = netspec.read_net(str(ROOT / "models" / "unet.prototxt")).message
    for layer in message.layer:
        if layer.type == "HDF5Data":
            layer.hdf5_data_param.source = str((tiles or work) / "train.txt")
        param = layer.convolution_param
        if param.num_output >= FULL:
            param.num_output = param.num_output * base // FULL
        elif layer.top[0] == "score":
            param.weight_filler.type, param.weight_filler.std = "gaussian", 0.01
    edit(message)
    (work / "unet.prototxt").write_text(netspec.to_text(message), encoding="utf-8")


def write_solver(
    work: Path, args: Any, most: int, recipe: Recipe, prefix: str, display: int = 20
) -> None:
    (work / "solver.prototxt").write_text(
        f'net: "{work / recipe.name}.prototxt"\ntype: "SGD"\nmomentum: {recipe.momentum}\n'
        f'base_lr: {args.base_lr}\nlr_policy: "poly"\npower: 0.9\nmax_iter: {most}\n'
        f"weight_decay: 0.0005\ndisplay: {display}\naverage_loss: {display}\n"
        f"snapshot: 250\nsnapshot_format: HDF5\n"
        f'random_seed: {args.seed}\nsnapshot_prefix: "{work / prefix}"\n',
        encoding="utf-8",
    )


def affordable(args: Any, work: Path, recipe: Recipe) -> int:
    """Iterations that --hours allow, by the speed of the later ones of a few."""
    write_solver(work, args, TRIAL, recipe, "trial", display=5)
    with logged(work / "trial.log"):
        run(solve.main, [work / "solver.prototxt", "--overwrite", *recipe.options])
    speeds = re.findall(r"\((\S+) iter/s", (work / "trial.log").read_text())
    for path in work.glob("trial*"):
        path.unlink()
    return max(TRIAL, int(0.97 * args.hours * 3600 * float(speeds[-1])))


@contextlib.contextmanager
def logged(path: Path) -> Any:
    """What is printed meanwhile is also added to a file."""

    class Both:
        def write(self, text: str) -> int:
            file.write(text)
            return screen.write(text)

        def flush(self) -> None:
            file.flush()
            screen.flush()

        def isatty(self) -> bool:
            return False

    screen = sys.stdout
    with open(path, "a", encoding="utf-8") as file, contextlib.redirect_stdout(Both()):  # type: ignore[type-var]
        yield


def curve(log: Path) -> list[list[float]]:
    """[iteration, mean loss, gradient norm] of each display; of iterations that were repeated
    after an interruption, the later ones."""
    text = log.read_text() if log.exists() else ""
    found = re.findall(
        r"^Iteration (\d+) \(.*\), loss = (\S+)\n"
        r"(?:    .*\n)*Iteration \d+, lr = \S+ gradient norm = (\S+)$",
        text,
        re.MULTILINE,
    )
    points = {int(i): [int(i), float(loss), float(norm)] for i, loss, norm in found}
    return [points[i] for i in sorted(points)]


def iteration(state: Path) -> int:
    return int(state.name.split("_iter_")[1].split(".")[0])


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def keep(args: Any, name: str, result: dict[str, Any]) -> Path:
    """Write the result with where and when it was found; returns the file."""
    today = datetime.date.today().isoformat()
    where = {
        "date": today,
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "command": f"python benchmarks/{name.replace('-', '_')}.py "
        + (f"--base {args.base} --tiles {args.tiles} " if args.base else "")
        + (f"--max-iter {args.max_iter} " if args.max_iter else "")
        + f"--base-lr {args.base_lr:g} --hours {args.hours:g} --seed {args.seed}"
        + (f" --unet {args.unet}" if getattr(args, "unet", None) else ""),
    }
    target = args.json or ROOT / "benchmarks" / "results" / f"{name}-{today}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(finite(where | result), indent=1, allow_nan=False)
    target.write_text(text + "\n", encoding="utf-8")
    return Path(target)
