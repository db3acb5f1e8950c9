"""The challenge's measures: by hand, by brute force over pairs of pixels, and what must hold."""

import numpy as np
import pytest
from demitasse.errors import ImageError
from demitasse.imaging.metrics import (
    evaluate,
    f_score,
    information,
    intersections,
    iou,
    pixel_counts,
    rand_counts,
    shares,
    thresholds,
)
from scipy import ndimage


def cells(seed, shape=(40, 50)):
    """Binary interior of a few cells."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 2.5)
    return noise > np.quantile(noise, 0.6)


def scores(report):
    return (
        report.pixel_error.value,
        report.rand_error.value,
        report.v_rand.value,
        report.v_info.value,
        report.mean_iou,
    )


def test_the_thresholds_are_those_of_a_loop_in_floating_point():
    assert len(thresholds()) == 11
    assert thresholds()[3] == 0.30000000000000004
    assert thresholds()[-1] == 0.9999999999999999


def test_the_truth_itself_is_perfect():
    truth = [cells(0), cells(1)]
    report = evaluate(truth, [t.astype(np.float32) for t in truth])
    assert scores(report) == (0, 0, 1, pytest.approx(1), 1)


def test_noise_is_far_from_perfect():
    truth = [cells(0)]
    report = evaluate(truth, [np.random.default_rng(0).random((40, 50))])
    assert report.pixel_error.value > 0.15
    assert report.v_rand.value < 0.9


def brute_force_pairs(truth, guess):
    """TP, FP, FN over all ordered pairs of foreground pixels; each border pixel is an object."""
    inside = truth > 0
    i, j = truth[inside], guess[inside].copy()
    alone = j == 0
    j[alone] = j.max(initial=0) + 1 + np.arange(alone.sum())
    same_i, same_j = i[:, None] == i, j[:, None] == j
    return (same_i & same_j).sum(), (~same_i & same_j).sum(), (same_i & ~same_j).sum()


def brute_force_information(truth, guess):
    inside = truth > 0
    i, j = truth[inside], guess[inside].copy()
    alone = j == 0
    j[alone] = j.max(initial=0) + 1 + np.arange(alone.sum())
    n = len(i)

    def entropy(*keys):
        counts = np.unique(np.stack(keys), axis=1, return_counts=True)[1]
        return -(counts / n * np.log(counts / n)).sum()

    mutual = entropy(i) + entropy(j) - entropy(i, j)
    a, b = mutual / entropy(i), mutual / entropy(j)
    return 2 * a * b / (a + b)


@pytest.mark.parametrize("seed", range(6))
def test_pairs_and_information_equal_brute_force(seed):
    rng = np.random.default_rng(seed)
    truth, guess = rng.integers(0, 5, (12, 14)), rng.integers(0, 4, (12, 14))
    if seed == 5:
        guess[guess == 0] = 1  # no border at all
    found = shares(truth, guess)
    assert rand_counts(found) == pytest.approx(brute_force_pairs(truth, guess))
    assert information(found) == pytest.approx(brute_force_information(truth, guess))


def test_two_halves_merged_by_hand():
    # a: two objects of 2 pixels; the prediction joins them
    counts = rand_counts(shares(np.array([[1, 1, 2, 2]]), np.array([[5, 5, 5, 5]])))
    assert counts == pytest.approx((8, 8, 0))
    assert f_score(*counts) == pytest.approx(2 / 3)


def test_one_object_split_by_hand():
    # 1 of 4 pixels is called border: sizes 2 and 1 and a pixel of its own
    counts = rand_counts(shares(np.array([[1, 1, 1, 1]]), np.array([[1, 1, 0, 2]])))
    assert counts == pytest.approx((4 + 1 + 1, 0, 16 - 6))


@pytest.mark.parametrize(
    ("truth", "guess", "expected"),
    [
        ([1, 1, 1], [4, 4, 4], 1),  # both entropies are 0
        ([1, 1, 1, 1], [1, 1, 2, 2], 0),  # split: nothing is shared with one object
        ([1, 1, 2, 2], [3, 3, 3, 3], 0),  # merged
        ([1, 1, 2, 2], [7, 7, 8, 8], 1),
    ],
)
def test_information_of_single_objects(truth, guess, expected):
    found = information(shares(np.array([truth]), np.array([guess])))
    assert found == pytest.approx(expected)


def test_names_of_objects_do_not_matter():
    rng = np.random.default_rng(3)
    truth, guess = rng.integers(0, 6, (20, 20)), rng.integers(0, 6, (20, 20))
    names = np.array([0, 905, 17, 3, 44, 6])
    other = shares(names[truth], names[::-1][(5 - guess)])
    assert rand_counts(shares(truth, guess)) == pytest.approx(rand_counts(other))
    assert information(shares(truth, guess)) == pytest.approx(information(other))


def test_pixel_counts_are_summed_before_the_f_score():
    truth = [np.array([[1, 1, 1, 0]]), np.array([[1, 0, 0, 0]])]
    guess = [np.array([[1.0, 1, 0, 0]]), np.array([[1.0, 1, 1, 0]])]
    report = evaluate(truth, guess)
    # TP 2 + 1, FP 0 + 2, FN 1 + 0
    assert report.pixel_error.value == pytest.approx(1 - 6 / 9)
    assert report.pixel_error.slices == (pytest.approx(1 - 4 / 5), pytest.approx(1 - 2 / 4))
    assert report.iou == (pytest.approx(2 / 5), pytest.approx(3 / 6))


def test_the_best_threshold_is_found():
    truth = cells(2)
    guess = np.where(truth, 0.75, 0.55)
    report = evaluate([truth], [guess])
    assert report.pixel_error.value == 0
    assert report.pixel_error.threshold == pytest.approx(0.6)
    assert report.iou[0] == 0  # at 0.5 everything is called interior


def test_rand_error_pools_slices_and_v_rand_averages_them():
    one = np.ones((6, 6), int)
    parted = np.ones((6, 6), int)
    parted[:, 3] = 0
    # slice 0: perfect; slice 1: two cells of 18 and 12 pixels, seen as one
    report = evaluate([one, parted], [one.astype(float), one.astype(float)])
    tp, fp = 18**2 + 12**2, 2 * 18 * 12
    assert report.rand_error.value == pytest.approx(1 - f_score(36**2 + tp, fp, 0))
    assert report.v_rand.value == pytest.approx((1 + f_score(tp, fp, 0)) / 2)


def test_thinning_forgives_thick_borders_only_where_it_should():
    truth = np.ones((30, 31), int)
    truth[:, 15] = 0
    thick = np.ones((30, 31))
    thick[:, 11:20] = 0
    report = evaluate([truth], [thick])
    assert report.v_rand.value == report.v_info.value == pytest.approx(1)
    assert report.rand_error.value > 0.1


def test_slices_without_cells_are_left_out():
    empty, full = np.zeros((5, 5), int), np.ones((5, 5), int)
    report = evaluate([empty, full], [np.zeros((5, 5)), np.ones((5, 5))])
    assert np.isnan(report.v_rand.slices[0])
    assert (report.v_rand.value, report.v_info.value, report.rand_error.value) == (1, 1, 0)
    nothing = evaluate([empty], [np.zeros((5, 5))])
    assert np.isnan(nothing.v_rand.value)
    assert np.isnan(nothing.rand_error.value)
    assert nothing.iou[0] == 1
    assert np.isnan(nothing.iou[1])


def test_iou_by_class_ignores_what_is_ignored():
    truth = np.array([[0, 0, 1, 1, 2, 255]])
    guess = np.array([[0, 1, 1, 1, 0, 2]])
    parts = intersections(truth, guess, classes=3, ignore=255)
    np.testing.assert_array_equal(parts, [[1, 3], [2, 3], [0, 1]])
    assert iou(parts) == (pytest.approx(1 / 3), pytest.approx(2 / 3), 0)
    assert np.isnan(iou(np.array([[0, 0]]))[0])


def test_pixel_counts_by_hand():
    truth, guess = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    assert pixel_counts(truth, guess) == (1, 1, 1)
    assert f_score(0, 0, 0) == 1


@pytest.mark.parametrize(
    ("truth", "guess", "words"),
    [
        ([np.ones((2, 2))], [], "different numbers of slices; expected 1, found 0"),
        ([np.ones((2, 2))], [np.ones((2, 3))], r"slice 0: .*different sizes"),
        ([np.ones((2, 2))], [np.full((2, 2), 255)], r"not a probability map.*found 255 to 255"),
        ([np.ones((2, 2))], [np.full((2, 2), np.nan)], "not a probability map"),
    ],
)
def test_what_cannot_be_compared_is_refused(truth, guess, words):
    with pytest.raises(ImageError, match=words):
        evaluate(truth, guess)
