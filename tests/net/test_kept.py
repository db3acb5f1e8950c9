"""Net(keep=True): between passes a blob is one array, whoever works on it in place."""

import numpy as np
import pytest
from demitasse import netspec
from demitasse.net import Net

IN_PLACE = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "scale" type: "Scale" bottom: "ip" top: "ip"
  scale_param { bias_term: true filler { type: "uniform" min: 1 max: 2 }
                bias_filler { type: "constant" value: 0.5 } } }
layer { name: "relu" type: "ReLU" bottom: "ip" top: "ip" }
layer { name: "loss" type: "Reduction" bottom: "ip" top: "loss" loss_weight: 3 }
"""


def made(text, **options):
    return Net(netspec.build(netspec.parse_net(text), "TRAIN"), keep=True, **options)


@pytest.fixture
def net():
    net = made(IN_PLACE, seed=1, dtype=np.float64)
    net.blobs["data"].data[...] = np.random.default_rng(0).standard_normal((2, 3))
    return net


def layers_of(net):
    weight, bias = (b.data for b in net.params["ip"])
    factor, shift = (b.data for b in net.params["scale"])
    product = net.blobs["data"].data @ weight.T + bias
    return product, product * factor + shift


def test_a_part_of_the_net_shows_what_it_made(net):
    product, scaled = layers_of(net)
    for end, expected in ((1, product), (2, scaled), (3, np.maximum(scaled, 0))):
        net.forward(0, end)
        np.testing.assert_allclose(net.blobs["ip"].data, expected, atol=1e-12)


@pytest.mark.parametrize("start", [2, 3])
def test_a_part_of_the_net_reads_what_was_written(net, start):
    net.forward()
    mine = np.random.default_rng(5).standard_normal((2, 4))
    net.blobs["ip"].data[...] = mine
    net.forward(start, 3)
    factor, shift = (b.data for b in net.params["scale"])
    expected = np.maximum(mine * factor + shift if start == 2 else mine, 0)
    np.testing.assert_allclose(net.blobs["ip"].data, expected, atol=1e-12)


def test_the_gradient_of_a_loss_is_its_weight_until_someone_writes_another(net):
    net.forward()
    net.backward()
    assert net.blobs["loss"].diff == 3
    before = net.params["ip"][0].diff.copy()
    assert before.any()
    net.blobs["loss"].diff[...] = 1.5
    net.clear_param_diffs()
    net.backward()
    np.testing.assert_allclose(net.params["ip"][0].diff, before / 2)


def test_keeping_changes_no_gradient(net):
    other = Net(netspec.build(netspec.parse_net(IN_PLACE), "TRAIN"), seed=1, dtype=np.float64)
    other.blobs["data"].data[...] = net.blobs["data"].data
    for each in (net, other):
        each.forward()
        each.backward()
    np.testing.assert_array_equal(net.flat_diff, other.flat_diff)


TWO = """
layer { name: "a" type: "Input" top: "a" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "b" type: "Input" top: "b" input_param { shape { dim: 1 dim: 2 } } }
layer { name: "sum" type: "Concat" bottom: "a" bottom: "b" top: "ab" }
"""


def test_reshaping_one_input_keeps_what_the_others_hold():
    net = made(TWO)
    net.blobs["b"].data[...] = [[3, 4]]
    net.reshape({"a": (1, 5), "b": (1, 2)})
    net.blobs["a"].data[...] = 1
    net.forward()
    np.testing.assert_array_equal(net.blobs["ab"].data, [[1, 1, 1, 1, 1, 3, 4]])


CONSTANT = """
layer { name: "d" type: "DummyData" top: "x" top: "label"
  dummy_data_param { shape { dim: 4 } shape { dim: 2 } data_filler { type: "gaussian" }
                     data_filler { type: "constant" value: 7 } } }
layer { name: "s" type: "Silence" bottom: "x" bottom: "label" }
"""


def test_a_constant_blob_is_written_once():
    net = made(CONSTANT)
    np.testing.assert_array_equal(net.blobs["label"].data, [7, 7])
    assert net.blobs["x"].data.any()
    net.blobs["label"].data[...] = [1, 2]
    seen = []
    for _ in range(2):
        net.forward()
        seen.append(net.blobs["x"].data.copy())
    np.testing.assert_array_equal(net.blobs["label"].data, [1, 2])
    assert (seen[0] != seen[1]).any()


def test_callbacks_are_called_around_every_layer(net):
    said = []
    for name in ("before_forward", "after_forward", "before_backward", "after_backward"):
        getattr(net.callbacks, name).append(lambda i, name=name: said.append((name, i)))
    net.forward(1, 2)
    net.backward(2, 1)
    forward = [(f"{when}_forward", i) for i in (1, 2) for when in ("before", "after")]
    backward = [(f"{when}_backward", i) for i in (2, 1) for when in ("before", "after")]
    assert said == forward + backward


SAVING = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 4 } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 } } }
layer { name: "a" type: "InnerProduct" bottom: "data" top: "a"
  inner_product_param { num_output: 5 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "drop" type: "Dropout" bottom: "a" top: "b" }
layer { name: "c" type: "InnerProduct" bottom: "b" top: "c"
  inner_product_param { num_output: 3 weight_filler { type: "gaussian" std: 1 } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "c" bottom: "label" top: "loss" }
"""


def test_backward_may_run_again():
    net = made(SAVING, seed=2)
    net.blobs["data"].data[...] = np.random.default_rng(0).standard_normal((2, 3, 4))
    net.forward()
    once = []
    for _ in range(3):
        net.clear_param_diffs()
        net.backward()
        once.append(net.flat_diff.copy())
    assert once[0].any()
    np.testing.assert_array_equal(once[0], once[1])
    np.testing.assert_array_equal(once[0], once[2])
    net.forward(0, 2)  # the layers above keep what they have saved
    net.clear_param_diffs()
    net.backward()
    np.testing.assert_array_equal(net.flat_diff, once[0])
