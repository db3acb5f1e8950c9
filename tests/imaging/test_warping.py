"""The warping error's cases by hand, and the whole of it by the definition, word by word."""

import numpy as np
import pytest
from demitasse.imaging.warping import RING, SIMPLE, Mistake, classify, mistakes, warp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

FOUR, EIGHT = ndimage.generate_binary_structure(2, 1), np.ones((3, 3))


def simple(patch):
    """By topological numbers: one 4-component touches the centre, and one 8-component of ground."""
    ring = patch.copy()
    ring[1, 1] = False
    labels, _ = ndimage.label(ring, FOUR)
    ground = ~patch
    ground[1, 1] = False
    touching = {int(labels[p]) for p in ((0, 1), (1, 0), (1, 2), (2, 1))} - {0}
    return len(touching) == 1 and ndimage.label(ground, EIGHT)[1] == 1


def slow_warp(truth, prediction, th):
    source = np.pad(truth, 1)
    target = np.pad(prediction > th, 1)
    height, width = truth.shape
    left = None
    while True:
        wrong = source != target
        if wrong.sum() == left:
            break
        left = wrong.sum()
        points = [
            (x, y, np.float32(abs(np.float32(prediction[y, x]) - th)))
            for x in range(width)
            for y in range(height)
            if wrong[y + 1, x + 1]
        ]
        for x, y, _ in sorted(points, key=lambda p: -p[2]):
            if simple(source[y : y + 3, x : x + 3]):
                source[y + 1, x + 1] ^= True
    return source[1:-1, 1:-1]


def around(labels, y, x):
    height, width = labels.shape
    at = [(y + dy, x + dx) for dy, dx in RING]
    return {int(labels[p]) for p in at if 0 <= p[0] < height and 0 <= p[1] < width}


def slow_kind(warped, y, x):
    seen = around(ndimage.label(warped)[0], y, x)
    white = warped[y, x]
    if seen <= {0}:
        return Mistake.OBJECT_DELETION if white else Mistake.OBJECT_ADDITION
    if len(seen) == 1:
        return Mistake.HOLE_ADDITION if white else Mistake.HOLE_DELETION
    if len(seen) > 2:
        return Mistake.SPLIT if white else Mistake.MERGE
    if not white:
        return Mistake.HOLE_ADDITION
    without = warped.copy()
    without[y, x] = False
    parted = len(around(ndimage.label(without)[0], y, x)) > 2
    return Mistake.SPLIT if parted else Mistake.HOLE_DELETION


def test_simple_points_by_topological_numbers():
    for code in range(256):
        patch = np.zeros((3, 3), bool)
        for k, (dy, dx) in enumerate(RING):
            patch[1 + dy, 1 + dx] = code >> k & 1
        assert SIMPLE[code] == simple(patch)


binary = hnp.arrays(bool, (7, 8))
grey = hnp.arrays(np.float32, (7, 8), elements=st.sampled_from([0, 0.25, 0.5, 0.75, 1]))


@settings(max_examples=150, deadline=None)
@given(binary, grey, st.sampled_from([0.0, 0.30000000000000004, 0.5, 0.8]))
def test_it_equals_the_definition(truth, prediction, th):
    warped, y, x = warp(truth, prediction, th)
    np.testing.assert_array_equal(warped, slow_warp(truth, prediction, th))
    left = np.argwhere(warped != (prediction > th))
    assert sorted(zip(y.tolist(), x.tolist(), strict=True)) == [tuple(p) for p in left.tolist()]
    kinds = classify(warped, y, x)
    assert kinds.tolist() == [slow_kind(warped, *p) for p in zip(y, x, strict=True)]


@pytest.mark.parametrize("seed", range(2))
def test_larger_maps_of_cells_equal_the_definition(seed):
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.random((30, 36)), 2)
    truth = noise > np.quantile(noise, 0.4)
    prediction = np.clip(truth + rng.normal(0, 0.4, truth.shape), 0, 1).astype(np.float32)
    warped, y, x = warp(truth, prediction, 0.4)
    np.testing.assert_array_equal(warped, slow_warp(truth, prediction, 0.4))
    kinds = classify(warped, y, x)
    assert kinds.tolist() == [slow_kind(warped, *p) for p in zip(y, x, strict=True)]
    assert {Mistake.HOLE_ADDITION, Mistake.OBJECT_ADDITION} <= set(kinds.tolist())


@settings(max_examples=50)
@given(binary, grey)
def test_warping_keeps_the_topology(truth, prediction):
    warped, _, _ = warp(truth, prediction, 0.5)
    assert ndimage.label(warped, FOUR)[1] == ndimage.label(truth, FOUR)[1]
    ground = [ndimage.label(np.pad(~a, 1, constant_values=True), EIGHT)[1] for a in (truth, warped)]
    assert ground[0] == ground[1]
    assert len(warp(truth, truth.astype(float), 0.5)[1]) == 0


