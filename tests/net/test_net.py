"""What a net promises beside its numbers: no allocations, shared parameters, clear refusals."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from demitasse import netspec
from demitasse.errors import DemitasseError, GraphError, ShapeError, SpecError
from demitasse.layers.base import Context
from demitasse.layers.euclidean_loss import EuclideanLoss
from demitasse.net import Net
from demitasse.net.inference import build_layers
from demitasse.net.planning import plan_net
from demitasse.tools.plan import plan_deploy, training_graph

MODELS = Path(__file__).resolve().parent.parent.parent / "models"


def build(text, phase="TRAIN", **settings):
    return Net(netspec.build(netspec.parse_net(text), phase), **settings)


def data(name="x", dims="dim: 2 dim: 3"):
    shape = f"input_param {{ shape {{ {dims} }} }}"
    return f'layer {{ name: "{name}" type: "Input" top: "{name}" {shape} }}'


def ip(name, bottom, top, extra="", n=3):
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{top}" {extra}'
        f' inner_product_param {{ num_output: {n} weight_filler {{ type: "msra" }} }} }}'
    )


LOSS = 'layer { name: "l" type: "EuclideanLoss" bottom: "s" bottom: "t" top: "l" }'


def test_a_training_step_allocates_nothing_large():
    source = netspec.read_net(str(MODELS / "unet-small.prototxt"))
    graph, planned = plan_deploy(source, (1, 1, 284, 284))
    net = Net(training_graph(source, graph, planned.inferred.values))
    net.blobs["data"].data[...] = 1

    def step():
        net.blobs["label"].data[...] = 0
        net.clear_param_diffs()
        net.forward()
        net.backward()

    step()
    tracemalloc.start()
    try:
        step()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20


def same_gradients(*nets):
    """Every net, given the same inputs, has the same gradients of its parameters, bit by bit."""
    diffs = []
    for net in nets:
        rng = np.random.default_rng(0)
        for name in net.inputs:
            net.blobs[name].data[...] = rng.standard_normal(net.blobs[name].shape)
        net.forward()
        net.backward()
        diffs.append(net.flat_diff.copy())
    assert np.abs(diffs[0]).max() > 0
    for other in diffs[1:]:
        np.testing.assert_array_equal(other, diffs[0])


def test_in_place_is_a_permission():
    """Sigmoid's backward reads its top, so a ReLU may not overwrite it; Caffe lets it."""
    text = data() + data("t", "dim: 2 dim: 3") + ip("ip", "x", "a")
    text += 'layer { name: "sig" type: "Sigmoid" bottom: "a" top: "b" }'
    power = "power_param { scale: -1 shift: 0.5 }"
    named = text + f'layer {{ name: "p" type: "Power" bottom: "b" top: "s" {power} }}' + LOSS
    placed = text + f'layer {{ name: "p" type: "Power" bottom: "b" top: "b" {power} }}'
    placed += LOSS.replace('"s"', '"b"')
    same_gradients(
        build(named), build(placed), build(placed, keep=True), build(placed, poison=True)
    )


SPLITS = {
    "a weighted top comes first": data()
    + data("y", "dim: 2 dim: 2")
    + ip("ip", "x", "h", "loss_weight: 0.1", n=2)
    + LOSS.replace('"s"', '"h"').replace('"t"', '"y"'),
    "the first top is not read": data()
    + data("y", "dim: 2 dim: 2")
    + ip("ip", "x", "h", n=2)
    + 'layer { name: "s" type: "Split" bottom: "h" top: "h1" top: "h2" }'
    + LOSS.replace('"s"', '"h2"').replace('"t"', '"y"'),
    "two tops are read": data()
    + data("y", "dim: 2 dim: 2")
    + ip("ip", "x", "h", n=2)
    + 'layer { name: "e" type: "Eltwise" bottom: "h" bottom: "h" top: "s" }'
    + LOSS.replace('"t"', '"y"'),
}


@pytest.mark.parametrize("text", SPLITS.values(), ids=SPLITS)
def test_gradients_behind_a_split(text):
    same_gradients(build(text, keep=True), build(text), build(text, poison=True))


def test_an_input_that_is_overwritten_is_set_under_its_name():
    text = data() + data("t") + 'layer { name: "p" type: "Scale" bottom: "x" top: "x" }'
    text += LOSS.replace('"s"', '"x"')
    for settings in ({"keep": True}, {}, {"poison": True}):
        net = build(text, **settings)
        net.blobs["t"].data[...] = 1
        net.blobs["x"].data[...] = 3
        net.params["p"][0].data[...] = 2
        assert net.forward() == pytest.approx((2 * 3 - 1) ** 2 * 6 / 4)


