"""Layers that only move data: Split, Silence, Crop, Concat."""

from __future__ import annotations

import re

import numpy as np
import pytest
from demitasse.errors import DemitasseError, ShapeError, SpecError
from demitasse.kernels.workers import Workers
from demitasse.layers.base import Blob
from demitasse.layers.concat import Concat
from demitasse.layers.crop import Crop
from demitasse.layers.silence import Silence
from demitasse.layers.split import Split
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, context, layer
from .strategies import few, numbers, shapes


def split(tops=3):
    return layer("type: 'Split' " + " ".join(f"top: 'y{i}'" for i in range(tops)))


def crop(param=""):
    spec = layer(f"type: 'Crop' bottom: 'data' bottom: 'like' crop_param {{ {param} }}")
    return Crop(spec, context(where="net:3:1"))


def concat(param="", bottoms=2):
    names = " ".join(f"bottom: 'x{i}'" for i in range(bottoms))
    return layer(f"type: 'Concat' {names} concat_param {{ {param} }}")


# -- Split, Silence


@few
@given(shape=shapes(), tops=st.integers(1, 4))
def test_split_gradient(shape, tops):
    rig = check_gradient(Split, split(tops), [numbers(shape)])
    assert all(top.data is rig.bottom[0].data for top in rig.top)


def test_split_leaves_out_readers_without_a_gradient_and_may_sum_in_place():
    rig = Rig(Split, split(4), [np.zeros(2)])
    rig.forward()
    for i, top in enumerate(rig.top):
        top.diff = np.full(2, 10.0**i) if i != 1 else None
    rig.bottom[0].diff = rig.top[0].diff  # as the net may place it
    rig.layer.backward(rig.top, [True], rig.bottom)
    np.testing.assert_array_equal(rig.bottom[0].diff, 1101)


def test_split_without_any_gradient_gives_zero():
    rig = Rig(Split, split(2), [np.zeros(2)])
    rig.top[0].diff = rig.top[1].diff = None
    rig.bottom[0].diff[...] = np.nan
    rig.layer.backward(rig.top, [True], rig.bottom)
    assert not rig.bottom[0].diff.any()


def test_silence_gives_no_gradient():
    spec = layer("type: 'Silence' bottom: 'a' bottom: 'b' top: 'y'")
    del spec.top[:]
    rig = Rig(Silence, spec, [np.ones(2), np.ones(3)])
    rig.forward()
    (a, b), _ = rig.backward([], [True, False])
    assert not a.any() and b is None


# -- Crop


@st.composite
def crops(draw):
    shape = draw(shapes(longest=6))
    axis = draw(st.integers(0, len(shape) - 1))
    like = [draw(st.integers(1, n)) for n in shape]
    offsets = [draw(st.integers(0, n - m)) for n, m in zip(shape, like, strict=True)][axis:]
    return shape, tuple(like), axis, offsets


@few
@given(case=crops())
def test_crop_gradient(case):
    shape, like, axis, offsets = case
    param = f"axis: {axis} " + " ".join(f"offset: {o}" for o in offsets)
    x = numbers(shape)
    rig = check_gradient(Crop, crop(param).spec, [x, np.full(like, np.nan)])
    part = tuple(slice(o, o + n) for o, n in zip(offsets, like[axis:], strict=True))
    np.testing.assert_array_equal(rig.forward()[0], x[(slice(None),) * axis + part])


def test_threads_share_the_gradient_of_a_large_part(monkeypatch):
    monkeypatch.setattr("demitasse.layers.crop.LARGE", 1)
    dy, found = numbers((2, 5, 4, 3)), []
    for threads in (1, 2, 7):
        spec = layer("type: 'Crop' bottom: 'data' bottom: 'like' crop_param { offset: 2 }")
        one = Crop(spec, context(workers=Workers(threads)))
        dx = numbers((2, 5, 8, 7), seed=1)
        one.add(Blob(dy, dy), Blob(dx, dx))
        found.append(dx)
    expected = numbers((2, 5, 8, 7), seed=1)
    expected[:, :, 2:6, 2:5] += dy
    for dx in found:
        np.testing.assert_array_equal(dx, expected)


