"""Fillers: the formulas exactly, the distributions by their moments."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import ShapeError, SpecError
from demitasse.layers.filler import FILLERS, check, fan, fill
from demitasse.netspec import parse_net
from demitasse.netspec.schema import enum_name

SHAPE = (64, 32, 3, 3)  # fan_in 288, fan_out 576


def filler(text):
    net = parse_net(f"layer {{ name: 'a' inner_product_param {{ weight_filler {{ {text} }} }} }}")
    return net.message.layer[0].inner_product_param.weight_filler


def filled(text, shape=SHAPE, dtype=np.float64, seed=0):
    array = np.full(shape, np.nan, dtype)
    fill(array, filler(text), np.random.default_rng(seed))
    assert np.isfinite(array).all()
    return array


def test_constant_is_the_default():
    assert not filled("").any()
    assert (filled("type: 'constant' value: -2.5") == -2.5).all()
    assert filled("value: 3", shape=()) == 3


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("type: 'uniform' min: -3 max: 3", 3),
        ("type: 'xavier'", (3 / 288) ** 0.5),
        ("type: 'xavier' variance_norm: FAN_OUT", (3 / 576) ** 0.5),
        ("type: 'xavier' variance_norm: AVERAGE", (3 / 432) ** 0.5),
    ],
)
def test_uniform_and_xavier(text, bound):
    values = filled(text)
    assert -bound <= values.min() < -0.99 * bound and 0.99 * bound < values.max() <= bound
    np.testing.assert_allclose(values.std(), bound / 3**0.5, rtol=0.02)
    assert abs(values.mean()) < 0.03 * bound


def test_xavier_of_the_unets_release_is_a_gaussian():
    for shape, fan_in in ((SHAPE, 288), ((1024, 64, 2, 2), 64 * 2 * 2), ((32, 512, 3, 3), 4608)):
        values = np.empty(shape)
        rng = np.random.default_rng(0)
        fill(values, filler("type: 'xavier'"), rng, caffe_unet_2015=True)
        sigma = (2 / fan_in) ** 0.5
        z = values.ravel() / sigma
        assert abs(z.mean()) < 4 / z.size**0.5 and abs(z.std() - 1) < 4 / (2 * z.size) ** 0.5
        assert abs((z**4).mean() - 3) < 4 * (96 / z.size) ** 0.5  # a uniform one has 9/5
        assert np.abs(z).max() > 3.5  # beyond the bound of the uniform one, sqrt(3/2)
        for share, within in ((0.6827, 1), (0.9545, 2)):
            assert abs((np.abs(z) < within).mean() - share) < 0.01


def test_the_switch_of_2015_leaves_other_fillers_alone():
    for text in ("type: 'uniform'", "type: 'gaussian' std: 0.1", "type: 'msra'"):
        values = np.empty(SHAPE)
        fill(values, filler(text), np.random.default_rng(0), caffe_unet_2015=True)
        np.testing.assert_array_equal(values, filled(text))


def test_uniform_is_by_default_from_0_to_1():
    values = filled("type: 'uniform'")
    assert values.min() >= 0 and values.max() <= 1 and abs(values.mean() - 0.5) < 0.01


@pytest.mark.parametrize(
    ("text", "mean", "std"),
    [
        ("type: 'gaussian'", 0, 1),
        ("type: 'gaussian' mean: 5 std: 0.25", 5, 0.25),
        ("type: 'msra'", 0, (2 / 288) ** 0.5),
        ("type: 'msra' variance_norm: FAN_OUT", 0, (2 / 576) ** 0.5),
        ("type: 'msra' variance_norm: AVERAGE", 0, (2 / 432) ** 0.5),
    ],
)
def test_gaussian_and_msra(text, mean, std):
    z = (filled(text) - mean) / std
    assert abs(z.mean()) < 0.03 and abs(z.std() - 1) < 0.02
    assert abs((z**4).mean() - 3) < 0.3  # a uniform one would have 1.8


def test_sparse_gaussian_keeps_that_many_inputs_of_each_output():
    values = filled("type: 'gaussian' sparse: 8")
    assert abs((values != 0).mean() - 8 / 64) < 0.01
    np.testing.assert_allclose(values[values != 0].std(), 1, rtol=0.05)
    assert not filled("type: 'gaussian' sparse: 0").any()


def test_positive_unitball():
    values = filled("type: 'positive_unitball'", shape=(5, 7, 2))
    np.testing.assert_allclose(values.sum(axis=(1, 2)), np.ones(5))
    assert values.min() >= 0 and len(np.unique(values)) > 60


@pytest.mark.parametrize(
    ("width", "row"),
    [(1, [1]), (2, [0.5, 0.5]), (3, [0.5, 1, 0.5]), (4, [0.25, 0.75, 0.75, 0.25])],
)
def test_bilinear(width, row):
    assert (filled("type: 'bilinear'", shape=(2, 3, width, width)) == np.outer(row, row)).all()


def test_fan_of_a_deconvolution_and_of_a_vector():
    assert fan((256, 64, 2, 2), 0) == 256  # (in, out, h, w): "fan_in" counts outputs
    assert fan((10,), 0) == 1 and fan((10,), 1) == 10 and fan((), 0) == 1
    assert enum_name(filler(""), "variance_norm") == "FAN_IN"


@pytest.mark.parametrize("kind", sorted(FILLERS))
def test_values_depend_on_the_stream_alone(kind):
    shape = (3, 400_000, 1, 1) if kind == "gaussian" else (8, 3, 5, 5)  # more than one draw
    one, two = (filled(f"type: '{kind}'", shape, seed=7) for _ in range(2))
    single = filled(f"type: '{kind}'", shape, np.float32, seed=7)
    assert (one == two).all()
    np.testing.assert_allclose(single, one, rtol=1e-5)
    if kind not in ("constant", "bilinear"):
        assert (one != filled(f"type: '{kind}'", shape, seed=8)).mean() > 0.9


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("type: 'xavir'", "unknown filler type 'xavir'. Did you mean xavier? Known fillers: const"),
        ("type: 'xavier' sparse: 3", "cannot be sparse"),
        ("type: 'gaussian' std: 0", "wants a positive std"),
        ("type: 'gaussian' sparse: 65", "expected sparse at most 64, found 65"),
        ("type: 'uniform' min: 1 max: 0", "found min 1.0, max 0.0"),
    ],
)
def test_refusals(text, words):
    with pytest.raises(SpecError) as caught:
        check(SHAPE, filler(text), where="net.prototxt:3:1")
    assert str(caught.value).startswith("net.prototxt:3:1: ") and words in str(caught.value)


def test_shapes_that_cannot_be_filled():
    for shape in [(3, 3), (1, 2, 3, 4), (1, 2, 3, 3, 3)]:
        with pytest.raises(SpecError, match="square two-dimensional"):
            check(shape, filler("type: 'bilinear'"))
    with pytest.raises(ShapeError, match="nothing to fill"):
        check((3, 0), filler(""))
