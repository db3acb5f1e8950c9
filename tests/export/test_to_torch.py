"""PyTorch code: it reads well, needs torch alone, and computes what the net computes."""

import ast
import os
import sys

import numpy as np
import pytest
from demitasse.errors import GraphError
from demitasse.export.tensors import write_tensors
from demitasse.export.to_torch import class_name, to_torch
from demitasse.export.torch_layers import SAY
from demitasse.export.torch_writer import TAKEN

from . import nets

safetensors = pytest.importorskip("safetensors", reason="safetensors is not installed")


def torch():
    return pytest.importorskip("torch", reason="torch is not installed")


def loaded(net, tmp_path):
    """The exported module with its parameters, read from files."""
    text, tensors = to_torch(net, "net")
    (tmp_path / "net.py").write_text(text)
    write_tensors(tmp_path / "net.safetensors", tensors, {})
    return nets.imported(tmp_path / "net.py").load(str(tmp_path / "net.safetensors"))


def answers(module, net, inputs):
    with torch().no_grad():
        found = module(*(torch().from_numpy(inputs[name]) for name in net.inputs))
    found = found if isinstance(found, tuple) else (found,)
    return {name: array.numpy() for name, array in zip(net.outputs, found, strict=True)}


@pytest.mark.parametrize("case", nets.CASES)
def test_every_recorded_net(case, tmp_path):
    torch()
    net = nets.golden(case)
    inputs, expected = nets.answered(net)
    nets.agree(answers(loaded(net, tmp_path), net, inputs), expected)


DIFFERENT = ["2d_cell_net_v0", "phseg_v5", "unet3d_anisotropic", "unet3d_bn"]


@pytest.mark.parametrize("name", DIFFERENT)
def test_nets_of_the_lineage_that_differ_in_kind(name, tmp_path):
    torch()
    net, inputs, expected = nets.answered_model(name)
    nets.agree(answers(loaded(net, tmp_path), net, inputs), expected)


def test_every_recorded_layer_that_it_knows(tmp_path):
    torch()
    seen = set()
    for path in sorted((nets.ROOT / "tests/golden/layers").glob("*.h5")):
        case = nets.layer_case(path)
        if case is None:
            continue
        net, inputs, expected = case
        try:
            module = loaded(net, tmp_path)
        except GraphError as error:
            assert "cannot be exported to PyTorch" in str(error)
            continue
        nets.agree(answers(module, net, inputs), expected)
        seen |= {node.type for node in net.graph.nodes}
    assert set(SAY) - seen <= {"ValueTransformation"}


def test_what_it_looks_like():
    text, tensors = to_torch(nets.model("unet-small", thinner=1), "unet", ["It takes images."])
    tree = ast.parse(text)
    imported = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    imported |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert imported == {"torch", "torch.nn", "safetensors.torch"}
    lines = [line.strip() for line in text.splitlines()]
    for line in (
        "self.conv_d0a_b = nn.Conv2d(1, 8, 3)",
        "d0b = F.relu(self.conv_d0a_b(data))",
        "d1a = F.max_pool2d(d0c, 2)",
        "u0b = torch.cat((u0a, d0cc), dim=1)",
        "return self.conv_u0d_score(u0d)",
    ):
        assert line in lines, line
    assert max(map(len, text.splitlines())) <= 100 and text.endswith("eval()\n")
    assert tensors["conv_d0a_b.weight"].shape == (8, 1, 3, 3)


def test_dropout_is_kept_for_those_who_train_on(tmp_path):
    net = nets.golden("unet_narrow")
    text, _ = to_torch(net, "net")
    assert "F.dropout(F.relu(self.conv_d3b_c(d3b)), 0.5, self.training)" in text


def test_names_that_python_or_torch_have_already(tmp_path):
    net = nets.built(
        'layer { name: "data" type: "Input" top: "self" input_param { shape { dim: 1 dim: 2 } } }\n'
        'layer { name: "forward" type: "InnerProduct" bottom: "self" top: "class" '
        'inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }\n'
        'layer { name: "forward_" type: "InnerProduct" bottom: "class" top: "3d.x" '
        'inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }'
    )
    text, tensors = to_torch(net, "net")
    ast.parse(text)
    assert len({name.partition(".")[0] for name in tensors}) == 2
    torch()
    inputs, expected = nets.answered(net)
    nets.agree(answers(loaded(net, tmp_path), net, inputs), expected)


def test_no_layer_replaces_what_every_module_has():
    known = {name for name in dir(torch().nn.Module) if not name.startswith("_")}
    assert known <= TAKEN


@pytest.mark.parametrize(
    "name", ["__init__", "_modules", "__call__", "_", "__private", "细胞", "/a"]
)
def test_names_that_begin_with_an_underscore(name, tmp_path):
    """Modules have many such names, and Python changes those that begin with two."""
    text = """
      layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 dim: 3 } } }
      layer { name: "NAME" type: "InnerProduct" bottom: "x" top: "NAME"
        inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }"""
    net = nets.built(text.replace("NAME", name))
    text, tensors = to_torch(net, "net")
    (made,) = {part.partition(".")[0] for part in tensors}
    assert made.startswith("x_") and f"self.{made} = nn.Linear(" in text
    torch()
    inputs, expected = nets.answered(net)
    nets.agree(answers(loaded(net, tmp_path), net, inputs), expected)


