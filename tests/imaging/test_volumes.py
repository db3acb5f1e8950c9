"""Volumes cut by nets whose axes differ: tiled is whole, bit for bit where the sums are exact."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from demitasse import netspec
from demitasse.errors import ShapeError
from demitasse.imaging import averaging
from demitasse.imaging.predict import Predictor
from demitasse.net import Net

MODELS = Path(__file__).resolve().parent.parent.parent / "models"

SMALLEST = {"unet3d_anisotropic": (18, 92, 92), "unet3d": (92, 92, 92)}


@cache
def exact(name):
    """A net of models/, narrow, whose weights are -1, 0 or 1, some six in a neuron: of an image of
    small integers every sum is exact in double precision, in whatever order it is made."""
    message = netspec.deploy(
        netspec.read_net(str(MODELS / f"{name}.prototxt")),
        shape=(1, 1, *SMALLEST[name]),
        softmax=False,
    )
    for layer in message.layer:
        if layer.type in ("Convolution", "Deconvolution") and layer.top[0] != "score":
            layer.convolution_param.num_output //= 16
    net = Net(netspec.build(message, "TEST"), dtype=np.float64, seed=1)
    rng = np.random.default_rng(5)
    for blobs in net.params.values():
        weight, bias = (blob.data for blob in blobs)
        inputs = weight[0].size
        weight[:] = rng.choice((-1, 1), weight.shape) * (rng.random(weight.shape) < 6 / inputs)
        bias[:] = rng.integers(0, 2, bias.shape)
    return Predictor(net)


def image(shape):
    return np.random.default_rng(0).integers(-9, 10, (1, *shape)).astype(np.float64)


@pytest.mark.parametrize(
    ("name", "shape", "inputs", "counts"),
    [
        ("unet3d_anisotropic", (7, 13, 9), (20, 100, 100), (2, 2, 1)),
        ("unet3d_anisotropic", (5, 4, 30), (22, 92, 108), (1, 1, 2)),
        ("unet3d", (14, 13, 3), (100, 100, 92), (2, 2, 1)),
    ],
)
def test_a_volume_in_tiles_is_the_whole_volume(name, shape, inputs, counts):
    p = exact(name)
    whole = p.predict(
        image(shape),
        p.tiling(shape, [g.input_for(n) for g, n in zip(p.geometries, shape, strict=True)]),
    )
    tiling = p.tiling(shape, inputs)
    assert tiling.counts == counts
    np.testing.assert_array_equal(p.predict(image(shape), tiling), whole)
    assert np.unique(whole).size > 25 and np.abs(whole).max() < 2**50


FLAT = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 1 dim: 9 dim: 9 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c"
        convolution_param { num_output: 2 kernel_h: 1 kernel_w: 5 weight_filler { type: "msra" } } }
layer { name: "p" type: "Pooling" bottom: "c" top: "p"
        pooling_param { kernel_h: 2 kernel_w: 1 stride_h: 2 stride_w: 1 } }
layer { name: "score" type: "Deconvolution" bottom: "p" top: "score" convolution_param {
        num_output: 2 kernel_h: 2 kernel_w: 1 stride_h: 2 stride_w: 1
        weight_filler { type: "msra" } } }
"""


@pytest.mark.parametrize("kind", ["rotate", "all", "rotate7"])
def test_turned_versions_where_y_and_x_differ(kind):
    p = Predictor(Net(netspec.build(netspec.parse_net(FLAT), "TEST"), dtype=np.float64, seed=1))
    assert [(g.step, g.before, g.after) for g in p.geometries] == [(2, 0, 0), (1, 2, 2)]
    picture = np.random.default_rng(2).standard_normal((1, 12, 31))
    one = p.choose((12, 31))
    parts = p.tiling((12, 31), (6, 9))
    whole = averaging.predict(p, picture, one, kind)
    np.testing.assert_allclose(averaging.predict(p, picture, parts, kind), whole, atol=1e-12)
    assert parts.counts == (2, 7)


def test_a_tile_that_one_axis_refuses():
    p = exact("unet3d_anisotropic")
    with pytest.raises(ShapeError, match=r"a tile of 21 pixels .*20 .*or 22 "):
        p.tiling((9, 9, 9), (21, 92, 92))
