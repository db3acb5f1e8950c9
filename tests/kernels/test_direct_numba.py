"""The first layer by its definition, against double precision and im2col."""

import numpy as np
import pytest
from demitasse.kernels import convolution
from demitasse.kernels.convolution import COLUMNS, DIRECT, Form, choose
from demitasse.kernels.im2col import Window
from demitasse.kernels.workers import Room, Workers

pytest.importorskip("numba")

WINDOW = Window((3, 3), (1, 1), (0, 0), (1, 1))


def run(engine, x, w, b, slope, threads=2):
    y = np.full((len(x), len(w), x.shape[2] - 2, x.shape[3] - 2), np.nan, x.dtype)
    form, room = Form(WINDOW, 1, engine, slope), Room(1 << 20, Workers(threads))
    size = convolution.scratch_size(x.shape, w.shape, y.shape, form, room)
    room = Room(1 << 20, Workers(threads), np.empty(size, x.dtype))
    convolution.forward(x, w, b, y, form, room)
    return y


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("slope", [0.0, 1.0])
@pytest.mark.parametrize("bias", [True, False])
def test_forward_is_the_definition(channels, slope, bias):
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((2, channels, 40, 37)).astype(np.float32)
    w = rng.standard_normal((5, channels, 3, 3)).astype(np.float32)
    b = rng.standard_normal(5).astype(np.float32) if bias else None
    wide = [None if a is None else a.astype(np.float64) for a in (x, w, b)]
    expected = run(COLUMNS, *wide, slope)
    found = run(DIRECT, x, w, b, slope)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * np.abs(expected).max())
    assert np.array_equal(found, run(DIRECT, x, w, b, slope, threads=1))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("slope", [0.0, 1.0])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_are_those_of_the_definition(channels, slope, bias, threads):
    rng = np.random.default_rng(channels)
    x = rng.standard_normal((2, channels, 40, 37))
    y, dy = rng.standard_normal((2, 2, 5, 38, 35))
    y[:, :, ::3] = 0
    found = []
    for engine, dtype in ((COLUMNS, np.float64), (DIRECT, np.float32)):
        form, room = Form(WINDOW, 1, engine, slope), Room(1 << 20, Workers(threads))
        dw = np.ones((5, channels, 3, 3), dtype)
        db = np.ones(5, dtype) if bias else None
        size = convolution.scratch_size(x.shape, dw.shape, y.shape, form, room)
        room = Room(1 << 20, Workers(threads), np.full(size, np.nan, dtype))
        typed = [a.astype(dtype) for a in (x, y, dy)]
        convolution.backward(typed[0], dw, *typed[1:], dw, db, None, form, room)
        found.append((dw, db))
    (right, right_b), (dw, db) = found
    np.testing.assert_allclose(dw, right, rtol=0, atol=2e-6 * np.abs(right).max())
    assert db is right_b is None or np.abs(db - right_b).max() < 1e-5 * np.abs(right_b).max()


def test_nan_comes_through_the_rectifier():
    x = np.zeros((1, 1, 5, 20), np.float32)
    x[0, 0, 2, 7] = np.nan
    y = run(DIRECT, x, np.ones((2, 1, 3, 3), np.float32), None, 0.0)
    assert np.isnan(y[:, :, :, 5:8]).all() and np.isfinite(y[:, :, :, 8:]).all()


def test_which_layers():
    def engine(c, k, n, pad=0, dtype=np.float32):
        window = WINDOW._replace(pad=(pad, pad))
        y = (1, k, *window.outputs((n, n)))
        return choose((1, c, n, n), (k, c, 3, 3), y, window, 1, dtype)

    assert engine(1, 64, 572) == engine(3, 64, 284) == DIRECT
    assert engine(1, 64, 572, pad=1) == engine(1, 64, 572, dtype=np.float64) == COLUMNS
    assert engine(1, 8, 60) == engine(4, 64, 572) == COLUMNS  # Caffe's bits; neither kind of few
