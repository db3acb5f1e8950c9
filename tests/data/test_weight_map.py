"""Equation 2 against brute force, and the helpers around it."""

import time

import numpy as np
import pytest
from demitasse.data.labels import LabelRule
from demitasse.data.weight_map import (
    border_term,
    class_balance,
    class_objects,
    components,
    object_borders,
    separate,
    weight_map,
)


def blobs(n, size=32, seed=0):
    """n overlapping disks drawn over each other: some touch, some lie apart."""
    rng = np.random.default_rng(seed)
    y, x = np.indices((size, size))
    labels = np.zeros((size, size), int)
    for k in range(n):
        cy, cx = rng.integers(4, size - 4, 2)
        labels[np.hypot(y - cy, x - cx) < rng.integers(3, 7)] = 10 * k + 3
    return labels


def two_touching():
    labels = np.zeros((32, 32), int)
    labels[5:20, 3:12] = 1
    labels[8:25, 12:30] = 2
    return labels


def brute_force(labels, w0, sigma, *, inside=True):
    """Every pixel against every border pixel of every object, in the words of the paper."""
    height, width = labels.shape
    result = np.zeros(labels.shape)
    borders = {}
    for y in range(height):
        for x in range(width):
            v = labels[y, x]
            around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            inner = [p for p in around if 0 <= p[0] < height and 0 <= p[1] < width]
            if v and any(labels[p] != v for p in inner):
                borders.setdefault(v, []).append((y, x))
    if len(borders) < 2:
        return result
    for y in range(height):
        for x in range(width):
            if labels[y, x] and not inside:
                continue
            nearest = sorted(
                min(((y - a) ** 2 + (x - b) ** 2) ** 0.5 for a, b in points)
                for points in borders.values()
            )
            result[y, x] = w0 * np.exp(-((nearest[0] + nearest[1]) ** 2) / (2 * sigma**2))
    return result


CASES = {
    "none": np.zeros((32, 32), int),
    "one": blobs(1),
    "two touching": two_touching(),
    "three": blobs(3, seed=5),
    "seven": blobs(7, seed=2),
    "fills the image": np.ones((32, 32), int),
}


@pytest.mark.parametrize("labels", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("inside", [True, False])
def test_equals_brute_force(labels, inside):
    classes = (labels > 0).astype(np.uint8)
    balance = np.array([1.25, 0.5])
    found = weight_map(labels, classes, balance, inside=inside)
    expected = balance[classes] + brute_force(labels, 10, 5, inside=inside)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize(("w0", "sigma"), [(3, 1.5), (50, 9)])
def test_w0_and_sigma(w0, sigma):
    labels = CASES["three"]
    found = border_term(labels, w0=w0, sigma=sigma)
    np.testing.assert_allclose(found, brute_force(labels, w0, sigma), atol=1e-6)
    assert found.max() > w0 / 10


def test_a_pixel_between_two_objects_by_hand():
    labels = np.zeros((5, 9), int)
    labels[:, :3], labels[:, 6:] = 1, 2
    # the gap is 3..5: column 4 is 2 px from both borders (columns 2 and 6)
    assert border_term(labels)[2, 4] == pytest.approx(10 * np.exp(-16 / 50))
    # column 1 lies inside: 1 px from its own border, 5 from the other
    assert border_term(labels)[2, 1] == pytest.approx(10 * np.exp(-36 / 50))


@pytest.mark.parametrize("name", ["none", "one", "fills the image"])
def test_fewer_than_two_objects_have_no_border_term(name):
    assert (border_term(CASES[name]) == 0).all()


def test_ignored_pixels_weigh_nothing_whatever_they_hold():
    labels = CASES["three"]
    classes = (labels > 0).astype(np.uint8)
    ignore = np.zeros(labels.shape, bool)
    ignore[10:14] = True
    classes[ignore] = 255
    weight = weight_map(labels, classes, [1.0, 1.0], ignore=ignore)
    assert (weight[ignore] == 0).all()
    assert (weight[~ignore] >= 1).all()


def test_the_balance_has_mean_1_and_inverse_frequencies():
    counts = np.array([700, 200, 0, 100])
    w = class_balance(counts)
    assert (w * counts).sum() / counts.sum() == pytest.approx(1)
    assert w[2] == 0
    assert w[1] / w[0] == pytest.approx(3.5)
    assert w[3] / w[0] == pytest.approx(7)
    assert (class_balance([0, 0]) == 0).all()


def test_ids_need_not_be_small_or_in_a_row():
    labels = CASES["three"]
    other = np.where(labels > 0, labels.astype(np.int64) * 10**9 + 7, 0)
    np.testing.assert_array_equal(border_term(labels), border_term(other))


def test_hundreds_of_cells_take_little_time():
    y, x = np.indices((512, 512))
    labels = np.where((y % 25 > 2) & (x % 25 > 2), y // 25 * 21 + x // 25 + 1, 0)
    began = time.perf_counter()
    term = border_term(labels)
    assert labels.max() > 400
    assert term.max() > 5
    assert time.perf_counter() - began < 3


def test_borders_are_next_to_something_else_in_the_image():
    labels = np.zeros((6, 6), int)
    labels[0:4, 0:4] = 1
    expected = np.zeros((6, 6), bool)
    expected[3, :4] = expected[:4, 3] = True
    np.testing.assert_array_equal(object_borders(labels), expected)


def test_components_do_not_join_at_corners():
    mask = np.array([[1, 0, 0], [0, 1, 1]], bool)
    assert components(mask).max() == 2


def test_objects_of_two_classes_are_different_objects():
    classes = np.array([[1, 1, 2], [0, 0, 2], [1, 0, 2]])
    objects = class_objects(classes)
    assert (objects[classes == 0] == 0).all()
    assert len(np.unique(objects[classes > 0])) == 3
    assert objects[0, 0] == objects[0, 1] != objects[2, 0]


def test_touching_objects_are_parted_and_others_left_alone():
    for labels in (two_touching(), blobs(9, seed=4)):
        kept = separate(labels)
        assert not kept[labels == 0].any()
        # no kept pixel has a kept pixel of another object among its eight neighbours
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
            a = labels[: 32 - dy, max(0, -dx) : 32 - max(0, dx)]
            b = labels[dy:, max(0, dx) : 32 + min(0, dx)]
            ka = kept[: 32 - dy, max(0, -dx) : 32 - max(0, dx)]
            kb = kept[dy:, max(0, dx) : 32 + min(0, dx)]
            assert not (ka & kb & (a != b)).any()
    alone = blobs(1)
    np.testing.assert_array_equal(separate(alone), alone > 0)
    # the contact is 12 pixels long, and one more where the object's corner is passed
    assert (two_touching() > 0).sum() - separate(two_touching()).sum() in (12, 13)


def test_the_gap_between_touching_objects_is_background():
    """What parts two objects that touch must weigh, or nothing is gained by finding it."""
    instances = np.zeros((20, 30), np.uint16)
    instances[4:16, 3:15], instances[4:16, 15:27] = 1, 2
    classes = LabelRule("instances").classes(instances)
    gap = (instances > 0) & (classes == 0)
    assert gap.sum() == 12
    weight = weight_map(instances, classes, (1.0, 1.0), inside=False)
    assert weight[gap].min() > 1 + 10 * np.exp(-9 / 50) and (weight[classes == 1] == 1).all()
