"""The preview: what is where, in which colour."""

import numpy as np
import PIL.Image
import pytest
from demitasse.errors import OutputError
from demitasse.imaging.picture import CLASSES
from demitasse.imaging.preview import Sample, preview, write_preview


def sample(side=42, inner=42):
    labels = np.zeros((inner, inner), int)
    labels[:, inner // 2 :] = 1
    weights = np.where(labels == 1, 1.0, 50.0)
    weights[:5] = 0
    image = np.random.default_rng(0).random((1, side, side))
    return Sample(image, labels, (("weights", weights), ("pdf", labels + 0.1)), "x")


def test_four_panels_in_a_row_and_what_weighs_nothing_is_grey():
    sheet = preview([sample(), sample()])
    panel = 420
    assert sheet.shape == (2 * (panel + 34) + 10, 4 * (panel + 10) + 10, 3)
    labels = sheet[10 : 10 + panel, 10 + panel + 10 :][:, :panel]
    assert tuple(labels[20, 200]) == (128, 128, 128)
    assert tuple(labels[200, 50]) == (0, 0, 0)
    assert tuple(labels[200, 300]) == CLASSES[0]
    weights = sheet[10 : 10 + panel, 10 + 2 * (panel + 10) :][:, :panel]
    assert tuple(weights[20, 200]) == (128, 128, 128)
    assert weights[200, 50].sum() > weights[200, 300].sum()  # heavier is brighter


def test_smaller_labels_lie_in_the_middle_and_in_a_frame():
    sheet = preview([sample(42, 22)])
    image, labels = sheet[10:430, 10:430], sheet[10:430, 440:860]
    assert (image[105, 105:315] == 255).all()
    assert (labels[50] == 255).all()
    assert tuple(labels[200, 250]) == CLASSES[0]


@pytest.mark.parametrize("shape", [(1, 1), (3, 900)])
def test_any_size_and_constant_maps(shape):
    flat = np.full(shape, 0.5)
    zero = np.zeros(shape)
    sheet = preview([Sample(flat[None], zero, (("a", flat), ("b", zero)))])
    assert sheet.dtype == np.uint8


def test_the_file_is_a_png_and_is_not_overwritten_unasked(tmp_path):
    write_preview(tmp_path / "a.png", [sample()])
    with PIL.Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
    with pytest.raises(OutputError, match="exists already"):
        write_preview(tmp_path / "a.png", [sample()])
