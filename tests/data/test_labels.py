"""What label images mean, told or guessed."""

import numpy as np
import pytest
from demitasse.data.labels import IGNORED, LabelRule, detect, whole_numbers
from demitasse.errors import DataError


def test_binary_takes_any_value_above_0():
    target = LabelRule("binary")(np.array([[0, 7, 0], [255, 7, 0]]))
    np.testing.assert_array_equal(target.classes, [[0, 1, 0], [1, 1, 0]])
    assert target.classes.dtype == np.uint8
    assert target.objects.max() == 1  # 4-connected through the middle
    assert target.ignored is None


def test_instances_are_parted_but_keep_their_full_objects():
    labels = np.array([[1, 1, 2, 2]] * 2)
    target = LabelRule("instances")(labels)
    np.testing.assert_array_equal(target.classes, [[1, 1, 0, 1]] * 2)
    np.testing.assert_array_equal(target.objects, labels)


def test_classes_are_their_values_or_the_listed_ones():
    np.testing.assert_array_equal(LabelRule("classes")(np.array([[0, 1, 2]])).classes, [[0, 1, 2]])
    rule = LabelRule("classes", ignore=9, values=(40, 10, 25))
    target = rule(np.array([[10, 25, 40, 9]]))
    np.testing.assert_array_equal(target.classes, [[1, 2, 0, IGNORED]])
    np.testing.assert_array_equal(target.ignored, [[False, False, False, True]])
    assert target.objects[0, 3] == 0


@pytest.mark.parametrize("kind", ["binary", "instances", "classes"])
def test_the_ignored_value_is_written_as_255_and_is_no_object(kind):
    target = LabelRule(kind, ignore=3)(np.array([[0, 1, 1, 3, 3]]))
    np.testing.assert_array_equal(target.classes, [[0, 1, 1, 255, 255]])
    np.testing.assert_array_equal(target.objects > 0, [[0, 1, 1, 0, 0]])


def test_ignored_pixels_cut_no_gap_beside_them():
    classes = LabelRule("instances", ignore=9)(np.array([[9, 9, 1, 1]])).classes
    np.testing.assert_array_equal(classes, [[255, 255, 1, 1]])


def test_a_value_that_is_no_class_is_named_with_its_place():
    with pytest.raises(DataError, match=r"s1: .*holds the value 7 at y 1, x 0.*one of 1, 2"):
        LabelRule("classes", values=(1, 2))(np.array([[1, 2], [7, 1]]), where="s1")


def test_255_without_ignore_is_refused_with_the_remedy():
    with pytest.raises(DataError, match=r"value 255; expected classes 0 to 254.*--ignore 255"):
        LabelRule("classes")(np.array([[0, 1, 255]]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "objects"}, "cannot be 'objects'"),
        ({"kind": "binary", "values": (1, 2)}, "labels are not classes"),
        ({"kind": "classes", "values": (1, 1)}, "one thing only"),
        ({"kind": "classes", "values": (1, 2), "ignore": 2}, "one thing only"),
    ],
)
def test_contradictions_are_refused(settings, words):
    with pytest.raises(DataError, match=words):
        LabelRule(**settings)


def test_whole_numbers_in_any_type():
    assert whole_numbers(np.array([[True, False]])).dtype == np.uint8
    np.testing.assert_array_equal(whole_numbers(np.array([[0.0, 3.0]])), [[0, 3]])
    for bad, words in (
        ([[0.5, 0.0]], r"fractions or NaN.*0\.5 at y 0, x 0"),
        ([[0.0, np.nan]], "fractions or NaN"),
        ([[-1, 0]], "negative"),
    ):
        with pytest.raises(DataError, match=words):
            whole_numbers(np.array(bad))
    with pytest.raises(DataError, match="one value a pixel"):
        whole_numbers(np.zeros((2, 2, 2)))


@pytest.mark.parametrize("kind", ["binary", "instances", "classes"])
def test_pixels_of_minus_one_may_be_ignored(kind):
    labels = np.array([[0, 1, -1]], np.int8)
    target = LabelRule(kind, ignore=-1)(labels)
    np.testing.assert_array_equal(target.classes, [[0, 1, IGNORED]])
    np.testing.assert_array_equal(target.ignored, [[False, False, True]])
    assert not target.objects[0, 2]
    assert detect([np.repeat(labels, 4, 0)], ignore=-1)[0] == "binary"
    with pytest.raises(DataError, match="negative values; found -2"):
        LabelRule(kind, ignore=-1)(labels * 2)


def disks(values, pieces=1):
    labels = np.zeros((60, 60), np.uint16)
    place = 0
    for value in values:
        for _ in range(pieces):
            y, x = divmod(place, 10)
            labels[6 * y : 6 * y + 4, 6 * x : 6 * x + 4] = value
            place += 1
    return labels


@pytest.mark.parametrize(
    ("slices", "kind"),
    [
        ([disks([255], 9)], "binary"),
        ([np.zeros((5, 5), int)], "binary"),
        ([disks([1], 3), disks([1], 4)], "binary"),
        ([disks([3, 9, 27, 100])], "instances"),
        ([disks(range(1, 30)), disks(range(1, 25))], "instances"),
        ([disks([1, 2, 3], 4)], "classes"),
        ([disks([1, 2], 5)], "classes"),
    ],
)
def test_detection(slices, kind):
    found, why = detect(slices)
    assert found == kind
    assert why


def test_detection_leaves_the_ignored_value_out():
    assert detect([disks([1, 255], 5)], ignore=255)[0] == "binary"


@pytest.mark.parametrize("slices", [[disks([1, 2])], [disks([1, 2, 3], 4), disks([1, 2, 3, 4])]])
def test_what_cannot_be_told_is_asked(slices):
    with pytest.raises(DataError, match=r"cannot be told.*--labels-are"):
        detect(slices)
