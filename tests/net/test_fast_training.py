"""A training by the fast engines stays beside the exact one."""

import numpy as np
import pytest
from demitasse import netspec
from demitasse.kernels import convolution, tiles_numpy, winograd_cut
from demitasse.kernels.convolution import COLUMNS, WINOGRAD
from demitasse.solvers.sgd import SGD

from .nets import build, conv, data, join, on

SOLVER = 'base_lr: 0.02 lr_policy: "fixed" momentum: 0.9 weight_decay: 1e-4 max_iter: 99'
SIZE, OUT = 76, 32
NET = "".join(
    [
        data("data", 1, 1, SIZE, SIZE),
        data("label", 1, 1, OUT, OUT),
        conv("a", "data", "a", n=48) + on("ReLU", "a"),
        conv("b", "a", "b", n=48) + on("ReLU", "b"),
        on("Pooling", "b", "p", "pooling_param { pool: MAX kernel_size: 2 stride: 2 }"),
        conv("c", "p", "c", n=64) + on("ReLU", "c"),
        conv("d", "c", "d", n=64) + on("ReLU", "d"),
        conv("e", "d", "score", n=2, kernel=1),
        join("loss", "score", "label", kind="SoftmaxWithLoss"),
    ]
)


def losses(engine):
    """Of 30 iterations, and who computed the layers."""
    net = build(NET, engine=engine, threads=1)
    solver = SGD(netspec.parse_solver(SOLVER).message, net)
    rng, found = np.random.default_rng(0), []
    for _ in range(30):
        image = rng.standard_normal((SIZE, SIZE))
        near = sum(image[6 + i : 70 + i : 2, 6 + j : 70 + j : 2] for i in (0, 1) for j in (0, 1))
        net.blobs["data"].data[...] = image
        net.blobs["label"].data[...] = near > 0
        solver.step(1)
        found.append(solver.losses[-1])
    shapes = net.planned.inferred.values
    engines = [
        layer.engine(shapes[node.bottoms[0]])
        for node, layer in zip(net.graph.nodes, net.layers, strict=True)
        if node.type == "Convolution"
    ]
    return np.array(found), engines


@pytest.mark.parametrize("numba", [True, False])
def test_thirty_iterations_stay_within_a_thousandth_of_the_exact_loss(monkeypatch, numba):
    if numba:
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(winograd_cut, "transforms", lambda: tiles_numpy)
        monkeypatch.setattr(convolution, "optional", lambda name: None)
    fast, engines = losses("fast")
    assert engines == [COLUMNS, WINOGRAD, WINOGRAD, WINOGRAD, COLUMNS]
    exact, engines = losses("caffe")
    assert set(engines) == {COLUMNS}
    assert exact[-5:].mean() < 0.7 * exact[:5].mean()  # it learns
    assert 0 < np.abs(fast / exact - 1).max() < 1e-3
