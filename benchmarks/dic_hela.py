"""DIC-HeLa on a CPU: train a narrow U-Net, segment and track the sequence, score it with SEG.

    python benchmarks/dic_hela.py --data examples/dic-hela --hours 2

DATA holds frames.tif and silver-instances.tif (frames 0, 2, ... 82 of sequence 01 of the Cell
Tracking Challenge's DIC-C2DH-HeLa) and gold-frames.tif and gold-instances.tif (see GOLD).  It is
not part of this repository.  Cite: Maska et al., Bioinformatics 30(11), 2014; Ulman et al., Nature
Methods 14, 2017; data by G. van Cappellen, Erasmus MC.

Trained is on silver frames at least `--guard` frames (of 10 minutes) away from every gold one; what
is left are contiguous blocks.  The cells are the same ones, so SEG here says how well a net learns
this sequence, not how it does on another.  Images are rescaled to `--pixel-size` for training, and
deploy.py rescales by itself.  The frames of both files, in their order, are segmented and tracked.

A second call goes on where the first was stopped: data are packed once, training continues from its
last snapshot until `--max-iter` or until --hours are over (of training, in this call).
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from demitasse import netspec
from demitasse.data.distances import compact
from demitasse.imaging import objects, tiff
from demitasse.imaging.rescale import rescaling
from demitasse.tools import deploy, pack, solve, track

GOLD = (2, 5, 21, 31, 33, 34, 39, 54, 67)
SILVER = tuple(range(0, 83, 2))
PIXEL = 0.19  # micrometres
FULL = 64  # channels at the top of models/unet.prototxt


def main() -> int:
    args = arguments()
    work: Path = args.folder
    work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    frames = chosen(args.guard)
    print(f"training frames: {', '.join(map(str, frames))}")
    recipe = {"frames": frames, "pixel": args.pixel_size, "tiles": args.tiles, "base": args.base}
    stamp = work / "recipe.json"
    if stamp.exists() and json.loads(stamp.read_text()) != json.loads(json.dumps(recipe)):
        raise SystemExit(f"error: {work} was made with other settings: give another --folder")
    if not (work / "train.txt").exists():
        prepare(args, frames, work)
    stamp.write_text(json.dumps(recipe))
    trained = train(args, work)
    times, stack = sequence(args.data, work)
    run(
        deploy.main,
        ["--weights", work / "unet.h5", stack, "--pixel-size", str(PIXEL), "--average", "mirror"],
        ["--instances", "--min-size", "500", "--overwrite", "-o", work],
    )
    run(track.main, [work / "sequence.instances.tif", "-o", work / "tracks", "--overwrite"])
    result = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs, other work on the same machine",
        "command": f"python benchmarks/dic_hela.py --base {args.base} --hours {args.hours:g}",
        "training": {**recipe, **trained, "guard": args.guard},
        "seconds": round(time.monotonic() - began, 1),
        "tracks": len((work / "tracks" / "res_track.txt").read_text().splitlines()),
        **scores(args.data, work / "tracks", times),
    }
    target = args.json or Path("benchmarks/results") / f"dic-hela-{result['date']}.json"
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"SEG {result['SEG']:.4f} on {len(GOLD)} gold frames; {target}")
    return 0


def arguments() -> Any:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--data", type=Path, required=True, help="folder with the four TIFF files")
    p.add_argument("--folder", type=Path, default=Path("examples/dic-hela-run"), help="for results")
    p.add_argument("--hours", type=float, default=2.0, help="of training in this call (2)")
    p.add_argument("--base", type=int, default=16, help="channels at the top (16)")
    p.add_argument("--pixel-size", type=float, default=0.38, help="of training, in um (0.38)")
    p.add_argument("--guard", type=int, default=4, help="frames kept out around gold ones (4)")
    p.add_argument("--tiles", type=int, default=1000, help="packed, augmented (1000)")
    p.add_argument("--max-iter", type=int, default=3000, help="iterations at most (3000)")
    p.add_argument("--base-lr", type=float, default=0.005, help="falls to 0 at --max-iter (0.005)")
    p.add_argument("--json", type=Path, help="instead of benchmarks/results/dic-hela-DATE.json")
    return p.parse_args()


def chosen(guard: int) -> list[int]:
    """The silver frames at least `guard` frames away from every gold one."""
    return [t for t in SILVER if min(abs(t - g) for g in GOLD) >= guard]


def run(main: Any, *argv: Sequence[Any]) -> None:
    words = [str(word) for part in argv for word in part]
    print(f"\n$ {main.__module__.rpartition('.')[2]} {' '.join(words)}", flush=True)
    if main(words):
        raise SystemExit(1)


def prepare(args: Any, frames: Sequence[int], work: Path) -> None:
    """Images and instances of the training frames at the training's pixel size, and their tiles."""
    images, labels = (tiff.read(args.data / n) for n in ("frames.tif", "silver-instances.tif"))
    size = (args.pixel_size,) * 2
    plan = rescaling(images.shape[2:], (PIXEL, PIXEL), size)
    at = [
        np.minimum(np.floor(np.arange(n) / f + 0.5).astype(int), m - 1)
        for n, m, f in zip(plan.inner, plan.shape, plan.factors, strict=True)
    ]
    numbers = [SILVER.index(t) for t in frames]
    for name, pages in (
        ("train-images.tif", [plan.there(images.page(i))[0].astype(np.float32) for i in numbers]),
        ("train-labels.tif", [labels.page(i)[0][np.ix_(*at)] for i in numbers]),
    ):
        tiff.write(work / name, np.stack(pages), pixel_size=size, overwrite=True)
    run(
        pack.main,
        ["--images", work / "train-images.tif", "--labels", work / "train-labels.tif"],
        ["--labels-are", "instances", "--tiles", args.tiles, "--augment", "flips,elastic,grey"],
        ["--input-size", "300", "--output-size", "116", "--seed", "7", "--overwrite"],
        ["-o", work / "train.h5"],
    )


