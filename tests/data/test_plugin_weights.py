"""The plugin's labels, weights and pdf against brute force, pixel by pixel in its own words."""

import itertools
import math
import time

import numpy as np
import pytest
from demitasse.data.labels import IGNORED
from demitasse.data.plugin_weights import (
    WeightParameters,
    draw_points,
    gaps,
    split_classes,
    training_maps,
)
from demitasse.errors import DataError
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

EARLIER = {2: [(-1, -1), (-1, 0), (-1, 1), (0, -1)]}
EARLIER[3] = [(-1, *s) for s in itertools.product((-1, 0, 1), repeat=2)]
EARLIER[3] += [(0, *s) for s in EARLIER[2]]


def brute_force(classes, masks, p):
    """Steps 1 to 4: every pixel by itself, every distance by comparing with every pixel."""
    shape = classes.shape
    labels, weights = np.zeros(shape), np.full(shape, -1.0)
    v = p.foreground_background_ratio
    pdf = np.full(shape, v)
    everywhere = list(np.ndindex(shape))
    for at in everywhere:
        c = classes[at]
        if c == IGNORED:
            weights[at] = pdf[at] = 0
        elif c > 0:
            mask = masks[c - 1]
            before = [tuple(np.add(at, step)) for step in EARLIER[len(shape)]]
            inside = [b for b in before if all(0 <= i < n for i, n in zip(b, shape, strict=True))]
            if not any(mask[b] > 0 and mask[b] != mask[at] for b in inside):
                labels[at], weights[at], pdf[at] = c, 1, 1
    for at in everywhere:
        if weights[at] >= 0:
            continue
        total = v
        for mask in masks:
            nearest = [1e20, 1e20]
            for k in np.unique(mask[mask > 0]):
                pixels = np.argwhere(mask == k)
                nearest.append(min(math.dist(at, pixel) for pixel in pixels))
            d1, d2 = sorted(nearest)[:2]
            total += p.border_weight_factor * math.exp(
                -((d1 + d2) ** 2) / (2 * p.border_weight_sigma_px**2)
            )
            total += (1 - v) * math.exp(-(d1**2) / (2 * p.sigma1_px**2))
        weights[at] = total
    return labels, weights, pdf


def disks(*places, size=24):
    """Disks (y, x, radius) drawn over each other, with ids 5, 12, 19, ..."""
    y, x = np.indices((size, size))
    mask = np.zeros((size, size), int)
    for k, (cy, cx, r) in enumerate(places):
        mask[np.hypot(y - cy, x - cx) < r] = 7 * k + 5
    return mask


def ball(mask, z, y, x, r, k):
    grid = np.indices(mask.shape)
    mask[sum((g - p) ** 2 for g, p in zip(grid, (z, y, x), strict=True)) < r**2] = k


def volume():
    """Two touching balls and one apart, in 6 x 9 x 11 voxels."""
    mask = np.zeros((6, 9, 11), int)
    ball(mask, 2, 4, 3, 2.6, 4)
    ball(mask, 3, 4, 6, 2.2, 9)
    ball(mask, 1, 1, 10, 1.5, 2)
    return mask


SINGLE = {
    "none": disks(),
    "one": disks((10, 12, 5)),
    "two apart": disks((6, 6, 4), (16, 16, 5)),
    "two touching": disks((10, 7, 5), (12, 14, 5)),
    "three": disks((6, 6, 4), (8, 14, 5), (18, 10, 4)),
    "fills the image": np.ones((24, 24), int),
    "quarters": 1 + np.indices((12, 12))[0] // 6 + 2 * (np.indices((12, 12))[1] // 6),
    "volume": volume(),
    "one slice": disks((10, 7, 5), (12, 14, 5))[None],
}


@pytest.mark.parametrize("mask", SINGLE.values(), ids=SINGLE.keys())
def test_one_class_equals_brute_force(mask):
    classes = (mask > 0).astype(np.uint8)
    classes[..., 2:4, -5:] = IGNORED
    found = training_maps(classes, [np.where(classes == 1, mask, 0)], WeightParameters())
    expected = brute_force(classes, [np.where(classes == 1, mask, 0)], WeightParameters())
    for map_, exact in zip((found.labels, found.weights, found.pdf), expected, strict=True):
        assert map_.dtype == np.float32
        assert map_.shape == mask.shape
        np.testing.assert_allclose(map_, exact, rtol=3e-7)


@pytest.mark.parametrize(
    "parameters",
    [WeightParameters(), WeightParameters(10, 2.5, 0.3, 1.5), WeightParameters(0, 1, 1, 1)],
)
def test_two_classes_are_added_and_do_not_part_each_other(parameters):
    objects = disks((8, 7, 5), (10, 15, 5), (17, 7, 4))
    classes = np.where(objects == 12, 2, (objects > 0) * 1).astype(np.uint8)
    masks = split_classes(classes, objects, 2)
    found = training_maps(classes, masks, parameters)
    labels, weights, pdf = brute_force(classes, masks, parameters)
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_allclose(found.weights, weights, rtol=3e-7)
    np.testing.assert_allclose(found.pdf, pdf, rtol=1e-7)
    touching = gaps(objects) & (classes == 2)
    assert touching.any()
    assert (found.labels[touching] == 2).all()  # as gaps are between objects of one class


def test_overlapping_masks_of_two_classes():
    masks = [disks((8, 7, 5)), disks((10, 12, 5))]
    classes = np.where(masks[1] > 0, 2, (masks[0] > 0) * 1).astype(np.uint8)
    found = training_maps(classes, masks, WeightParameters())
    labels, weights, _ = brute_force(classes, masks, WeightParameters())
    np.testing.assert_array_equal(found.labels, labels)
    np.testing.assert_allclose(found.weights, weights, rtol=3e-7)


