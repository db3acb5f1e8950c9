"""Filter (in a net: tests/net/test_dynamic.py)."""

from __future__ import annotations

import re

import numpy as np
import pytest
from demitasse.errors import DemitasseError
from demitasse.layers.filter import Filter
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, context, layer
from .strategies import few, numbers, shapes


def filtering(blobs=1, tops=None):
    names = " ".join(f"bottom: 'x{i}'" for i in range(blobs)) + " bottom: 's' "
    names += " ".join(f"top: 'y{i}'" for i in range(blobs if tops is None else tops))
    return layer(f"type: 'Filter' {names}")


@few
@given(
    chosen=st.lists(st.sampled_from([0, 1, -0.5]), min_size=1, max_size=5),
    inner=st.lists(shapes(least=0, most=3, longest=3), min_size=1, max_size=3),
    axes=st.integers(0, 3),
)
def test_gradient(chosen, inner, axes):
    xs = [numbers((len(chosen), *shape), i) for i, shape in enumerate(inner)]
    selector = np.array(chosen, float).reshape(-1, *(1,) * axes)
    rig = check_gradient(Filter, filtering(len(xs)), [*xs, selector])
    for x, y in zip(xs, rig.forward(), strict=True):
        np.testing.assert_array_equal(y, x[np.array(chosen) != 0])


def test_nothing_selected():
    rig = Rig(Filter, filtering(), [np.ones((3, 2)), np.zeros(3)])
    (y,) = rig.forward()
    assert y.shape == (0, 2)
    (dx, _), _ = rig.backward([y])
    assert dx.shape == (3, 2) and not dx.any()


def test_all_items_are_planned_for():
    assert Filter(filtering(2), context()).shapes((4, 2), (4,), (4, 1)).tops == ((4, 2), (4,))


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (((4, 2), (4, 2), (4, 2)), "one number for each item.*found 's' of shape 4x2"),
        (((4, 2), (4, 2), ()), "found 's' of shape a single number"),
        (((4, 2), (3, 2), (4,)), r"items of 'x1' \(3x2\); expected 4 items, .*'s' has, found 3"),
        (((4, 2), (), (4,)), "items of 'x1' .*found no axis"),
    ],
)
def test_shapes_that_do_not_fit(shapes, words):
    with pytest.raises(DemitasseError) as caught:
        Filter(filtering(2), context(where="net:3:1")).shapes(*shapes)
    assert re.search(words, str(caught.value)) and str(caught.value).startswith("net:3:1: ")


def test_as_many_tops_as_bottoms_without_the_selector():
    with pytest.raises(DemitasseError, match=r"top for each bottom but the last.*2 tops, found 1"):
        Filter(filtering(2, tops=1), context())
