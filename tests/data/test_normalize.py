"""Normalisation: the formulas, and the images that break naive ones."""

import numpy as np
import pytest
from demitasse.data.normalize import NAMES, Normalization
from demitasse.errors import DataError, ImageError


@pytest.fixture
def image():
    return np.random.default_rng(1).integers(20, 230, (1, 30, 40)).astype(np.uint8)


def test_zscore_has_mean_0_and_deviation_1(image):
    y = Normalization("zscore")(image)
    assert y.dtype == np.float32
    assert y.mean() == pytest.approx(0, abs=1e-5)
    assert y.std() == pytest.approx(1, abs=1e-5)


def test_minmax_fills_0_to_1(image):
    y = Normalization("minmax")(image)
    assert (y.min(), y.max()) == (0, pytest.approx(1))


def test_depth_divides_by_the_types_range(image):
    np.testing.assert_allclose(Normalization("depth")(image), image / 255, rtol=1e-6)
    wide = image.astype(np.uint16) * 200
    np.testing.assert_allclose(Normalization("depth")(wide), wide / 65535, rtol=1e-6)
    np.testing.assert_array_equal(Normalization("depth")(image.astype(np.float32)), image)


def test_max_divides_by_the_greatest_norm_over_the_channels():
    rgb = np.zeros((3, 2, 2))
    rgb[:, 1, 0] = [3, 4, 12]
    rgb[0, 0, 0] = 10
    assert Normalization("max")(rgb)[2, 1, 0] == pytest.approx(12 / 13)


def test_percentile_ignores_a_hot_pixel(image):
    hot = image.copy()
    hot[0, 3, 3] = 255
    a, b = (Normalization("percentile", {"low": 2, "high": 98})(i) for i in (image, hot))
    a[0, 3, 3] = b[0, 3, 3] = 0
    np.testing.assert_allclose(a, b, atol=0.02)
    assert np.percentile(a, 2) == pytest.approx(0, abs=0.02)
    assert np.percentile(a, 98) == pytest.approx(1, abs=0.02)


def test_channels_are_pooled():
    two = np.stack([np.full((4, 4), 10.0), np.full((4, 4), 30.0)])
    y = Normalization("zscore")(two)
    assert y[0, 0, 0] == pytest.approx(-1)
    assert y[1, 0, 0] == pytest.approx(1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, 7, 255])
def test_a_constant_image_stays_finite(name, value):
    y = Normalization(name)(np.full((1, 5, 5), value, np.uint8))
    assert np.isfinite(y).all()
    assert np.ptp(y) == 0
    if name in ("zscore", "minmax", "percentile"):
        assert (y == 0).all()


def test_a_constant_float_image_is_not_blown_up_by_rounding():
    y = Normalization("zscore")(np.full((1, 333, 333), 0.1, np.float32))
    assert np.abs(y).max() < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_tiles_have_the_values_they_have_in_the_whole(name, image):
    rule = Normalization(name)
    offset_scale = rule.fit(image)
    np.testing.assert_array_equal(
        rule.apply(image[:, 4:9, 6:20], *offset_scale), rule(image)[:, 4:9, 6:20]
    )


def test_32_bit_integers_keep_their_digits():
    image = np.array([[[2**31 - 3, 2**31 - 2, 2**31 - 1]]], np.uint32)
    np.testing.assert_allclose(Normalization("minmax")(image), [[[0, 0.5, 1]]])


def test_nonfinite_pixels_are_refused_with_count_and_place(image):
    bad = image.astype(np.float32)
    bad[0, 7, 11] = np.nan
    bad[0, 9, 2] = np.inf
    with pytest.raises(ImageError, match=r"a\.tif: 2 of 1200 pixels.*nan at channel 0, y 7, x 11"):
        Normalization()(bad, where="a.tif")


@pytest.mark.parametrize("name", NAMES)
def test_nonfinite_pixels_may_become_0_and_leave_the_statistics_alone(name, image):
    good = image.astype(np.float32)
    bad = good.copy()
    bad[0, 7, 11], bad[0, 0, 0] = np.nan, -np.inf
    y = Normalization(name)(bad, nonfinite="zero")
    assert np.isfinite(y).all()
    assert y[0, 7, 11] == y[0, 0, 0] == 0
    rest = Normalization(name)(good)
    np.testing.assert_allclose(y[0, 10:], rest[0, 10:], atol=0.02)


def test_an_image_of_nan_only_becomes_0():
    y = Normalization("minmax")(np.full((1, 2, 2), np.nan), nonfinite="zero")
    assert (y == 0).all()


@pytest.mark.parametrize(
    "rule",
    [Normalization(), Normalization("none"), Normalization("percentile", {"low": 3.5, "high": 97})],
)
def test_json_gives_back_the_rule(rule):
    assert Normalization.from_json(rule.to_json()) == rule
    assert Normalization.from_json(rule.to_json().encode()) == rule


def test_a_bare_name_is_understood():
    assert Normalization.from_json("minmax") == Normalization("minmax")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", '{"name": 3}', '{"name": "zscore", "parameters": 1}', b"\xff"]
)
def test_other_text_is_refused(text):
    with pytest.raises(DataError, match=r"^a\.h5: a normalization is not written as it should be"):
        Normalization.from_json(text, "a.h5")


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(DataError, match=r"^a\.h5: there is no normalization 'zscor'"):
        Normalization.from_json('{"name": "zscor"}', "a.h5")
    with pytest.raises(DataError, match=r"no normalization .zscor.*Did you mean zscore"):
        Normalization("zscor")


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("zscore", {"low": 1}, "has no parameter 'low'"),
        ("percentile", {"lo": 1}, "has no parameter 'lo'"),
        ("percentile", {"low": 60, "high": 40}, "do not enclose"),
        ("percentile", {"high": 101}, "do not enclose"),
        ("percentile", {"high": float("nan")}, "do not enclose"),
        ("percentile", {"high": "9"}, "is not a number"),
    ],
)
def test_wrong_parameters_are_refused(name, parameters, words):
    with pytest.raises(DataError, match=words):
        Normalization(name, parameters)
