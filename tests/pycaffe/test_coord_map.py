"""Offsets of crops, from nets written in Python; checked against where pixels really go."""

import numpy as np
import pytest
from demitasse import pycaffe as caffe
from demitasse.pycaffe import layers as L
from demitasse.pycaffe.coord_map import (
    AxisMismatchException,
    compose,
    coord_map_from_to,
    crop,
    inverse,
)
from hypothesis import assume, given, settings
from hypothesis import strategies as st


def u_net(kernel, pad, pool, size=40):
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=[1, 1, size, size]))
    weight = dict(type="constant", value=1)
    n.conv = L.Convolution(n.data, num_output=1, kernel_size=kernel, pad=pad, weight_filler=weight)
    n.pool = L.Pooling(n.conv, pool=1, kernel_size=pool, stride=pool)
    up = dict(num_output=1, kernel_size=2 * pool, stride=pool, weight_filler=weight)
    n.up = L.Deconvolution(n.pool, convolution_param=up)
    return n


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([1, 3, 5]), st.integers(0, 12), st.sampled_from([1, 2, 4]))
def test_a_crop_puts_the_centre_of_a_response_on_its_pixel(kernel, pad, pool):
    n = u_net(kernel, pad, pool)
    try:
        n.crop = crop(n.up, n.data)
    except AssertionError as refusal:
        assume(not str(refusal))  # some nets have no whole or no positive offset
        raise
    (offset,) = n.crop.fn.params["crop_param"]["offset"]
    # averaged over all places in a pool, a point at x answers symmetrically around offset + x
    centres = []
    for x in range(16, 16 + pool):
        line = np.zeros(40 + 2 * pad)
        line[pad + x] = 1
        conv = np.convolve(line, np.ones(kernel), "valid")
        pooled = conv[: len(conv) // pool * pool].reshape(-1, pool).mean(axis=1)
        up = np.zeros(pool * (len(pooled) - 1) + 2 * pool)
        for i, value in enumerate(pooled):
            up[i * pool : i * pool + 2 * pool] += value
        centres.append((up * np.arange(len(up))).sum() / up.sum() - x)
    assert np.mean(centres) == pytest.approx(offset)


def test_maps_of_single_layers():
    data = L.Input(shape=dict(dim=[1, 1, 9, 9]))
    conv = L.Convolution(data, kernel_size=5, stride=2, pad=1, dilation=2)
    axis, scale, shift = coord_map_from_to(conv, data)
    assert (axis, scale.tolist(), shift.tolist()) == (1, [2], [3])
    assert coord_map_from_to(L.ReLU(data), data) == (None, 1, 0)
    cut = L.Crop(conv, data, offset=[1, 4])
    assert coord_map_from_to(cut, conv)[2].tolist() == [1, 4]


def test_maps_compose_and_invert():
    a, b = (1, 2.0, 3.0), (None, 0.5, -1.0)
    assert compose(a, b) == (1, 1.0, 1.0)
    assert compose(a, inverse(a)) == (1, 1.0, 0.0)
    with pytest.raises(AxisMismatchException):
        compose(a, (2, 1, 0))


def test_a_crop_takes_its_reference_from_its_second_bottom_only_in_size():
    n = u_net(3, 0, 2)
    other = L.InnerProduct(n.data, num_output=3)
    assert coord_map_from_to(L.Crop(n.up, other), n.data)[0] == 1


@pytest.mark.parametrize(
    "make, error, says",
    [
        (lambda n: L.InnerProduct(n.up, num_output=1), RuntimeError, "Could not compute map"),
        (lambda n: L.Pooling(n.up, kernel_size=2, stride=2), AssertionError, "scale mismatch"),
        (lambda n: L.Crop(n.up, n.data, offset=30), AssertionError, "negative offset"),
        (lambda n: L.Convolution(n.up, kernel_size=2), AssertionError, "noninteger offset"),
        (lambda n: L.Convolution(n.up, kernel_h=2), AssertionError, "legacy _h/_w"),
    ],
)
def test_what_cannot_be_cropped_is_refused(make, error, says):
    n = u_net(3, 6, 2)
    with pytest.raises(error, match=says):
        crop(make(n), n.data)
