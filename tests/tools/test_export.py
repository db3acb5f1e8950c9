"""The export command: files in four formats, what it prints and what it refuses."""

import gc
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from demitasse import netspec, weights
from demitasse.errors import DemitasseError
from demitasse.net import Net
from demitasse.tools import cli, export
from demitasse.tools._main import guarded

ROOT = Path(__file__).resolve().parent.parent.parent
NARROW = ROOT / "tests/golden/nets/unet_narrow"
GIVEN = ["--weights", str(NARROW / "weights.caffemodel"), "--model", str(NARROW / "net.prototxt")]
ZOO = ["--license", "CC-BY-4.0", "--author", "A. Author"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def zoo():
    """The zoo's library, which leaves files to the garbage collector."""
    yield pytest.importorskip("bioimageio.spec", reason="bioimageio.spec is not installed")
    gc.collect()


untidy = pytest.mark.filterwarnings("ignore::ResourceWarning")


def run(*words, code=0):
    assert guarded(export.main, [str(w) for w in words]) == code


def test_onnx_is_checked_by_onnxruntime(capsys):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    assert cli.main(["export", "--to", "onnx", *GIVEN, "-o", "u.onnx"]) == 0
    said = capsys.readouterr().out
    assert "188 + 16 k pixels, 184 less out along each axis" in said
    assert float(re.search(r"agrees with the net in float64 to (\S+) of", said)[1]) < 1e-5


def test_an_onnx_file_that_computes_something_else_is_refused(monkeypatch, capsys):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    right = export.to_onnx

    def wrong(net, **options):
        net.params["conv_d0a-b"][0].data[0, 0] *= 1.0001
        proto = right(net, **options)
        net.params["conv_d0a-b"][0].data[0, 0] /= 1.0001
        return proto

    monkeypatch.setattr(export, "to_onnx", wrong)
    run("--to", "onnx", *GIVEN, "-o", "u.onnx", code=2)
    assert "onnxruntime computes something else from it" in capsys.readouterr().err
    assert not Path("u.onnx").exists()


def test_rounding_that_a_net_itself_amplifies_is_not_an_error():
    said = export.agreement(3e-5, 1e-5, Path("u.onnx"))
    assert said.endswith("to 3e-05 of the largest output (the net's own rounding: 1e-05)")
    for theirs, ours in ((5e-5, 1e-5), (1.1e-5, 1e-6), (float("nan"), 1.0)):
        with pytest.raises(DemitasseError, match="something else"):
            export.agreement(theirs, ours, Path("u.onnx"))


def test_an_onnx_file_of_one_size_that_gives_probabilities(capsys):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    run("--to", "onnx", *GIVEN, "-o", "u.onnx", "--size", "204x188", "--prob")
    assert "images of 204 x 188" in capsys.readouterr().out.replace("\N{MULTIPLICATION SIGN}", "x")
    session = onnxruntime.InferenceSession("u.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"data": np.zeros((2, 1, 204, 188), np.float32)})
    assert found.shape == (2, 2, 20, 4)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_a_net_that_ends_in_a_softmax_gives_probabilities_or_scores():
    text = """
      layer { name: "x" type: "Input" top: "x"
              input_param { shape { dim: 1 dim: 1 dim: 9 dim: 9 } } }
      layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {
              num_output: 3 kernel_size: 3 weight_filler { type: "xavier" } } }
      layer { name: "prob" type: "Softmax" bottom: "c" top: "prob" }"""
    Path("n.prototxt").write_text(text)
    net = Net(netspec.build(netspec.parse_net(text), "TEST"))
    weights.write_hdf5("n.caffemodel.h5", net.owned_parameters())
    argv = ["--to", "onnx", "--weights", "n.caffemodel.h5", "--model", "n.prototxt", "-o", "n.onnx"]
    for more, last in (["--prob"], "Softmax"), ([], "Convolution"):
        made, _ = export.load(export.parser().parse_args([*argv, *more]))
        assert made.graph.nodes[-1].type == last


@pytest.mark.parametrize(
    ("axis", "sizes", "left"),
    [(1, 4, 0), (2, 4, 1), (-1, 4, 1), (-3, 4, 0), (-4, 5, 0), (-3, 5, 1), (0, 4, 1), (-3, 0, 0)],
)
def test_only_a_last_softmax_over_the_classes_is_dropped(axis, sizes, left):
    """One along rows makes no probabilities of classes: it is a part of the net."""
    shape = f"input_param {{ shape {{ {'dim: 1 ' * sizes}}} }}" if sizes else ""
    message = netspec.parse_net(
        f"""layer {{ name: "in" type: "Input" top: "data" {shape} }}
        layer {{ name: "prob" type: "Softmax" bottom: "data" top: "prob"
          softmax_param {{ axis: {axis} }} }}"""
    ).message
    export.drop_last_softmax(message)
    assert len(message.layer) == 1 + left


def test_torch_code_and_its_parameters(capsys):
    pytest.importorskip("safetensors", reason="safetensors is not installed")
    run("--to", "torch", *GIVEN, "-o", "unet.py")
    assert "46 tensors of 121,658 numbers" in capsys.readouterr().out
    text = Path("unet.py").read_text()
    assert 'def load(path: str = "unet.safetensors")' in text and "188 + 16 k pixels" in text
    assert Path("unet.safetensors").exists()


def test_safetensors_say_where_they_come_from():
    safetensors = pytest.importorskip("safetensors", reason="safetensors is not installed")
    run("--to", "safetensors", *GIVEN, "-o", "u.safetensors")
    with safetensors.safe_open("u.safetensors", "numpy") as file:
        said = file.metadata()
        assert "conv_d0a-b/weight" in file.keys()  # noqa: SIM118
    assert said["weights"] == "weights.caffemodel" and said["net"] == "net.prototxt"
    assert said["program"].startswith("demitasse ") and len(said["sha256"]) == 64


@untidy
def test_a_package_of_the_zoo_is_valid_and_true(trained, zoo):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    run(
        "--to", "bioimageio", "--weights", trained, "-o", "u.zip", *ZOO, "--normalization", "zscore"
    )
    described = zoo.load_model_description("u.zip", perform_io_checks=True)
    assert described.license == "CC-BY-4.0" and described.authors[0].name == "A. Author"
    *_, y, x = described.inputs[0].axes
    assert [(a.id, a.size.min, a.size.step) for a in (y, x)] == [("y", 8, 2), ("x", 8, 2)]
    *_, out = described.outputs[0].axes
    assert out.size.axis_id == "x" and out.size.offset == -6
    with zipfile.ZipFile("u.zip") as package:
        package.extractall("unpacked")
    image, expected = (np.load(f"unpacked/test_{n}.npy") for n in ("input", "output"))
    assert image.shape == (1, 1, 16, 16) and expected.shape == (1, 2, 10, 10)
    normalised = ((image - image.mean()) / image.std()).astype(np.float32)
    session = onnxruntime.InferenceSession(
        "unpacked/model.onnx", providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(None, {session.get_inputs()[0].name: normalised})
    np.testing.assert_allclose(found, expected, atol=1e-5)
    readme = Path("unpacked/README.md").read_text()
    assert "| y | 8 + 2 k | 6 less | 3 |" in readme and "## Validation" in readme


def test_a_package_needs_an_author_and_a_licence(capsys):
    run("--to", "bioimageio", *GIVEN, "-o", "u.zip", code=2)
    assert "--license" in capsys.readouterr().err


@untidy
def test_a_licence_that_is_none_is_refused_by_the_validator(capsys, zoo):
    pytest.importorskip("onnx", reason="onnx is not installed")
    words = ["--license", "my own", "--author", "A"]
    run("--to", "bioimageio", *GIVEN, "-o", "u.zip", *words, code=2)
    assert "the zoo's validator refuses it: license" in capsys.readouterr().err
    assert not Path("u.zip").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "onnx", "-o", "u.pt", *GIVEN], "u.onnx"),
        (["--to", "safetensors", "-o", "u.safetensors", *GIVEN[:2]], "--model deploy.prototxt"),
        (["--to", "onnx", "-o", "u.onnx", *GIVEN, "--size", "190"], "188 or 204"),
    ],
)
def test_what_it_refuses(words, said, capsys):
    run(*words, code=2)
    assert said in capsys.readouterr().err
    assert not [p for p in Path().iterdir() if p.suffix in (".pt", ".onnx", ".safetensors")]


def test_nothing_is_overwritten_unasked(capsys):
    Path("unet.safetensors").write_text("mine")
    run("--to", "torch", *GIVEN, "-o", "unet.py", code=2)
    assert "--overwrite" in capsys.readouterr().err
    assert not Path("unet.py").exists() and Path("unet.safetensors").read_text() == "mine"


def test_a_missing_library_is_named_with_what_installs_it(monkeypatch, capsys):
    from demitasse.export import pieces

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(pieces.importlib, "import_module", missing)
    run("--to", "safetensors", *GIVEN, "-o", "u.safetensors", code=2)
    assert "pip install 'demitasse[safetensors]'" in capsys.readouterr().err
