"""Slice."""

from __future__ import annotations

import re

import numpy as np
import pytest
from demitasse.errors import DemitasseError, SpecError
from demitasse.layers.slice import Slice
from hypothesis import given
from hypothesis import strategies as st

from .driver import check_gradient, context, layer
from .strategies import few, numbers, shapes


def cut(param="", tops=2):
    names = " ".join(f"top: 'y{i}'" for i in range(tops))
    return layer(f"type: 'Slice' {names} slice_param {{ {param} }}")


@few
@given(shape=shapes(), widths=st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_gradient_and_pieces_of_given_ends(shape, widths):
    points = np.cumsum(widths)[:-1].tolist()
    for axis in {0, len(shape) - 1, -1}:
        whole = numbers((*shape[:axis], sum(widths), *shape[axis % len(shape) + 1 :]))
        param = f"axis: {axis} " + " ".join(f"slice_point: {p}" for p in points)
        rig = check_gradient(Slice, cut(param, len(widths)), [whole])
        for y, part in zip(rig.forward(), np.split(whole, points, axis), strict=True):
            np.testing.assert_array_equal(y, part)


@few
@given(shape=shapes(least=2), pieces=st.integers(1, 4))
def test_gradient_and_pieces_of_equal_size(shape, pieces):
    whole = numbers((shape[0], pieces * shape[1], *shape[2:]))
    for param in ("", "slice_dim: 1"):
        rig = check_gradient(Slice, cut(param, pieces), [whole])
        for y, part in zip(rig.forward(), np.split(whole, pieces, 1), strict=True):
            np.testing.assert_array_equal(y, part)


@pytest.mark.parametrize(
    ("param", "tops", "words"),
    [
        ("axis: 1 slice_dim: 1", 2, "both axis and slice_dim.*Keep axis"),
        ("slice_point: 1", 3, "wrong number of slice_points; expected 2, .*found 1"),
        ("slice_point: 1 slice_point: 2", 2, "expected 1, between its 2 tops, or none, found 2"),
        ("slice_point: 2 slice_point: 2", 3, "do not rise.*1 to 5, .*found 2, 2"),
        ("slice_point: 0", 2, "do not rise"),
        ("slice_point: 6", 2, "too small .* axis 1 ends .*; expected at least 7, found 6"),
        ("slice_point: 2 slice_point: 9", 3, "too small .*; expected at least 10, found 6"),
        ("", 4, "axis 1 .* into 4 equal pieces; expected a multiple of 4, found 6"),
        ("axis: 3", 2, "axis 3"),
        ("slice_dim: 3", 2, "axis 3"),
        ("axis: -4", 2, "axis -4"),
    ],
)
def test_refusals(param, tops, words):
    with pytest.raises(DemitasseError) as caught:
        Slice(cut(param, tops), context(where="net:3:1")).shapes((2, 6, 4))
    message = str(caught.value)
    assert re.search(words, message), message
    assert "layer 'test' (Slice)" in message and message.startswith("net:3:1: ")


def test_what_contradicts_itself_is_refused_before_shapes_are_known():
    with pytest.raises(SpecError):
        Slice(cut("slice_point: 1 slice_point: 2"), context())
