"""ONNX files, run by onnxruntime: every layer, every net of models/, every recorded net."""

import numpy as np
import pytest
from demitasse.errors import GraphError
from demitasse.export.onnx_layers import WRITE
from demitasse.export.to_onnx import measured, to_onnx

from . import nets

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
CASES = sorted((nets.ROOT / "tests/golden/layers").glob("*.h5"))
# what real Caffe recorded, and ONNX cannot say
UNSAID = {"conv_axis2", "pool_ave_stride_gt_kernel", "pool_max_mask_top"}
IMAGE = 'layer { name: "data" type: "Input" top: "data" input_param { shape { %s } } }\n'


def test_every_recorded_layer():
    """In one test: a model takes milliseconds, a test more than that."""
    seen = set()
    for path in CASES:
        case = nets.layer_case(path)
        if case is None:
            continue
        net, inputs, expected = case
        types = {node.type for node in net.graph.nodes}
        if not types <= {*WRITE, "Dropout", "Input", "Silence", "Split"} or path.stem in UNSAID:
            with pytest.raises(GraphError, match=r"cannot be exported to ONNX"):
                to_onnx(net)
            continue
        found = nets.onnx_run(to_onnx(net), inputs)
        named = {n: a for n, a in zip(found, found.values(), strict=True)}
        if found.keys() != expected.keys():  # in place on the input: it cannot keep that name
            named = {name.partition(".")[0]: array for name, array in found.items()}
        for name, array in expected.items():
            assert nets.difference(named[name], array) < 1e-5, path.stem
        seen |= types
    assert set(WRITE) - seen <= {"Parameter", "ValueTransformation"}


@pytest.mark.parametrize("case", nets.CASES)
def test_every_recorded_net(case):
    net = nets.golden(case)
    inputs, expected = nets.answered(net)
    nets.agree(nets.onnx_run(to_onnx(net, dynamic=measured(net) is not None), inputs), expected)


def test_a_net_whose_answers_are_coarser_than_the_image_keeps_its_size():
    net, inputs, expected = nets.answered_model("ciresan2012")
    assert measured(net) is None
    nets.agree(nets.onnx_run(to_onnx(net), inputs), expected)


@pytest.mark.parametrize("name", [name for name in nets.MODELS if name != "ciresan2012"])
def test_every_net_of_the_lineage_at_any_size(name):
    net, inputs, expected = nets.answered_model(name)
    rules = measured(net)
    assert rules is not None
    proto = to_onnx(net, dynamic=True)
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_param for d in dims] == ["n", "", *"zyx"[-len(rules) :]]
    nets.agree(nets.onnx_run(proto, inputs), expected)


@pytest.mark.parametrize(
    "layer",
    [
        'type: "BatchNorm" batch_norm_param { use_global_stats: false }',
        'type: "MVN"',
        'type: "Reduction" reduction_param { operation: SUMSQ axis: 1 }',
        'type: "Reduction" reduction_param { operation: ASUM axis: 1 }',
    ],
)
def test_sums_over_large_images_keep_float32s_digits(layer):
    shape = "dim: 1 dim: 2 dim: 700 dim: 1100"
    net = nets.built(IMAGE % shape + f'layer {{ name: "l" bottom: "data" top: "y" {layer} }}')
    inputs, expected = nets.answered(net)
    nets.agree(nets.onnx_run(to_onnx(net), inputs), expected, 1e-6)


@pytest.mark.parametrize("name", ["unet-small", "phseg_v7"])
def test_larger_images_of_unequal_sides_and_larger_batches(name):
    net = nets.model(name)
    proto = to_onnx(net, dynamic=True)
    (blob,) = net.inputs
    (rule, _) = measured(net)
    net.reshape({blob: (3, 1, rule.smallest + rule.step, rule.smallest + 3 * rule.step)})
    inputs, expected = nets.answered(net)
    nets.agree(nets.onnx_run(proto, inputs), expected)


def test_a_size_can_be_fixed():
    net = nets.model("unet-small")
    shape = to_onnx(net).graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value for d in shape[1:]] == [1, 92, 92] and shape[0].dim_param == "n"


def test_names_are_those_of_blobs_and_layers():
    proto = to_onnx(nets.model("unet-small"), metadata={"weights": "a.h5"})
    assert [v.name for v in (*proto.graph.input, *proto.graph.output)] == ["data", "score"]
    names = {a.name for a in proto.graph.initializer}
    assert {"conv_d0a-b.weight", "conv_d0a-b.bias", "upconv_u1d_u0a.weight"} <= names
    assert {p.key: p.value for p in proto.metadata_props} == {"weights": "a.h5"}
    assert proto.producer_name == "demitasse"


def test_offset_and_scale_of_values():
    net = nets.built(
        IMAGE
        % "dim: 2 dim: 3 dim: 4"
        + 'layer { name: "v" type: "ValueTransformation" bottom: "data" top: "y" '
        "value_transformation_param { offset { v: -0.5 } scale { v: 1 v: 2 v: 3 } } }"
    )
    inputs, expected = nets.answered(net)
    nets.agree(nets.onnx_run(to_onnx(net), inputs), expected)


def test_in_place_on_the_input_and_dropout_at_the_end():
    net = nets.built(
        IMAGE % "dim: 2 dim: 3"
        + 'layer { name: "r" type: "ReLU" bottom: "data" top: "data" }'
        + 'layer { name: "d" type: "Dropout" bottom: "data" top: "y" }'
    )
    inputs = {"data": np.array([[-1, 0, 2], [3, -4, 5]], np.float32)}
    found = nets.onnx_run(to_onnx(net), inputs)
    assert found.keys() == {"y"} and (found["y"] == np.maximum(inputs["data"], 0)).all()


def test_a_layer_that_onnx_cannot_say_is_named_with_its_place():
    net = nets.built(
        IMAGE
        % "dim: 1 dim: 2 dim: 4 dim: 4"
        + 'layer { name: "pyramid" type: "SPP" bottom: "data" top: "y" '
        "spp_param { pyramid_height: 2 } }"
    )
    with pytest.raises(GraphError) as refused:
        to_onnx(net)
    said = str(refused.value)
    assert said.startswith("net.prototxt:2:1: layer 'pyramid' (SPP) cannot be exported to ONNX")


def test_a_reshape_that_fixes_the_image_is_refused_for_images_of_any_size():
    text = (
        IMAGE
        % "dim: 1 dim: 1 dim: 4 dim: 6"
        + 'layer { name: "s" type: "Reshape" bottom: "data" top: "y" '
        "reshape_param { shape { dim: 0 dim: 2 dim: 2 dim: 6 } } }"
    )
    with pytest.raises(GraphError, match="fixes the size"):
        to_onnx(nets.built(text), dynamic=True)
    net = nets.built(text)
    inputs, expected = nets.answered(net)
    nets.agree(nets.onnx_run(to_onnx(net), inputs), expected)
