"""Points from tables and from ImageJ's selections."""

import sys

import numpy as np
import pytest
import roifile
from demitasse.data import points
from demitasse.data.points import Mark
from demitasse.errors import DataError

NAMES = ("background", "cell", "debris")


def table(tmp_path, text):
    path = tmp_path / "p.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_table(tmp_path, mark):
    text = " ,X,Y,Slice,Class,Area\n1,3.5,4,2,debris,9\n\n2,10,2,,2,9\n3,0,0,1,,9\n".replace(
        ",", mark
    )
    assert points.read(table(tmp_path, text), NAMES) == [
        Mark(1, 2, 4, 3.5),
        Mark(0, 2, 2, 10),
        Mark(0, 1, 0, 0),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "p.csv:1: is no table of points; expected a head with x and y, found nothing"),
        ("a,b\n1,2\n", "found a, b"),
        ("x,y\n", "there is no point in it"),
        ("x,y\n1,two\n", "p.csv:2: its y is no number; found two"),
        ("x,y\n1,inf\n", "its y is no number"),
        ("x,y\n1\n", "its y is no number; found nothing"),
        ("x,y,class\n1,2,cel\n", "there is no class 'cel'.*Did you mean cell"),
        ("x,y,class\n1,2,3\n", "there is no class '3'; expected 1 to 2, or cell, debris"),
        ("x,y,class\n1,2,0\n", "there is no class '0'"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        points.read(table(tmp_path, text), NAMES)


def test_what_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "p.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match=r"p\.csv: is no table of points"):
        points.read(tmp_path / "p.csv", NAMES)
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        points.read(tmp_path / "none.csv", NAMES)
    (tmp_path / "p.roi").write_bytes(b"no selection")
    with pytest.raises(DataError, match=r"p\.roi: cannot be read as ImageJ's selections"):
        points.read(tmp_path / "p.roi", NAMES)


def roi(path, kind=roifile.ROI_TYPE.POINT, name="debris#1", position=2):
    drawn = roifile.ImagejRoi.frompoints(np.array([[3.5, 4.5], [10.2, 2.9]]), name=name)
    drawn.roitype, drawn.position = kind, position
    drawn.tofile(path)


def test_selections_of_imagej(tmp_path):
    roi(tmp_path / "a.roi")
    found = points.read(tmp_path / "a.roi", NAMES)
    assert [(m.page, m.class_) for m in found] == [(1, 2), (1, 2)]
    np.testing.assert_allclose([(m.y, m.x) for m in found], [(4, 3), (2.4, 9.7)], atol=1e-6)
    for name, position in (("other", 1), ("cell-7", 3)):
        roi(tmp_path / "many.zip", name=name, position=position)
    assert {(m.page, m.class_) for m in points.read(tmp_path / "many.zip", NAMES)} == {
        (0, 1),
        (2, 1),
    }


def test_an_outline_is_refused(tmp_path):
    roi(tmp_path / "a.roi", kind=roifile.ROI_TYPE.POLYGON)
    with pytest.raises(DataError, match="the selection 'debris#1' is no point"):
        points.read(tmp_path / "a.roi", NAMES)


def test_selections_without_the_library(tmp_path, monkeypatch):
    roi(tmp_path / "a.roi")
    monkeypatch.setitem(sys.modules, "roifile", None)
    with pytest.raises(DataError, match=r"a\.roi: ImageJ's selections need the library roifile"):
        points.read(tmp_path / "a.roi", NAMES)
