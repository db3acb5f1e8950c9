"""caffe.io: images, arrays, messages."""

import numpy as np
import pytest
import tifffile
from demitasse import pycaffe as caffe
from demitasse.errors import ImageError
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

io, pb = caffe.io, caffe.proto.caffe_pb2


# ---------------------------------------------------------------------- messages


@given(st.lists(st.integers(1, 4), max_size=4))
def test_arrays_go_into_blobprotos_and_back(shape):
    rng = np.random.default_rng(0)
    data, diff = (rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    blob = io.array_to_blobproto(np.asarray(data), np.asarray(diff))
    np.testing.assert_array_equal(io.blobproto_to_array(blob), data)
    np.testing.assert_array_equal(io.blobproto_to_array(blob, return_diff=True), diff)


def test_old_and_double_blobs_are_read_and_bad_ones_refused():
    old = pb.BlobProto(num=1, channels=2, height=1, width=3, data=range(6))
    assert io.blobproto_to_array(old).shape == (1, 2, 1, 3)
    double = pb.BlobProto(double_data=[0.1, 0.2], shape={"dim": [2]})
    assert io.blobproto_to_array(double).tolist() == [0.1, 0.2]
    assert io.blobproto_to_array(pb.BlobProto(data=[4])) == 4
    with pytest.raises(ValueError, match="reshape"):
        io.blobproto_to_array(pb.BlobProto(data=[4, 5]))


def test_lists_of_arrays():
    arrays = [np.arange(3.0), np.ones((2, 2))]
    found = io.blobprotovector_str_to_arraylist(io.arraylist_to_blobprotovector_str(arrays))
    for a, b in zip(arrays, found, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_datums(dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    datum = io.array_to_datum(array, label=7)
    assert bool(datum.data) == (dtype is np.uint8) and datum.label == 7
    np.testing.assert_array_equal(io.datum_to_array(datum), array)
    assert not io.array_to_datum(array).HasField("label")
    with pytest.raises(ValueError, match="Incorrect array shape"):
        io.array_to_datum(array[0])


# ---------------------------------------------------------------------- images


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, 7, 3), np.uint8)


def test_images_of_all_kinds_are_read(tmp_path, pixels):
    grey, alpha = pixels[:, :, 0], np.dstack([pixels, pixels[:, :, 0]])
    wide = grey.astype(np.uint16) * 257
    Image.fromarray(pixels).save(tmp_path / "rgb.png")
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(alpha).save(tmp_path / "alpha.png")
    Image.fromarray(wide).save(tmp_path / "wide.png")
    Image.fromarray(grey > 99).save(tmp_path / "bits.png")
    tifffile.imwrite(tmp_path / "rgb.tif", pixels, photometric="rgb")
    tifffile.imwrite(tmp_path / "float.tif", (grey / 255).astype(np.float32))
    colour, mono = pixels / 255, np.repeat(grey[:, :, None] / 255, 3, axis=2)
    bits = np.repeat((grey > 99)[:, :, None].astype(float), 3, axis=2)
    for name, expected in {
        "rgb.png": colour, "alpha.png": colour, "rgb.tif": colour,
        "grey.png": mono, "wide.png": mono, "float.tif": mono, "bits.png": bits,
    }.items():  # fmt: skip
        found = io.load_image(str(tmp_path / name))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-6)
        found = io.load_image(str(tmp_path / name), color=False)
        np.testing.assert_allclose(found[:, :, 0], expected @ np.array(io.GREY), atol=1e-6)


def test_what_is_no_image_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match="cannot be read as an image"):
        io.load_image(str(tmp_path / "a.png"))
    with pytest.raises(FileNotFoundError):
        io.load_image(str(tmp_path / "b.png"))


