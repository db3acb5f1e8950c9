"""Kinds of data, told from their values."""

import numpy as np
import pytest
from demitasse.data import synthetic
from demitasse.errors import ImageError
from demitasse.imaging.recognise import Survey
from scipy import ndimage


def survey(*slices):
    found = Survey()
    for k, pixels in enumerate(slices):
        found.add(np.asarray(pixels), f"slice {k}")
    return found


@pytest.fixture(scope="module")
def instances():
    return synthetic.volume(0, 2, (70, 80))[1]


def test_kinds_of_real_looking_data(instances):
    rng = np.random.default_rng(0)
    blurred = ndimage.gaussian_filter((instances > 0).astype(float), 1.2)
    grey = np.clip(blurred + rng.normal(0, 0.1, blurred.shape), 0, 1)
    classes = np.where(instances % 3 == 0, 0, 1 + (instances % 2))
    classes[:, ::9] = 3
    for slices, labels, kind in (
        (instances, True, "instances"),
        (instances.astype(np.float32), False, "instances"),
        (instances > 0, True, "binary"),
        (255 * (instances > 0), False, "binary"),
        (classes, True, "classes"),
        (classes, False, "classes"),
        (grey, False, "probability"),
        (np.rint(255 * grey).astype(np.uint8), False, "probability"),
        (np.rint(65535 * grey).astype(np.uint16), False, "probability"),
        (np.rint(65535 * blurred).astype(np.uint16), False, "probability"),
        (np.rint(65535 * grey).astype(np.uint16), True, ""),
    ):
        assert survey(*slices).kind(labels=labels)[0] == kind


def test_what_is_not_clear_is_left_open():
    assert survey([[1, 0, 2]]).kind(labels=True) == (
        "",
        "2 values besides 0 (1, 2), 2 of 2 in one piece, as objects are",
    )
    parts = [[1, 0, 1, 0, 2, 0, 3]]  # two of three in one piece
    assert survey(parts).kind(labels=True)[0] == ""
    assert survey([[-3, -2, 0, -3, 1]]).kind(labels=False)[0] == ""


def test_constant_maps_are_noticed():
    assert survey([[0, 0]]).kind(labels=True) == ("binary", "all 0")
    assert survey([[0, 0], [0, 0]]).constant
    assert not survey([[0, 0]], [[0, 1]]).constant


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_must_be_finite(value):
    with pytest.raises(ImageError, match=r"slice 0: .*not finite.*found 1 NaN or infinite"):
        survey([[0.5, value]])
    with pytest.raises(ImageError, match="no pixel"):
        survey(np.zeros((0, 4)))


def test_objects_in_pieces_are_numbered_still():
    """And grey values are not, though they begin at 1 and none is left out."""
    objects = np.zeros((40, 40), np.uint16)
    for k in range(1, 20):
        objects[2 * k, : 4 + k] = k
        objects[2 * k, 30 : 30 + k % 2 * 3] = k
    some, grey = Survey(), Survey()
    some.add(objects, "")
    assert some.kind(labels=False)[0] == "probability" and some.numbered
    grey.add(np.random.default_rng(0).integers(0, 256, (200, 200), np.uint8), "")
    assert grey.values == set(range(256)) and not grey.numbered


def test_specks_numbered_from_1_are_objects():
    specks = np.zeros((20, 20), np.uint16)
    specks[::2, ::2] = np.arange(1, 101).reshape(10, 10)
    assert survey(specks).kind(labels=False)[0] == "instances"
    assert survey(specks * 600).kind(labels=False)[0] == "probability"