def train(args: Any, work: Path) -> dict[str, Any]:
    """Train, or go on; the seconds of this call and the iterations of all."""
    net, solver = work / "unet.prototxt", work / "solver.prototxt"
    message = netspec.read_net("models/unet.prototxt").message
    for layer in message.layer:
        if layer.type == "HDF5Data":
            layer.hdf5_data_param.source = str(work / "train.txt")
        n = layer.convolution_param.num_output
        if n >= FULL:
            layer.convolution_param.num_output = n * args.base // FULL
    net.write_text(netspec.to_text(message), encoding="utf-8")
    solver.write_text(
        f'net: "{net}"\ntype: "SGD"\nmomentum: 0.99\nbase_lr: {args.base_lr}\nlr_policy: "poly"\n'
        f"power: 0.9\nmax_iter: {args.max_iter}\nweight_decay: 0.0005\ndisplay: 20\n"
        f"average_loss: 20\nsnapshot: 250\nsnapshot_format: HDF5\nrandom_seed: 2014\n"
        f'snapshot_prefix: "{work / "unet"}"\n',
        encoding="utf-8",
    )
    states = sorted(work.glob("unet_iter_*.solverstate.h5"), key=iteration)
    done = iteration(states[-1]) if states else 0
    began = time.monotonic()
    if done < args.max_iter:
        go_on = ["-snapshot", states[-1]] if states else []
        hours = ["--time", f"{args.hours * 3600:.0f}s", "--overwrite"]
        run(solve.main, [solver, *go_on, *hours])
    from demitasse import weights

    model = weights.read(work / "unet.h5").model
    assert model is not None
    return {
        "iterations": model.origin["iterations"],
        "seconds_of_training": round(time.monotonic() - began, 1),
        "base_lr": args.base_lr,
        "max_iter": args.max_iter,
    }


def iteration(state: Path) -> int:
    return int(state.name.split("_iter_")[1].split(".")[0])


def sequence(data: Path, work: Path) -> tuple[list[int], Path]:
    """All frames there are in the order of time, as one stack; and their times."""
    silver, gold = tiff.read(data / "frames.tif"), tiff.read(data / "gold-frames.tif")
    pages = {t: gold.page(i) for i, t in enumerate(GOLD)}
    pages |= {t: silver.page(i) for i, t in enumerate(SILVER)}
    times, target = sorted(pages), work / "sequence.tif"
    tiff.write(
        target, np.stack([pages[t][0] for t in times]), pixel_size=(PIXEL, PIXEL), overwrite=True
    )
    return times, target


def scores(data: Path, tracks: Path, times: Sequence[int]) -> dict[str, Any]:
    """SEG on the gold frames, of the tracked masks."""
    gold = tiff.read(data / "gold-instances.tif")
    parts = []
    for i, t in enumerate(GOLD):
        mask = tiff.read(tracks / f"mask{times.index(t):03d}.tif").page(0)[0]
        sides = [SimpleNamespace(objects=compact(m)[0]) for m in (gold.page(i)[0], mask)]
        parts.append(objects.seg_part(SimpleNamespace(truth=sides[0], guess=sides[1])))
    score = objects.seg_score(parts)
    return {
        "SEG": score.value,
        "SEG_of_frame": dict(zip(map(str, GOLD), score.slices, strict=True)),
        **score.counts,
    }


if __name__ == "__main__":
    raise SystemExit(main())
