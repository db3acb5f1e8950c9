"""What another runtime's result is compared with."""

import numpy as np
from demitasse.export.check import difference, exact, examples, run
from demitasse.export.to_onnx import measured

from . import nets


def test_the_net_in_float64_is_the_same_net():
    net, inputs, found = nets.answered_model("unet3d_bn")
    expected = run(exact(net), inputs)
    assert {a.dtype.name for a in expected.values()} == {"float64"}
    for blob, array in found.items():
        assert 0 < difference(array, expected[blob]) < 1e-5


def test_the_net_in_float64_has_the_shapes_that_the_net_has_now():
    net = nets.model("unet-small")
    (blob,) = net.inputs
    (rule, _) = measured(net)
    net.reshape({blob: (2, 1, rule.smallest, rule.smallest + rule.step)})
    (array,) = run(exact(net), examples(net)).values()
    assert array.shape == next(iter(run(net, examples(net)).values())).shape


def test_a_difference_is_of_the_largest_expected_value():
    assert difference(np.array([1.0, 4.5]), np.array([1.0, 4.0])) == 0.125
    assert difference(np.zeros(2), np.zeros(3)) == np.inf
