"""Windows, columns and their adjoint."""

import numpy as np
from demitasse.kernels.im2col import Window, boxes, col2im, im2col, pieces, run
from hypothesis import assume, given, settings
from hypothesis import strategies as st

steady = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@st.composite
def windows(draw, axes):
    def each(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    return Window(each(1, 3), each(1, 3), each(0, 2), each(1, 2)), each(1, 6)


def slow(x, window, size):
    """The definition, one element at a time."""
    col = np.zeros((len(x), *window.kernel, *size))
    for k in np.ndindex(*window.kernel):
        for o in np.ndindex(*size):
            i = [
                a * s - p + d * b
                for a, b, s, p, d in zip(
                    o, k, window.stride, window.pad, window.dilation, strict=True
                )
            ]
            if all(0 <= a < n for a, n in zip(i, x.shape[1:], strict=True)):
                col[(slice(None), *k, *o)] = x[(slice(None), *i)]
    return col


@steady
@given(st.integers(1, 3).flatmap(windows), st.integers(1, 40))
def test_boxes_of_columns_are_the_columns_and_col2im_is_the_adjoint(case, limit):
    window, size = case
    out = window.outputs(size)
    assume(min(out) >= 1)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, *size))
    whole = slow(x, window, out)
    y = rng.standard_normal(whole.shape)
    back, covered = np.zeros_like(x), np.zeros(out, int)
    for box in boxes(out, limit):
        here = tuple(slice(*ends) for ends in box)
        shape = (2, *window.kernel, *covered[here].shape)
        assert covered[here].size <= limit
        col = np.full(shape, np.nan)
        im2col(x, window, box, col)
        np.testing.assert_array_equal(col, whole[(..., *here)])
        col2im(np.ascontiguousarray(y[(..., *here)]), window, box, back)
        covered[here] += 1
        covered.reshape(-1)[run(out, box)] += 1
    assert (covered == 2).all(), "boxes overlap, leave gaps, or are not runs"
    np.testing.assert_allclose((whole * y).sum(), (x * back).sum(), rtol=1e-12, atol=1e-12)


@steady
@given(st.integers(1, 3).flatmap(windows))
def test_inputs_undo_outputs(case):
    window, size = case
    covered = window.inputs(size)
    assert min(covered) < 1 or window.outputs(covered) == size


@steady
@given(st.integers(1, 50), st.integers(0, 60))
def test_pieces_cover_evenly(total, limit):
    found = list(pieces(total, limit))
    assert [i for first, end in found for i in range(first, end)] == list(range(total))
    lengths = [end - first for first, end in found]
    assert max(lengths) <= max(1, limit) and max(lengths) - min(lengths) <= 1


def test_kinds_of_window():
    assert Window((1, 1), (1, 1), (0, 0), (1, 1)).pointwise
    assert Window((1, 1), (1, 1), (0, 0), (3, 3)).pointwise
    assert not Window((1, 1), (1, 2), (0, 0), (1, 1)).pointwise
    assert not Window((1, 1), (1, 1), (0, 1), (1, 1)).pointwise
    assert Window((2, 3), (2, 3), (0, 0), (1, 1)).tiling
    assert not Window((2, 2), (2, 2), (0, 0), (2, 2)).tiling
    assert not Window((2, 2), (2, 2), (1, 0), (1, 1)).tiling
    assert not Window((2, 2), (1, 1), (0, 0), (1, 1)).tiling
