from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import ShapeError, SpecError
from demitasse.kernels.strips import LENGTH
from demitasse.layers.lrn import LRN
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, layer
from .strategies import few, numbers, shapes


def spec(**fields):
    text = " ".join(f"{k}: {v}" for k, v in fields.items())
    return layer(f"type: 'LRN' lrn_param {{ {text} }}")


def expected(x, size, alpha, beta, k, axes):
    """Straight from the definition: a window around every element, zeros outside."""
    half = (size - 1) // 2
    squares = np.pad(x**2, [(half, half) if a in axes else (0, 0) for a in range(x.ndim)])
    views = np.lib.stride_tricks.sliding_window_view(squares, (size,) * len(axes), axes)
    total = views.sum(axis=tuple(range(x.ndim, x.ndim + len(axes))))
    return x * (k + alpha / size ** len(axes) * total) ** -beta


numbers_of = st.tuples(
    st.sampled_from([1, 3, 5, 9]),
    st.sampled_from([1, 0.5, 2]),
    st.sampled_from([0.75, 0.5, 1, 0, -0.5]),
    st.sampled_from([1, 2]),
)


@few
@given(shape=shapes(2, 5, 4), param=numbers_of)
def test_across_channels(shape, param):
    size, alpha, beta, k = param
    x = numbers(shape)
    rig = check_gradient(LRN, spec(local_size=size, alpha=alpha, beta=beta, k=k), [x])
    np.testing.assert_allclose(rig.forward()[0], expected(x, *param, (1,)), rtol=1e-12)


@few
@given(shape=shapes(3, 5, 4), param=numbers_of)
def test_within_a_channel_k_is_1(shape, param):
    size, alpha, beta, k = param
    fields = {"local_size": size, "alpha": alpha, "beta": beta, "k": k}
    x = numbers(shape)
    rig = check_gradient(LRN, spec(norm_region="WITHIN_CHANNEL", **fields), [x])
    want = expected(x, size, alpha, beta, 1, tuple(range(2, x.ndim)))
    np.testing.assert_allclose(rig.forward()[0], want, rtol=1e-12)


def test_defaults():
    x = numbers((2, 7, 3))
    np.testing.assert_allclose(
        Rig(LRN, spec(), [x]).forward()[0], expected(x, 5, 1, 0.75, 1, (1,)), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("shape", "region"),
    [
        ((2, 6, LENGTH // 5, 3), "ACROSS_CHANNELS"),  # parts of the places
        ((LENGTH // 4, 6, 2), "ACROSS_CHANNELS"),  # several images at once
        ((1, LENGTH + 3, 2), "ACROSS_CHANNELS"),  # more channels than a strip is long
        ((2, 3, 90, 100), "WITHIN_CHANNEL"),
        ((1, 2, 150, 150), "WITHIN_CHANNEL"),
    ],
)
def test_more_than_one_part(shape, region):
    x, dy = numbers(shape), numbers(shape, 1)
    results = []
    for dtype in (np.float32, np.float64):
        rig = Rig(LRN, spec(norm_region=region, alpha=0.5), [x.astype("f4")], dtype=dtype)
        results.append([rig.forward()[0], rig.backward([dy.astype("f4")])[0][0]])
    axes = (1,) if region == "ACROSS_CHANNELS" else (2, 3)
    want = expected(x.astype("f4").astype("f8"), 5, 0.5, 0.75, 1, axes)
    np.testing.assert_allclose(results[1][0], want, rtol=1e-12)
    for got, exact in zip(*results, strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-4, atol=1e-5)


def test_scratch_does_not_grow_with_the_blob():
    layer_ = Rig(LRN, spec(), [np.zeros((1, 2, 1))]).layer
    assert layer_.shapes((8, 96, 55, 55)).scratch <= 3 * LENGTH


def test_refusals():
    for size in (0, 4):
        with pytest.raises(SpecError, match=rf"a middle; expected an odd local_size, found {size}"):
            Rig(LRN, spec(local_size=size), [np.zeros((1, 2, 3, 3))])
    with pytest.raises(ShapeError, match=r"no channels to normalize over; expected 2 axes"):
        Rig(LRN, spec(), [np.zeros(3)])
    with pytest.raises(ShapeError, match=r"no spatial axes to normalize over; expected 3 axes"):
        Rig(LRN, spec(norm_region="WITHIN_CHANNEL"), [np.zeros((2, 3))])
