"""Nets with layers whose tops have other shapes in every pass."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from demitasse import netspec
from demitasse.errors import ShapeError
from demitasse.layers.base import Buffer, Layer, Shapes
from demitasse.net import Net, dynamic
from hypothesis import given, settings
from hypothesis import strategies as st

few = settings(max_examples=12, deadline=None, derandomize=True, database=None)


def data(name, *dims):
    shape = " ".join(f"dim: {d}" for d in dims)
    text = f"input_param {{ shape {{ {shape} }} }}"
    return f'layer {{ name: "{name}" type: "Input" top: "{name}" {text} }}'


def layer(kind, bottoms, tops, param="", name=""):
    blobs = "".join(f'bottom: "{b}" ' for b in bottoms.split())
    blobs += "".join(f'top: "{t}" ' for t in tops.split())
    return f'layer {{ name: "{name or tops.split()[0]}" type: "{kind}" {blobs} {param} }}'


def ip(bottom, top, n=3):
    filler = 'weight_filler { type: "msra" }'
    return layer("InnerProduct", bottom, top, f"inner_product_param {{ num_output: {n} {filler} }}")


def conv(bottom, top, n=3):
    filler = 'kernel_size: 3 weight_filler { type: "msra" } bias_filler { value: 0.1 }'
    return layer(
        "Convolution", bottom, top, f"convolution_param {{ num_output: {n} {filler} }}", name=top
    )


def build(*layers, **kwargs):
    graph = netspec.build(netspec.parse_net("\n".join(layers)), "TRAIN")
    return Net(graph, types=[Repeat], **{"dtype": np.float64, **kwargs})


HEAD = [data("x", 6, 2, 7, 7), data("t", 6), conv("x", "c")]
# what lies behind: in place, saved arrays, views, a split, both a loss and a score
TAIL = [
    layer("ReLU", "c2", "c2", name="relu"),
    layer("Pooling", "c2", "p", "pooling_param { kernel_size: 2 stride: 2 }"),
    conv("p", "d", 4).replace("kernel_size: 3", "kernel_size: 2"),
    layer("Reshape", "d", "r", "reshape_param { shape { dim: 0 dim: -1 } }"),
    ip("r", "s"),
    layer("SoftmaxWithLoss", "s t2", "loss"),
    layer("Accuracy", "s t2", "acc"),
    layer("Flatten", "c2", "f"),
    layer("Reduction", "f", "sq", "loss_weight: 0.1 reduction_param { operation: SUMSQ axis: 1 }"),
]
FILTER = [data("sel", 6), layer("Filter", "c t sel", "c2 t2", name="filter")]
PICK = [
    layer("BatchReindex", "c i", "c2", name="pick"),
    layer("BatchReindex", "t i", "t2", name="pick t"),
]
X = np.random.default_rng(1).standard_normal((6, 2, 7, 7))
T = np.array([0, 1, 2, 1, 0, 2])


def run(net, **inputs):
    for name, value in {"x": X, "t": T, **inputs}.items():
        net.blobs[name].data[...] = value
    net.clear_param_diffs()
    loss = net.forward()
    outputs = {name: net.blobs[name].data.copy() for name in net.outputs}
    net.backward()
    return loss, outputs, net.flat_diff.copy()


def expected(index):
    """The same items picked by a layer whose shapes do not change."""
    return run(build(*HEAD, data("i", len(index)), *PICK, *TAIL), i=index)


def same(found, wanted):
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-12)
    for name, value in wanted[1].items():
        assert found[1][name].shape == value.shape
        np.testing.assert_allclose(found[1][name], value, rtol=1e-12)
    np.testing.assert_allclose(found[2], wanted[2], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("kwargs", [{}, {"keep": True}, {"poison": True}])
@few
@given(passes=st.lists(st.sets(st.integers(0, 5), min_size=1), min_size=1, max_size=3))
def test_every_pass_gives_what_a_net_of_that_size_gives(kwargs, passes):
    net = build(*HEAD, *FILTER, *TAIL, **kwargs)
    planned = net.planned.arena_bytes
    for chosen in passes:
        same(run(net, sel=np.isin(np.arange(6), list(chosen))), expected(sorted(chosen)))
        assert net.planned.arena_bytes == planned  # it only ever gets less than was planned


@pytest.mark.parametrize("kwargs", [{}, {"keep": True}, {"poison": True}])
def test_nothing_selected(kwargs):
    net = build(*HEAD, *FILTER, *TAIL, **kwargs)
    assert run(net, sel=np.ones(6))[0] > 0
    loss, outputs, gradient = run(net, sel=np.zeros(6))
    assert loss == 0 and outputs["loss"] == 0 and outputs["acc"] == 0
    assert outputs["sq"].shape == (0,) and net.blobs["c2"].shape == (0, 3, 5, 5)
    assert not gradient.any()
    same(run(net, sel=[1, 0, 0, 1, 1, 0]), expected([0, 3, 4]))


def test_what_an_idle_layer_would_write_is_zero():
    """A bottom that is not empty, of a layer whose tops are."""
    factor = 'layer { name: "w" type: "Parameter" top: "w" parameter_param { shape { dim: 3 } } }'
    total = layer("Reduction", "y", "l", "loss_weight: 1 reduction_param { operation: SUM }")
    net = build(*HEAD, *FILTER, factor, layer("Scale", "c2 w", "y"), total, keep=True)
    net.params["w"][0].data[...] = 1
    _, outputs, gradient = run(net, sel=np.ones(6))
    assert outputs["l"] != 0 and net.params["w"][0].diff.all()
    _, outputs, gradient = run(net, sel=np.zeros(6))
    assert outputs["l"] == 0 and not gradient.any() and not net.blobs["w"].diff.any()


def test_shapes_given_for_inputs_stay():
    blobs = [data("x", 6, 2), data("sel", 6), layer("Filter", "x sel", "y"), data("z", 2, 5)]
    net = build(*blobs, inputs={"x": (3, 2), "sel": (3,), "z": (3, 1)}, backward=False)
    net.blobs["sel"].data[...] = [1, 0, 1]
    net.forward()
    assert net.blobs["y"].shape == (2, 2) and net.blobs["z"].shape == (3, 1)


def test_a_filter_behind_a_filter():
    score = layer("Reduction", "c2", "a", "reduction_param { axis: 1 operation: ASUM }")
    large = layer("Threshold", "a", "b", "threshold_param { threshold: 78 }")
    net = build(*HEAD, *FILTER, score, large, layer("Filter", "t2 b", "t3"), backward=False)
    whole = build(*HEAD, backward=False)
    whole.blobs["x"].data[...] = X
    whole.forward()
    sums = np.abs(whole.blobs["c"].data).sum((1, 2, 3))
    assert 1 < (sums > 78).sum() < 5
    for chosen in ([0, 1, 2, 3, 4, 5], [1, 4], [], [0, 2, 5]):
        net.blobs["x"].data[...], net.blobs["t"].data[...] = X, np.arange(6)
        net.blobs["sel"].data[...] = np.isin(np.arange(6), chosen)
        net.forward()
        np.testing.assert_array_equal(net.blobs["t3"].data, [i for i in chosen if sums[i] > 78])


class Repeat(Layer):
    """x behind itself n times, where n is the data of the second bottom: more than was planned."""

    type = "Repeat"
    bottoms = 2
    reshapes = True
    no_gradient = frozenset({1})

    def shapes(self, *bottom):
        return self._times(bottom[0], 1)

    def _times(self, shape, n):
        return Shapes(((n * shape[0], *shape[1:]),), saved=(Buffer((n, 2)),), scratch=5 * n)

    def reshape(self, bottom):
        return self._times(bottom[0].shape, int(bottom[1].data.item()))

    def forward(self, bottom, top):
        n = int(bottom[1].data.item())
        assert self.scratch.size >= 5 * n
        self.saved[0][...] = n
        top[0].data.reshape(n, -1)[...] = bottom[0].data.reshape(-1)

    def backward(self, top, propagate_down, bottom):
        n = len(self.saved[0])
        assert (self.saved[0] == n).all()
        bottom[0].diff[...] = top[0].diff.reshape(n, *bottom[0].shape).sum(0)


# before the layer that grows: saved arrays, an in-place layer, and blobs that are read after it
BEFORE = [
    data("x", 6, 2, 7, 7),
    conv("x", "c"),
    layer("ReLU", "c", "c", name="relu"),
    layer("Pooling", "c", "p", "pooling_param { kernel_size: 2 stride: 2 }"),
    layer("Sigmoid", "p", "g"),
]
AFTER = [
    conv("g2", "d"),
    layer("Pooling", "d", "q", "pooling_param { global_pooling: true }"),
    layer("Reduction", "q", "l", "loss_weight: 1 reduction_param { operation: SUMSQ }"),
    layer("Reduction", "c", "m", "loss_weight: 0.5 reduction_param { operation: SUMSQ }"),
    layer("Reduction", "g", "n", "loss_weight: 0.5 reduction_param { operation: SUMSQ }"),
]


@pytest.mark.parametrize("kwargs", [{}, {"keep": True}, {"poison": True}])
def test_a_blob_may_outgrow_its_plan(kwargs):
    scalar = 'layer { name: "k" type: "Input" top: "k" input_param { shape { } } }'
    net = build(*BEFORE, scalar, layer("Repeat", "g k", "g2"), *AFTER, **kwargs)
    blob, sizes = net.blobs["g2"], []
    for n in (1, 30, 20, 70, 70, 1):
        tile = layer("Tile", "g", "g2", f"tile_param {{ axis: 0 tiles: {n} }}")
        fixed = build(*BEFORE, tile, *AFTER)
        results = []
        for one, inputs in ((net, {"k": n}), (fixed, {})):
            one.blobs["x"].data[...] = X
            for name, value in inputs.items():
                one.blobs[name].data[...] = value
            one.clear_param_diffs()
            loss = one.forward()
            outputs = {k: one.blobs[k].data.copy() for k in one.outputs}
            one.backward()
            results.append((loss, outputs, one.flat_diff.copy()))
        same(*results)
        assert net.blobs["g2"] is blob and blob.shape == (6 * n, 3, 3, 3)
        sizes.append(net.planned.arena_bytes)
    assert sizes[0] < sizes[3] and sizes[1] == sizes[2] and len(set(sizes[3:])) == 1  # as Caffe's
    net.reshape({"x": (2, 2, 7, 7)})  # the caller's wish starts anew
    assert blob.shape == (2, 3, 3, 3) and net.planned.arena_bytes < sizes[0]


def test_what_was_large_once_stays_planned_for(monkeypatch):
    scalars = [data("k", 1), data("m", 1)]
    net = build(
        data("x", 2, 3),
        *scalars,
        layer("Repeat", "x k", "y"),
        layer("Repeat", "x m", "z"),
        keep=True,
    )
    for k, m in ((5, 1), (1, 5)):
        net.blobs["k"].data[...], net.blobs["m"].data[...] = k, m
        net.forward()
    monkeypatch.setattr(dynamic.arena, "place", None)
    for k, m in ((5, 5), (1, 1), (5, 1), (2, 3), (1, 5)):
        net.blobs["k"].data[...], net.blobs["m"].data[...] = k, m
        net.forward()
        assert (net.blobs["y"].shape, net.blobs["z"].shape) == ((2 * k, 3), (2 * m, 3))


def test_parameters_must_keep_their_shape_and_the_net_stays_as_it_was():
    scalar = 'layer { name: "k" type: "Input" top: "k" input_param { shape { } } }'
    flat = layer("Reshape", "x2", "r", "reshape_param { shape { dim: 2 dim: -1 } }")
    net = build(data("x", 2, 3), scalar, layer("Repeat", "x k", "x2"), flat, ip("r", "y"))
    before = net.planned
    net.blobs["k"].data[...] = 2
    with pytest.raises(ShapeError) as caught:
        net.forward()
    message = str(caught.value)
    for words in ("'y' (InnerProduct)", "expected 3 x 3, 3", "found 3 x 6, 3", "'x2' (Repeat)"):
        assert words in message
    assert net.planned is before
    net.blobs["k"].data[...] = 1
    net.forward()


def test_other_nets_pay_nothing(monkeypatch):
    for name in ("reinfer", "refit", "moved", "no_forward", "no_backward"):
        monkeypatch.setattr(dynamic, name, None)
    run(build(*HEAD, data("i", 2), *PICK, *TAIL), i=[1, 2])


def test_a_pass_with_known_shapes_infers_nothing(monkeypatch):
    net = build(*HEAD, *FILTER, *TAIL)
    run(net, sel=[1, 0, 0, 0, 0, 1])
    monkeypatch.setattr(dynamic, "reinfer", None)
    run(net, sel=[0, 1, 1, 0, 0, 0])


def test_a_pass_with_other_shapes_allocates_nothing_large():
    big = [data("x", 64, 128, 16, 16), data("sel", 64), layer("Filter", "x sel", "y")]
    net = build(
        *big,
        layer("ReLU", "y", "z"),
        layer("Pooling", "z", "p", "pooling_param { kernel_size: 2 }"),
    )
    net.blobs["sel"].data[...] = 1
    net.forward()
    net.blobs["sel"].data[...] = np.arange(64) % 3
    tracemalloc.start()
    try:
        net.forward()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert net.blobs["p"].shape == (42, 128, 15, 15)
    assert peak < 1 << 20 < net.blobs["p"].data.nbytes
