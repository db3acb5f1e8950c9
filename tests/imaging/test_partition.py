"""Agreement of partitions: by hand, by brute force over pairs of pixels, and what must hold."""

import numpy as np
import pytest
from demitasse.imaging.partition import information, rand_counts, shares
from demitasse.imaging.score import f_score


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
