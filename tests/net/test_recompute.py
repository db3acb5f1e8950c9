"""Data given up and made again: less memory, and the same bits whatever is given up."""

from pathlib import Path

import numpy as np
import pytest
from demitasse import netspec
from demitasse.layers.base import Context
from demitasse.net import planning
from demitasse.net.inference import build_layers
from demitasse.net.recompute import candidates
from demitasse.net.uses import find
from demitasse.tools.plan import plan_deploy, training_graph
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .nets import build, run, same, unet


def able(text, **more):
    """What may be given up."""
    net = build(text, **more)
    planned, graph = net.planned, net.graph
    uses = find(graph, net.layers, planned.inferred, planned.flags.backward, planned.fused)
    return candidates(graph, net.layers, planned.fused, uses)


@pytest.fixture
def given_up(monkeypatch):
    """Give up exactly this."""

    def give(values):
        monkeypatch.setattr(planning, "choose", lambda *_: frozenset(values))

    return give


MOVES = sorted({v for move in able(unet()) for v in move}, key=str)
PLAIN = run(build(unet(), keep=True))


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(chosen=st.sets(st.sampled_from(MOVES)), fuse=st.booleans())
def test_gradients_do_not_depend_on_what_is_given_up(given_up, chosen, fuse):
    given_up(chosen)
    net = build(unet(), recompute=True, poison=True, fuse=fuse)
    for a, b in zip(PLAIN, run(net), strict=True):
        np.testing.assert_array_equal(a, b)


def test_random_layers_statistics_and_inputs_are_never_run_twice(given_up):
    given_up(MOVES)
    net = build(unet(), recompute=True)
    again = {net.graph.nodes[i].type for i in net.plan.order.again}
    assert {"Convolution", "Concat", "Deconvolution"} <= again
    assert not again & {"Dropout", "BatchNorm", "Input", "Split", "Crop"}


def test_less_memory_and_the_same_bits():
    text = unet(size=100)
    plain, small = build(text, poison=True), build(text, recompute=True, poison=True)
    same(plain, small)
    assert small.planned.arena_bytes < 0.9 * plain.planned.arena_bytes
    assert small.plan.order.again and not plain.plan.order.again


def test_a_pass_without_gradients_recomputes_nothing():
    assert not build(unet(), "TEST", recompute=True).plan.order.again


def test_a_net_that_keeps_its_blobs_recomputes_nothing():
    assert not build(unet(), recompute=True, keep=True).plan.order.again


def test_the_papers_net():
    """At 572 pixels: what fusing saves, and what recomputing saves beyond."""
    path = Path(__file__).resolve().parent.parent.parent / "models" / "unet.prototxt"
    source, dtype = netspec.read_net(str(path)), np.dtype(np.float32)
    graph, deployed = plan_deploy(source, (1, 1, 572, 572))
    training = training_graph(source, graph, deployed.inferred.values)
    layers = build_layers(training, Context())
    apart, plain, small = (
        planning.plan_net(training, layers, None, dtype=dtype, backward=True, **how)
        for how in ({"fuse": False}, {}, {"recompute": True})
    )
    assert plain.arena_bytes < 0.86 * apart.arena_bytes
    assert small.arena_bytes < 0.62 * plain.arena_bytes
    assert plain.arena_bytes <= 1.02 * plain.lower_bound
    work = [
        layer.work(*(small.inferred.values[v] for v in node.bottoms)) if node.bottoms else 0
        for node, layer in zip(training.nodes, layers, strict=True)
    ]
    assert sum(work[i] for i in small.plan.order.again) <= 0.75 * sum(work)
