"""What a mask's numbers mean."""

import numpy as np
import pytest
from demitasse.data.labels import IGNORED
from demitasse.data.masks import MaskRule
from demitasse.errors import DataError


def test_the_plugins_numbers_of_instances():
    target = MaskRule()(np.array([[0, 1, 2], [9, 9, 1]]))
    np.testing.assert_array_equal(target.classes, [[IGNORED, 0, 1], [1, 1, 0]])
    np.testing.assert_array_equal(target.objects > 0, [[0, 0, 1], [1, 1, 0]])
    assert target.objects[0, 2] != target.objects[1, 0] == target.objects[1, 1]


def test_the_plugins_numbers_of_classes_with_connected_components():
    mask = np.array([[2, 1, 2, 3], [1, 2, 2, 3], [0, 1, 1, 1]])
    target = MaskRule("classes")(mask)
    expected = [[1, 0, 1, 2], [0, 1, 1, 2], [IGNORED, 0, 0, 0]]
    np.testing.assert_array_equal(target.classes, expected)
    assert len(np.unique(target.objects[target.classes == 1])) == 2  # corners do not join


def test_a_volumes_objects_join_through_its_slices():
    mask = np.ones((3, 2, 2), int)
    mask[:2, 0, 0] = mask[2, 1, 1] = 2
    target = MaskRule("classes")(mask)
    assert len(np.unique(target.objects)) == 3


def test_masks_with_background_0():
    mask = np.array([[0, 1, 7]])
    np.testing.assert_array_equal(MaskRule(background=0, ignore=None)(mask).classes, [[0, 1, 1]])
    target = MaskRule("binary", background=0, ignore=7)(mask)
    np.testing.assert_array_equal(target.classes, [[0, 1, IGNORED]])
    target = MaskRule("classes", values=(7, 0), ignore=1)(mask)
    np.testing.assert_array_equal(target.classes, [[1, IGNORED, 0]])


def test_0_may_be_an_object():
    target = MaskRule(background=0, ignore=-1)(np.array([[-1, 0, 4]]))
    np.testing.assert_array_equal(target.classes, [[255, 0, 1]])
    target = MaskRule(background=5, ignore=None)(np.array([[0, 5]]))
    np.testing.assert_array_equal(target.objects > 0, [[1, 0]])


def test_instances_and_ignored_regions_from_other_masks():
    classes = np.array([[2, 2, 3, 1]])
    target = MaskRule("classes")(
        classes, objects=np.array([[4, 5, 5, 9]]), ignored=np.array([[0, 0, 0, 255]])
    )
    np.testing.assert_array_equal(target.classes, [[1, 1, 2, IGNORED]])
    np.testing.assert_array_equal(target.objects, [[4, 5, 5, 0]])


@pytest.mark.parametrize(
    ("rule", "mask", "others", "words"),
    [
        (MaskRule("classes", background=2), [[1]], {}, r"value 1 at y 0, x 0; expected 2 \(backg"),
        (MaskRule("classes", values=(1, 4)), [[1, 3]], {}, r"value 3 .*1, 4, 0 to ignore"),
        (MaskRule("classes"), [[300]], {}, "value 300"),
        (MaskRule(), [[0.5]], {}, "fractions"),
        (MaskRule(), [[-1]], {}, "negative"),
        (
            MaskRule("classes"),
            [[2, 2]],
            {"objects": [[1, 0]]},
            "1 such pixels, the first at y 0, x 1",
        ),
        (MaskRule("classes"), [[2, 2]], {"objects": [[1]]}, "instance mask .* different sizes"),
        (MaskRule(), [[2, 2]], {"ignored": [[1]]}, "ignored regions .* different sizes"),
    ],
)
def test_what_does_not_fit_is_refused(rule, mask, others, words):
    others = {name: np.array(value) for name, value in others.items()}
    with pytest.raises(DataError, match=f"m: .*{words}"):
        rule(np.array(mask), where="m", **others)


@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "dots"},
        {"background": 0},
        {"values": (1, 2)},
        {"kind": "classes", "values": (0, 1)},
        {"kind": "classes", "values": (1, 1)},
    ],
)
def test_contradictions_are_refused(settings):
    with pytest.raises(DataError):
        MaskRule(**settings)
