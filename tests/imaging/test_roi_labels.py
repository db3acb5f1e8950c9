"""Selections of ImageJ as label images."""

import numpy as np
import pytest
import roifile
from demitasse.errors import ImageError
from demitasse.imaging import tiff
from demitasse.imaging.outlines import outlines
from demitasse.imaging.roi_labels import inside, read_rois
from demitasse.imaging.rois import Region, write_rois


@pytest.fixture
def image(tmp_path):
    tiff.write(tmp_path / "img.tif", np.zeros((1, 12, 15), np.uint8))
    return tiff.read(tmp_path / "img.tif")


@pytest.fixture
def stack(tmp_path):
    tiff.write(tmp_path / "stack.tif", np.zeros((3, 12, 15), np.uint8))
    return tiff.read(tmp_path / "stack.tif")


def test_what_was_outlined_comes_back(tmp_path, image):
    objects = np.zeros((12, 15), int)
    objects[2:9, 3:8] = 1
    objects[4:6, 4:6] = 0  # a hole
    objects[5:12, 9:15] = objects[4, 8] = 2  # at the border, touching by a corner
    rings = outlines(objects)
    write_rois(tmp_path / "r.zip", [Region(f"c{n}", rings[n], (0, 0, 0)) for n in (1, 2)])
    labels = read_rois(tmp_path / "r.zip", image)
    assert labels.shape == image.shape and labels.dtype == np.uint16
    np.testing.assert_array_equal(labels.page(0)[0], objects)
    np.testing.assert_array_equal(labels.window(0, slice(3, 7), slice(2, 9))[0], objects[3:7, 2:9])


def test_the_even_odd_rule_at_the_middle_of_pixels():
    triangle = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 4.0]])
    assert inside([triangle], (4, 5)).astype(int).tolist() == [
        [0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
    ]
    steep = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 8.0]])
    assert inside([steep], (4, 9)).sum(axis=1).tolist() == [1, 3, 5, 7]
    beyond = np.array([[-3.0, -2.0], [-3.0, 9.0], [9.0, 9.0], [9.0, -2.0]])
    assert inside([beyond], (4, 5)).all()


def roi(kind, left=2, top=1, right=8, bottom=7, name="a", **more):
    return roifile.ImagejRoi(
        roitype=kind, left=left, top=top, right=right, bottom=bottom, name=name, **more
    )


def test_rectangles_ovals_and_overlaps(tmp_path, image):
    kinds = roifile.ROI_TYPE
    roifile.roiwrite(tmp_path / "r.zip", [roi(kinds.RECT), roi(kinds.OVAL, name="b")], mode="w")
    labels = read_rois(tmp_path / "r.zip", image).page(0)[0]
    assert (labels > 0).sum() == 36 and (labels[1:7, 2:8] > 0).all()
    assert labels[1, 2] == 1 and labels[4, 5] == 2  # the oval lies over the rectangle
    assert abs((labels == 2).sum() - np.pi * 9) < 5


def test_slices_of_a_stack(tmp_path, stack):
    kind = roifile.ROI_TYPE.RECT
    one = [roi(kind, position=3), roi(kind, t_position=1, z_position=1, name="b")]
    roifile.roiwrite(tmp_path / "r.zip", one, mode="w")
    tiff.write(tmp_path / "t.tif", np.zeros((3, 12, 15), np.uint8))
    series = tiff.read(tmp_path / "t.tif", axes="TYX")
    labels = read_rois(tmp_path / "r.zip", series)
    assert [int(labels.page(i).max()) for i in range(3)] == [2, 0, 1]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"kind": roifile.ROI_TYPE.POINT}, "has no area; found a point"),
        ({"kind": roifile.ROI_TYPE.RECT, "left": 20, "right": 25}, "x 20 to 25"),
        ({"kind": roifile.ROI_TYPE.RECT, "position": 4}, "1 to 3.*found 4.*Associate with slices"),
        ({"kind": roifile.ROI_TYPE.RECT}, "found none"),
    ],
)
def test_what_does_not_fit(tmp_path, stack, made, said):
    made = {"position": 1, **made} if "x 20" in said else made
    roifile.roiwrite(tmp_path / "r.roi", roi(**made))
    with pytest.raises(ImageError, match=f"selection 'a'.*{said}"):
        read_rois(tmp_path / "r.roi", stack)


def test_no_file_of_selections(tmp_path, image):
    (tmp_path / "r.zip").write_bytes(b"PK no zip")
    with pytest.raises(ImageError, match="cannot be read as ImageJ's selections"):
        read_rois(tmp_path / "r.zip", image)
