"""The challenge's measures: by hand, by brute force over pairs of pixels, and what must hold."""

import numpy as np
import pytest
from demitasse.errors import ImageError
from demitasse.imaging.membranes import STEPS, WARPING_STEPS, pixel_counts, thresholds
from demitasse.imaging.metrics import DEFAULTS, evaluate
from demitasse.imaging.score import f_score
from demitasse.imaging.views import Pair, View
from scipy import ndimage


def cells(seed, shape=(40, 50)):
    """Binary interior of a few cells."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random(shape), 2.5)
    return noise > np.quantile(noise, 0.6)


def compare(truth, guess, *names):
    """The measures of a binary truth and of maps of probabilities."""
    pairs = [
        Pair(View(np.asarray(t), "binary"), View(np.asarray(g), "probability"), where=f"slice {i}")
        for i, (t, g) in enumerate(zip(truth, guess, strict=True))
    ]
    return evaluate(pairs, names or None)


def test_the_thresholds_are_those_of_a_loop_in_floating_point():
    assert len(thresholds()) == 11
    assert thresholds()[3] == 0.30000000000000004
    assert thresholds()[-1] == 0.9999999999999999


def test_the_truth_itself_is_perfect():
    truth = [cells(0), cells(1)]
    report = compare(truth, [t.astype(np.float32) for t in truth])
    found = [report[name].value for name in DEFAULTS["membrane"]]
    assert found == [0, 0, 0, 1, pytest.approx(1), 1]


def test_noise_is_far_from_perfect():
    truth = [cells(0)]
    report = compare(truth, [np.random.default_rng(0).random((40, 50))])
    assert report["pixel_error"].value > 0.15
    assert report["v_rand"].value < 0.9


def test_pixel_counts_are_summed_before_the_f_score():
    truth = [np.array([[1, 1, 1, 0]]), np.array([[1, 0, 0, 0]])]
    guess = [np.array([[1.0, 1, 0, 0]]), np.array([[1.0, 1, 1, 0]])]
    report = compare(truth, guess)
    # TP 2 + 1, FP 0 + 2, FN 1 + 0
    assert report["pixel_error"].value == pytest.approx(1 - 6 / 9)
    assert report["pixel_error"].slices == (pytest.approx(1 - 4 / 5), pytest.approx(1 - 2 / 4))
    iou = report["iou"].classes
    assert iou["border"].value == pytest.approx(2 / 5)
    assert iou["interior"].value == pytest.approx(3 / 6)


def test_the_best_threshold_is_found():
    truth = cells(2)
    guess = np.where(truth, 0.75, 0.55)
    report = compare([truth], [guess])
    assert report["pixel_error"].value == 0
    assert report["pixel_error"].threshold == pytest.approx(0.6)
    assert report["iou"].classes["border"].value == 0  # at 0.5 everything is called interior


def test_rand_error_pools_slices_and_v_rand_averages_them():
    one = np.ones((6, 6), int)
    parted = np.ones((6, 6), int)
    parted[:, 3] = 0
    # slice 0: perfect; slice 1: two cells of 18 and 12 pixels, seen as one
    report = compare([one, parted], [one.astype(float), one.astype(float)])
    tp, fp = 18**2 + 12**2, 2 * 18 * 12
    assert report["rand_error"].value == pytest.approx(1 - f_score(36**2 + tp, fp, 0))
    assert report["v_rand"].value == pytest.approx((1 + f_score(tp, fp, 0)) / 2)


def test_thinning_forgives_thick_borders_only_where_it_should():
    truth = np.ones((30, 31), int)
    truth[:, 15] = 0
    thick = np.ones((30, 31))
    thick[:, 11:20] = 0
    report = compare([truth], [thick])
    assert report["v_rand"].value == report["v_info"].value == pytest.approx(1)
    assert report["rand_error"].value > 0.1


def test_slices_without_cells_are_left_out():
    empty, full = np.zeros((5, 5), int), np.ones((5, 5), int)
    report = compare([empty, full], [np.zeros((5, 5)), np.ones((5, 5))])
    assert np.isnan(report["v_rand"].slices[0])
    assert (report["v_rand"].value, report["v_info"].value, report["rand_error"].value) == (1, 1, 0)
    nothing = compare([empty], [np.zeros((5, 5))])
    assert np.isnan(nothing["v_rand"].value)
    assert np.isnan(nothing["rand_error"].value)
    assert {name: c.value for name, c in nothing["iou"].classes.items()} == {"border": 1}


def test_pixel_counts_by_hand():
    truth, guess = np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool)
    assert pixel_counts(truth, guess) == (1, 1, 1)
    assert f_score(0, 0, 0) == 1


@pytest.mark.parametrize(
    ("truth", "guess", "words"),
    [
        ([np.ones((2, 2))], [np.ones((2, 3))], r"slice 0: .*different sizes"),
        ([np.ones((2, 2))], [np.full((2, 2), 255)], r"not a probability map.*found 255 to 255"),
        ([np.ones((2, 2))], [np.full((2, 2), np.nan)], "not a probability map"),
        ([np.ones((0, 2))], [np.ones((0, 2))], "no pixel"),
    ],
)
def test_what_cannot_be_compared_is_refused(truth, guess, words):
    with pytest.raises(ImageError, match=words):
        compare(truth, guess)


def test_a_binary_prediction_is_measured_once_and_the_first_threshold_is_named():
    report = compare([cells(3)], [cells(4).astype(float)])
    assert {report[name].threshold for name in DEFAULTS["membrane"][:2]} == {0.0}


def test_the_warping_error_sums_over_slices_and_leaves_out_the_last_threshold():
    assert STEPS[:10] == WARPING_STEPS
    apart = np.ones((5, 7))
    apart[:, 3] = 0
    bridged = apart.copy()
    bridged[2, 3] = 1  # joins two cells: one merge pixel
    cut = np.ones((5, 7))
    cut[:, 3] = 0  # cell cut in two
    cut[0, 3] = 0.95  # but for the last threshold that counts, not quite
    one = compare([apart], [bridged], "warping_error")["warping_error"]
    assert (one.value, one.threshold) == (1 / 35, 0.0)
    assert one.counts == {"split pixels": 0, "merge pixels": 1}
    both = compare([apart, apart], [bridged, apart], "warping_error")["warping_error"]
    assert both.value == pytest.approx(1 / 70)
    assert both.slices == (1 / 35, 0)
    kept = compare([np.ones((5, 7))], [cut], "warping_error")["warping_error"]
    assert kept.value == 0  # warped into the cut up to the pixel that still joins the halves


def test_ignored_pixels_do_not_count():
    truth, guess = cells(5), np.random.default_rng(0).random((40, 50))
    ignored = np.zeros(truth.shape, bool)
    ignored[:, 25:] = True
    changed = np.where(ignored, 1 - guess, guess)
    first, second = (
        evaluate([Pair(View(truth, "binary"), View(g, "probability"), ignored)])
        for g in (guess, changed)
    )
    assert {n: s.value for n, s in first.items()} == {n: s.value for n, s in second.items()}
    half = compare([truth[:, :25]], [guess[:, :25]], "pixel_error")
    assert first["pixel_error"] == half["pixel_error"]
    assert first["iou"].value == compare([truth[:, :25]], [guess[:, :25]], "iou")["iou"].value