def test_what_is_element_by_element_takes_any_value(tmp_path):
    torch()
    net = nets.built("""
      layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 dim: 3 } } }
      layer { name: "v" type: "ValueTransformation" bottom: "x" top: "v"
              value_transformation_param { offset { v: 0.3 } scale { v: 2 } } }
      layer { name: "a" type: "AbsVal" bottom: "v" top: "a" }""")
    inputs, expected = nets.answered(net)
    nets.agree(answers(loaded(net, tmp_path), net, inputs), expected)


def test_a_pooling_padded_beyond_half_its_window_is_refused():
    net = nets.built("""
      layer { name: "x" type: "Input" top: "x"
              input_param { shape { dim: 1 dim: 1 dim: 9 dim: 9 } } }
      layer { name: "p" type: "Pooling" bottom: "x" top: "p"
              pooling_param { pool: MAX kernel_size: 3 stride: 1 pad: 2 } }""")
    with pytest.raises(GraphError, match=r"'p'.*half its window at most"):
        to_torch(net, "net")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("U-Net", "UNet"), ("3-D U-Net", "Net3DUNet"), ("", "Net"), ("phseg_v5", "PhsegV5")],
)
def test_the_name_of_the_class(name, expected):
    assert class_name(name) == expected


def test_a_layer_that_it_cannot_say_is_named():
    net = nets.built(
        'layer { name: "data" type: "Input" top: "x" input_param { shape { dim: 2 dim: 4 } } }\n'
        'layer { name: "cut" type: "Slice" bottom: "x" top: "a" top: "b" }'
    )
    with pytest.raises(GraphError, match=r"net.prototxt:2:1: layer 'cut' \(Slice\)"):
        to_torch(net, "net")


def test_other_sizes_than_the_one_it_was_exported_at(tmp_path):
    torch()
    net = nets.model("unet-small")
    module = loaded(net, tmp_path)
    net.reshape({"data": (2, 1, 100, 116)})
    inputs, expected = nets.answered(net)
    nets.agree(answers(module, net, inputs), expected)
    assert np.isfinite(expected["score"]).all()


def test_a_file_that_is_written_again_at_once_is_read_again(tmp_path, monkeypatch):
    """Python would take what it compiled of another file of this size and second."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "net.py"
    for value in (1, 2):
        path.write_text(f"value = {value}\n")
        os.utime(path, (1e9, 1e9))
        assert nets.imported(path).value == value


SHARED = """
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 2 dim: 9 dim: 9 } } }
layer { name: "a" type: "Convolution" bottom: "data" top: "a" param { name: "w" } PARAM
        convolution_param { num_output: 2 kernel_size: 3 bias_filler { type: "gaussian" std: 1 }
                            weight_filler { type: "gaussian" std: 1 } } }
layer { name: "b" type: "Convolution" bottom: "a" top: "b" param { name: "w" } PARAM
        convolution_param { num_output: 2 kernel_size: 3 bias_filler { type: "gaussian" std: 1 }
                            weight_filler { type: "gaussian" std: 1 } STRIDE } }"""


def sharing(bias="", stride="", name=""):
    text = SHARED.replace("PARAM", bias).replace("STRIDE", stride)
    return nets.built(f"name: '{name}'" + text)


@pytest.mark.parametrize("bias", ["", 'param { name: "b" }'], ids=["own bias", "one bias"])
@pytest.mark.parametrize("stride", ["", "stride: 2"], ids=["alike", "other stride"])
def test_some_parameters_are_shared(bias, stride, tmp_path):
    torch()
    net = sharing(bias, stride)
    inputs, expected = nets.answered(net)
    module = loaded(net, tmp_path)
    nets.agree(answers(module, net, inputs), expected)
    assert module.b.weight is module.a.weight
    assert (module.b.bias is module.a.bias) == bool(bias)


def test_parameters_that_are_no_modules_cannot_be_shared():
    text = """
      layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 2 dim: 3 } } }
      layer { name: "a" type: "Scale" bottom: "x" top: "a" param { name: "s" } }
      layer { name: "b" type: "Scale" bottom: "a" top: "b" param { name: "s" } }"""
    with pytest.raises(GraphError, match=r"'b'.*it shares a parameter with 'a'"):
        to_torch(nets.built(text), "net")


def test_parameters_that_are_used_differently_cannot_be_shared():
    text = """
      layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
      layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" }
              inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
      layer { name: "b" type: "InnerProduct" bottom: "a" top: "b" param { name: "w" }
              inner_product_param { num_output: 3 transpose: true } }"""
    with pytest.raises(GraphError, match=r"'b'.*it shares a parameter with 'a'"):
        to_torch(nets.built(text), "net")


def test_a_name_is_no_code():
    net = sharing(name=r'x"""\nimport nowhere\n""" \\')
    assert '"""\nimport nowhere' in net.name and net.name.endswith("\\")
    for text, _ in (to_torch(net, "net"), to_torch(sharing(), 'n"\\', [net.name])):
        found = ast.parse(text).body
        kinds = [type(statement).__name__ for statement in found[:4]]
        assert kinds == ["Expr", "Import", "ImportFrom", "ImportFrom"]
        assert found[1].names[0].name == "torch"
