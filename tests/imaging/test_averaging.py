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
