"""Fitted exponents."""

import _fit
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(deadline=None)
@given(exponent=st.floats(-3, 3), factor=st.floats(1e-3, 1e3))
def test_a_law_is_found_again(exponent, factor):
    x = [188, 284, 572, 1084]
    found = _fit.power(x, [factor * v**exponent for v in x])
    assert found.exponent == pytest.approx(exponent, abs=1e-6)
    assert found.factor == pytest.approx(factor, rel=1e-4)
    assert found.spread == pytest.approx(1, abs=1e-6)


def test_the_spread_is_the_worst_point():
    found = _fit.power([1, 2, 4, 8], [1, 2, 8, 8])
    assert 1.4 < found.spread < 1.8
    assert str(_fit.power([1, 2], [3, 12])) == "^2.00 (within 0 %)"


@pytest.mark.parametrize("x, y", [([2, 2], [1, 3]), ([1], [1]), ([1, 2], [0, 1]), ([0, 2], [1, 1])])
def test_what_has_no_law_is_refused(x, y):
    with pytest.raises(ValueError, match="two different positive points"):
        _fit.power(x, y)


def test_growth_finds_constant_and_exponent():
    x = [188, 284, 380, 572, 1084]
    found = _fit.growth(x, [300 + 0.002 * v**1.97 for v in x])
    assert found.exponent == pytest.approx(1.97, abs=0.011)
    assert found.constant == pytest.approx(300, rel=0.01)
    assert found.spread < 1.001
    assert _fit.growth(x, [5 * v for v in x]).constant == pytest.approx(0, abs=1)
    with pytest.raises(ValueError, match="four different positive points"):
        _fit.growth(x[:3], x[:3])