def test_resizing_is_scikit_images():
    # by hand: pixel i of 6 looks at (i + 0.5) 3/6 - 0.5; beyond the edge lies the minimum, 1
    image = np.array([1.0, 5.0, 3.0], np.float32).reshape(1, 3, 1)
    found = io.resize_image(image, (1, 6))
    at = [0.25 * 1 + 0.75 * 1, 0.75 * 1 + 0.25 * 5, 0.25 * 1 + 0.75 * 5]
    at += [0.75 * 5 + 0.25 * 3, 0.25 * 5 + 0.75 * 3, 0.75 * 3 + 0.25 * 1]
    np.testing.assert_allclose(found.ravel(), at, rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 4]))
def test_resizing_keeps_constants_and_same_sizes(height, width, channels):
    image = np.random.default_rng(0).random((4, 5, channels)).astype(np.float32)
    np.testing.assert_allclose(io.resize_image(image, (4, 5)), image, atol=1e-6)
    flat = np.full((4, 5, channels), 2.5, np.float32)
    found = io.resize_image(flat, (height, width))
    assert found.dtype == np.float32 and found.shape == (height, width, channels)
    if channels != 4 or (height > 1 and width > 1):
        np.testing.assert_allclose(found, 2.5, rtol=1e-6)


def test_oversampling_takes_corners_centre_and_mirrors():
    image = np.arange(5 * 6 * 2, dtype=np.float32).reshape(5, 6, 2)
    crops = io.oversample([image, -image], (3, 4))
    assert crops.shape == (20, 3, 4, 2)
    np.testing.assert_array_equal(crops[0], image[:3, :4])
    np.testing.assert_array_equal(crops[3], image[2:, 2:])
    np.testing.assert_array_equal(crops[4], image[1:4, 1:5])
    np.testing.assert_array_equal(crops[5:10], crops[:5, :, ::-1])
    np.testing.assert_array_equal(crops[10:], -crops[:10])


# ---------------------------------------------------------------------- Transformer


@pytest.fixture
def transformer():
    t = io.Transformer({"data": (1, 3, 4, 5)})
    t.set_transpose("data", (2, 0, 1))
    t.set_channel_swap("data", (2, 1, 0))
    t.set_raw_scale("data", 255)
    t.set_mean("data", np.array([10, 20, 30]))
    t.set_input_scale("data", 0.5)
    return t


def test_transforming_goes_in_caffes_order(transformer):
    image = np.random.default_rng(0).random((4, 5, 3)).astype(np.float32)
    before = image.copy()
    found = transformer.preprocess("data", image)
    expected = (image[:, :, ::-1] * 255 - [10, 20, 30]) * 0.5
    np.testing.assert_allclose(found, expected.transpose(2, 0, 1), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(transformer.deprocess("data", found), image, atol=1e-6)
    np.testing.assert_array_equal(image, before)  # Caffe's scales the caller's image


def test_images_and_means_are_resized(transformer):
    mean = np.random.default_rng(1).random((3, 8, 10)) * 100
    transformer.set_mean("data", mean)
    resized = io.resize_image(mean.transpose(1, 2, 0), (4, 5)).transpose(2, 0, 1)
    image = np.random.default_rng(0).random((7, 9, 3)).astype(np.float32)
    small = io.resize_image(image, (4, 5))[:, :, ::-1].transpose(2, 0, 1)
    found = transformer.preprocess("data", image)
    np.testing.assert_allclose(found, (small * 255 - resized) * 0.5, rtol=1e-4, atol=1e-4)


def test_what_does_not_fit_is_refused(transformer):
    with pytest.raises(Exception, match="not one of the net inputs"):
        transformer.preprocess("image", np.zeros((4, 5, 3)))
    with pytest.raises(Exception, match="Transpose order"):
        transformer.set_transpose("data", (1, 0))
    with pytest.raises(Exception, match="Channel swap"):
        transformer.set_channel_swap("data", (1, 0))
    with pytest.raises(ValueError, match="Mean channels"):
        transformer.set_mean("data", np.zeros(2))
    with pytest.raises(ValueError, match="Mean shape"):
        transformer.set_mean("data", np.zeros((1, 3, 4, 5)))
