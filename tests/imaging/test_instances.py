"""Objects of a label map: what is one object, what is too small, what lies in the border zone."""

import numpy as np
import pytest
from demitasse.errors import ImageError
from demitasse.imaging.instances import classes_of, instances, select, storage, visible
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage


def drawn(*rows):
    """A label map from lines of digits, '.' being 0."""
    return np.array([[int(c.replace(".", "0")) for c in row] for row in rows], np.uint8)


def test_pixels_that_meet_at_a_corner_are_two_objects_or_one():
    labels = drawn("1..", ".1.", "..1")
    assert instances(labels).max() == 3
    assert instances(labels, connectivity=8).max() == 1


def test_neighbours_of_different_classes_are_different_objects():
    objects = instances(drawn("1122", "1122"))
    np.testing.assert_array_equal(objects, drawn("1122", "1122"))
    np.testing.assert_array_equal(instances(drawn("1212")), drawn("1324"))


@pytest.mark.parametrize("min_size, kept", [(0, 2), (1, 2), (2, 1), (4, 1), (5, 0)])
def test_an_object_of_min_size_pixels_is_removed_and_a_larger_one_stays(min_size, kept):
    assert instances(drawn("11..", "...1", "1111"), min_size=min_size).max() == kept


def test_the_papers_rule():
    labels = np.zeros((60, 60), np.uint8)
    labels[:20, :25] = 1  # 500 pixels
    labels[30:33, :] = 1
    labels[40:60, :25] = labels[40, 25] = 1  # 501
    objects = instances(labels, min_size=500)
    assert objects.max() == 1 and objects[45, 3] == 1 and objects[5, 5] == 0


def test_holes_are_filled_only_where_asked_and_only_with_background():
    ring = drawn(".....", ".111.", ".1.1.", ".111.", ".....")
    assert instances(ring)[2, 2] == 0
    assert instances(ring, fill_holes=True)[2, 2] == 1
    assert instances(ring, fill_holes=True, min_size=8).max() == 1  # 9 pixels with the hole
    ring[2, 2] = 2
    assert instances(ring, fill_holes=True)[2, 2] == 2


def test_objects_in_the_border_zone_are_removed_whole_or_stay_whole():
    labels = np.zeros((12, 12), np.uint8)
    labels[0:2, 0:2] = 1  # in the zone
    labels[0:4, 6:8] = 1  # reaches out of it
    objects = instances(labels, border=3)
    assert objects[:4].max() == 1 and (objects > 0).sum() == 8
    np.testing.assert_array_equal(visible(instances(labels), 3), [2])
    assert instances(labels, border=2).max() == 1
    with pytest.raises(ImageError, match=r"img: the border zone .* below 6 pixels .* found 6"):
        instances(labels, border=6, where="img")


def test_the_zone_lies_along_every_edge():
    objects = np.zeros((12, 15), np.uint8)
    objects[:2, 6], objects[-2:, 6], objects[6, :2], objects[6, -2:] = 1, 2, 3, 4
    assert not len(visible(objects, 2))
    np.testing.assert_array_equal(visible(objects, 1), [1, 2, 3, 4])
    objects[2, 6] = 1
    objects[-3, 6] = 2
    objects[6, 2] = 3
    objects[6, -3] = 4
    np.testing.assert_array_equal(visible(objects, 2), [1, 2, 3, 4])


def test_the_class_of_every_objects_pixels():
    labels = drawn("22222", "2...2", "2.1.2", "2...2", "22222")
    objects = instances(labels, fill_holes=True, min_size=1)
    np.testing.assert_array_equal(
        classes_of(objects, labels), drawn("22222", "22222", "22022", "22222", "22222")
    )
    assert not classes_of(np.zeros_like(objects), labels).any()


def test_a_map_without_any_object():
    empty = np.zeros((7, 9), np.uint8)
    objects = instances(empty, min_size=5, border=2, fill_holes=True, connectivity=8)
    assert objects.dtype == np.int32 and not objects.any()


def test_a_volume():
    labels = np.zeros((3, 8, 8), np.uint8)
    labels[:, 3, 3] = 1
    labels[2, 4, 4] = 1
    assert instances(labels).max() == 2
    assert instances(labels, connectivity=8).max() == 1
    assert instances(labels, border=3).max() == 2


