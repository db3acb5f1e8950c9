"""Every engine is within 3e-5 of double precision, for every 3x3 layer of the paper's net."""

from itertools import pairwise

import pytest
from demitasse.kernels.convolution import ACCURACY, COLUMNS, DIRECT, THIN, WINOGRAD


def pairs():
    wide = [64, 128, 256, 512, 1024]
    up = [(2 * a, a) for a in wide[:-1]]
    return [
        (1, 64),
        (64, 64),
        *pairwise(wide),
        *up,
        *((a, a) for a in wide[1:]),
    ]


@pytest.mark.parametrize(("inputs", "outputs"), pairs())
def test_an_engines_error(inputs, outputs):
    import _accuracy

    assert (inputs, outputs) in _accuracy.shapes(64) and ACCURACY == 3e-5
    size = _accuracy.OUTPUTS if inputs * outputs < 1 << 18 else 6  # large weights take long
    found = dict(_accuracy.errors(inputs, outputs, size, 1))
    assert {COLUMNS, WINOGRAD} <= set(found)
    for engine, errors in found.items():
        assert 0 < max(errors) <= ACCURACY, (engine, errors)
        assert engine != COLUMNS or max(errors) <= 3e-6


def test_all_engines_and_all_layers_take_part():
    pytest.importorskip("numba")
    import _accuracy

    assert set(pairs()) == set(_accuracy.shapes(64))
    first = {engine for engine, _ in _accuracy.errors(1, 64, 6, 1)}
    assert first == {COLUMNS, WINOGRAD, DIRECT, THIN}
