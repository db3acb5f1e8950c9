"""DIC-HeLa on a CPU: train a narrow U-Net, segment and track the sequence, score it with SEG.

    python benchmarks/dic_hela.py --data examples/dic-hela --hours 2

DATA holds frames.tif and silver-instances.tif (frames 0, 2, ... 82 of sequence 01 of the Cell
Tracking Challenge's DIC-C2DH-HeLa) and gold-frames.tif and gold-instances.tif (see GOLD).  It is
not part of this repository.  Cite: Maska et al., Bioinformatics 30(11), 2014; Ulman et al., Nature
Methods 14, 2017; data by G. van Cappellen, Erasmus MC.

Trained is on silver frames at least `--guard` frames (of 10 minutes) away from every gold one; what
is left are contiguous blocks.  The cells are the same ones, so SEG here says how well a net learns
this sequence, not how it does on another.  The gold frames choose nothing: training ends with its
time, the class of a pixel is the one of the greater score, and the probability of a cell's core
(deploy.py's --seeds, which tells cells apart that hang together) is the best on training frames.

Images are rescaled to `--pixel-size` for training, and deploy.py rescales by itself.  A tile is a
whole frame: of 444 x 444 pixels that the net sees it answers for 260 x 260.  (Tiles of 300 answer
for 116 x 116, a fifth of that for half the work, and the loss did not fall.)  Touching cells are
parted by a gap of one pixel; border weights apply to the background alone, for where they lie on
both sides of a gap as well, a net does better to call all of it a cell.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from _experiment import blocks, keep, parser, run, settle, train
from demitasse.data.distances import compact
from demitasse.imaging import objects, tiff
from demitasse.imaging.instances import instances
from demitasse.imaging.rescale import rescaling
from demitasse.tools import deploy, pack, track

GOLD = (2, 5, 21, 31, 33, 34, 39, 54, 67)
SILVER = tuple(range(0, 83, 2))
PIXEL = 0.19  # micrometres
SIGMA = 5 * PIXEL  # of the border weights, the paper's 5 pixels
INPUT, OUTPUT = 444, 260  # pixels of a tile
SEEDS = (0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9)  # probabilities of a cell's core


def main() -> int:
    args = arguments()
    work: Path = args.folder
    began = time.monotonic()
    frames = chosen(args.guard)
    print(f"training frames: {blocks(frames, 2)}; gold frames: {', '.join(map(str, GOLD))}")
    names = ("pixel_size", "tiles", "base", "base_lr", "seed", "guard")
    settle(work, {"frames": frames} | {name: getattr(args, name) for name in names})
    if not (work / "train.txt").exists():
        prepare(args, frames, work)
    trained = train(args, work)
    times, stack = sequence(args.data, work)
    run(
        deploy.main,
        ["--weights", work / "unet.h5", stack, "--pixel-size", str(PIXEL), "--average", "mirror"],
        ["--output", "prob", "--instances", "--fill-holes", "--min-size", "500"],
        ["--overwrite", "-o", work],
    )
    seeds = cores(args.data, work, times, frames)
    run(track.main, [work / "sequence.instances.tif", "-o", work / "tracks", "--overwrite"])
    result = {
        "frames": {"trained": frames, "blocks": blocks(frames, 2), "guard": args.guard},
        "pixel_size": args.pixel_size,
        "tiles": args.tiles,
        "training": trained,
        "seconds": round(time.monotonic() - began, 1),
        "seeds": seeds,
        "tracks": len((work / "tracks" / "res_track.txt").read_text().splitlines()),
        **scores(args.data, work / "tracks", times),
    }
    target = keep(args, "dic-hela", result)
    print(f"SEG {result['SEG']:.4f} on {len(GOLD)} gold frames; {target}")
    return 0


def arguments() -> Any:
    p = parser(__doc__, "examples/dic-hela-run", base_lr=0.001, tiles=600)
    p.add_argument("--pixel-size", type=float, default=0.38, help="of training, in um (0.38)")
    p.add_argument("--guard", type=int, default=4, help="frames kept out around gold ones (4)")
    return p.parse_args()


def chosen(guard: int) -> list[int]:
    """The silver frames at least `guard` frames away from every gold one."""
    return [t for t in SILVER if min(abs(t - g) for g in GOLD) >= guard]


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
        ["--border-term", "background", "--sigma", f"{SIGMA / args.pixel_size:g}"],
        ["--input-size", INPUT, "--output-size", OUTPUT, "--seed", args.seed + 1, "--overwrite"],
        ["-o", work / "train.h5"],
    )


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


def cores(data: Path, work: Path, times: Sequence[int], frames: Sequence[int]) -> dict[str, Any]:
    """Write the instances with the probability of their cores that is best on training frames."""
    silver, prob = tiff.read(data / "silver-instances.tif"), tiff.read(work / "sequence.prob.tif")

    def found(i: int, seeds: float) -> np.ndarray:
        p = prob.page(i)[0]
        both = np.stack([1 - p, p])
        labels = (p > 0.5).astype(np.uint8)
        return instances(labels, min_size=500, fill_holes=True, seeds=seeds, probabilities=both)

    seg = {}
    for seeds in SEEDS:
        pairs = [(silver.page(SILVER.index(t))[0], found(times.index(t), seeds)) for t in frames]
        seg[seeds] = objects.seg_score([part(*pair) for pair in pairs]).value
    best = max(seg, key=lambda seeds: seg[seeds])
    every = np.stack([found(i, best) for i in range(len(times))]).astype(np.uint16)
    target = work / "sequence.instances.tif"
    tiff.write(target, every, pixel_size=(PIXEL, PIXEL), overwrite=True)
    return {"probability": best, "SEG_of_training_frames": seg}


def part(truth: np.ndarray, guess: np.ndarray) -> Any:
    """What SEG wants of one frame."""
    sides = [SimpleNamespace(objects=compact(m)[0]) for m in (truth, guess)]
    return objects.seg_part(SimpleNamespace(truth=sides[0], guess=sides[1]))


def scores(data: Path, tracks: Path, times: Sequence[int]) -> dict[str, Any]:
    """SEG on the gold frames, of the tracked masks."""
    gold = tiff.read(data / "gold-instances.tif")
    parts = []
    for i, t in enumerate(GOLD):
        mask = tiff.read(tracks / f"mask{times.index(t):03d}.tif").page(0)[0]
        parts.append(part(gold.page(i)[0], mask))
    score = objects.seg_score(parts)
    return {
        "SEG": score.value,
        "SEG_of_frame": dict(zip(map(str, GOLD), score.slices, strict=True)),
        **score.counts,
    }


if __name__ == "__main__":
    raise SystemExit(main())
