"""Pixel sizes in three spellings."""

import pytest
from demitasse.imaging.pixel_size import from_imagej, from_ome, from_tags, micrometres, unit_name


@pytest.mark.parametrize("word", ["micron", "µm", "μm", "um", "\\u00B5m", " Micron "])
def test_micrometres_have_many_names(word):
    assert unit_name(word) == "um"


def test_imagej():
    found, unit = from_imagej({"unit": "micron"}, (10, 1), (4, 1))
    assert (found, unit) == ((0.25, 0.1), "um")
    assert from_imagej({"unit": "pixel"}, (1, 1), (1, 1)) == (None, "")
    assert from_imagej({}, (10, 1), (10, 1)) == (None, "")
    assert from_imagej({"unit": "nm"}, (0, 1), (0, 1)) == (None, "")
    assert from_imagej({"unit": "nm"}, None, None) == (None, "")


def test_ome():
    xml = '<OME><Image><Pixels SizeX="5" PhysicalSizeX="0.1" PhysicalSizeY="0.2" {}/></Image></OME>'
    assert from_ome(xml.format("")) == ((0.2, 0.1), "um")
    units = 'PhysicalSizeXUnit="nm" PhysicalSizeYUnit="nm"'
    assert from_ome(xml.format(units)) == ((0.2, 0.1), "nm")
    assert from_ome(xml.format('PhysicalSizeXUnit="nm" PhysicalSizeYUnit="mm"')) == (None, "")
    assert from_ome("<ome:Pixels PhysicalSizeY='1'/>") == (None, "")
    assert from_ome('<Pixels PhysicalSizeX="x" PhysicalSizeY="1"/>') == (None, "")
    assert from_ome('<Pixels PhysicalSizeX="0" PhysicalSizeY="1"/>') == (None, "")
    assert from_ome("") == (None, "")


def test_tags():
    assert from_tags(3, (50_000, 1), (100_000, 1)) == ((0.1, 0.2), "um")
    assert from_tags(2, (254_000, 1), (254_000, 1))[0] == pytest.approx((0.1, 0.1))
    assert from_tags(2, (72, 1), (72, 1)) == (None, "")  # for a printer
    assert from_tags(1, (5, 1), (5, 1)) == (None, "")
    assert from_tags(None, (5, 1), None) == (None, "")


def test_micrometres():
    assert micrometres((0.5, 0.25), "micron") == (0.5, 0.25)
    assert micrometres((500, 250), "nm") == pytest.approx((0.5, 0.25))
    assert micrometres((1, 1), "inch") == (25_400, 25_400)
    assert micrometres((1, 1), "pixel") is None
    assert micrometres((1, 1), "") is None
    assert micrometres(None, "um") is None
