"""Augmentation: what must hold for any draw, and that the draw is repeatable."""

import numpy as np
import pytest
from demitasse.data import augment


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_the_eight_symmetries_are_those_of_the_square():
    tile = np.arange(9).reshape(3, 3)
    made = {augment.symmetry(tile, k).tobytes() for k in range(8)}
    turned = {np.rot90(t, k).tobytes() for t in (tile, tile.T) for k in range(4)}
    assert made == turned
    assert len(made) == 8


def test_a_symmetry_moves_all_channels_alike():
    tile = np.random.default_rng(0).random((3, 4, 4))
    for k in range(8):
        for c in range(3):
            np.testing.assert_array_equal(
                augment.symmetry(tile, k)[c], augment.symmetry(tile[c], k)
            )


def test_tiles_that_are_not_square_keep_their_sides(rng):
    tile = np.zeros((1, 3, 5))
    drawn = {augment.random_symmetry(rng, square=False) for _ in range(100)}
    assert drawn == {0, 1, 2, 3}
    assert all(augment.symmetry(tile, k).shape == tile.shape for k in drawn)
    assert {augment.random_symmetry(rng, square=True) for _ in range(200)} == set(range(8))


def test_bicubic_meets_the_lattice_and_is_smooth(rng):
    vectors = rng.normal(0, 10, (2, 3, 3))
    field = augment.bicubic(vectors, (21, 41))
    np.testing.assert_allclose(field[:, ::10, ::20], vectors, atol=1e-9)
    # the steps of a smooth field change slowly
    assert np.abs(np.diff(field, 2, axis=-1)).max() < 1


def test_bicubic_repeats_a_plane():
    y, x = np.mgrid[0:3, 0:3].astype(float)
    field = augment.bicubic((2 * y - 3 * x)[None], (9, 9))[0]
    rows, columns = np.mgrid[0:9, 0:9] / 4
    np.testing.assert_allclose(field, 2 * rows - 3 * columns, atol=1e-9)


def test_elastic_vectors_have_the_deviation_asked_for():
    nodes = [
        augment.elastic(np.random.default_rng(k), (5, 5), sigma=10)[:, ::2, ::2] for k in range(400)
    ]
    assert np.std(nodes) == pytest.approx(10, rel=0.05)
    assert np.mean(nodes) == pytest.approx(0, abs=0.6)


def test_sampling_at_the_pixels_gives_the_pixels(rng):
    plane = rng.random((30, 25)).astype(np.float32)
    rows, columns = np.mgrid[-40:70, -40:70].astype(float)
    padded = np.pad(plane, 100, mode="reflect")[60:170, 60:170]
    for order in (1, 3):
        np.testing.assert_allclose(
            augment.sample(plane, rows, columns, order=order), padded, atol=1e-5
        )


def test_sampling_between_pixels():
    plane = np.outer(np.arange(10.0), np.ones(10)).astype(np.float32)
    found = augment.sample(plane, np.array([[2.25, 5.5]]), np.array([[4.0, 4.5]]), order=1)
    np.testing.assert_allclose(found, [[2.25, 5.5]], rtol=1e-6)


def test_a_cut_out_part_is_filtered_like_the_whole(rng):
    from scipy import ndimage

    plane = rng.random((200, 180)).astype(np.float32)
    rows, columns = np.mgrid[80:100, 60:90] + rng.uniform(-0.5, 0.5, (2, 20, 30))
    expected = ndimage.map_coordinates(plane, [rows, columns], order=3, mode="mirror")
    np.testing.assert_allclose(augment.sample(plane, rows, columns, order=3), expected, atol=1e-5)


def test_corners_reach_everywhere_in_the_image_and_nowhere_else(rng):
    drawn = {augment.corner(rng, (12, 10), (10, 10)) for _ in range(200)}
    assert drawn == {(0, 0), (1, 0), (2, 0)}
    assert augment.corner(rng, (5, 12), (10, 10))[0] == -2


def test_grey_values_keep_order_and_stay_near(rng):
    image = rng.normal(0, 1, (1, 40, 40)).astype(np.float32)
    other = augment.grey(image, rng)
    assert other.dtype == np.float32
    rising = other.ravel()[np.argsort(image.ravel())]
    assert (np.diff(rising) > -1e-6).all()  # neighbours of one value may change places
    assert 0.5 < other.std() < 2
    assert not np.array_equal(other, image)


def test_grey_with_nothing_to_change_changes_nothing(rng):
    image = rng.normal(0, 1, (1, 9, 9)).astype(np.float32)
    same = augment.grey(image, rng, gain=(1, 1), offset=(0, 0), gamma=(1, 1))
    np.testing.assert_allclose(same, image, atol=1e-6)
    flat = np.full((1, 3, 3), 4, np.float32)
    np.testing.assert_array_equal(augment.grey(flat, rng), flat)


def test_streams_are_of_the_seed_and_the_tile():
    draw = lambda seed, tile: augment.generator(seed, tile).random()  # noqa: E731
    assert draw(1, 5) == draw(1, 5)
    assert len({draw(s, t) for s in range(3) for t in range(3)}) == 9
