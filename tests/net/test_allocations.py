"""After the first iteration a step allocates no large array."""

import tracemalloc

import numpy as np
import pytest
from demitasse import netspec
from demitasse.kernels.convolution import WINOGRAD
from demitasse.solvers.sgd import SGD

from .nets import build, unet

SOLVER = 'base_lr: 1e-3 lr_policy: "fixed" momentum: 0.9 weight_decay: 1e-3 max_iter: 9'
LARGE = 1 << 20


@pytest.mark.parametrize("recompute", [False, True])
def test_no_step_allocates_more_than_a_mebibyte(recompute):
    text = unet(size=228)
    text = text.replace("num_output: 4", "num_output: 24").replace(
        "num_output: 8", "num_output: 48"
    )
    net = build(text, recompute=recompute, threads=2)
    engines = {
        layer.engine(net.planned.inferred.values[node.bottoms[0]])
        for node, layer in zip(net.graph.nodes, net.layers, strict=True)
        if node.type == "Convolution"
    }
    assert WINOGRAD in engines
    assert net.blobs["u0a"].data.nbytes > LARGE  # one copy of this would show
    solver = SGD(netspec.parse_solver(SOLVER).message, net)
    rng = np.random.default_rng(0)
    net.blobs["data"].data[...] = rng.standard_normal(net.blobs["data"].shape)
    solver.step(1)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        solver.step(2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < LARGE
