"""The paper's net: its sizes, its parameters, its memory, and the tiles it refuses."""

from pathlib import Path

import numpy as np
import pytest
from demitasse import netspec
from demitasse.errors import ShapeError
from demitasse.layers.base import Context
from demitasse.net import params
from demitasse.net.inference import build_layers
from demitasse.net.planning import plan_net
from demitasse.net.sizes import geometry

MODELS = Path(__file__).resolve().parent.parent.parent / "models"
FLOAT = np.dtype(np.float32)


def planned(size=572, net="unet.prototxt", backward=False):
    source = netspec.read_net(str(MODELS / net))
    message = netspec.deploy(source, shape=(1, 1, size, size), softmax=False)
    graph = netspec.build(message, "TEST")
    layers = build_layers(graph, Context())
    return graph, layers, plan_net(graph, layers, None, dtype=FLOAT, backward=backward)


def test_figure_1():
    graph, layers, plan = planned()
    shapes = {value.blob: shape for value, shape in plan.inferred.values.items()}
    assert shapes["score"] == (1, 2, 388, 388)
    assert shapes["d4c"] == (1, 1024, 28, 28)
    assert shapes["u0b"] == (1, 128, 392, 392)
    assert sum(node.type in ("Convolution", "Deconvolution") for node in graph.nodes) == 23
    assert params.flat_size(params.table(graph, layers, plan.inferred.needs)) == 31_030_658


def test_segmenting_takes_a_third_of_one_array_per_blob():
    _, _, plan = planned()
    assert plan.arena_bytes < 0.35 * plan.one_each_bytes
    assert plan.lower_bound <= plan.arena_bytes <= 1.15 * plan.lower_bound


@pytest.mark.parametrize("size, near", [(570, "556 or 572"), (190, "188 or 204"), (187, "188")])
def test_a_tile_that_does_not_fit_is_refused_with_its_neighbours(size, near):
    with pytest.raises(ShapeError) as refused:
        planned(size)
    assert f"instead of {size}: {near}" in str(refused.value)
    assert "unet.prototxt:" in str(refused.value) or "pixels" in str(refused.value)


@pytest.mark.parametrize("k", [0, 1, 6, 24])
def test_legal_tiles_are_16k_plus_188_and_lose_184(k):
    size = 188 + 16 * k
    _, _, plan = planned(size)
    shapes = {value.blob: shape for value, shape in plan.inferred.values.items()}
    assert shapes["score"] == (1, 2, size - 184, size - 184)


def test_the_geometry_is_found_by_trying_sizes():
    graph, layers, _ = planned()
    found = geometry(graph, layers, "score")
    assert (found.smallest, found.step, found.before, found.after) == (188, 16, 92, 92)
    assert found.input_for(388) == 572 and found.input_for(389) == 588
    assert found.nearest(570) == (556, 572) and found.is_legal(572) and not found.is_legal(570)


def test_the_small_net_fits_its_data():
    _graph, _layers, plan = planned(284, "unet-small.prototxt")
    shapes = {value.blob: shape for value, shape in plan.inferred.values.items()}
    assert shapes["score"] == (1, 2, 196, 196)