def picture(*rows):
    return np.array([[c == "#" for c in row] for row in rows])


SQUARE = picture(".......", ".#####.", ".#####.", ".#####.", ".#####.", ".#####.", ".......")
RINGED = picture(".......", ".#####.", ".#####.", ".##.##.", ".#####.", ".#####.", ".......")
EMPTY = np.zeros((7, 7), bool)
DOT = picture(".......", ".......", ".......", "...#...", ".......", ".......", ".......")
HALVES = picture(".......", ".##.##.", ".##.##.", ".##.##.", ".##.##.", ".##.##.", ".......")
BRIDGED = picture(".......", ".##.##.", ".##.##.", ".#####.", ".##.##.", ".##.##.", ".......")
CORNERS = picture(".......", ".##....", ".##....", "...##..", "...##..", ".......", ".......")


@pytest.mark.parametrize(
    ("truth", "guess", "kinds"),
    [
        (DOT, EMPTY, [Mistake.OBJECT_DELETION]),
        (EMPTY, DOT, [Mistake.OBJECT_ADDITION]),
        (SQUARE, RINGED, [Mistake.HOLE_ADDITION]),
        (RINGED, SQUARE, [Mistake.HOLE_DELETION]),
        (BRIDGED, HALVES, [Mistake.SPLIT]),
        (HALVES, BRIDGED, [Mistake.MERGE]),
        (SQUARE, np.roll(SQUARE, 1, axis=1), []),  # moved: warped there
        (SQUARE, ndimage.binary_erosion(SQUARE), []),
    ],
    ids=[
        "object deleted",
        "object added",
        "hole added",
        "hole deleted",
        "split",
        "merge",
        "moved",
        "shrunk",
    ],
)
def test_the_cases_by_hand(truth, guess, kinds):
    found, _, _ = mistakes(truth, guess.astype(np.float32), 0.5)
    assert found.tolist() == kinds


def test_a_deleted_object_shrinks_to_one_pixel_and_a_closed_hole_too():
    found, _, _ = mistakes(SQUARE, np.zeros((7, 7)), 0.5)
    assert found.tolist() == [Mistake.OBJECT_DELETION]
    hollow = SQUARE & ~ndimage.binary_erosion(SQUARE)
    found, _, _ = mistakes(hollow, SQUARE.astype(float), 0.5)
    assert found.tolist() == [Mistake.HOLE_DELETION]


def test_a_cell_that_is_cut_counts_one_split_pixel():
    found, y, x = mistakes(SQUARE, HALVES.astype(float), 0.5)
    assert found.tolist() == [Mistake.SPLIT]
    assert (x == 3).all() and (y >= 1).all() and (y <= 5).all()


def test_a_hole_through_a_bridge_of_two_ways_is_no_split():
    # a ring without one of its pixels is still in one piece: the hole opens
    frame = SQUARE & ~ndimage.binary_erosion(SQUARE)
    opened = frame.copy()
    opened[1, 3] = False
    found, _, _ = mistakes(frame, opened.astype(float), 0.5)
    assert found.tolist() == [Mistake.HOLE_DELETION]


def test_corners_do_not_join_objects():
    # a pixel between two objects that touch at a corner would merge them by its sides
    bridged = CORNERS.copy()
    bridged[2, 3] = True
    found, _, _ = mistakes(CORNERS, bridged.astype(float), 0.5)
    assert found.tolist() == [Mistake.MERGE]


@pytest.mark.parametrize("less_sure", [3, 4])
def test_surer_pixels_are_flipped_first(less_sure):
    # a bridge of two pixels is cut: the first one goes, the other parts the object and stays
    truth = HALVES.copy()
    truth[3:5, 3] = True
    guess = HALVES.astype(np.float32)
    guess[less_sure, 3] = 0.45
    found, y, x = mistakes(truth, guess, 0.5)
    assert (found.tolist(), y.tolist(), x.tolist()) == ([Mistake.SPLIT], [less_sure], [3])


def test_images_of_one_pixel_and_at_the_border():
    found, _, _ = mistakes(np.ones((1, 1), bool), np.zeros((1, 1)), 0.5)
    assert found.tolist() == [Mistake.OBJECT_DELETION]
    found, _, _ = mistakes(np.ones((3, 5), bool), np.array([[1, 1, 0, 1, 1]] * 3), 0.5)
    assert found.tolist() == [Mistake.SPLIT]
