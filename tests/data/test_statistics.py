"""Statistics from parts are those of the whole image, however it was cut."""

import numpy as np
import pytest
from demitasse.data.normalize import Normalization
from demitasse.data.statistics import NEEDING, measured, merged
from demitasse.errors import ImageError

KINDS = ["uint8", "int8", "uint16", "int16", "int32", "float32", "float64"]


def image(kind, channels=1, shape=(41, 37)):
    rng = np.random.default_rng(3)
    values = rng.normal(20, 30, (channels, *shape))
    low, high = (0, 255) if kind[0] == "u" else (-128, 127)
    return np.clip(values, low, high).astype(kind)


def cut(whole, rows, columns):
    for y in range(0, whole.shape[1], rows):
        for x in range(0, whole.shape[2], columns):
            yield whole[:, y : y + rows, x : x + columns]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", [r for r in NEEDING if r != "percentile"])
@pytest.mark.parametrize("channels", [1, 3])
def test_fits_are_those_of_the_whole(kind, rule, channels):
    whole, chosen = image(kind, channels), Normalization(rule)
    expected = chosen.fit(whole)
    for size in ((41, 37), (10, 10), (1, 5)):
        found = merged(measured(part) for part in cut(whole, *size)).fit(chosen)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS[:4])
@pytest.mark.parametrize("low, high", [(1, 99), (0, 100), (12.5, 50)])
def test_percentiles_of_counted_values(kind, low, high):
    whole, rule = image(kind), Normalization("percentile", {"low": low, "high": high})
    found = merged(measured(part) for part in cut(whole, 7, 40)).fit(rule)
    np.testing.assert_allclose(found, rule.fit(whole), rtol=1e-12)


def test_statistics_of_counted_values_do_not_depend_on_the_cut_at_all():
    whole, rule = image("uint16"), Normalization("zscore")
    fits = {
        merged(measured(part) for part in cut(whole, *size)).fit(rule)
        for size in ((41, 37), (10, 3), (40, 36))
    }
    assert len(fits) == 1


def test_percentiles_of_uncounted_values_are_refused():
    with pytest.raises(ImageError, match="percentiles of an image this large"):
        measured(image("float32")).fit(Normalization("percentile"))


def test_what_is_not_finite_is_refused_or_left_out():
    whole = image("float32")
    whole[0, 0, :5] = np.nan
    with pytest.raises(ImageError, match=r"big\.zarr: 5 of"):
        measured(whole, where="big.zarr")
    rule = Normalization("zscore")
    parts = [measured(part, nonfinite="zero") for part in cut(whole, 1, 5)]
    assert parts[0].n == 0  # wholly NaN
    np.testing.assert_allclose(merged(parts).fit(rule), rule.fit(whole, nonfinite="zero"))
    assert merged(parts[:1]).fit(rule) == (0.0, 1.0)


def test_a_constant_image_is_not_divided_by_zero():
    whole = np.full((1, 9, 9), 7, np.uint8)
    assert merged(measured(p) for p in cut(whole, 4, 4)).fit(Normalization("zscore")) == (-7.0, 1.0)
