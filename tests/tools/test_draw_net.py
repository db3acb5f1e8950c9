"""Nets as graphs: every layer and blob, what the boxes say, and who draws."""

import os
import re
from pathlib import Path

import pytest
from demitasse import netspec
from demitasse.tools import draw_net
from demitasse.tools._main import guarded
from hypothesis import given
from hypothesis import strategies as st

NET = """name: "n"
layer { name: "rows" type: "HDF5Data" top: "data" top: "label" include { phase: TRAIN }
  hdf5_data_param { source: "rows.txt" batch_size: 7 } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c" param { lr_mult: 0.5 }
  convolution_param { num_output: 4 kernel_h: 3 kernel_w: 5 stride: 2 dilation: 2 group: 2 } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "p" type: "Pooling" bottom: "c" top: "p"
  pooling_param { pool: AVE kernel_size: 2 pad: 1 } }
layer { name: "g" type: "Pooling" bottom: "p" top: "g" pooling_param { global_pooling: true } }
layer { name: "ip" type: "InnerProduct" bottom: "g" top: "ip"
  inner_product_param { num_output: 3 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss"
  exclude { phase: TEST } }
"""
NODE = re.compile(
    r'  ("(?:[^"\\]|\\.)*") \[label="((?:[^"\\]|\\.)*)", shape=(\w+), fillcolor="(.*)"\];'
)
EDGE = re.compile(r'  ("(?:[^"\\]|\\.)*") -> ("(?:[^"\\]|\\.)*")(?: \[label="(.*)"\])?;')


@pytest.fixture
def net(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)


def drawn(*options):
    """(label by node, shape by label, edges between labels with what they say)."""
    assert guarded(draw_net.main, ["net.prototxt", "net.dot", *options]) == 0
    return parsed(Path("net.dot").read_text())


def parsed(text):
    first, second, _, *lines, last = text.splitlines()
    assert first.startswith("digraph ") and (last, second[:9]) == ("}", "  rankdir")
    nodes, edges = {}, []
    for line in lines:
        node, edge = NODE.fullmatch(line), EDGE.fullmatch(line)
        assert node or edge, line
        if node:
            nodes[node[1]] = node.group(2, 3, 4)
        else:
            edges.append(edge.groups())
    return nodes, [(nodes[a][0], nodes[b][0], says) for a, b, says in edges]


def test_boxes_and_arrows(net):
    nodes, edges = drawn()
    labels = [label for label, shape, _ in nodes.values() if shape == "box"]
    assert labels == [
        r"rows\n(HDF5Data)",
        r"c\n(Convolution)\nkernel size: 3x5\nstride: 2\npad: 0\ndilation: 2\ngroup: 2",
        r"r\n(ReLU)",
        r"p\n(Pooling AVE)\nkernel size: 2\nstride: 1\npad: 1",
        r"g\n(Pooling MAX)\nglobal",
        r"ip\n(InnerProduct)",
        r"loss\n(SoftmaxWithLoss)",
    ]
    blobs = [label for label, shape, _ in nodes.values() if shape == "octagon"]
    assert sorted(blobs) == ["c", "data", "g", "ip", "label", "loss", "p"]
    conv = labels[1]
    assert ("data", conv, None) in edges and (conv, "c", "4") in edges
    assert (labels[0], "label", "batch 7") in edges and (labels[5], "ip", "3") in edges
    assert {("c", labels[2], None), (labels[2], "c", None)} < set(edges)
    colour = {label: fill for label, _, fill in nodes.values()}
    assert colour[labels[2]] not in (colour[conv], colour[labels[0]])


@pytest.mark.parametrize(
    "phase, there", [("TRAIN", {"rows", "loss"}), ("TEST", set()), ("ALL", {"rows", "loss"})]
)
def test_the_layers_of_a_phase(net, phase, there):
    nodes, _ = drawn("--phase", phase)
    names = {label.split(r"\n")[0] for label, shape, _ in nodes.values() if shape == "box"}
    assert names == {"c", "r", "p", "g", "ip"} | there


def test_options(net):
    nodes, _ = drawn("--rankdir", "TB", "--display_lrm")
    labels = [label for label, _, _ in nodes.values()]
    assert (
        "c (Convolution) kernel size: 3x5 stride: 2 pad: 0 dilation: 2 group: 2 lr mult: 0.5, 1"
        in labels
    )
    assert "ip (InnerProduct) lr mult: 1, 1" in labels
    assert "rankdir=TB" in Path("net.dot").read_text()


def test_old_nets_are_drawn_as_upgraded(net):
    Path("net.prototxt").write_text("layers { name: 'r' type: RELU bottom: 'a' top: 'b' }")
    _, edges = drawn()
    assert edges == [("a", r"r\n(ReLU)", None), (r"r\n(ReLU)", "b", None)]


@given(st.text(min_size=1, max_size=8), st.text(max_size=8))
def test_any_name_is_quoted(name, blob):
    layer = netspec.schema.LayerParameter(name=name, type="ReLU", bottom=[blob], top=["y"])
    text = draw_net.dot(name, [layer], "LR")
    strings = re.sub(r'"(?:[^"\\\n]|\\[^\n])*"', "S", text)
    assert '"' not in strings and "\\" not in strings
    assert "S -> S;" in strings


def put_program(script):
    """A program `dot` of our own, alone in the search path."""
    Path("bin").mkdir()
    Path("bin/dot").write_text(f"#!{os.path.realpath('/bin/sh')}\n{script}\n")
    Path("bin/dot").chmod(0o755)


def test_graphviz_draws_the_rest(net, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path('bin').absolute()}:{os.environ['PATH']}")
    put_program('echo "$1" > "$3"; cat >> "$3"')
    assert guarded(draw_net.main, ["net.prototxt", "net.svg"]) == 0
    kind, text = Path("net.svg").read_text().split("\n", 1)
    nodes, _ = parsed(text)
    assert kind == "-Tsvg" and len(nodes) == 14


def test_what_graphviz_cannot_do_is_said(net, monkeypatch, capsys):
    monkeypatch.setenv("PATH", f"{Path('bin').absolute()}:{os.environ['PATH']}")
    put_program("echo 'Format: \"abc\" not recognized' >&2; exit 1")
    assert guarded(draw_net.main, ["net.prototxt", "net.abc"]) == 2
    assert 'Format: "abc" not recognized' in capsys.readouterr().err
    assert not Path("net.abc").exists()


def test_without_graphviz_text_is_offered(net, monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    assert guarded(draw_net.main, ["net.prototxt", "net.png"]) == 2
    assert "net.dot" in capsys.readouterr().err
    assert guarded(draw_net.main, ["net.prototxt", "net"]) == 2
    assert "what kind of file" in capsys.readouterr().err
    assert guarded(draw_net.main, ["net.prototxt", "net.gv"]) == 0
