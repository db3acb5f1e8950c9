"""Segmenting one image: whole processes, from start to file written, and their peak memory.

    python benchmarks/deploy.py                       512 x 512 pixels, 31 M parameters
    python benchmarks/deploy.py --peer torch          beside the same script in PyTorch
    python benchmarks/deploy.py --peer torch,ncnn,onnxruntime,openvino --image 1024

We run tools/deploy.py, which chooses its tiles; the peers run deploy_peer.py: load the weights,
normalise, mirror, tile, argmax (or softmax: --output prob), write the TIFF.  They get the tiles
that we chose.  The results are compared: weights are random, so labels differ where scores tie.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from pathlib import Path
from typing import Any

import _models
import _report
import _unet
import numpy as np
from _contestants import OURS, PEERS
from _turns import compete_commands

HERE = Path(__file__).resolve().parent


def main() -> int:
    p = _report.parser(__doc__, repeat=5)
    p.add_argument("--image", type=int, default=512, help="pixels along each axis, default 512")
    p.add_argument("--output", choices=("labels", "prob"), default="labels")
    args = p.parse_args()
    base = args.base or (32 if args.short else 64)
    args.repeat = min(args.repeat, 2) if args.short else args.repeat
    title = f"segmenting {args.image} x {args.image} pixels by the U-Net of {base} channels"
    report = _report.Report(args, title)
    with tempfile.TemporaryDirectory() as folder:
        _models.write(folder, base, [PEERS[name].module for name in report.peers])
        tile, counts = prepare(folder, base, args.image)
        print(f"tiles: {counts[0]}x{counts[1]} of {tile} pixels, as tools/deploy.py chooses")
        argvs, results = commands(folder, base, tile, args, report)
        outcomes = compete_commands(argvs, args.repeat)
        found = _report.record(outcomes) | {"tile": tile, "tiles": counts}
        print(f"\n{_report.contest_table(outcomes)}\n{_report.ratio_lines(found['ratios'])}")
        found["same"] = same = agreement(results, outcomes)
    print("  the same pixels as ours: " + ", ".join(f"{n} {s:.3%}" for n, s in same.items()))
    report.results = found
    report.write()
    return int(any(o.error for o in outcomes.values()) or min(same.values(), default=1) < 0.99)


def prepare(folder: str, base: int, image: int) -> tuple[int, list[int]]:
    """Write unet.h5 and image.tif; the tiles that our deployer will choose."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_prepare, args=(folder, base, image, theirs))
    process.start()
    theirs.close()
    found = ours.recv()
    process.join()
    return found


def _prepare(folder: str, base: int, image: int, pipe: Any) -> None:
    import tifffile
    from demitasse import netspec, weights
    from demitasse.imaging.deployed import load_deployed
    from demitasse.tools import _segmentation, deploy

    message = netspec.deploy(_unet.source(base), shape=(1, 1, 572, 572), softmax=False)
    model = weights.Model(netspec.to_text(message), {"name": "zscore", "parameters": {}}, (), 1)
    layers = {name: [w, b] for name, w, b in _unet.read_weights(_models.path(folder, base))}
    path = Path(folder)
    weights.write_model(path / "unet.h5", layers, model)
    rng = np.random.default_rng(0)
    tifffile.imwrite(path / "image.tif", rng.integers(0, 256, (image, image), np.uint8))
    predictor = load_deployed(str(path / "unet.h5")).predictor
    options = deploy.parser().parse_args(["--weights", "unet.h5", "image.tif"])
    tiling = _segmentation.choose(predictor, (image, image), options)
    pipe.send((tiling.inputs[0], list(tiling.counts)))


def commands(
    folder: str, base: int, tile: int, args: Any, report: _report.Report
) -> tuple[dict[str, list[str]], dict[str, Path]]:
    """The command line of each contestant, and the file it writes."""
    argvs, results = {}, {}
    threads = ["--threads", str(args.threads)]
    for name in report.ours:
        if "recompute" in OURS[name]:
            continue
        out = Path(folder) / name.replace(" ", "-")
        out.mkdir()
        argv = [sys.executable]
        if not OURS[name].get("numba", True):
            argv += ["-c", WITHOUT_NUMBA]
        argv += [str(_report.ROOT / "tools" / "deploy.py"), "--weights", f"{folder}/unet.h5"]
        argv += [f"{folder}/image.tif", "-o", str(out), "--overwrite", *threads]
        argv += ["--output", args.output, "--engine", OURS[name].get("engine", "auto")]
        argvs[name], results[name] = argv, out / f"image.{args.output}.tif"
    for peer in report.peers:
        for name, options in PEERS[peer].versions.items():
            out = Path(folder) / f"{name.replace(' ', '-')}.tif"
            argv = [sys.executable, str(HERE / "deploy_peer.py"), PEERS[peer].module, folder]
            argv += [f"{folder}/image.tif", str(out), "--tile", str(tile), "--base", str(base)]
            argv += ["--output", args.output, *threads]
            argv += ["--channels-last"] * bool(options.get("channels_last"))
            argvs[name], results[name] = argv, out
    return argvs, results


WITHOUT_NUMBA = (  # run the script that follows as if Numba were not installed
    "import sys, runpy; sys.modules['numba'] = None; sys.argv = sys.argv[1:];"
    "import os; sys.path.insert(0, os.path.dirname(sys.argv[0]));"
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


def agreement(results: dict[str, Path], outcomes: dict[str, Any]) -> dict[str, float]:
    """The share of pixels where each result is the first one's (probabilities: within 1e-3)."""
    import tifffile

    done = {n: tifffile.imread(p) for n, p in results.items() if not outcomes[n].error}
    first, *others = done.items()
    same = {}
    for name, pixels in others:
        apart = np.abs(pixels.astype(np.float64) - first[1])
        same[name] = float((apart < 1e-3).mean())
    return same


if __name__ == "__main__":
    sys.exit(main())
