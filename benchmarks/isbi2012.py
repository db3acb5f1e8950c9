"""ISBI 2012 membranes on a CPU: train a narrow U-Net, segment held-out slices, score them.

    python benchmarks/isbi2012.py --data examples/isbi2012 --hours 2

DATA holds train-volume.tif and train-labels.tif, the training slices of the challenge (Cardona et
al., PLoS Biology 8(10), 2010; Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142, 2015).  It
is not part of this repository.

Trained is on slices 0-17 and scored on 20-23, two contiguous blocks with a guard of two slices
between them, for neighbours look alike.  The scored slices choose the threshold, as the challenge's
definitions have it (the best of eleven), and nothing else: training ends with its time.  Scores are
means over the paper's seven rotated versions; "opened": the same after an area opening (deploy.py
--area-opening), whose size is the best of SIZES for V_rand on slices 12-17, which were trained on.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from _experiment import keep, parser, run, settle, train
from demitasse.imaging import tiff
from demitasse.imaging.opening import area_opening
from demitasse.tools import deploy, evaluate, pack
from demitasse.tools._options import pages
from demitasse.tools._table import number

VOLUME, LABELS = "train-volume.tif", "train-labels.tif"
TRAINED, SCORED, CHOOSING = "0-17", "20-23", "12-17"
SIZES = (0, 50, 100, 200, 400)  # pixels that an object has more of
MEASURES = ("pixel_error", "v_rand", "v_info")
HEAD = ("pixel error", "V_rand", "V_info")
INPUT, OUTPUT = 572, 388  # pixels of a tile, the paper's


def main() -> int:
    args = arguments()
    work: Path = args.folder
    began = time.monotonic()
    names = ("tiles", "base", "base_lr", "seed")
    settle(work, {"slices": TRAINED} | {name: getattr(args, name) for name in names})
    prepare(args, work)
    trained, weights = train(args, work), work / "unet.h5"
    result = {
        "slices": {"trained": TRAINED, "scored": SCORED},
        "tiles": args.tiles,
        "training": trained,
        "seconds": round(time.monotonic() - began, 1),
        "scores": scored(args, work),
    }
    size, tried = opening(args, work, weights)
    prob = segmented(args, work, weights, "rotate7", "--area-opening", size)
    result["opened"] = {"size": size, "v_rand_where_trained": tried}
    result["opened"]["scores"] = scores(args, work, prob)
    print(keep(args, "isbi2012", result))
    return 0


def prepare(args: Any, work: Path, augment: str = "flips,elastic,grey") -> None:
    """The training tiles, unless they are there."""
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "train.txt").exists():
        run(
            pack.main,
            ["--images", args.data / VOLUME, "--labels", args.data / LABELS],
            ["--labels-are", "binary", "--slices", TRAINED, "--tiles", args.tiles],
            ["--augment", augment, "--input-size", INPUT, "--output-size", OUTPUT],
            ["--seed", args.seed + 1, "--overwrite", "-o", work / "train.h5"],
        )


def segmented(
    args: Any, work: Path, weights: Path, average: str, *more: Any, slices: str = SCORED
) -> Path:
    """The probability of interior in some slices; more: options of deploy.py."""
    run(
        deploy.main,
        ["--weights", weights, args.data / VOLUME, "--output", "prob", "--average", average],
        ["--pages", slices, "--overwrite", "-o", work, *more],
    )
    return work / VOLUME.replace(".tif", ".prob.tif")


def opening(args: Any, work: Path, weights: Path) -> tuple[int, dict[int, float]]:
    """The best of SIZES, and what each gave, on slices that were trained on."""
    tried = {}
    prob = tiff.read(segmented(args, work, weights, "none", slices=CHOOSING)).pixels
    for size in SIZES:
        opened = work / "opened.tif"
        tiff.write(opened, np.stack([area_opening(p, size) for p in prob]), overwrite=True)
        found = scores(args, work, opened, "--metrics", "v_rand", slices=CHOOSING)
        tried[size] = found["v_rand"]["value"]
    return max(SIZES, key=lambda size: tried[size]), tried


def scores(args: Any, work: Path, prob: Path, *more: str, slices: str = SCORED) -> dict[str, Any]:
    """What evaluate.py says of some slices, less where they lie; more: options of its."""
    held_out, target = work / "held-out.tif", work / "scores.json"
    labels = tiff.read(args.data / LABELS)
    tiff.write(held_out, labels.pixels[list(pages(slices))], overwrite=True)
    kept = ["--kind", "membrane", "--json", target, "--overwrite"]
    run(evaluate.main, [held_out, prob, *kept, *more])
    found = json.loads(target.read_text())
    return {key: found[key] for key in found if key not in ("truth", "prediction")}


def scored(args: Any, folder: Path, average: str = "rotate7") -> dict[str, Any]:
    """What folder/unet.h5 scores on SCORED."""
    return scores(args, folder, segmented(args, folder, folder / "unet.h5", average))


def cells(found: dict[str, Any] | None) -> list[str]:
    """Of a table whose head is HEAD; None: was not scored."""
    return [number(found[measure]["value"]) if found else "-" for measure in MEASURES]


def arguments() -> Any:
    return parser(__doc__, "examples/isbi2012-run", base_lr=0.002, tiles=1500).parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
