"""The sliding-window classifier of Ciresan et al. (2012) on ISBI 2012, beside the U-Net.

    python benchmarks/ciresan2012.py --data examples/isbi2012 --unet examples/isbi2012-run/unet.h5

DATA is as for isbi2012.py, and so are the slices: trained on 0-17, scored on 20-23 by the same
code.
Trained is models/ciresan2012.prototxt, on windows drawn anew for every batch, half of them around
membrane, mirrored or turned by chance.  As that is not how often membranes are, the probabilities
are corrected by Bayes' rule for the share of interior in the training slices (the paper fits a
polynomial).  One net answers, where the paper takes the mean of four, and no median follows.

Seconds per image are measured twice:
    window by window    of --windows pixels chosen by chance, times the pixels of an image
    whole image         the same answers by max-pooling fragments (_sliding.py); how far the two
                        are apart is measured, too
With --unet a trained U-Net segments and is scored here as well, once, and as the mean over seven
rotations.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import isbi2012
import numpy as np
from _experiment import ROOT, Recipe, keep, parser, settle, sha256, train
from _sliding import STRIDE, WINDOW, assembled, margined, whole
from demitasse import netspec, weights
from demitasse.imaging import tiff
from demitasse.net import Net
from demitasse.tools._options import pages
from demitasse.tools._table import Table, show

NAME = "ciresan2012"
BATCH = 64  # windows that are asked for at once


def main() -> int:
    args = arguments()
    work: Path = args.folder
    began = time.monotonic()
    names = ("batch", "base_lr", "seed")
    settle(work, {"slices": isbi2012.TRAINED} | {name: getattr(args, name) for name in names})
    recipe = Recipe(
        NAME, lambda folder, _: write_net(folder, args), 0.9, ("--allow-python-layers",)
    )
    trained = train(args, work, recipe)
    trained |= {"batch": args.batch, "windows": args.batch * trained["iterations"]}
    del trained["base"]
    share = share_of_interior(args)
    found = {NAME: segment(args, work, share)}
    if args.unet is not None:
        found |= unet(args, work)
    head = ["", *isbi2012.HEAD, "s/image, whole", "window by window"]
    show(Table(head, [row(*item) for item in found.items()]))
    result = {
        "slices": {"trained": isbi2012.TRAINED, "scored": isbi2012.SCORED},
        "interior": share,
        "training": trained,
        "seconds": round(time.monotonic() - began, 1),
        "results": found,
    }
    print(keep(args, NAME, result))
    return 0


def arguments() -> Any:
    p = parser(__doc__, "examples/ciresan2012-run", base_lr=0.005)
    p.add_argument("--batch", type=int, default=64, help="windows in a batch (64)")
    p.add_argument("--windows", type=int, default=1024, help="timed one by one (1024)")
    p.add_argument("--unet", type=Path, help="a trained U-Net to compare with")
    return p.parse_args()


def write_net(work: Path, args: Any) -> None:
    """models/ciresan2012.prototxt, trained on windows of the slices themselves."""
    message = netspec.read_net(str(ROOT / "models" / f"{NAME}.prototxt")).message
    data = message.layer[0]
    del message.layer[1]  # the data to test with
    data.type = "Python"
    data.ClearField("hdf5_data_param")
    data.python_param.module, data.python_param.layer = "_sliding", "Patches"
    data.python_param.param_str = json.dumps(
        {
            "images": str(args.data / isbi2012.VOLUME),
            "labels": str(args.data / isbi2012.LABELS),
            "slices": list(pages(isbi2012.TRAINED)),
            "batch": args.batch,
            "seed": args.seed + 1,
        }
    )
    (work / f"{NAME}.prototxt").write_text(netspec.to_text(message), encoding="utf-8")


def share_of_interior(args: Any) -> float:
    labels = tiff.read(args.data / isbi2012.LABELS)
    return float(np.mean([labels.page(i) > 0 for i in pages(isbi2012.TRAINED)]))


def segment(args: Any, work: Path, share: float) -> dict[str, Any]:
    """The scored slices, whole; what they score, and the time an image takes both ways."""
    volume = tiff.read(args.data / isbi2012.VOLUME)
    numbers = list(pages(isbi2012.SCORED))
    height, width = volume.shape[2:]
    beyond = (-height % STRIDE, -width % STRIDE)
    planes = [margined(volume.page(i)[0], beyond) for i in numbers]
    net = loaded(work, (1, 1, *planes[0].shape), by_windows=False)
    maps, seconds = [], []
    for plane in planes:
        start = time.perf_counter()
        maps.append(assembled(answers(net, plane[None, None]))[1, :height, :width])
        seconds.append(time.perf_counter() - start)
    rng = np.random.Generator(np.random.Philox(args.seed))
    at = rng.integers(0, (height, width), (-(-args.windows // BATCH) * BATCH, 2))
    each, one_by_one = windows(work, planes[0], at)
    prob = work / "prob.tif"
    corrected = [
        interior * share / (interior * share + (1 - interior) * (1 - share)) for interior in maps
    ]
    tiff.write(prob, np.stack(corrected).astype(np.float32), overwrite=True)
    return {
        "seconds_per_image": {
            "whole": float(np.median(seconds)),
            "window_by_window_extrapolated": each * height * width,
        },
        "windows_timed": len(at),
        "greatest_difference": float(np.abs(one_by_one - maps[0][at[:, 0], at[:, 1]]).max()),
        "scores": isbi2012.scores(args, work, prob),
    }


def loaded(work: Path, shape: tuple[int, ...], *, by_windows: bool) -> Net:
    path = str(ROOT / "models" / f"{NAME}.prototxt")
    message = (
        netspec.deploy(netspec.read_net(path), shape=shape) if by_windows else whole(path, shape)
    )
    net = Net(netspec.build(message, "TEST"), allow_python=True, fill=False)
    net.load(weights.read(work / f"{NAME}.h5"), complete=False)
    return net


def answers(net: Net, data: np.ndarray) -> np.ndarray:
    net.blobs["data"].data[...] = data
    net.forward()
    return net.blobs["prob"].data


def windows(work: Path, plane: np.ndarray, at: np.ndarray) -> tuple[float, np.ndarray]:
    """Seconds of a window, and the probability of interior at each place, asked for one by one."""
    net = loaded(work, (BATCH, 1, WINDOW, WINDOW), by_windows=True)
    found = []
    answers(net, np.zeros((BATCH, 1, WINDOW, WINDOW), np.float32))  # what only the first pass does
    start = time.perf_counter()
    for some in at.reshape(-1, BATCH, 2):
        patches = [plane[y : y + WINDOW, x : x + WINDOW] for y, x in some]
        found.append(answers(net, np.stack(patches)[:, None])[:, 1, 0, 0].copy())
    return (time.perf_counter() - start) / len(at), np.concatenate(found)


def unet(args: Any, work: Path) -> dict[str, Any]:
    """The same of a U-Net: deploy.py as a user starts it, so its time has the files in it."""
    found: dict[str, Any] = {}
    for name, average in (("U-Net", "none"), ("U-Net, mean of seven rotations", "rotate7")):
        start = time.perf_counter()
        prob = isbi2012.segmented(args, work, args.unet, average)
        seconds = (time.perf_counter() - start) / len(list(pages(isbi2012.SCORED)))
        found[name] = {
            "seconds_per_image": {"whole": seconds},
            "weights_sha256": sha256(args.unet),
            "scores": isbi2012.scores(args, work, prob),
        }
    return found


def row(name: str, result: dict[str, Any]) -> list[str]:
    seconds = result["seconds_per_image"]
    slow = seconds.get("window_by_window_extrapolated")
    slow_words = "-" if slow is None else f"{slow:.0f} (extrapolated)"
    return [name, *isbi2012.cells(result["scores"]), f"{seconds['whole']:.2f}", slow_words]


if __name__ == "__main__":
    raise SystemExit(main())
