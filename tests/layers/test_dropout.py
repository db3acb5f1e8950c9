"""Dropout: the same masks always, and the right number of them."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import SpecError
from demitasse.kernels import dropout as kernel
from demitasse.layers.dropout import Dropout
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, context, layer
from .strategies import few, numbers, shapes


def spec(ratio=0.5, in_place=False):
    top = "x" if in_place else "y"
    return layer(
        f"type: 'Dropout' bottom: 'x' top: '{top}' dropout_param {{ dropout_ratio: {ratio} }}"
    )


def ones(count=1000, **settings):
    return Rig(Dropout, spec(settings.pop("ratio", 0.5)), [np.ones(count)], **settings)


@few
@given(shape=shapes(), ratio=st.sampled_from([0, 0.3, 0.5]), in_place=st.booleans())
def test_gradient(shape, ratio, in_place):
    for phase in ("TRAIN", "TEST"):
        x = numbers(shape)
        check_gradient(Dropout, spec(ratio, in_place), [x], in_place=in_place, phase=phase)


@pytest.mark.parametrize("ratio", [0.1, 0.5, 0.9])
def test_kept_elements_are_scaled_and_as_many_as_they_should(ratio):
    n = 100_000
    (y,) = ones(n, ratio=ratio).forward()
    kept = y != 0
    np.testing.assert_allclose(y[kept], 1 / (1 - ratio), rtol=1e-6)
    assert abs(kept.mean() - (1 - ratio)) < 5 * np.sqrt(ratio * (1 - ratio) / n)


def test_every_pass_and_layer_and_seed_has_a_mask_of_its_own():
    rig = ones()
    masks = [rig.forward()[0] for _ in range(2)]
    masks += [ones(index=9).forward()[0], ones(seed=8).forward()[0]]
    for i in range(4):
        for j in range(i):
            assert 300 < np.count_nonzero(masks[i] != masks[j]) < 700


def test_the_state_is_the_number_of_passes():
    one, other = ones(), ones()
    for _ in range(3):
        one.forward()
    assert one.layer.state() == {"forwards": 3}
    other.layer.load_state(one.layer.state())
    np.testing.assert_array_equal(one.forward(), other.forward())


def test_backward_takes_the_mask_of_the_last_forward():
    rig = ones()
    (y,) = rig.forward()
    (dx,), _ = rig.backward([np.ones(1000)])
    np.testing.assert_array_equal(dx, y)


def test_test_phase_copies_and_saves_nothing():
    rig = ones(phase="TEST")
    assert rig.forward()[0].tolist() == [1.0] * 1000
    assert rig.shapes.saved == () and rig.layer.state() == {}


def test_a_mask_does_not_depend_on_how_it_is_drawn():
    """Long masks are drawn in parts; they must be the stream's bits from the start."""
    n, p = 2 * kernel.WORDS + 5, 0.25
    mask = np.full(n, 9, np.uint8)
    kernel.draw(mask, p, np.array([5, 0, 0, 0, 0, 0], np.uint64))
    raw = np.random.Philox(key=5).random_raw(n // 2 + 1)
    bits = np.stack([raw & 0xFFFFFFFF, raw >> 32], axis=1).reshape(-1)[:n]
    np.testing.assert_array_equal(mask, bits <= p * (2**32 - 1))


@pytest.mark.parametrize("ratio", [1, -0.1, 7])
def test_impossible_ratios_are_refused(ratio):
    with pytest.raises(SpecError, match="impossible dropout_ratio"):
        Dropout(spec(ratio), context())
