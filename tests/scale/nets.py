"""A small net that shuffles, drops out and shares a parameter, and its data, in a folder; another
one of layers that a device records."""

from pathlib import Path

import h5py
import numpy as np
from demitasse import netspec, solvers

NET = """
layer {{ name: "rows" type: "HDF5Data" top: "x" top: "y"
        hdf5_data_param {{ source: "list.txt" batch_size: {batch} shuffle: true }} }}
layer {{ name: "ip1" type: "InnerProduct" bottom: "x" top: "a" param {{ name: "w" }}
        inner_product_param {{ num_output: 5 weight_filler {{ type: "msra" }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "a" top: "a" }}
layer {{ name: "ip2" type: "InnerProduct" bottom: "a" top: "b" param {{ name: "w" }}
        inner_product_param {{ num_output: 5 weight_filler {{ type: "msra" }} }} }}
{dropout}
layer {{ name: "ip3" type: "InnerProduct" bottom: "b" top: "s"
        inner_product_param {{ num_output: 3 weight_filler {{ type: "msra" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "s" bottom: "y" top: "loss" }}
"""
CONVOLUTIONS = """
layer {{ name: "rows" type: "HDF5Data" top: "x" top: "y"
        hdf5_data_param {{ source: "list.txt" batch_size: {batch} shuffle: true }} }}
layer {{ name: "c1" type: "Convolution" bottom: "x" top: "a"
        convolution_param {{ num_output: 4 kernel_size: 2 weight_filler {{ type: "msra" }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "a" top: "a" }}
{dropout}
layer {{ name: "c2" type: "Convolution" bottom: "a" top: "s"
        convolution_param {{ num_output: 3 kernel_size: 1 weight_filler {{ type: "msra" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "s" bottom: "y" top: "loss" }}
"""
DROPOUT = 'layer { name: "drop" type: "Dropout" bottom: "b" top: "b" }'
SOLVER = """net: "net.prototxt" base_lr: 0.05 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.001
random_seed: 4 max_iter: {iterations} snapshot: {snapshot} snapshot_prefix: "{prefix}"
snapshot_format: HDF5 display: 1 test_iter: 2 test_interval: 2 iter_size: {passes}
"""


def write(
    *, batch=1, dropout=False, iterations=6, snapshot=3, prefix="run", passes=1, recorded=False
):
    """net.prototxt, solver.prototxt, list.txt and its files, in the current folder."""
    if not Path("list.txt").exists():  # a net may still read ahead
        rng = np.random.default_rng(0)
        for k in range(2):
            with h5py.File(f"{k}.h5", "w") as file:
                file["x"] = rng.standard_normal((7 + k, *([1, 3, 3] if recorded else [5])), "f4")
                file["y"] = rng.integers(0, 3, (7 + k, *([2, 2] if recorded else [])))
    Path("list.txt").write_text("0.h5 1.h5\n")
    net = CONVOLUTIONS if recorded else NET
    drop = DROPOUT.replace('"b"', '"a"') if recorded else DROPOUT
    Path("net.prototxt").write_text(net.format(batch=batch, dropout=drop * dropout))
    settings = {"iterations": iterations, "snapshot": snapshot, "passes": passes}
    Path("solver.prototxt").write_text(SOLVER.format(prefix=prefix, **settings))


def build(**settings):
    return solvers.build(netspec.read_solver("solver.prototxt"), **settings)
