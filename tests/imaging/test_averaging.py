"""Averaging over versions of an image makes the answer follow the image however it lies."""

import numpy as np
import pytest
from demitasse import netspec
from demitasse.imaging import averaging
from demitasse.imaging.predict import Predictor
from demitasse.net import Net
from hypothesis import given
from hypothesis import strategies as st

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 8 dim: 8 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "d"
        convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "p" type: "Pooling" bottom: "d" top: "e" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "up" type: "Deconvolution" bottom: "e" top: "score"
        convolution_param { num_output: 2 kernel_size: 2 stride: 2 weight_filler { type: "msra" } } }
"""  # noqa: E501


@pytest.fixture(scope="module")
def predictor():
    """A convolution, a pooling and an up-convolution, in double."""
    return Predictor(Net(netspec.build(netspec.parse_net(NET), "TEST"), dtype=np.float64, seed=3))


@given(st.integers(0, 3), st.booleans())
def test_undo_is_the_inverse(turns, flip):
    image = np.arange(24).reshape(2, 3, 4)
    back = averaging.undo(averaging.apply(image, turns, flip), turns, flip)
    np.testing.assert_array_equal(back, image)


def test_the_versions_are_all_different():
    image = np.arange(6).reshape(2, 3)
    for kind, versions in averaging.VERSIONS.items():
        seen = {averaging.apply(image, *v).tobytes() + bytes([v[0] % 2]) for v in versions}
        assert len(seen) == len(versions) == {"none": 1, "mirror": 4, "rotate": 4, "all": 8}[kind]


@pytest.mark.parametrize(
    "kind, version", [("mirror", (0, True)), ("rotate", (1, False)), ("all", (3, True))]
)
def test_a_turned_image_gets_the_turned_scores(predictor, kind, version):
    image = np.random.default_rng(0).standard_normal((1, 30, 42))
    other = np.ascontiguousarray(averaging.apply(image, *version))
    score = averaging.predict(predictor, image, predictor.choose((30, 42)), kind)
    turned = averaging.predict(predictor, other, predictor.choose(other.shape[1:]), kind)
    # sizes are even: the pooling grid lies the same in every version
    np.testing.assert_allclose(averaging.undo(turned, *version), score, rtol=1e-9, atol=1e-12)


def test_none_is_the_plain_prediction(predictor):
    image = np.random.default_rng(0).standard_normal((1, 30, 42))
    tiling = predictor.choose((30, 42))
    plain = predictor.predict(image, tiling)
    np.testing.assert_array_equal(averaging.predict(predictor, image, tiling, "none"), plain)


# ---------------------------------------------------------------------- seven rotations

SAME = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 8 dim: 8 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "score"
        convolution_param { num_output: 2 kernel_size: 1 } }
"""  # noqa: E501


@pytest.fixture(scope="module")
def same():
    """A net whose scores are the image and its negative."""
    net = Net(netspec.build(netspec.parse_net(SAME), "TEST"), dtype=np.float64)
    net.params["c"][0].data[...] = np.array([1.0, -1.0])[:, None, None, None]
    net.params["c"][1].data[...] = 0
    return Predictor(net)


def smooth(height, width):
    y, x = np.mgrid[0:height, 0:width].astype(float)
    return (np.sin(y / 7) + np.cos(x / 5) + np.sin((x + y) / 9))[None]


def close(image, expected):
    """Within the error of linear interpolation; at the edge the mirror image has a kink."""
    np.testing.assert_allclose(image[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2], atol=0.02)
    np.testing.assert_allclose(image, expected, atol=0.2)


def test_the_canvas_holds_the_turned_image():
    assert averaging.canvas((30, 50), 0) == averaging.canvas((30, 50), 0.5) == (30, 50)
    assert averaging.canvas((30, 50), 0.25) == (50, 30)
    assert averaging.canvas((10, 10), 0.125) == (15, 15)


@pytest.mark.parametrize("turns", range(4))
def test_turning_by_quarters_is_what_right_angles_do(turns):
    image = smooth(20, 33)
    exact = averaging.apply(image, turns, False)
    turned = averaging.rotate(image, turns / 4, exact.shape[1:], order=3)
    np.testing.assert_allclose(turned, exact, atol=1e-9)


def test_there_and_back_at_any_angle(same):
    image = smooth(41, 56)
    tiling = same.choose((41, 56))
    seven = list(averaging.versions(same, (41, 56), tiling, "rotate7"))
    assert len(seven) == 7
    assert seven[0].there(image) is image and seven[0].back(image) is image
    for version in seven[1:]:
        there = version.there(image)
        assert there.shape[1] > 41 and there.shape[2] > 41
        close(version.back(there), image)


def test_the_mean_of_seven_of_a_net_without_direction_is_what_it_says(same):
    image = smooth(41, 56)
    tiling, done = same.choose((41, 56)), []
    score = averaging.predict(same, image, tiling, "rotate7", lambda *a: done.append(a))
    close(score[:1], image)
    np.testing.assert_array_equal(score[1], -score[0])
    passes = averaging.versions(same, (41, 56), tiling, "rotate7")
    assert len(done) == sum(np.prod(v.tiling.counts) for v in passes)


def test_the_versions_at_seven_angles_are_averaged_one_by_one(predictor):
    image = smooth(40, 52)
    tiling = predictor.choose((40, 52))
    said = []
    for k in range(7):
        size = averaging.canvas((40, 52), k / 7)
        turned = averaging.rotate(image, k / 7, size, order=3)
        scores = predictor.predict(turned, predictor.choose(size))
        said.append(averaging.rotate(scores, -k / 7, (40, 52), order=1, mode="nearest"))
    mean = averaging.predict(predictor, image, tiling, "rotate7")
    np.testing.assert_allclose(mean, np.mean(said, axis=0), atol=1e-9)
    # tiles do not change it
    small = averaging.predict(predictor, image, predictor.choose((40, 52), count=9), "rotate7")
    np.testing.assert_allclose(small, mean, atol=1e-9)
