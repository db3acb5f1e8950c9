"""Tiles: every pixel once, on the pooling grid, from one mirrored image."""

import numpy as np
import pytest
from demitasse.errors import ShapeError
from demitasse.imaging import tiles
from demitasse.net.sizes import Geometry
from hypothesis import given
from hypothesis import strategies as st

UNET = (Geometry(smallest=188, step=16, before=92, after=92),) * 2


@given(st.integers(1, 900), st.integers(1, 900), st.integers(1, 30), st.integers(1, 30))
def test_every_pixel_is_written_once_and_origins_lie_on_the_grid(height, width, a, b):
    cover = tiles.cover((height, width), (188 + 16 * a, 188 + 16 * b), UNET)
    written = np.zeros((height, width), int)
    for tile in cover:
        written[tile.write] += 1
        for read, write, crop in zip(tile.read, tile.write, tile.crop, strict=True):
            assert write.start % 16 == 0
            assert read.start == write.start - 92
            assert crop.stop - crop.start == write.stop - write.start
            assert crop.stop <= read.stop - read.start - 184
    assert (written == 1).all()


@given(st.integers(1, 40), st.integers(-200, 200), st.integers(1, 200))
def test_a_tile_beyond_the_edge_sees_the_image_mirrored_without_end(size, start, length):
    image = np.arange(size)[np.newaxis]
    tile = tiles.Tile((slice(start, start + length),), (slice(0, 1),), (slice(0, 1),))
    before, after = max(0, -start), max(0, start + length - size)
    mode = "reflect" if size > 1 else "edge"
    want = np.pad(image[0], (before, after), mode=mode)[start + before :][:length]
    np.testing.assert_array_equal(tiles.read(image, tile)[0], want)


def test_an_illegal_tile_names_its_neighbours():
    with pytest.raises(ShapeError, match=r"556 \(answers for 372\) or 572 \(answers for 388\)"):
        tiles.cover((512, 512), (570, 572), UNET)


def test_one_tile_may_answer_for_less_than_the_step():
    (tile,) = tiles.cover((3, 4), (188, 188), UNET)
    assert tile.write == (slice(0, 3), slice(0, 4))


def test_several_tiles_must_reach_the_next_grid_point():
    with pytest.raises(ShapeError, match="less than the step"):
        tiles.cover((32, 32), (188, 188), UNET)


def test_each_axis_has_its_own_geometry():
    deep = Geometry(smallest=18, step=2, before=8, after=8)
    inputs = (22, 188 + 32)
    assert tiles.counts((20, 40), inputs, (deep, UNET[0])) == (4, 2)
    assert tiles.grid((20, 40), (4, 2), (deep, UNET[0])) == inputs
    starts = {
        tuple(s.start for s in tile.read) for tile in tiles.cover((20, 40), inputs, (deep, UNET[0]))
    }
    assert starts == {(z - 8, y - 92) for z in (0, 6, 12, 18) for y in (0, 32)}
    with pytest.raises(ShapeError, match=r"expected 18 \(answers for 2\) or 20 \(answers for 4\)"):
        tiles.counts((20, 40), (19, 220), (deep, UNET[0]))