def test_training_reuses_gradients_too():
    source = netspec.read_net(str(MODELS / "unet.prototxt"))
    graph, planned = plan_deploy(source, (1, 1, 572, 572))
    training = training_graph(source, graph, planned.inferred.values)
    layers = build_layers(training, Context())
    plan = plan_net(training, layers, None, dtype=np.dtype(np.float32), backward=True)
    assert plan.arena_bytes < 0.5 * plan.one_each_bytes
    assert plan.arena_bytes <= 1.1 * plan.lower_bound


def test_a_net_planned_for_testing_refuses_to_run_backward():
    net = build(data() + ip("one", "x", "h"), "TEST")
    net.forward()
    with pytest.raises(GraphError, match="without a backward pass"):
        net.backward()


def test_one_of_several_inputs_can_be_reshaped():
    text = """layer { name: "i" type: "Input" top: "x" top: "y"
              input_param { shape { dim: 2 dim: 3 } shape { dim: 2 dim: 4 } } }"""
    net = build(text, "TEST", inputs={"y": (5, 4)})
    assert net.blobs["x"].shape == (2, 3) and net.blobs["y"].shape == (5, 4)


def test_a_reshape_that_would_change_parameters_is_refused():
    net = build(data() + ip("one", "x", "h"), "TEST")
    with pytest.raises(ShapeError, match="parameters of another shape"):
        net.reshape({"x": (2, 4)})


def test_shared_parameters_lie_in_one_place_and_add_their_gradients():
    shared = 'param { name: "w" } param { name: "b" }'
    text = data() + data("t") + ip("one", "x", "h", shared) + ip("two", "h", "s", shared) + LOSS
    net = build(text)
    assert net.flat_data.size == 12 and len(net.learnable) == 2
    assert np.shares_memory(net.params["one"][0].data, net.params["two"][0].data)
    separate = build(text.replace(shared, ""))
    separate.flat_data[:12] = separate.flat_data[12:] = net.flat_data
    for n in (net, separate):
        n.blobs["x"].data[...] = np.arange(6).reshape(2, 3)
        n.blobs["t"].data[...] = 1
        n.forward()
        n.backward()
    both = separate.flat_diff.reshape(2, 12).sum(axis=0)
    np.testing.assert_allclose(net.flat_diff, both, rtol=1e-6)


@pytest.mark.parametrize(
    "first, second, words",
    [
        ('param { name: "w" lr_mult: 1 }', 'param { name: "w" lr_mult: 2 }', "two values"),
        ('param { name: "w" }', 'param { name: "w" } param { } param { }', "more 'param'"),
    ],
)
def test_contradicting_parameters_are_refused(first, second, words):
    text = data() + data("t") + ip("one", "x", "h", first) + ip("two", "h", "s", second) + LOSS
    with pytest.raises(GraphError, match=words):
        build(text)


def test_sharing_needs_one_shape():
    name = 'param { name: "w" }'
    text = data() + data("t", "dim: 2 dim: 4")
    text += ip("one", "x", "h", name) + ip("two", "h", "s", name, n=4) + LOSS
    with pytest.raises(ShapeError, match="layer 'one'"):
        build(text)


def test_a_layer_that_does_not_learn_is_not_run_backward():
    frozen = "param { lr_mult: 0 } param { lr_mult: 0 }"
    text = data() + data("t") + ip("one", "x", "h", frozen) + ip("two", "h", "s") + LOSS
    net = build(text)
    assert [la.name for la, b in zip(net.layers, net.flags.backward, strict=True) if b] == [
        "two",
        "l",
    ]
    net.blobs["x"].data[...] = 1
    net.blobs["t"].data[...] = 0
    net.forward()
    net.backward()
    assert not net.params["one"][0].diff.any() and net.params["two"][0].diff.any()


def test_test_nets_use_the_training_nets_parameters_and_fill_their_own():
    train = build(data() + ip("one", "x", "h"))
    test = build(data() + ip("one", "x", "h") + ip("extra", "h", "s"), "TEST", share=train)
    assert np.shares_memory(test.params["one"][0].data, train.params["one"][0].data)
    assert test.params["extra"][0].data.any()
    with pytest.raises(ShapeError, match="'one'"):
        build(data() + ip("one", "x", "h", n=5), "TEST", share=train)


def test_reshaping_keeps_the_parameters():
    net = build(data() + ip("one", "x", "h"), "TEST")
    before = net.flat_data.copy()
    net.reshape({"x": (7, 3)})
    assert net.blobs["h"].shape == (7, 3)
    np.testing.assert_array_equal(net.flat_data, before)
    with pytest.raises(ShapeError, match="no Input layer makes"):
        net.reshape({"y": (7, 3)})


