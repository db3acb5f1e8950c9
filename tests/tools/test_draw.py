"""Nets as SVG files: what the command writes, refuses and keeps its hands off."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from demitasse import netspec
from demitasse.tools import cli, draw
from demitasse.tools._main import guarded

ROOT = Path(__file__).resolve().parent.parent.parent
SVG = "{http://www.w3.org/2000/svg}"


def drawn(tmp_path, net, *options):
    target = tmp_path / "net.svg"
    assert cli.main(["draw", str(net), "-o", str(target), *options]) == 0
    return ET.fromstring(target.read_text())


def test_the_picture_in_the_readme_is_what_the_command_draws(monkeypatch):
    monkeypatch.chdir(ROOT)
    text, said = draw.picture(netspec.read_net("models/unet.prototxt"))
    assert said == "a U of 5 levels; a guess: 1 x 572 x 572"
    assert text == (ROOT / "docs/images/unet.svg").read_text(), (
        "run python tools/draw.py models/unet.prototxt -o docs/images/unet.svg"
    )


def test_a_model_holds_its_net(trained, tmp_path):
    one, two = (drawn(tmp_path, name, "--input", "24") for name in ("tiny.h5", "net.prototxt"))
    assert ET.tostring(one) == ET.tostring(two)


def test_a_picture_can_be_read_aloud_and_needs_nothing_else(tmp_path):
    root = drawn(tmp_path, ROOT / "models/unet-small.prototxt")
    assert root.get("role") == "img" and root.get("aria-labelledby") == "title desc"
    assert root.find(f"{SVG}title").text and "Level 0" in root.find(f"{SVG}desc").text
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags == {"svg", "title", "desc", "style", "rect", "text", "g", "polyline", "polygon"}
    text = ET.tostring(root, encoding="unicode")
    assert "url(" not in text and "href" not in text and "<script" not in text


def test_everything_lies_within_the_picture(tmp_path):
    root = drawn(tmp_path, ROOT / "models/unet.prototxt")
    width, height = float(root.get("width")), float(root.get("height"))
    for rect in root.iter(f"{SVG}rect"):
        x, y = float(rect.get("x", 0)), float(rect.get("y", 0))
        assert x >= 0 and x + float(rect.get("width")) <= width
        assert y >= 0 and y + float(rect.get("height")) <= height


def test_other_sizes(tmp_path):
    net = ROOT / "models/unet3d.prototxt"
    titles = [e.text for e in drawn(tmp_path, net, "--input", "100x108x116").iter(f"{SVG}title")]
    assert (
        "data: 1 channels of 100 x 108 x 116".replace(" x ", " \N{MULTIPLICATION SIGN} ") in titles
    )
    titles = [e.text for e in drawn(tmp_path, net, "--channels", "3").iter(f"{SVG}title")]
    assert (
        "data: 3 channels of 116 x 132 x 132".replace(" x ", " \N{MULTIPLICATION SIGN} ") in titles
    )


def test_a_size_that_does_not_fit_is_refused_with_one_that_does(tmp_path, capsys):
    words = [str(ROOT / "models/unet.prototxt"), "-o", str(tmp_path / "x.svg"), "--input", "570"]
    assert guarded(draw.main, words) == 2
    assert "556 or 572" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("phase", ["TRAIN", "TEST"])
def test_all_layers_of_a_phase_without_opening_their_data(tmp_path, phase):
    net = ROOT / "models/unet_augmented.prototxt"
    root = drawn(tmp_path, net, "--phase", phase)
    words = {element.text for element in root.iter(f"{SVG}text")}
    graph = netspec.build(netspec.read_net(str(net)), phase)
    named = {title.text for title in root.iter(f"{SVG}title")}
    for node in graph.nodes:
        if node.type != "Split":
            assert any(f"{node.name} ({node.type})" in title for title in named), node.name
    assert "HDF5Data" in words and "SoftmaxWithLoss" in words


def test_a_graph_of_a_u_net(tmp_path):
    root = drawn(tmp_path, ROOT / "models/unet-small.prototxt", "--graph")
    assert "upconv_d3c_u2a" in {element.text for element in root.iter(f"{SVG}text")}


def test_names_with_marks(tmp_path):
    net = tmp_path / "net.prototxt"
    net.write_text(
        'name: "a<b&c" layer { name: "in" type: "Input" top: "x" '
        "input_param { shape { dim: 1 dim: 1 dim: 4 dim: 4 } } } "
        'layer { name: "\\"r\\"&" type: "ReLU" bottom: "x" top: "y" }'
    )
    words = {element.text for element in drawn(tmp_path, net).iter(f"{SVG}text")}
    assert {"a<b&c", '"r"&'} <= words


def test_a_net_that_reads_no_image(tmp_path):
    net = tmp_path / "net.prototxt"
    net.write_text(
        'layer { name: "words" type: "Input" top: "x" input_param { shape { dim: 5 } } } '
        'layer { name: "e" type: "Embed" bottom: "x" top: "y" '
        "embed_param { input_dim: 9 num_output: 3 } }"
    )
    words = {element.text for element in drawn(tmp_path, net).iter(f"{SVG}text")}
    assert {"e", "Embed", "5 \N{MULTIPLICATION SIGN} 3", "30 parameters"} <= words


def test_only_svg_is_written(tmp_path, capsys):
    words = [str(ROOT / "models/unet.prototxt"), "-o", str(tmp_path / "net.png")]
    assert guarded(draw.main, words) == 2
    assert "net.svg" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["0", "1x2x3x4", "a", "12x"])
def test_what_is_no_size(size, tmp_path, capsys):
    words = [str(ROOT / "models/unet.prototxt"), "-o", str(tmp_path / "x.svg"), "--input", size]
    with pytest.raises(SystemExit) as stopped:
        draw.main(words)
    assert stopped.value.code == 2 and "is not a size" in capsys.readouterr().err


def test_a_layer_without_the_bottom_it_needs_is_refused(tmp_path, capsys):
    net = tmp_path / "net.prototxt"
    net.write_text("""layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 5 } } }
layer { name: "p" type: "Pooling" top: "p" pooling_param { kernel_size: 2 } }""")
    words = [str(net), "-o", str(tmp_path / "x.svg"), "--phase", "TRAIN"]
    assert guarded(draw.main, words) == 2
    assert (
        f"{net}:2:1: layer 'p' (Pooling) has the wrong number of bottoms" in capsys.readouterr().err
    )


def test_the_size_is_that_of_the_nets_data_or_said_to_be_a_guess(tmp_path, capsys):
    net = tmp_path / "net.prototxt"
    text = """layer { name: "in" type: "%s" top: "x" top: "y" %s }
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 2 kernel_size: 3 } }"""
    shape = "dummy_data_param { shape { dim: 2 dim: 3 dim: 28 dim: 28 } shape { dim: 2 } }"
    crop = "transform_param { crop_size: 28 force_color: true }"
    for kind, says in (("DummyData", shape), ("Data", crop)):
        net.write_text(text % (kind, says))
        words = {element.text for element in drawn(tmp_path, net).iter(f"{SVG}title")}
        assert any("3 x 28 x 28".replace("x", "\N{MULTIPLICATION SIGN}") in word for word in words)
        assert "a guess" not in capsys.readouterr().out
    net.write_text(text % ("HDF5Data", ""))
    drawn(tmp_path, net, "--input", "28")
    assert capsys.readouterr().out.endswith("; a guess: 1 channel\n")
