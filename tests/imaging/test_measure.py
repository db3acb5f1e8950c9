"""Measurements of shapes computed by hand."""

import numpy as np
import pytest
from demitasse.imaging.measure import header, measure, row


def test_a_rectangle_and_an_l():
    objects = np.zeros((8, 10), np.int32)
    objects[1:4, 2:6] = 1
    objects[5:8, 7] = objects[7, 8] = 2
    classes = np.where(objects == 2, 3, objects).astype(np.uint8)
    probability = np.where(objects == 1, 0.75, 0.5)
    probability[7, 8] = 0.9
    one, two = measure(objects, classes, probability)
    assert (one.number, one.kind, one.size) == (1, 1, 12)
    assert one.centre == (2.0, 3.5) and one.start == (1, 2) and one.extent == (3, 4)
    assert one.probability == 0.75
    assert (two.number, two.kind, two.size) == (2, 3, 4)
    assert two.centre == ((5 + 6 + 7 + 7) / 4, (7 + 7 + 7 + 8) / 4)
    assert two.probability == pytest.approx((3 * 0.5 + 0.9) / 4)
    names = ("none", "cell")
    words = dict(zip(header(2), row(one, 5, names, (0.5, 0.25)), strict=True))
    assert words == {
        "page": "5",
        "id": "1",
        "class": "1",
        "class_name": "cell",
        "area_px": "12",
        "area_um2": "1.5",
        "centroid_y": "2.000",
        "centroid_x": "3.500",
        "box_y": "1",
        "box_x": "2",
        "box_height": "3",
        "box_width": "4",
        "mean_probability": "0.7500",
    }
    for name, kept in (("=1+1", "'=1+1"), ("@SUM(A1)", "'@SUM(A1)"), ("CD4+", "CD4+")):
        named = dict(zip(header(2), row(one, 5, (name, name)), strict=True))
        assert named["class_name"] == kept  # a spreadsheet would compute it
    unknown = dict(zip(header(2), row(two, 0, names), strict=True))
    assert unknown["class_name"] == unknown["area_um2"] == ""


def test_a_box_in_a_volume():
    objects = np.zeros((4, 5, 6), np.int32)
    objects[1:3, 2:5, 3:4] = 9
    (one,) = measure(objects, (objects > 0).astype(np.uint8))
    assert (one.size, one.centre, one.start, one.extent) == (6, (1.5, 3, 3), (1, 2, 3), (2, 3, 1))
    words = dict(zip(header(3), row(one, 0, (), (2.0, 0.5, 0.5)), strict=True))
    assert words["volume_um3"] == "3" and words["volume_px"] == "6"
    assert words["box_depth"] == "2" and words["centroid_z"] == "1.500"
    assert words["mean_probability"] == ""


def test_numbers_far_apart():
    objects = np.array([[5, 0, 2_000_000_000]], np.int64)
    assert [one.number for one in measure(objects, np.sign(objects))] == [5, 2_000_000_000]


def test_no_object():
    assert measure(np.zeros((3, 3), np.int32), np.zeros((3, 3), np.uint8)) == []