@pytest.mark.parametrize(
    "text, words",
    [
        (
            data(dims="dim: 1 dim: 1 dim: 4 dim: 4")
            + 'layer { name: "p" type: "Pooling" bottom: "x" top: "x"'
            " pooling_param { kernel_size: 2 } }",
            "cannot work in place",
        ),
        (data() + ip("one", "x", "h", "loss_weight: 1 loss_weight: 2"), "a loss_weight for each"),
        (data() + ip("one", "x", "h", "propagate_down: 1 propagate_down: 0"), "propagate_down"),
        (
            data(dims="dim: 1 dim: 1 dim: 4 dim: 4")
            + 'layer { name: "c" type: "Convolution" bottom: "x" top: "y"'
            " convolution_param { num_output: 1 kernel_size: 5 } }",
            "larger than its bottom",
        ),
    ],
)
def test_what_cannot_work_is_refused(text, words):
    with pytest.raises(DemitasseError, match=words):
        build(text)


def given_blobs(*blobs):
    text = 'layer { name: "d" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
    text += 'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" %s '
    text += "inner_product_param { num_output: 1 } }"
    return Net(netspec.build(netspec.parse_net(text % " ".join(blobs)), "TEST"))


def test_parameters_written_in_the_net_come_before_fillers():
    net = given_blobs(
        "blobs { shape { dim: 1 dim: 3 } data: 1 data: 2 data: 3 }",
        "blobs { num: 1 channels: 1 height: 1 width: 1 double_data: 0.5 }",
    )
    weights, bias = net.params["ip"]
    np.testing.assert_array_equal(weights.data, [[1, 2, 3]])
    np.testing.assert_array_equal(bias.data, [0.5])


@pytest.mark.parametrize(
    ("blobs", "words"),
    [
        (["blobs { shape { dim: 1 dim: 3 } data: 1 data: 2 data: 3 }"], "2 blobs"),
        (["blobs { shape { dim: 3 dim: 1 } data: 1 }", "blobs { shape { dim: 1 } }"], r"\(1, 3\)"),
        (["blobs { shape { dim: 1 dim: 3 } data: 1 }", "blobs { shape { dim: 1 } }"], "3 numbers"),
    ],
)
def test_parameters_written_in_the_net_must_fit(blobs, words):
    with pytest.raises(ShapeError, match=words):
        given_blobs(*blobs)


def test_inputs_are_the_callers():
    """What was set once is there in every pass."""
    text = data() + data("t", "dim: 2 dim: 2") + ip("a", "x", "y") + (
        'layer { name: "r" type: "ReLU" bottom: "y" top: "y" }'
        'layer { name: "c" type: "Concat" bottom: "x" bottom: "y" top: "c" }'
        'layer { name: "d" type: "ReLU" bottom: "c" top: "c" }'
    ) + ip("b", "c", "s", n=2) + LOSS  # fmt: skip
    rng = np.random.default_rng(0)
    for phase in ("TRAIN", "TEST"):
        net = build(text, phase, seed=3)
        given = {name: rng.standard_normal(net.blobs[name].shape) for name in ("x", "t")}
        for name, values in given.items():
            net.blobs[name].data[...] = values
        losses = []
        for _ in range(3):
            losses.append(net.forward())
            if phase == "TRAIN":
                net.backward()
        assert losses[0] == losses[1] == losses[2]
        for name, values in given.items():
            np.testing.assert_array_equal(net.read(name), values.astype(np.float32))


def test_an_input_that_a_layer_changes_in_place_stays():
    text = data() + (
        'layer { name: "p" type: "Power" bottom: "x" top: "x" power_param { scale: 2 } }'
    ) + ip("a", "x", "y")  # fmt: skip
    net = build(text, "TEST", seed=1)
    net.blobs["x"].data[...] = 1
    assert (net.read("x") == 1).all()
    net.forward()
    assert (net.read("x") == 1).all()
    first = net.read("y").copy()
    net.forward()
    np.testing.assert_array_equal(net.read("y"), first)
    assert (net.blobs["x"].data == 1).all()
    kept = build(text, "TEST", seed=1, keep=True)
    kept.blobs["x"].data[...] = 1
    kept.forward()
    np.testing.assert_array_equal(kept.read("y"), first)
    assert (kept.blobs["x"].data == 2).all()  # as in Caffe


