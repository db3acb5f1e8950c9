"""The compiled pass of an up-convolution, against the specification's loop: the same bits."""

import numpy as np
import pytest
from demitasse.kernels import deconvolution
from demitasse.kernels.convolution import Form
from demitasse.kernels.im2col import Window, boxes
from demitasse.kernels.workers import Room, Workers

pytest.importorskip("numba")

WINDOW = Window((2, 2), (2, 2), (0, 0), (1, 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("slope", [0.0, 1.0])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("budget", [1 << 20, 1 << 12])  # whole rows, parts of rows
def test_same_bits(dtype, slope, bias, budget, monkeypatch):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 6, 70, 60)).astype(dtype)
    w = rng.standard_normal((6, 2, 2, 2)).astype(dtype)
    b = rng.standard_normal(4).astype(dtype) if bias else None
    form, room = Form(WINDOW, 2, slope=slope), Room(budget, Workers(2))
    shape = (2, 4, 140, 120)
    size = deconvolution.scratch_size(x.shape, w.shape, shape, form, room)
    room = Room(budget, Workers(2), np.empty(size, dtype))
    assert deconvolution._compiled(shape, WINDOW) is not None
    compiled, plain = np.full(shape, np.nan, dtype), np.full(shape, np.nan, dtype)
    deconvolution.forward(x, w, b, compiled, form, room)
    monkeypatch.setattr(deconvolution, "optional", lambda name: None)
    deconvolution.forward(x, w, b, plain, form, room)
    assert np.array_equal(compiled, plain)


def test_many_weights_are_cut_by_channels():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 40, 3, 4)).astype(np.float32)
    w = rng.standard_normal((40, 33, 2, 2)).astype(np.float32)
    form = Form(WINDOW, 1, slope=0.0)
    shape = (2, 33, 6, 8)
    expected = np.einsum("ncij,cmkl->nmikjl", x.astype(np.float64), w).reshape(shape)
    size = deconvolution.scratch_size(x.shape, w.shape, shape, form, Room(1 << 20, Workers(2)))
    room = Room(1 << 20, Workers(2), np.empty(size, np.float32))
    assert deconvolution._tile_cut(shape, (3, 4), WINDOW, 1, room)[1:] == (12, 9)
    y = np.full(shape, np.nan, np.float32)
    deconvolution.forward(x, w, None, y, form, room)
    np.testing.assert_allclose(y, np.maximum(expected, 0), atol=1e-4)


@pytest.mark.parametrize("size", [(28, 28), (100, 100), (104, 90), (196, 196)])
def test_large_maps_are_cut_into_as_many_pieces_for_each_of_four_threads(size):
    shape = (1, 128, 2 * size[0], 2 * size[1])
    _, cells, _ = deconvolution._tile_cut(shape, size, WINDOW, 1, Room(20 << 20, Workers(2)))
    assert cells * 128 * 4 <= deconvolution.columns.COLUMNS
    assert len(list(boxes(size, cells))) % 4 == 0
