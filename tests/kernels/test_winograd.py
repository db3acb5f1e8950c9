"""Winograd's algorithm against im2col in double precision, however it is cut."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from demitasse.kernels import columns, convolution, tiles_numpy, winograd, winograd_cut
from demitasse.kernels.convolution import COLUMNS, WINOGRAD, choose
from demitasse.kernels.im2col import Window
from demitasse.kernels.workers import Room, Workers
from hypothesis import given, settings
from hypothesis import strategies as st

steady = settings(max_examples=60, deadline=None, derandomize=True, database=None)
BOTH = ["tiles_numpy"]
if importlib.util.find_spec("numba"):
    BOTH.append("tiles_numba")


@pytest.fixture(params=BOTH)
def made(request, monkeypatch):
    module = importlib.import_module(f"demitasse.kernels.{request.param}")
    monkeypatch.setattr(winograd_cut, "transforms", lambda: module)
    return module


@pytest.fixture(params=[4, 6])
def tile(request, made, monkeypatch):
    """Pixels along a tile of the forward pass."""
    monkeypatch.setattr(made, "SIX", 0 if request.param == 4 else 1e9)
    return request.param


def exact(x, w, b, dy, pad, slope):
    """y, dw, db, dx in double precision, by im2col."""
    x, w, b, dy = (a.astype(np.float64) for a in (x, w, b, dy))
    window = Window((3, 3), (1, 1), (pad, pad), (1, 1))
    room = Room(1 << 22)
    size = columns.scratch_size(x.shape, w.shape, dy.shape, window, 1, room)
    room = replace(room, scratch=np.empty(size))
    y, dw, dx = np.empty_like(dy), np.zeros_like(w), np.empty_like(x)
    columns.forward(x, w, b, y, window, 1, room)
    y, dy = np.where(y > 0, y, slope * y), np.where(y > 0, dy, slope * dy)
    columns.weight_gradient(x, dy, dw, window, 1, room)
    columns.data_gradient(dy, w, dx, window, 1, room)
    return y, dw, dy.sum((0, 2, 3)), dx


def compare(images, c, k, height, width, pad, slope, budget, threads, tolerance=3e-5):
    rng = np.random.default_rng(images + 7 * c + 11 * k + height)
    x = rng.standard_normal((images, c, height, width), "f")
    w = rng.standard_normal((k, c, 3, 3), "f") / np.float32(3 * c**0.5)
    b = rng.standard_normal(k, "f")
    y = np.full((images, k, height + 2 * pad - 2, width + 2 * pad - 2), np.nan, "f")
    dy = rng.standard_normal(y.shape, "f")
    want = exact(x, w, b, dy, pad, slope)
    room = Room(budget, Workers(threads))
    scratch = np.full(winograd.scratch_size(w.shape, y.shape, 6, room), np.nan, "f")
    room = replace(room, scratch=scratch)
    winograd.forward(x, w, b, y, pad, slope, 6, room)
    scratch.fill(np.nan)
    # backward is given the exact y: the sign of what is nearly 0 must not decide
    dw, db, dx = np.ones_like(w), np.ones_like(b), np.full_like(x, np.nan)
    winograd.backward(x, w, want[0].astype("f"), dy, dw, db, dx, pad, slope, room)
    for name, got, right in zip(
        ["y", "dw", "db", "dx"], (y, dw - 1, db - 1, dx), want, strict=True
    ):
        error = np.abs(got - right).max() / max(np.abs(right).max(), 0.1)
        assert error <= tolerance, f"{name}: {error}"
    return cuts(w.shape, y.shape, room)


def cuts(w, y, room):
    """Of the forward, and of the backward pass."""
    tiles = winograd_cut.best_tile(y, 6), winograd_cut.BACK
    return [winograd_cut.cut(w, winograd_cut.Tiling(y, tile), room) for tile in tiles]


@pytest.mark.usefixtures("tile")
class TestBothTransforms:
    @steady
    @given(
        st.integers(1, 2), st.integers(1, 9), st.integers(1, 9), st.integers(3, 22),
        st.integers(3, 22), st.integers(0, 3), st.sampled_from([1.0, 0.0, 0.25]),
        st.integers(1, 3),
    )  # fmt: skip
    def test_few_channels(self, images, c, k, height, width, pad, slope, threads):
        found = compare(images, c, k, height, width, pad, slope, 1 << 22, threads)
        assert all(how.maps for how in found)

    @pytest.mark.parametrize("budget", [1 << 24, 900_000])
    @pytest.mark.parametrize("threads", [1, 2])
    @pytest.mark.parametrize("deep", [1 << 30, 16])
    def test_many_channels(self, made, budget, threads, deep, monkeypatch):
        monkeypatch.setattr(made, "DEEP", deep)
        monkeypatch.setattr(winograd_cut, "SMALL", 0)
        monkeypatch.setattr(winograd_cut, "LARGE", 0)
        for c, k, height, pad, slope in [(70, 30, 21, 0, 0.0), (30, 130, 14, 1, 1.0)]:
            found = compare(2, c, k, height, 11, pad, slope, budget, threads)
            assert not any(how.maps for how in found)

    @pytest.mark.parametrize("rows", [1, 3])
    def test_lanes_meet(self, made, monkeypatch, rows):
        """More blocks than lanes, an image boundary inside a lane; blocks of 3 and of 2 rows."""
        monkeypatch.setattr(made, "BLOCK", rows * 36 * (4 + 5) * 3)
        monkeypatch.setattr(winograd_cut, "FEW", 1)
        assert compare(3, 4, 5, 43, 9, 1, 0.0, 1 << 22, 2)[1].rows == rows

    def test_parts_can_be_left_out(self):
        rng = np.random.default_rng(1)
        x, w = rng.standard_normal((1, 4, 12, 12), "f"), rng.standard_normal((5, 4, 3, 3), "f")
        dy = rng.standard_normal((1, 5, 10, 10), "f")
        _, dw, db, dx = exact(x, w, np.zeros(5), dy, 0, 1.0)
        room = Room(1 << 20)
        size = winograd.scratch_size(w.shape, dy.shape, 4, room)
        room = replace(room, scratch=np.full(size, np.nan, "f"))
        for k in range(3):
            got = [np.zeros_like(w), np.zeros(5, "f"), np.zeros_like(x)]
            given_ = [a if i == k else None for i, a in enumerate(got)]
            winograd.backward(x, w, None, dy, *given_, 0, 1.0, room)
            for i, want in enumerate((dw, db, dx)):
                want = want if i == k else np.zeros_like(want)
                np.testing.assert_allclose(got[i], want, rtol=0, atol=2e-4)

    def test_nan_and_infinity_are_not_lost(self):
        x, w = np.ones((1, 2, 10, 10), "f"), np.ones((2, 2, 3, 3), "f")
        y, room = np.zeros((1, 2, 8, 8), "f"), Room(1 << 20)
        size = winograd.scratch_size(w.shape, y.shape, 6, room)
        x[0, 1, 3, 3] = np.nan
        winograd.forward(x, w, None, y, 0, 0.0, 6, replace(room, scratch=np.empty(size, "f")))
        assert np.isnan(y[0, :, 1:4, 1:4]).all()


@pytest.mark.parametrize("tile", [4, 6])
@pytest.mark.parametrize("pixels", range(48, 130, 9))
def test_maps_are_cut_into_an_even_number_of_blocks_that_cover_them(pixels, tile):
    """So that two threads have as much to do."""
    tiling = winograd_cut.Tiling((1, 32, pixels, pixels), tile)
    how = winograd_cut.cut((32, 32, 3, 3), tiling, Room(1 << 24))
    blocks = tiling.blocks(how)
    sizes = [rows for _, _, rows in blocks]
    assert how.maps and len(blocks) % 2 == 0
    assert max(sizes) <= how.rows and max(sizes) - min(sizes) <= 1
    starts = [start for _, start, _ in blocks]
    assert starts == [0, *np.cumsum(sizes)[:-1]] and sum(sizes) == tiling.down
    assert [b for lane in tiling.lanes(how) for b in lane] == blocks


@pytest.mark.parametrize(("channels", "pixels", "tasks"), [(1024, 30, 32), (64, 30, 4)])
def test_only_threads_that_have_a_task_have_scratch(channels, pixels, tasks):
    def size(threads):
        w, y = (channels, channels, 3, 3), (1, channels, pixels - 2, pixels - 2)
        return winograd.scratch_size(w, y, 4, Room(1 << 27, Workers(threads)))

    assert size(1) < size(2) < size(tasks) == size(tasks + 1) == size(300)


@pytest.mark.skipif("tiles_numba" not in BOTH, reason="Numba is not installed")
@pytest.mark.parametrize(("six", "tolerance"), [(0, 5e-6), (1e9, 2e-5)])
def test_compiled_and_numpy_transforms_agree(six, tolerance, monkeypatch):
    from demitasse.kernels import tiles_numba

    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((1, 6, 23, 18), "f"), rng.standard_normal((7, 6, 3, 3), "f")
    found = []
    for module in (tiles_numba, tiles_numpy):
        monkeypatch.setattr(winograd_cut, "transforms", lambda module=module: module)
        monkeypatch.setattr(module, "SIX", six)
        y, room = np.empty((1, 7, 21, 16), "f"), Room(1 << 20)
        size = winograd.scratch_size(w.shape, y.shape, 6, room)
        winograd.forward(x, w, None, y, 0, 1.0, 6, replace(room, scratch=np.empty(size, "f")))
        found.append(y)
    np.testing.assert_allclose(found[0], found[1], atol=tolerance * np.abs(found[1]).max())


def test_u_is_made_part_by_part_where_it_is_far_larger_than_m():
    pytest.importorskip("numba")
    for channels, cells, some in [(1024, 49, 128), (512, 169, 128), (512, 338, 512), (64, 9, 64)]:
        assert winograd_cut.summed(channels, cells) == some


def test_large_maps_have_tiles_of_six_pixels():
    pytest.importorskip("numba")
    for pixels, tile in [(568, 6), (138, 6), (66, 6), (64, 4), (30, 4), (28, 4), (5, 4)]:
        assert winograd_cut.best_tile((1, 8, pixels, pixels), 6) == tile
        assert winograd_cut.best_tile((1, 8, pixels, pixels), 4) == 4


def test_the_table():
    """Who computes what."""
    pytest.importorskip("numba")
    plain = Window((3, 3), (1, 1), (0, 0), (1, 1))

    def engine(c, k, n, window=plain, group=1, dtype=np.float32):
        w = (k, c // group, *window.kernel)
        return choose((1, c, n, n), w, (1, k, *window.outputs((n, n))), window, group, dtype)

    assert engine(64, 64, 570) == engine(1024, 1024, 30) == engine(16, 16, 390) == WINOGRAD
    assert engine(4, 64, 572) == COLUMNS  # few channels (fewer still: test_direct_numba.py)
    assert engine(1024, 1024, 10) != WINOGRAD  # small maps, many weights
    assert engine(8, 8, 40) == COLUMNS  # nothing to gain
    assert engine(64, 64, 570, dtype=np.float64) == COLUMNS
    assert engine(64, 64, 570, group=2) == COLUMNS
    for changed in ({"stride": (2, 2)}, {"pad": (1, 0)}, {"dilation": (2, 2)}, {"kernel": (1, 1)}):
        assert engine(64, 64, 570, plain._replace(**changed)) == COLUMNS


def test_without_numba(monkeypatch):
    monkeypatch.setattr(convolution, "optional", lambda name: None)
    plain = Window((3, 3), (1, 1), (0, 0), (1, 1))
    for c, n, engine in ((64, 570, WINOGRAD), (1, 572, COLUMNS), (1024, 8, COLUMNS)):
        shape = (1, 64, n - 2, n - 2)
        assert choose((1, c, n, n), (64, c, 3, 3), shape, plain, 1, np.float32) == engine