def test_crop_defaults_are_the_corner_of_the_axes_from_the_third_on():
    assert crop().offsets(4) == (0, 0, 0, 0)
    assert crop("offset: 4").offsets(4) == (0, 0, 4, 4)
    assert crop("axis: -1 offset: 4").offsets(4) == (0, 0, 0, 4)
    assert crop().shapes((2, 3, 8, 9), (1, 7, 5, 6)).tops == ((2, 3, 5, 6),)


@pytest.mark.parametrize(
    ("param", "data", "like", "words"),
    [
        ("", (2, 3, 4, 4), (2, 3, 3, 5), "past the end of 'data' on axis 3: 'like' wants 5 from"),
        (
            "axis: 2 offset: 2",
            (2, 3, 4, 4),
            (2, 3, 3, 3),
            "axis 2.*wants 3 from offset 2 on; expected a size of at least 5, found 4",
        ),
        (
            "axis: 1 offset: 0 offset: 1",
            (2, 3, 4, 4),
            (2, 3, 3, 3),
            "2 offsets, but crops 3 axes.*expected none, 1 or 3, found 0, 1",
        ),
        ("", (2, 3, 4, 4), (3, 3), "same number of axes"),
        ("axis: 5", (2, 3, 4, 4), (2, 3, 4, 4), "axis 5"),
    ],
)
def test_crop_refusals(param, data, like, words):
    with pytest.raises(ShapeError) as caught:
        crop(param).shapes(data, like)
    message = str(caught.value)
    assert re.search(words, message), message
    assert "layer 'test' (Crop)" in message and message.startswith("net:3:1: ")


# -- Concat


@few
@given(shape=shapes(least=2), widths=st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_concat_gradient(shape, widths):
    for axis in {0, 1, -1}:
        arrays = []
        for seed, width in enumerate(widths):
            one = list(shape)
            one[axis] = width
            arrays.append(numbers(tuple(one), seed))
        rig = check_gradient(Concat, concat(f"axis: {axis}", len(widths)), arrays)
        np.testing.assert_array_equal(rig.forward()[0], np.concatenate(arrays, axis))


@few
@given(rims=st.tuples(st.integers(0, 2), st.integers(0, 2)))
def test_a_larger_later_bottom_is_cut_to_its_middle(rims):
    first, later = numbers((2, 3, 4, 5)), numbers((2, 2, 4 + 2 * rims[0], 5 + 2 * rims[1]))
    rig = check_gradient(Concat, concat(), [first, later])
    (y,) = rig.forward()
    np.testing.assert_array_equal(y[:, :3], first)
    middle = later[:, :, rims[0] : rims[0] + 4, rims[1] : rims[1] + 5]
    np.testing.assert_array_equal(y[:, 3:], middle)


@pytest.mark.parametrize(
    ("param", "a", "b"),
    [
        ("", (2, 3, 4, 4), (2, 1, 4, 5)),  # an odd rest has no middle
        ("", (2, 3, 4, 4), (2, 1, 4, 2)),  # smaller
        ("", (2, 3, 4, 4), (4, 1, 4, 4)),  # images are not cut
        ("axis: 2", (2, 3, 4, 4), (2, 5, 4, 4)),  # nor channels
        ("", (2, 3, 4, 4), (2, 3, 4)),
    ],
)
def test_concat_refuses_other_sizes(param, a, b):
    with pytest.raises(ShapeError) as caught:
        Concat(concat(param), context()).shapes(a, b)
    message = str(caught.value)
    for words in ("'x0'", "'x1'", "x".join(map(str, a)), "x".join(map(str, b)), "tile size"):
        assert words in message


def test_concat_takes_one_name_of_its_axis():
    assert Concat(concat("concat_dim: 2"), context()).shapes((1, 2, 3), (1, 2, 4)).tops == (
        (1, 2, 7),
    )
    with pytest.raises(SpecError, match="both axis and concat_dim"):
        Concat(concat("concat_dim: 1 axis: 1"), context())
    with pytest.raises(DemitasseError, match="axis 3"):
        Concat(concat("axis: 3"), context()).shapes((1, 2, 3), (1, 2, 3))
