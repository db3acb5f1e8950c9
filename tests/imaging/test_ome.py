"""OME-TIFF, read back by tifffile and as XML."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
import tifffile
from demitasse.errors import OutputError
from demitasse.imaging import ome, tiff
from demitasse.imaging.axes import layout

NAMES = ("membrane", "interior")


def pixels_of(path):
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        root = ET.fromstring(file.ome_metadata)
        space = {"o": root.tag[1:].split("}")[0]}
        found = root.find(".//o:Pixels", space)
        names = [channel.get("Name") for channel in found.findall("o:Channel", space)]
        return dict(found.attrib), names, file.series[0].axes, file.asarray()


def test_a_stack_with_names_and_sizes(tmp_path):
    pages = np.random.default_rng(0).random((3, 2, 5, 7)).astype(np.float32)
    path = tmp_path / "a.ome.tif"
    ome.write(
        path,
        iter(pages),
        letters="Z",
        lengths=(3,),
        channels=NAMES,
        pixel_size=(0.5, 0.25),
        depth=2.0,
        info="made by hand",
    )
    said, names, axes, array = pixels_of(path)
    assert names == list(NAMES) and axes == "ZCYX"
    np.testing.assert_array_equal(array, pages)
    sizes = {axis: float(said[f"PhysicalSize{axis}"]) for axis in "XYZ"}
    assert sizes == {"X": 0.25, "Y": 0.5, "Z": 2.0} and said["PhysicalSizeXUnit"] == "µm"
    assert said["Type"] == "float"
    assert tiff.read(path).pixel_size == (0.5, 0.25)


def test_time_and_depth_keep_their_order(tmp_path):
    pages = np.arange(6, dtype=np.float32)[:, None, None, None] * np.ones((1, 2, 3, 4), "f4")
    path = tmp_path / "a.ome.tif"
    letters, lengths = ome.page_axes(layout((3, 2, 9, 9), "TZYX"), range(6))
    ome.write(path, iter(pages), letters=letters, lengths=lengths, channels=NAMES)
    said, _, _, array = pixels_of(path)
    assert (said["SizeT"], said["SizeZ"], said["SizeC"]) == ("3", "2", "2")
    np.testing.assert_array_equal(array.reshape(pages.shape), pages)
    assert "PhysicalSizeX" not in said


@pytest.mark.parametrize(
    "shape, axes, pages, expected",
    [
        ((4, 9, 9), "QYX", range(4), ("Z", (4,))),
        ((4, 9, 9), "TYX", range(4), ("T", (4,))),
        ((2, 3, 9, 9), "TZYX", [1, 2], ("Z", (2,))),
        ((9, 9), "YX", [0], ("Z", (1,))),
    ],
)
def test_axes_of_pages(shape, axes, pages, expected):
    assert ome.page_axes(layout(shape, axes), pages) == expected


def test_axes_of_volumes_that_lie_along_unknown_ones():
    assert ome.page_axes(layout((2, 3, 9, 9), "QZYX"), range(6), volumes=2) == ("TZ", (2, 3))


def test_a_file_that_exists_stays(tmp_path):
    path = tmp_path / "a.ome.tif"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        ome.write(path, [np.zeros((2, 3, 3))], letters="Z", lengths=(1,), channels=NAMES)
    assert path.read_text() == "mine"
