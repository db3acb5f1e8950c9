"""Small maps with many weights, against double precision by im2col."""

import numpy as np
import pytest
from demitasse.kernels import convolution
from demitasse.kernels.convolution import COLUMNS, THIN, WINOGRAD, Form, choose
from demitasse.kernels.im2col import Window
from demitasse.kernels.workers import Room, Workers

pytest.importorskip("numba")

PLAIN = Window((3, 3), (1, 1), (0, 0), (1, 1))


def run(engine, x, w, b, window, slope, threads=2):
    y = np.full((len(x), len(w), *window.outputs(x.shape[2:])), np.nan, x.dtype)
    form, room = Form(window, 1, engine, slope), Room(1 << 20, Workers(threads))
    size = convolution.scratch_size(x.shape, w.shape, y.shape, form, room)
    room = Room(1 << 20, Workers(threads), np.full(size, np.nan, x.dtype))
    convolution.forward(x, w, b, y, form, room)
    return y


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("slope", [0.0, 1.0])
@pytest.mark.parametrize(
    ("window", "size"),
    [
        (PLAIN, (6, 6)),
        (PLAIN, (9, 8)),
        (Window((5, 4), (2, 1), (1, 2), (1, 1)), (9, 7)),
        (Window((3, 3, 3), (1,) * 3, (1,) * 3, (1,) * 3), (3, 4, 3)),
    ],
)
def test_forward(images, slope, window, size):
    rng = np.random.default_rng(images)
    x = rng.standard_normal((images, 37, *size)).astype(np.float32)
    w = rng.standard_normal((70, 37, *window.kernel)).astype(np.float32)
    b = rng.standard_normal(70).astype(np.float32)
    wide = [a.astype(np.float64) for a in (x, w, b)]
    expected = run(COLUMNS, *wide, window, slope)
    found = run(THIN, x, w, b, window, slope)
    np.testing.assert_allclose(found, expected, rtol=0, atol=3e-6 * np.abs(expected).max())
    assert np.array_equal(found, run(THIN, x, w, b, window, slope, threads=1))


def test_which_layers():
    def engine(c, k, n, window=PLAIN, group=1, dtype=np.float32):
        y = (1, k, *window.outputs((n, n)))
        return choose((1, c, n, n), (k, c // group, *window.kernel), y, window, group, dtype)

    assert engine(1024, 1024, 8) == engine(512, 1024, 10) == THIN
    assert engine(1024, 1024, 18) == WINOGRAD
    assert engine(1024, 1024, 8, group=2) == engine(1024, 1024, 8, dtype=np.float64) == COLUMNS
    assert engine(1024, 1024, 6, window=Window((1, 1), (1, 1), (0, 0), (1, 1))) == COLUMNS
