"""Pixel sizes in three spellings."""

import pytest
from demitasse.imaging.pixel_size import (
    depth,
    from_imagej,
    from_ome,
    from_tags,
    micrometres,
    unit_name,
)


@pytest.mark.parametrize(
    "word", ["micron", "µm", "μm", "um", "\\u00B5m", " Micron ", "micrometers", "Micrometres"]
)
def test_micrometres_have_many_names(word):
    assert unit_name(word) == "um"


@pytest.mark.parametrize(
    ("word", "size"),
    [("nanometers", 1e-3), ("pm", 1e-6), ("\u00c5", 1e-4), ("\u212b", 1e-4), ("angstrom", 1e-4),
     ("m", 1e6), ("dm", 1e5), ("in", 25_400)],
)  # fmt: skip
def test_units_that_have_a_size(word, size):
    assert micrometres((1, 2), word) == pytest.approx((size, 2 * size))


def test_imagej():
    found, unit = from_imagej({"unit": "micron"}, (10, 1), (4, 1))
    assert (found, unit) == ((0.25, 0.1), "um")
    assert from_imagej({"unit": "pixel"}, (1, 1), (1, 1)) == (None, "")
    assert from_imagej({}, (10, 1), (10, 1)) == (None, "")
    assert from_imagej({"unit": "nm"}, (0, 1), (0, 1)) == (None, "")
    assert from_imagej({"unit": "nm"}, None, None) == (None, "")


def test_inches_for_a_printer_are_no_size():
    assert from_imagej({"unit": "inch"}, (72, 1), (72, 1)) == (None, "")
    assert from_imagej({"unit": "inch"}, (25_400, 1), (25_400, 1)) == ((1 / 25_400,) * 2, "inch")


def test_ome():
    xml = '<OME><Image><Pixels SizeX="5" PhysicalSizeX="0.1" PhysicalSizeY="0.2" {}/></Image></OME>'
    assert from_ome(xml.format("")) == ((0.2, 0.1), "um")
    units = 'PhysicalSizeXUnit="nm" PhysicalSizeYUnit="nm"'
    assert from_ome(xml.format(units)) == ((0.2, 0.1), "nm")
    assert from_ome("<Pixels PhysicalSizeX='0.1' PhysicalSizeY='0.2'/>") == ((0.2, 0.1), "um")
    micro = 'PhysicalSizeXUnit="&#181;m" PhysicalSizeYUnit="&#xB5;m"'
    assert from_ome(xml.format(micro)) == ((0.2, 0.1), "um")
    assert from_ome("<Pixels PhysicalSizeY='1'/>") == (None, "")
    assert from_ome('<Pixels PhysicalSizeX="x" PhysicalSizeY="1"/>') == (None, "")
    assert from_ome('<Pixels PhysicalSizeX="0" PhysicalSizeY="1"/>') == (None, "")
    assert from_ome("") == (None, "")


def test_ome_with_a_unit_for_each_axis():
    xml = (
        '<Pixels PhysicalSizeX="0.1" PhysicalSizeY="{}" PhysicalSizeYUnit="{}" PhysicalSizeZ="2" '
        'PhysicalSizeZUnit="{}"/>'
    )
    size, unit = from_ome(xml.format(100, "nm", "um"))
    assert size == pytest.approx((0.1, 0.1)) and unit == "um"
    size, unit = from_ome(xml.format(0.1, "mm", "um"))  # equal numbers, unlike units
    assert size == pytest.approx((100, 0.1)) and unit == "um"
    assert from_ome(xml.format(0.1, "ells", "um")) == (None, "")
    assert depth({}, xml.format(0.1, "um", "mm"), "um") == 2000
    assert depth({}, xml.format(0.1, "um", "nm"), "nm") == 2
    assert depth({}, xml.format(0.1, "um", "ells"), "um") is None
    pixels = '<Pixels PhysicalSizeX="1" PhysicalSizeY="1" PhysicalSizeXUnit="{0}" {1}="{0}"/>'
    assert from_ome(pixels.format("pixel", "PhysicalSizeYUnit")) == (None, "")
    assert from_ome(pixels.format("reference frame", "PhysicalSizeYUnit")) == (None, "")


def test_imagejs_spacing():
    assert depth({"spacing": 2.0}, "", "um") == 2.0
    assert depth({"spacing": 0}, "", "um") is depth({}, "", "um") is None


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
