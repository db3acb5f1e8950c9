"""Classifier and Detector."""

import numpy as np
import pytest
from demitasse import pycaffe as caffe
from PIL import Image

pytestmark = pytest.mark.usefixtures("where")


@pytest.fixture
def weights(image_net, tmp_path):
    caffe.set_random_seed(1)
    path = str(tmp_path / "w.caffemodel")
    caffe.Net(image_net, caffe.TEST).save(path)
    return path


SETTINGS = {"mean": np.array([10.0, 20, 30]), "raw_scale": 255, "channel_swap": (2, 1, 0)}


def scores(net, images):
    """What the net says of images of its own size, transformed by hand."""
    given = [(i[:, :, ::-1] * 255 - SETTINGS["mean"]).transpose(2, 0, 1) for i in images]
    return net.forward_all(data=np.stack(given).astype(np.float32))["prob"]


def test_a_classifier_looks_at_the_centre_or_at_ten_crops(image_net, weights, rng):
    net = caffe.Classifier(image_net, weights, image_dims=(8, 9), **SETTINGS)
    images = [rng.random((8, 9, 3)).astype(np.float32) for _ in range(3)]
    centre = scores(net, [image[1:7, 2:7] for image in images])
    found = net.predict(images, oversample=False)
    np.testing.assert_allclose(found, centre, rtol=1e-4, atol=1e-6)
    crops = scores(net, caffe.io.oversample(images, (6, 5))).reshape(3, 10, 3).mean(axis=1)
    np.testing.assert_allclose(net.predict(images), crops, rtol=1e-4, atol=1e-6)


def test_a_classifier_scales_images_to_its_net(image_net, weights, rng):
    net = caffe.Classifier(image_net, weights, input_scale=2, **SETTINGS)
    image = rng.random((12, 20, 3)).astype(np.float32)
    small = caffe.io.resize_image(image, (6, 5))
    data = 2 * (small[:, :, ::-1] * 255 - SETTINGS["mean"]).transpose(2, 0, 1)
    expected = net.forward_all(data=data[None].astype(np.float32))["prob"]
    found = net.predict([image], oversample=False)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.fixture
def picture(tmp_path, rng):
    path = str(tmp_path / "picture.png")
    Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(path)
    return path


def test_a_detector_classifies_windows(image_net, weights, picture):
    net = caffe.Detector(image_net, weights, **SETTINGS)
    windows = np.array([(2, 3, 8, 8), (10, 12, 16, 17), (0, 0, 12, 10)])
    found = net.detect_windows([(picture, windows)])
    image = caffe.io.load_image(picture)
    crops = [caffe.io.resize_image(image[a:c, b:d], (6, 5)) for a, b, c, d in windows]
    expected = scores(net, crops)
    assert [one["filename"] for one in found] == [picture] * 3
    for one, window, score in zip(found, windows, expected, strict=True):
        assert (one["window"] == window).all()
        np.testing.assert_allclose(one["prediction"], score, rtol=1e-4, atol=1e-6)


SQUARE = """
layer { name: "data" type: "Input" top: "data"
  input_param { shape { dim: 1 dim: 3 dim: 10 dim: 10 } } }
layer { name: "prob" type: "InnerProduct" bottom: "data" top: "prob"
  inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 1 } } }
"""


def test_a_detector_shows_context_and_the_mean_where_there_is_none(tmp_path, rng):
    path, weights = tmp_path / "s.prototxt", str(tmp_path / "s.caffemodel")
    path.write_text(SQUARE)
    caffe.Net(str(path), caffe.TEST).save(weights)
    net = caffe.Detector(str(path), weights, context_pad=2, **SETTINGS)
    image = rng.random((30, 40, 3)).astype(np.float32)
    # a window of 6 pixels with 2 + 2 of context makes 10, about as large as the input
    inside = net.crop(image, (10, 20, 15, 25))
    assert inside.shape == (10, 10, 3)
    np.testing.assert_allclose(inside[5, 5], image[13, 23], atol=0.5)
    corner = net.crop(image, np.array((0, 0, 5, 5)))
    mean = np.array([30.0, 20, 10]) / 255
    np.testing.assert_allclose(corner[:2], np.broadcast_to(mean, (2, 10, 3)), rtol=1e-5)
    np.testing.assert_allclose(corner[:, :2], np.broadcast_to(mean, (10, 2, 3)), rtol=1e-5)
    assert abs(corner[2:, 2:] - mean).max() > 0.1
    plain = caffe.Detector(str(path), weights, context_pad=2)
    assert not plain.crop(image, (0, 0, 5, 5))[:2].any()
