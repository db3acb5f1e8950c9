"""Spatial pyramid pooling."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import ShapeError, SpecError
from demitasse.layers.pooling import Pooling
from demitasse.layers.spp import SPP
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, context, layer
from .strategies import few, numbers


def spp(param):
    return layer(f"type: 'SPP' spp_param {{ {param} }}")


def sizes(levels):
    """Sizes that so many levels can pool: padding stays below the kernel."""
    fine = [
        n
        for n in range(1, 14)
        if all((-(-n // b) * b - n + 1) // 2 < -(-n // b) for b in (2**i for i in range(levels)))
    ]
    return st.sampled_from(fine)


@pytest.mark.parametrize("method", ["MAX", "AVE"])
@few
@given(levels=st.integers(1, 3), n=st.integers(1, 2), c=st.integers(1, 3), data=st.data())
def test_gradient_and_each_level_is_a_pooling(method, levels, n, c, data):
    h, w = data.draw(sizes(levels)), data.draw(sizes(levels))
    # values at least 0.01 apart, so that no step changes which one is the maximum
    x = np.random.default_rng(0).permutation(n * c * h * w).reshape(n, c, h, w) * 0.01
    rig = check_gradient(SPP, spp(f"pyramid_height: {levels} pool: {method}"), [x])
    (y,) = rig.forward()
    assert y.shape == ((n, c, 1, 1) if levels == 1 else (n, c * sum(4**i for i in range(levels))))
    parts = []
    for bins in (2**i for i in range(levels)):
        kernel = [-(-s // bins) for s in (h, w)]
        text = "".join(
            f"kernel_{a}: {k} stride_{a}: {k} pad_{a}: {(k * bins - s + 1) // 2} "
            for a, k, s in zip("hw", kernel, (h, w), strict=True)
        )
        pool = layer(f"type: 'Pooling' pooling_param {{ pool: {method} {text} }}")
        parts.append(Rig(Pooling, pool, [x]).forward()[0].reshape(n, -1))
    np.testing.assert_array_equal(y.reshape(n, -1), np.concatenate(parts, 1))


def test_single_precision():
    x = numbers((3, 2, 9, 13)).astype(np.float32)
    spec = spp("pyramid_height: 3 pool: AVE")
    one = Rig(SPP, spec, [x], dtype=np.float32)
    two = Rig(SPP, spec, [x])
    np.testing.assert_allclose(one.forward()[0], two.forward()[0], rtol=1e-5, atol=1e-6)
    dy = numbers((3, 42))
    (a,), _ = one.backward([dy])
    (b,), _ = two.backward([dy])
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_refusals():
    where = context(where="net:3:1")
    for param, words in (
        ("", "no levels; expected pyramid_height: 1 or more, found none"),
        ("pyramid_height: 0", "found 0"),
        ("pyramid_height: 2 pool: STOCHASTIC", "STOCHASTIC .* expected MAX or AVE"),
    ):
        with pytest.raises(SpecError, match=rf"net:3:1: layer 'test' \(SPP\).*{words}"):
            SPP(spp(param), where)
    for shape, words in (
        ((2, 3, 4), "4 axes: .*found shape 2x3x4"),
        ((2, 3, 8, 5), "too many levels for its bottom 'x'; expected .*4 windows.*found 8x5"),
        ((2, 3, 1, 8), "too many levels"),
    ):
        with pytest.raises(ShapeError, match=words):
            SPP(spp("pyramid_height: 3"), where).shapes(shape)
