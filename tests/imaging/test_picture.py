"""The overlay: where contours lie, and what is refused."""

import numpy as np
import pytest
from demitasse.errors import ImageError
from demitasse.imaging import picture


@pytest.fixture
def square():
    image = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)
    labels = np.zeros((40, 50), np.uint8)
    labels[10:30, 15:35] = 1
    return image, labels


def coloured(panel, colour):
    return np.argwhere((panel == colour).all(axis=-1))


def test_contours_lie_on_the_objects_edge_in_the_right_half(square):
    image, labels = square
    panel = picture.overlay(image, labels)
    height, width = picture.display_size(labels.shape)
    scale = height // 40
    found = coloured(panel[:height], picture.PREDICTION)
    assert len(found)
    found = found - [0, width + panel.shape[1] - 2 * width]
    assert found.min(axis=0).tolist() == [10 * scale, 15 * scale]
    assert found.max(axis=0).tolist() == [30 * scale - 1, 35 * scale - 1]
    inner = (found > np.array([10, 15]) * scale + 1) & (found < np.array([30, 35]) * scale - 2)
    assert not inner.all(axis=1).any()


def test_truth_prediction_and_agreement_have_their_colours(square):
    image, labels = square
    truth = np.zeros_like(labels)
    truth[10:30, 15:45] = 1
    panel = picture.overlay(image, labels, truth)
    for colour in (picture.PREDICTION, picture.TRUTH):
        assert len(coloured(panel, colour)) > 50
    same = picture.overlay(image, labels, labels)
    height = picture.display_size(labels.shape)[0]
    assert len(coloured(same[:height], picture.PREDICTION)) == 0
    assert len(coloured(same[:height], picture.TRUTH)) == 0


def test_the_edge_of_the_image_is_no_contour():
    assert not picture.contour(np.ones((9, 9), bool)).any()
    half = np.zeros((9, 9), bool)
    half[:, :5] = True
    np.testing.assert_array_equal(picture.contour(half).any(axis=0).nonzero()[0], [3, 4])


def test_each_class_has_its_colour(square):
    image, labels = square
    labels[2:6, 2:6] = 2
    panel = picture.overlay(image, labels, class_names=("none", "cell", "nucleus"))
    assert len(coloured(panel, picture.CLASSES[0])) > 50
    assert len(coloured(panel, picture.CLASSES[1])) > 50


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (1500, 900)])
def test_any_size(shape):
    panel = picture.overlay(np.zeros(shape), np.ones(shape, np.uint8), pixel_size=(1, 1), unit="um")
    assert panel.dtype == np.uint8
    assert panel.ndim == 3
    assert max(picture.display_size(shape)) <= 1500


@pytest.mark.parametrize(
    "image",
    [
        np.full((4, 5), 3.0),
        np.array([[np.nan, np.inf], [0, 1]]),
        np.random.default_rng(0).random((3, 8, 8)) * 1e6,
        np.random.default_rng(0).integers(0, 65535, (2, 8, 8)).astype(np.uint16),
    ],
    ids=["constant", "nan", "rgb", "two channels"],
)
def test_any_values_can_be_shown(image):
    shown = picture.to_rgb(image if image.ndim == 3 else image[None])
    assert shown.shape == (*image.shape[-2:], 3)
    assert shown.dtype == np.uint8


def test_grey_values_fill_the_range():
    shown = picture.to_rgb(np.linspace(500, 700, 10000).reshape(1, 100, 100))
    assert (shown.min(), shown.max()) == (0, 255)


def test_the_scale_bar_has_a_round_length_and_its_words():
    assert picture._length(0.2, "um") == "200 nm"
    assert picture._length(2000.0, "nm") == "2 um"
    assert picture._length(5.0, "mm") == "5 mm"
    image = np.zeros((500, 500))
    plain = picture.overlay(image, np.zeros((500, 500), int))
    barred = picture.overlay(image, np.zeros((500, 500), int), pixel_size=(0.1, 0.1), unit="um")
    row = np.flatnonzero((plain != barred).any(axis=(1, 2)))[-1] - 2
    white = (barred[row] == 255).all(axis=-1)[: 500 * 2].sum()
    assert white == pytest.approx(10 / 0.1 * 2, abs=2)  # 10 um at 0.05 um a display pixel


def test_sizes_must_agree(square):
    image, labels = square
    with pytest.raises(ImageError, match="image and label map have different sizes"):
        picture.overlay(image, labels[1:])
    with pytest.raises(ImageError, match="image and truth have different sizes"):
        picture.overlay(image, labels, labels[:, 1:])


def test_objects_that_touch_have_a_contour_between_them(square):
    image, labels = square
    objects = labels.astype(np.int32)
    objects[:, 25:] *= 70_000
    assert not picture.contour(labels)[15:25, 24:26].any()
    assert picture.contour(objects)[15:25, 23:27].all()
    plain, parted = (picture.overlay(image, labels, objects=o) for o in (None, objects))
    more = len(coloured(parted, picture.PREDICTION)) - len(coloured(plain, picture.PREDICTION))
    assert more == 4 * (20 * 8 - 4)  # four columns of an object enlarged by 8, less its own edge
