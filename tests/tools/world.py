"""A folder with everything that the examples in the commands' help name, small enough to run them.

The nets are those of models/ with a sixteenth of their channels, trained on tiles of the smallest
size; images are a few pixels wide.  The names are those that the examples use.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import shutil
from pathlib import Path

import h5py
import numpy as np
import tifffile
from demitasse import netspec, weights
from demitasse.imaging.outlines import outlines
from demitasse.imaging.rois import Region, write_rois
from demitasse.net import Net
from demitasse.tools import modeldef, port, solve

MODELS = Path(__file__).resolve().parents[2] / "models"
RNG = np.random.default_rng(7)


def build(folder: Path) -> None:
    """Fill an empty folder; it has to be the current one."""
    for name in (
        "models",
        "results",
        "rois",
        "labels",
        "found",
        "em",
        "hela",
        "plate",
        "plate1",
        "plate2",
        "seg",
        "01_GT/SEG",
        "01_RES",
    ):
        (folder / name).mkdir(parents=True)
    nets()
    parameters()
    images()


def nets() -> None:
    """models/*.prototxt, narrow, and solvers that are done after four iterations."""
    for path in sorted(MODELS.glob("*.prototxt")):
        if "solver" in path.name:
            continue
        Path("models", path.name).write_text(netspec.to_text(narrow(path.name).message))
    tiles("tiles.h5", 188, 4)
    tiles("small.h5", 108, 20)
    for name, net, prefix in (
        ("solver", "unet", "trained"),
        ("solver-small", "unet-small", "trained"),
        ("solver-8", "unet-8", "mine/unet-8"),
    ):
        Path("models", f"{name}.prototxt").write_text(solver(f"models/{net}.prototxt", prefix))
    text = Path("models/unet.prototxt").read_text()
    for name in ("net", "phseg_v5", "phseg_v5-train", "deploy", "mine"):
        Path(f"{name}.prototxt").write_text(text)
    for name in ("solver", "my_solver"):
        Path(f"{name}.prototxt").write_text(solver("net.prototxt", "net"))
    for name, blob in (("cells", "2d_cell_net_v0"), ("volumes", "unet3d")):
        text = Path(f"models/{blob}.prototxt").read_text()
        Path(f"{name}.prototxt").write_text(text.replace('"data"', '"data3"'))


def narrow(name: str) -> netspec.Source:
    source = netspec.read_net(str(MODELS / name))
    for layer in source.message.layer:
        param = layer.convolution_param
        if layer.type in ("Convolution", "Deconvolution") and layer.top[0] != "score":
            param.num_output = max(1, param.num_output // 16)
        if layer.type == "HDF5Data":
            layer.hdf5_data_param.source = "small.txt" if "small" in name else "tiles.txt"
    return source


def solver(net: str, prefix: str) -> str:
    return (
        f'net: "{net}" snapshot_prefix: "{prefix}" base_lr: 0.001 lr_policy: "fixed" momentum: 0.9 '
        "max_iter: 4 display: 2 snapshot_format: HDF5 random_seed: 1 test_iter: 1 test_interval: 4"
    )


def tiles(name: str, size: int, out: int) -> None:
    with h5py.File(name, "w") as file:
        file["data"] = RNG.standard_normal((2, 1, size, size)).astype("f4")
        file["label"] = RNG.integers(0, 2, (2, 1, out, out)).astype("u1")
        file["weight"] = np.ones((2, 1, out, out), "f4")
    Path(name).with_suffix(".txt").write_text(f"{name}\n")


def parameters() -> None:
    """Files of parameters, snapshots and a model of the Fiji plugin."""
    argv = ["models/solver.prototxt", "--max-iter", "2", "--prefix", "unet"]
    with contextlib.redirect_stdout(io.StringIO()) as said:
        assert solve.main(argv) == 0
    for name in ("unet", "a", "b"):
        Path("runs", name).mkdir(parents=True)
        shutil.copy("log.jsonl", Path("runs", name))
    Path("old").mkdir()
    Path("old/train.log").write_text(said.getvalue())
    state = "unet_iter_2.solverstate.h5"
    for name in ("unet_iter_400", "unet_iter_1000", "net_iter_1000"):
        shutil.copy(state, f"{name}.solverstate.h5")
    shutil.copy("unet_iter_2.caffemodel.h5", "unet_iter_4.caffemodel.h5")
    found = weights.read("unet.h5")
    layers = {name: list(arrays) for name, arrays in found.layers.items()}
    weights.write_hdf5("old.caffemodel.h5", layers)
    for name in ("old", "phseg_v5", "vgg", "net"):
        with contextlib.redirect_stdout(io.StringIO()):
            assert port.main(["old.caffemodel.h5", "-o", f"{name}.caffemodel"]) == 0
    for name, size, target in (
        ("cells", (188, 188), "w.caffemodel.h5"),
        ("volumes", (92, 92, 92), "net_iter_9000.caffemodel.h5"),
    ):
        source = netspec.read_net(f"{name}.prototxt")
        message = netspec.deploy(source, shape=(1, 1, *size), softmax=False)
        weights.write_hdf5(target, Net(netspec.build(message, "TEST"), seed=1).parameters())
    with contextlib.redirect_stdout(io.StringIO()):
        argv = ["cells.prototxt", "solver.prototxt", "--element-size", "0.5x0.5"]
        assert modeldef.main([*argv, "-o", "2d_cell_net.modeldef.h5"]) == 0


def images() -> None:
    """Images, labels, predictions."""
    save("img.tif", grey(40, 50))
    save("stack.tif", grey(2, 30, 30))
    save("big.tif", grey(60, 60))
    for name in ("plate1/a.tif", "plate1/b.tif", "plate2/c.tif"):
        save(name, grey(20, 20))
    save("volume.tif", grey(20, 40, 40))
    save("labels.tif", (grey(20, 40, 40) > 99).astype("u1"))
    cells = np.zeros((120, 120), "u2")
    for number, (y, x) in enumerate(itertools.product(range(4, 100, 38), repeat=2), 3):
        cells[y : y + 32, x : x + 30] = number
    for t in range(6):
        save(f"hela/t{t}.tif", grey(120, 120))
        save(f"hela/seg{t}.tif", cells)
        save(f"seg/t{t}.labels.tif", (cells > 0).astype("u1"))
        save(f"01_GT/SEG/man_seg00{t}.tif", cells)
        save(f"01_RES/mask00{t}.tif", np.roll(cells, 2))
    Path("points.csv").write_text("x,y,slice\n30,30,1\n80,75,2\n")
    save("hela.tif", grey(2, 120, 120))
    mask = cells[:40, :50] > 0
    save("mask.prob.tif", mask.astype("f4"))
    for name in ("mask", "cells.labels", "plate/a.labels", "plate/b.labels"):
        save(f"{name}.tif", mask.astype("u1"))
    save("found/a.instances.tif", cells[:40, :50])
    for name in "ab":
        save(f"plate/{name}.tif", grey(40, 50))
        write_rois(f"rois/{name}.zip", [Region("cell", outlines(mask.astype(int))[1], (0, 0, 0))])
    save("instances.tif", np.stack([cells, cells]))
    save("img.instances.tif", np.stack([cells, np.roll(cells, 3), np.roll(cells, 5)]))
    save("frames.labels.tif", np.stack([cells > 0] * 6).astype("u1"))
    truth = np.kron(grey(24, 4, 4) > 99, np.ones((1, 6, 6))).astype("u1") * 255
    save("truth.tif", truth)
    save("img.prob.tif", (0.8 * (truth > 0) + 0.2 * RNG.random(truth.shape)).astype("f4"))
    save("membranes.tif", (1 - 0.9 * (truth > 0)).astype("f4"))
    save("classes.tif", RNG.integers(0, 3, (24, 9, 9)).astype("u1"))
    save("stack.labels.tif", RNG.integers(0, 3, (24, 9, 9)).astype("u1"))


def grey(*shape: int) -> np.ndarray:
    return RNG.integers(0, 255, shape).astype("u1")


def save(name: str, array: np.ndarray) -> None:
    tifffile.imwrite(name, array, photometric="minisblack")
