"""ImageJ regions, read back by roifile."""

import sys

import numpy as np
import pytest
import roifile
from demitasse.errors import OutputError
from demitasse.imaging.outlines import outlines
from demitasse.imaging.rois import Region, write_rois

ORANGE = (230, 159, 0)


def written(path, *regions):
    write_rois(path, regions)
    found = roifile.roiread(path)
    return found if isinstance(found, list) else [found]


def test_a_polygon(tmp_path):
    objects = np.zeros((9, 9), int)
    objects[2:5, 3:8] = objects[5, 3] = 1
    (roi,) = written(tmp_path / "r.zip", Region("cell-0001", outlines(objects)[1], ORANGE))
    assert roi.name == "cell-0001" and roi.roitype == roifile.ROI_TYPE.POLYGON
    expected = [[3, 2], [8, 2], [8, 5], [4, 5], [4, 6], [3, 6]]  # x, y
    assert roi.coordinates().tolist() == expected
    assert (roi.left, roi.top, roi.right, roi.bottom) == (3, 2, 8, 6)
    assert roi.stroke_color == bytes((255, *ORANGE)) and roi.position == 0


def test_a_hole_makes_a_composite(tmp_path):
    objects = np.ones((4, 5), int)
    objects[1:3, 1:3] = 0
    (roi,) = written(tmp_path / "r.zip", Region("ring", outlines(objects)[1], ORANGE))
    assert roi.composite
    outer, hole = (ring.tolist() for ring in roi.coordinates(multi=True))
    assert outer == [[0, 0], [5, 0], [5, 4], [0, 4], [0, 0]]
    assert hole[0] == hole[-1] and sorted(hole[1:]) == [[1, 1], [1, 3], [3, 1], [3, 3]]


def test_places_in_stacks(tmp_path):
    rings = outlines(np.ones((1, 1), int))[1]
    plain, hyper = written(
        tmp_path / "r.zip",
        Region("a", rings, ORANGE, slice=4),
        Region("b", rings, ORANGE, z=0, t=2),
    )
    assert (plain.position, plain.z_position, plain.t_position) == (5, 0, 0)
    assert (hyper.position, hyper.z_position, hyper.t_position) == (0, 1, 3)


def test_the_same_regions_give_the_same_file_whenever_they_are_written(tmp_path, monkeypatch):
    region = Region("a", outlines(np.ones((1, 1), int))[1], ORANGE)
    for name, second in (("r", 0), ("s", 10**9)):
        monkeypatch.setattr("time.time", lambda second=second: second)
        write_rois(tmp_path / name, [region])
    assert (tmp_path / "r").read_bytes() == (tmp_path / "s").read_bytes()


def test_no_region_is_a_zip_without_files(tmp_path):
    import zipfile

    write_rois(tmp_path / "r.zip", [])
    assert zipfile.ZipFile(tmp_path / "r.zip").namelist() == []


def test_a_file_that_exists_stays(tmp_path):
    (tmp_path / "r.zip").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        write_rois(tmp_path / "r.zip", [])
    assert (tmp_path / "r.zip").read_text() == "mine"


def test_without_the_library_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "roifile", None)
    with pytest.raises(OutputError, match="pip install 'demitasse\\[rois\\]'"):
        write_rois(tmp_path / "r.zip", [])
