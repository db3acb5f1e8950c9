"""Every layer of a 3-D U-Net on (batch, channels, depth, height, width): values and gradients."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.layers.batch_norm import BatchNorm
from demitasse.layers.concat import Concat
from demitasse.layers.convolution import Convolution
from demitasse.layers.crop import Crop
from demitasse.layers.deconvolution import Deconvolution
from demitasse.layers.dropout import Dropout
from demitasse.layers.pooling import Pooling
from demitasse.layers.relu import ReLU
from demitasse.layers.scale import Scale
from demitasse.layers.softmax_with_loss import SoftmaxWithLoss
from scipy.signal import correlate

from .driver import Rig, check_gradient, layer
from .strategies import numbers

X = numbers((2, 2, 4, 5, 6))


@pytest.mark.parametrize("kernel", ["kernel_size: 3", "kernel_size: [1, 3, 3]"])
def test_convolution(kernel):
    text = f"type: 'Convolution' convolution_param {{ num_output: 3 {kernel} }}"
    rig = check_gradient(Convolution, layer(text), [X])
    (y,) = rig.forward()
    w, b = rig.params
    want = sum(correlate(X[1, c], w[2, c], "valid") for c in range(2)) + b[2]
    np.testing.assert_allclose(y[1, 2], want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("size", ["2", "[1, 2, 2]"])
def test_up_convolution(size):
    text = f"type: 'Deconvolution' convolution_param {{ num_output: 3 kernel_size: {size} stride: {size} }}"  # noqa: E501
    rig = check_gradient(Deconvolution, layer(text), [X])
    (y,) = rig.forward()
    w, b = rig.params
    depth = 2 if size == "2" else 1
    assert y.shape == (2, 3, 4 * depth, 10, 12)
    want = (X[1, :, 3, 2, 4] * w[:, 2, depth - 1, 1, 0]).sum() + b[2]
    np.testing.assert_allclose(y[1, 2, 3 * depth + depth - 1, 5, 8], want, rtol=1e-12)


@pytest.mark.parametrize(("size", "cells"), [("2", (2, 2, 2)), ("[1, 2, 2]", (1, 2, 2))])
def test_pooling(size, cells):
    x = np.random.default_rng(0).permutation(2 * 3 * 4 * 4 * 6).reshape(2, 3, 4, 4, 6) / 10
    text = f"type: 'Pooling' pooling_param {{ pool: MAX kernel_size: {size} stride: {size} }}"
    (y,) = check_gradient(Pooling, layer(text), [x]).forward()
    a, b, c = cells
    want = x.reshape(2, 3, 4 // a, a, 4 // b, b, 6 // c, c).max((3, 5, 7))
    np.testing.assert_array_equal(y, want)


def test_crop():
    text = "type: 'Crop' bottom: 'x' bottom: 'like' crop_param { axis: 2 offset: [1, 0, 2] }"
    (y,) = check_gradient(Crop, layer(text), [X, numbers((2, 7, 2, 5, 3))]).forward()
    np.testing.assert_array_equal(y, X[:, :, 1:3, :, 2:5])


def test_concat_of_a_middle():
    small = numbers((2, 3, 2, 3, 6))
    text = "type: 'Concat' bottom: 'a' bottom: 'b'"
    (y,) = check_gradient(Concat, layer(text), [small, X]).forward()
    np.testing.assert_array_equal(y, np.concatenate([small, X[:, :, 1:3, 1:4, :]], 1))


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_batch_norm_by_the_tile_in_both_phases(phase):
    message = layer("type: 'BatchNorm' batch_norm_param { use_global_stats: false }")
    x = 3 * X[:1] + 1
    rig = check_gradient(BatchNorm, message, [x], phase=phase, constants=(0, 1, 2))
    (y,) = rig.forward()
    np.testing.assert_allclose(y.mean((0, 2, 3, 4)), 0, atol=1e-12)
    np.testing.assert_allclose(y.var((0, 2, 3, 4)), 1, rtol=1e-4)


def test_scale_and_rectifier():
    text = "type: 'Scale' scale_param { bias_term: true }"
    rig = check_gradient(Scale, layer(text), [X])
    (y,) = rig.forward()
    s, b = (p.reshape(2, 1, 1, 1) for p in rig.params)
    np.testing.assert_allclose(y, s * X + b, rtol=1e-12)
    text = "type: 'ReLU' relu_param { negative_slope: 0.1 }"
    (y,) = check_gradient(ReLU, layer(text), [X], kinks=[0.0]).forward()
    np.testing.assert_allclose(y, np.where(X > 0, X, np.float32(0.1) * X), rtol=1e-6)


def test_dropout():
    text = "type: 'Dropout' dropout_param { dropout_ratio: 0.5 }"
    check_gradient(Dropout, layer(text), [X])
    (y,) = Rig(Dropout, layer(text), [X]).forward()
    assert set(np.unique(np.round(y / X, 9))) == {0, 2}


def test_weighted_loss_with_ignored_voxels():
    rng = np.random.default_rng(1)
    scores, labels = rng.standard_normal((1, 3, 2, 3, 4)), rng.integers(0, 3, (1, 1, 2, 3, 4))
    weights = rng.uniform(0, 5, (1, 1, 2, 3, 4))
    labels[0, 0, 1, :2] = 255
    text = (
        "type: 'SoftmaxWithLoss' bottom: 'x' bottom: 'l' bottom: 'w' loss_param {ignore_label: 255}"
    )
    (loss,) = check_gradient(SoftmaxWithLoss, layer(text), [scores, labels, weights]).forward()
    prob = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    seen = labels[:, 0] != 255
    true = np.take_along_axis(prob, np.where(seen, labels[:, 0], 0)[:, None], 1)[:, 0]
    w = weights[:, 0] * seen
    np.testing.assert_allclose(loss, -(w * np.log(true)).sum() / w.sum(), rtol=1e-6)