@settings(max_examples=25, deadline=None)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 4)),
    st.integers(0, 1),
)
def test_any_small_mask_equals_brute_force(mask, thick):
    mask = np.stack([mask, mask.T]) if thick and mask.shape[0] == mask.shape[1] else mask
    classes = np.where(mask == 4, IGNORED, mask > 0).astype(np.uint8)
    masks = [np.where(classes == 1, mask, 0)]
    found = training_maps(classes, masks, WeightParameters())
    for map_, exact in zip(
        (found.labels, found.weights, found.pdf),
        brute_force(classes, masks, WeightParameters()),
        strict=True,
    ):
        np.testing.assert_allclose(map_, exact, rtol=3e-7)


def test_by_hand():
    mask = np.zeros((3, 9), int)
    mask[:, :3], mask[:, 6:] = 1, 2
    found = training_maps((mask > 0).astype(np.uint8), [mask], WeightParameters())
    # column 4 is 2 px from both objects, column 3 is 1 px from one and 3 from the other
    same = 50 * math.exp(-16 / 72)
    assert found.weights[1, 4] == pytest.approx(0.1 + same + 0.9 * math.exp(-4 / 200), rel=1e-6)
    assert found.weights[1, 3] == pytest.approx(0.1 + same + 0.9 * math.exp(-1 / 200), rel=1e-6)
    assert (found.weights[:, :3] == 1).all()


def test_a_gap_is_one_pixel_wide_and_heavy():
    mask = np.ones((5, 8), int)
    mask[:, 4:] = 2
    found = training_maps(np.ones((5, 8), np.uint8), [mask], WeightParameters())
    # the earlier neighbours of column 4 are of object 1; those of column 3 in a later row, upper
    # right, of object 2
    np.testing.assert_array_equal(found.labels[0], [1, 1, 1, 1, 0, 1, 1, 1])
    np.testing.assert_array_equal(found.labels[1], [1, 1, 1, 0, 0, 1, 1, 1])
    gap = 0.1 + 50 * math.exp(-1 / 72) + 0.9
    np.testing.assert_allclose(found.weights[0, 4], gap, rtol=1e-6)
    assert found.pdf[0, 4] == np.float32(0.1)


def test_ids_mean_nothing():
    mask = SINGLE["three"]
    classes = (mask > 0).astype(np.uint8)
    renamed = np.where(mask > 0, 10**12 - mask.astype(np.int64), 0)
    a = training_maps(classes, [mask], WeightParameters())
    b = training_maps(classes, [renamed], WeightParameters())
    np.testing.assert_array_equal(a.labels, b.labels)
    np.testing.assert_array_equal(a.weights, b.weights)


def test_far_from_everything_the_weight_is_the_ratio():
    mask = np.zeros((8, 300), int)
    mask[:, :3], mask[:, 5:7] = 1, 2
    weights = training_maps((mask > 0).astype(np.uint8), [mask], WeightParameters()).weights
    assert weights[0, 299] == np.float32(0.1)
    assert weights[0, 50] == pytest.approx(0.1 + 0.9 * math.exp(-(44**2) / 200), rel=1e-6)


def test_everything_ignored_weighs_nothing():
    classes = np.full((4, 5), IGNORED, np.uint8)
    found = training_maps(classes, [np.zeros((4, 5), int)], WeightParameters())
    assert not found.weights.any()
    assert not found.pdf.any()


def test_hundreds_of_cells_take_little_time():
    y, x = np.indices((512, 512))
    mask = np.where((y % 25 > 1) & (x % 25 > 1), y // 25 * 21 + x // 25 + 1, 0)
    began = time.perf_counter()
    training_maps((mask > 0).astype(np.uint8), [mask], WeightParameters())
    assert time.perf_counter() - began < 6


def test_points_become_disks_in_rings_of_nothing():
    classes = np.zeros((12, 20), np.uint8)
    masks = [np.zeros((12, 20), int)]
    draw_points(classes, masks, [(1, (5, 4)), (1, (5, 9)), (1, (0, 19)), (1, (40, 40))], radius=2)
    y, x = np.indices(classes.shape)
    for k, (py, px) in enumerate([(5, 4), (5, 9), (0, 19)], start=1):
        disk = (y - py) ** 2 + (x - px) ** 2 <= 4
        np.testing.assert_array_equal(masks[0] == k, disk)
        assert (classes[disk] == 1).all()
        ring = (y - py) ** 2 + (x - px) ** 2 <= 16
        assert np.isin(classes[ring], (1, IGNORED)).all()
    assert (classes[5, 14:] == 0).all()
    assert classes[5, 13] == IGNORED


def test_points_in_a_volume_of_two_classes():
    classes = np.zeros((5, 7, 9), np.uint8)
    masks = [np.zeros(classes.shape, int) for _ in range(2)]
    draw_points(classes, masks, [(2, (2, 3, 4))], radius=1)
    assert (classes == 2).sum() == 7
    assert (masks[1] == 1).sum() == 7
    assert not masks[0].any()
    assert (classes == IGNORED).sum() == 33 - 7  # lattice points within radius 2


@pytest.mark.parametrize(
    "numbers", [(-1, 6, 0.1, 10), (50, 0, 0.1, 10), (50, 6, 1.1, 10), (50, 6, 0.1, math.nan)]
)
def test_impossible_parameters_are_refused(numbers):
    with pytest.raises(DataError, match=r"weights cannot be computed; expected both sigmas > 0"):
        WeightParameters(*numbers)


def test_masks_of_another_size_are_refused():
    with pytest.raises(DataError, match=r"different sizes; expected \(3, 4\), found \(4, 3\)"):
        training_maps(np.zeros((3, 4), np.uint8), [np.zeros((4, 3), int)], WeightParameters())
