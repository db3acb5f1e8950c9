"""ISBI 2012 membranes on a CPU: train a narrow U-Net, segment held-out slices, score them.

    python benchmarks/isbi2012.py --data examples/isbi2012 --hours 2

DATA holds train-volume.tif and train-labels.tif, the training slices of the challenge (Cardona et
al., PLoS Biology 8(10), 2010; Arganda-Carreras et al., Frontiers in Neuroanatomy 9:142, 2015).  It
is not part of this repository.

Trained is on slices 0-17 and scored on 20-23, two contiguous blocks with a guard of two slices
between them, for neighbours look alike.  The scored slices choose the threshold, as the challenge's
definitions have it (the best of eleven), and nothing else: training ends with its time.  Scores are
means over the paper's seven rotated versions.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from _experiment import keep, parser, run, settle, train
from demitasse.tools import deploy, evaluate, pack

TRAINED, SCORED = "0-17", "20-23"
INPUT, OUTPUT = 572, 388  # pixels of a tile, the paper's


def main() -> int:
    args = arguments()
    work: Path = args.folder
    began = time.monotonic()
    names = ("tiles", "base", "base_lr", "seed")
    settle(work, {"slices": TRAINED} | {name: getattr(args, name) for name in names})
    volume, labels = (args.data / f"train-{what}.tif" for what in ("volume", "labels"))
    if not (work / "train.txt").exists():
        run(
            pack.main,
            ["--images", volume, "--labels", labels, "--labels-are", "binary"],
            ["--slices", TRAINED, "--tiles", args.tiles, "--augment", "flips,elastic,grey"],
            ["--input-size", INPUT, "--output-size", OUTPUT, "--seed", args.seed + 1],
            ["--overwrite", "-o", work / "train.h5"],
        )
    trained = train(args, work)
    run(
        deploy.main,
        ["--weights", work / "unet.h5", volume, "--output", "prob", "--average", "rotate7"],
        ["--pages", SCORED, "--overwrite", "-o", work],
    )
    scores = work / "scores.json"
    held_out = work / "held-out.tif"
    keep_pages(labels, held_out)
    prob = work / f"{volume.stem}.prob.tif"
    run(evaluate.main, [held_out, prob, "--kind", "membrane", "--json", scores, "--overwrite"])
    found = json.loads(scores.read_text())
    result = {
        "slices": {"trained": TRAINED, "scored": SCORED},
        "tiles": args.tiles,
        "training": trained,
        "seconds": round(time.monotonic() - began, 1),
        "scores": found,
    }
    print(keep(args, "isbi2012", result))
    return 0


def arguments() -> Any:
    return parser(__doc__, "examples/isbi2012-run", base_lr=0.002, tiles=600).parse_args()


def keep_pages(labels: Path, target: Path) -> None:
    """The scored slices of the labels."""
    from demitasse.imaging import tiff
    from demitasse.tools._options import pages

    image = tiff.read(labels)
    tiff.write(target, image.pixels[list(pages(SCORED))], overwrite=True)


if __name__ == "__main__":
    raise SystemExit(main())