def test_numbers_that_do_not_fit_16_bits():
    assert storage(65_535) == np.uint16 and storage(65_536) == np.uint32
    labels = np.zeros((520, 520), np.uint8)
    labels[::2, ::2] = 1
    assert instances(labels).max() == 260 * 260 > 65_535


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 2)))  # fmt: skip # noqa: E501
def test_every_pixel_of_the_map_belongs_to_one_object_of_its_class(labels):
    objects = instances(labels)
    np.testing.assert_array_equal(objects > 0, labels > 0)
    assert sorted({*np.unique(objects)} - {0}) == list(range(1, objects.max() + 1))
    for i in range(1, objects.max() + 1):
        assert len(np.unique(labels[objects == i])) == 1
    # right and lower neighbours of one class are one object, of different classes never
    for a, b, x, y in [
        (labels[1:], labels[:-1], objects[1:], objects[:-1]),
        (labels[:, 1:], labels[:, :-1], objects[:, 1:], objects[:, :-1]),
    ]:
        inside = (a > 0) & (b > 0)
        np.testing.assert_array_equal((a == b)[inside], (x == y)[inside])


def test_selecting_numbers_anew_keeps_the_order():
    objects = np.array([[9, 9, 0, 4, 70, 70]])
    np.testing.assert_array_equal(select(objects, min_size=1), [[1, 1, 0, 0, 2, 2]])


def test_objects_that_hang_together_are_told_apart_by_their_cores():
    """Two squares and a bridge of lower probability; a speck of certainty is no core."""
    labels, prob = np.zeros((12, 30), int), np.full((12, 30), 0.1)
    for x in (1, 17):
        labels[1:11, x : x + 10], prob[1:11, x : x + 10] = 1, 0.9
    labels[5:7, 11:17], prob[5:7, 11:17] = 1, 0.6
    prob[5, 13] = 0.95
    both = np.stack([1 - prob, prob])
    assert instances(labels).max() == 1
    found = instances(labels, seeds=0.75, probabilities=both, min_size=5)
    assert found.max() == 2 and ((found > 0) == (labels > 0)).all()
    assert (found[1:11, 1:11] == 1).all() and (found[1:11, 17:27] == 2).all()
    assert (found[5, 11:14] == 1).all() and (found[5, 14:17] == 2).all()
    specks = instances(labels, seeds=0.75, probabilities=both)
    assert specks.max() == 3
    for least, count in ((0, 3), (1, 2), (99, 2), (100, 1)):  # cores of 1 and 100 pixels
        parts = instances(labels, seeds=0.75, probabilities=both, min_size=least)
        assert parts.max() == count
    np.testing.assert_array_equal(
        instances(labels, seeds=0.99, probabilities=both, min_size=5), instances(labels)
    )


def test_cores_of_volumes():
    labels, prob = np.zeros((4, 6, 20), int), np.full((4, 6, 20), 0.9)
    labels[1:3, 1:5, 1:19] = 1
    prob[:, :, 10] = 0.6
    found = instances(labels, seeds=0.7, probabilities=np.stack([1 - prob, prob]))
    assert found.max() == 2 and ((found > 0) == (labels > 0)).all()
    assert (found[1:3, 1:5, 1:10] == 1).all() and (found[1:3, 1:5, 11:19] == 2).all()


@given(st.integers(0, 300), st.sampled_from([4, 8]))
def test_what_was_told_apart_is_in_one_piece_each(seed, connectivity):
    """The nearest core may lie beyond a gap."""
    rng = np.random.default_rng(seed)
    prob = ndimage.gaussian_filter(rng.random((40, 40)), 1.5)
    prob = (prob - prob.min()) / np.ptp(prob)
    labels = (prob > 0.45).astype(int)
    both = np.stack([1 - prob, prob])
    whole = instances(labels, connectivity=connectivity)
    found = instances(labels, connectivity=connectivity, seeds=0.7, probabilities=both)
    structure = ndimage.generate_binary_structure(2, connectivity // 4)
    assert ((found > 0) == (whole > 0)).all() and found.max() >= whole.max()
    for number in range(1, found.max() + 1):
        assert ndimage.label(found == number, structure)[1] == 1
    cores, count = ndimage.label((prob > 0.7) & (labels > 0), structure)
    for core in range(1, count + 1):
        assert len(np.unique(found[cores == core])) == 1


def test_many_cores_of_one_object_are_looked_at_each_where_it_is(monkeypatch):
    looked, label = [], ndimage.label
    monkeypatch.setattr(
        ndimage, "label", lambda a, *more: (looked.append(a.size), label(a, *more))[1]
    )
    y, x = np.mgrid[:128, :128]
    sure = (y % 16 - 8) ** 2 + (x % 16 - 8) ** 2 < 20
    p = np.where(sure, 0.99, 0.6)
    found = instances(np.ones(sure.shape, np.uint8), seeds=0.9, probabilities=np.stack([1 - p, p]))
    assert found.max() == 64
    assert sum(looked) < 8 * sure.size  # not 64 times
