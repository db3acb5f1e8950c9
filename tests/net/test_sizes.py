"""Geometry: what it refuses, and which nets give a pixel the same score wherever they are cut."""

import pytest
from demitasse import netspec
from demitasse.errors import ShapeError
from demitasse.layers.base import Context
from demitasse.net.inference import build_layers, rebuilt
from demitasse.net.one_axis import along, geometries
from demitasse.net.sizes import geometry, local, trunk
from own import Mine

IMAGE = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 1 dim: 20 dim: 20 } } }
"""
SCORE = """
layer { name: "c" type: "Convolution" bottom: "%s" top: "score"
        convolution_param { num_output: 2 kernel_size: 3 } }
"""


def built(text):
    graph = netspec.build(netspec.parse_net(text, "net.prototxt"), "TEST")
    return graph, build_layers(graph, Context())


def test_an_output_that_needs_a_second_input_names_it():
    text = (
        IMAGE
        + IMAGE.replace('"data"', '"mask"')
        + (SCORE % "data").replace('"score"', '"s"')
        + (SCORE % "mask").replace('"score"', '"m"').replace('"c"', '"cm"')
        + 'layer { name: "sum" type: "Eltwise" bottom: "s" bottom: "m" top: "score" }'
    )
    graph, layers = built(text)
    with pytest.raises(ShapeError) as refused:
        geometry(graph, layers, "score")
    said = str(refused.value)
    assert "net.prototxt" in said and "more than the image 'data'" in said and "'mask'" in said


def test_an_output_that_is_no_image():
    text = IMAGE + SCORE % "data" + 'layer { name: "f" type: "Reduction" bottom: "score" top: "s" }'
    graph, layers = built(text)
    with pytest.raises(ShapeError, match="'s' is no image"):
        geometry(graph, layers, "s")


def test_a_net_that_treats_its_axes_apart_keeps_its_own_types_and_what_they_were_told():
    score = (SCORE % "s").replace("kernel_size: 3", "kernel_h: 3 kernel_w: 5")
    text = IMAGE + 'layer { name: "s" type: "Mine" bottom: "data" top: "s" }' + score
    graph = netspec.build(netspec.parse_net(text), "TEST")
    layers = build_layers(graph, Context(folder="here"), [Mine])
    assert [g.smallest for g in geometries(graph, layers, "score")] == [3, 5]
    again = rebuilt(along(graph, 1, 2), layers)
    assert [type(layer) for layer in again] == [type(layer) for layer in layers]
    assert {layer.context.folder for layer in again} == {"here"}


PARTS = {
    "valid": ("Convolution", "convolution_param { num_output: 2 kernel_size: 3 }", True),
    "dilated": (
        "Convolution",
        "convolution_param { num_output: 2 kernel_size: 3 dilation: 2 }",
        True,
    ),
    "padded": ("Convolution", "convolution_param { num_output: 2 kernel_size: 3 pad: 1 }", False),
    "padded one way": (
        "Convolution",
        "convolution_param { num_output: 2 kernel_size: 3 pad_h: 0 pad_w: 1 }",
        False,
    ),
    "up": ("Deconvolution", "convolution_param { num_output: 2 kernel_size: 2 stride: 2 }", True),
    "overlapping": (
        "Deconvolution",
        "convolution_param { num_output: 2 kernel_size: 4 stride: 2 pad: 1 }",
        False,
    ),
    "cut": (
        "Deconvolution",
        "convolution_param { num_output: 2 kernel_size: 4 stride: 2 pad: 2 }",
        True,
    ),
    "pooled": ("Pooling", "pooling_param { kernel_size: 2 stride: 2 }", True),
    "padded pooling": ("Pooling", "pooling_param { kernel_size: 3 stride: 2 pad: 1 }", False),
    "global": ("Pooling", "pooling_param { global_pooling: true }", False),
    "stored": ("BatchNorm", "", True),
    "statistics": ("BatchNorm", "batch_norm_param { use_global_stats: false }", False),
    "whole mean": ("MVN", "", False),
    "channels": ("LRN", "", True),
    "places": ("LRN", "lrn_param { norm_region: WITHIN_CHANNEL }", False),
    "windows": ("Im2col", "convolution_param { kernel_size: 3 }", True),
    "padded windows": ("Im2col", "convolution_param { kernel_size: 3 pad: 1 }", False),
}


def test_the_image_may_be_any_top():
    text = """
      layer { name: "in" type: "HDF5Data" top: "label" top: "data" }
      layer { name: "c" type: "Convolution" bottom: "data" top: "s"
              convolution_param { num_output: 2 kernel_size: 3 } }
      layer { name: "l" type: "SoftmaxWithLoss" bottom: "s" bottom: "label" top: "l" }"""
    image, nodes = trunk(netspec.build(netspec.parse_net(text), "TRAIN"))
    assert image.blob == "data" and [node.name for node in nodes] == ["c"]


@pytest.mark.parametrize("part", PARTS)
def test_which_layers_see_where_the_image_ends(part):
    kind, param, expected = PARTS[part]
    text = IMAGE + SCORE % "data"
    text += f'layer {{ name: "p" type: "{kind}" bottom: "score" top: "p" {param} }}'
    graph, layers = built(text)
    assert local(trunk(graph)[1], layers, 2) is expected