def test_an_input_that_the_last_layer_changes_is_read_as_the_output_that_it_is():
    net = build(
        data() + 'layer { name: "p" type: "Power" bottom: "x" top: "x" power_param { scale: 2 } }',
        "TEST",
    )
    net.blobs["x"].data[...] = 1
    for _ in range(2):
        net.forward()
        assert (net.read("x") == 2).all()
        assert (net.blobs["x"].data == 1).all()


def test_a_reshaped_net_has_made_nothing_yet():
    net = build(data() + ip("a", "x", "y"), "TEST")
    net.forward()
    net.reshape({"x": (4, 3)})
    with pytest.raises(GraphError, match="blob 'y' is not in memory now"):
        net.read("y")


def test_layers_that_did_not_follow_a_reshape_do_not_run():
    image = data(dims="dim: 1 dim: 1 dim: 6 dim: 6")
    pools = [
        f'layer {{ name: "{top}" type: "Pooling" bottom: "{bottom}" top: "{top}" '
        f"pooling_param {{ kernel_size: 2 }} }}"
        for bottom, top in (("x", "p"), ("p", "q"))
    ]
    net = build(image + "".join(pools), "TRAIN", keep=True)
    net.reshape({"x": (1, 1, 8, 8)}, last=1)
    net.forward(end=1)
    assert net.read("p").shape == (1, 1, 7, 7) and net.read("q").shape == (1, 1, 4, 4)
    for run in (net.forward, net.backward):
        with pytest.raises(GraphError, match=r"layer 'q'.*has not followed the inputs' new shapes"):
            run()
    net.reshape({"x": (1, 1, 8, 8)})
    net.forward()
    assert net.read("q").shape == (1, 1, 6, 6)


def test_only_what_is_in_memory_is_read():
    text = data() + data("t", "dim: 2 dim: 2") + ip("a", "x", "y") + ip("b", "y", "z") + (
        ip("c", "z", "s", n=2) + LOSS
    )  # fmt: skip
    net = build(text, "TRAIN", poison=True)
    with pytest.raises(GraphError, match="blob 'y' is not in memory now"):
        net.read("y")  # nothing ran yet
    net.forward()
    for name in ("x", "y", "z", "s", "t", "l"):
        assert np.isfinite(net.read(name)).all()
    net.backward()
    for name in ("x", "t", "l"):
        assert np.isfinite(net.read(name)).all()
    with pytest.raises(GraphError, match=r"blob 'y' is not in memory now.*keep=True"):
        net.read("y")
    net.forward(end=2)
    assert np.isfinite(net.read("y")).all()
    with pytest.raises(GraphError, match="blob 'z' is not in memory now"):
        net.read("z")

    net = build(text, "TEST", poison=True)
    net.forward()
    assert np.isfinite(net.read("l")).all()
    with pytest.raises(GraphError, match="blob 'y' is not in memory now"):
        net.read("y")
    net = build(text, "TEST", keep=True, seed=1)
    net.forward()
    assert np.isfinite(net.read("y")).all()


def test_a_blob_that_is_not_there_is_refused():
    net = build(data() + ip("a", "x", "scores"))
    with pytest.raises(GraphError, match=r"no blob 'score'\. Did you mean scores"):
        net.read("score")


def test_an_array_of_the_net_is_written_into_and_not_replaced():
    net = build(data() + ip("s", "x", "s"), "TEST")
    for blob in (net.blobs["x"], net.params["s"][0]):
        for name in ("data", "diff"):
            with pytest.raises(AttributeError, match=rf"write into it, blob.{name}\[...\] = val"):
                setattr(blob, name, np.ones((2, 3), np.float32))
    net.blobs["x"].data += 1
    net.params["s"][0].data[...] = 1
    net.forward()
    np.testing.assert_array_equal(net.read("s"), np.full((2, 3), 3.0))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"engine": "Fast"}, r"'Fast'.*one of auto, caffe, fast"),
        ({"threads": -2}, r"threads.*at least 1.*found -2"),
        ({"threads": 0}, r"threads.*at least 1.*found 0"),
        ({"dtype": np.float16}, r"float32 or float64, found float16"),
        ({"dtype": "int32"}, r"float32 or float64, found int32"),
    ],
)
def test_settings_that_there_are_not_are_refused(settings, words):
    with pytest.raises(SpecError, match=words):
        build(data(), **settings)


def test_a_loss_of_ones_own_names_its_top():
    class Mine(EuclideanLoss):
        type = "Mine"

    text = data("s") + data("t") + LOSS.replace("EuclideanLoss", "Mine")
    assert build(text, types=[Mine]).forward() == 0
    with pytest.raises(GraphError, match=r"wrong number of tops; expected 1, found none"):
        build(text.replace('top: "l"', ""), types=[Mine])
