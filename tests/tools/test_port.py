"""The port command: formats into each other, old files against a net, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from demitasse import netspec, weights
from demitasse.net import Net
from demitasse.netspec import schema
from demitasse.tools import deploy, export, port, solve
from demitasse.tools._main import guarded

NETS = Path(__file__).resolve().parent.parent / "golden" / "nets"
V1_WEIGHTS = NETS / "unet_v1_trunk" / "weights_v1.caffemodel"


def run(*argv):
    return guarded(port.main, [str(a) for a in argv])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def refused(capsys):
    """Run the command where it must refuse; return what it said."""

    def call(*argv):
        capsys.readouterr()
        assert run(*argv) == 2
        said = capsys.readouterr().err.strip()
        assert said.startswith("error: ") and "\n" not in said
        return said

    return call


def bits(path):
    layers = weights.read(path).layers
    return {n: [(a.shape, a.tobytes()) for a in blobs] for n, blobs in layers.items() if blobs}


@pytest.mark.parametrize("case", sorted(p.name for p in NETS.iterdir()))
def test_from_one_format_into_the_other_and_back(case):
    given = NETS / case / "weights.caffemodel"
    assert run(given, "-o", "a.caffemodel.h5") == 0
    assert run("a.caffemodel.h5", "-o", "b.caffemodel") == 0
    assert bits(given) == bits("a.caffemodel.h5") == bits("b.caffemodel")
    message = schema.NetParameter.FromString(Path("b.caffemodel").read_bytes())
    assert {layer.name for layer in message.layer} == set(bits(given))


@pytest.mark.parametrize("case", ["fcn_like", "siamese_multi_loss", "unet_narrow"])
@pytest.mark.parametrize("end", ["", ".h5"])
def test_with_its_net_a_file_is_written_as_caffe_does(case, end):
    net = NETS / case / "net.prototxt"
    assert run(NETS / case / f"weights.caffemodel{end}", "--net", net, "-o", "a.caffemodel") == 0
    assert {n: b for n, b in bits("a.caffemodel").items()} == bits(
        NETS / case / "weights.caffemodel"
    )


def test_old_shapes_are_brought_up_to_date_and_said(capsys):
    assert run(V1_WEIGHTS, "-o", "a.h5") == 0
    said = capsys.readouterr().out
    assert "dialect     V1, four axes" in said and "taken       22 blobs of 11 layers" in said
    assert "reshaped    conv_d0b/1: 1x1x1x3 -> 3" in said and "a.h5: the parameters" in said
    assert bits("a.h5") == bits(NETS / "unet_v1_trunk" / "weights.caffemodel.h5")


def test_an_old_net_becomes_a_model_that_segments(capsys):
    net = NETS / "unet_v1_trunk" / "net_v1.prototxt"
    argv = [V1_WEIGHTS, "--net", net, "-o", "unet.h5", "--normalization", "depth"]
    assert run(*argv) == 0
    said = capsys.readouterr().out
    assert "loaded      22 blobs of 11 layers" in said and "score/1: 1x1x1x2 -> 2" in said
    found = weights.read("unet.h5")
    assert found.kind == "model" and found.verified
    assert found.model.normalization == {"name": "depth", "parameters": {}}
    assert found.model.input_channels == 1
    assert found.model.origin["weights"] == "weights_v1.caffemodel"
    assert all(layer.type != "SoftmaxWithLoss" for layer in deploy_net(found).layer)
    tifffile.imwrite("img.tif", np.arange(40 * 50, dtype=np.uint8).reshape(40, 50))
    assert guarded(deploy.main, ["--weights", "unet.h5", "img.tif"]) == 0
    assert tifffile.imread("img.labels.tif").shape == (40, 50)


def test_a_model_whose_grey_values_nobody_named_says_so(trained, capsys):
    argv = ["tiny_iter_4.caffemodel.h5", "--net", "net.prototxt", "-o", "ported.h5"]
    known = "grey values: as they are (from the model)"
    for more, line in (
        ([], untold("ported.h5")),
        (["--normalization", "none", "--overwrite"], known),
    ):
        capsys.readouterr()
        assert run(*argv, *more) == 0
        said = capsys.readouterr().out
        assert (untold("tiny_iter_4.caffemodel.h5") in said) == (not more)
        assert guarded(deploy.main, ["--weights", "ported.h5", "img.tif", "--dry-run"]) == 0
        assert capsys.readouterr().out.splitlines()[0] == line


def untold(path):
    return (
        f"grey values: as they are: {path} does not say how the net's images were normalised; "
        "--normalization zscore is what demitasse pack uses"
    )


def deploy_net(found):
    return netspec.parse_net(found.model.deploy, "deploy").message


def test_a_training_net_is_enough(trained):
    """The net of the solver, data layer, loss and all; the model is the one training wrote."""
    assert run("tiny_iter_4.caffemodel.h5", "--net", "net.prototxt", "-o", "ported.h5") == 0
    assert bits("ported.h5") == bits("tiny.h5")
    for name in ("tiny", "ported"):
        argv = [
            "--weights",
            f"{name}.h5",
            "img.tif",
            "--output",
            "score",
            "--normalization",
            "none",
        ]
        assert guarded(deploy.main, [*argv, "-o", ".", "--overwrite"]) == 0
        Path("img.score.tif").rename(f"{name}.tif")
    np.testing.assert_array_equal(tifffile.imread("tiny.tif"), tifffile.imread("ported.tif"))


def test_what_does_not_fit_is_refused_until_it_is_left_out(trained, refused, capsys):
    text = Path("net.prototxt").read_text()
    Path("net.prototxt").write_text(text.replace("num_output: 2", "num_output: 3"))
    argv = ["tiny_iter_4.caffemodel.h5", "--net", "net.prototxt", "-o", "x.caffemodel"]
    said = refused(*argv)
    assert "layer score, blob 0: file has 2x8x1x1, net wants 3x8x1x1" in said
    assert "--leave-out score" in said and not Path("x.caffemodel").exists()
    assert run(*argv, "--leave-out", "score") == 0
    assert "left out    score" in capsys.readouterr().out
    assert set(bits("x.caffemodel")) == {"d0", "d1", "up"}
    argv = ["solver.prototxt", "-weights", "x.caffemodel", "--prefix", "y", "--max-iter", "1"]
    assert guarded(solve.main, argv) == 0


def test_the_advice_names_all_layers_that_do_not_fit(trained, refused):
    text = Path("net.prototxt").read_text()
    Path("net.prototxt").write_text(
        text.replace(
            '"e1"\n  convolution_param { num_output: 4', '"e1"\n  convolution_param { num_output: 3'
        )
    )
    argv = ["tiny_iter_4.caffemodel.h5", "--net", "net.prototxt", "-o", "x.caffemodel"]
    said = refused(*argv)
    advice = "--leave-out d1 --leave-out up"
    assert said.endswith(f"To port the others alone: {advice}.")
    assert run(*argv, *advice.split()) == 0


def test_a_net_in_the_place_of_its_parameters(refused):
    net = NETS / "unet_v1_trunk" / "net_v1.prototxt"
    assert refused(net, "--net", V1_WEIGHTS, "-o", "a.h5").endswith("Give it to --net.")


def test_a_model_that_deploy_would_refuse_is_not_said_to_be_ready(capsys):
    Path("net.prototxt").write_text(
        """layer { name: "in" type: "Input" top: "data"
          input_param { shape { dim: 1 dim: 1 dim: 8 dim: 8 } } }
        layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
          convolution_param { num_output: 2 kernel_size: 3 } }
        layer { name: "ip" type: "InnerProduct" bottom: "conv" top: "ip"
          inner_product_param { num_output: 3 } }"""
    )
    net = Net(netspec.build(netspec.read_net("net.prototxt"), "TEST"), seed=1)
    weights.write_hdf5("w.h5", net.parameters())
    assert run("w.h5", "--net", "net.prototxt", "-o", "m.h5") == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == (
        "m.h5: the model, for demitasse train, demitasse export and pycaffe; demitasse deploy "
        "would refuse it: the output 'ip' is no image, a blob of 1 x 3"
    )
    assert guarded(deploy.main, ["--weights", "m.h5", "img.tif"]) == 2
    argv = ["--to", "safetensors", "--weights", "m.h5", "-o", "m.safetensors"]
    assert guarded(export.main, argv) == 0


def test_a_net_of_one_size_whose_data_are_gone(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(
        """layer { name: "gone" type: "Data" top: "data" top: "label"
          data_param { source: "gone_lmdb" backend: LMDB batch_size: 2 } }
        layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
          inner_product_param { num_output: 3 } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" }"""
    )
    weights.write_hdf5("w.h5", {"ip": [np.zeros((3, 64), "f4"), np.zeros(3, "f4")]})
    said = refused("w.h5", "--net", "net.prototxt", "-o", "m.h5")
    assert "does not say how large its images are" in said and 'input: "data" input_dim: 1' in said


def test_missing_and_unused_layers(trained, refused, capsys):
    text = Path("net.prototxt").read_text()
    Path("net.prototxt").write_text(text.replace('name: "d1"', 'name: "d1b"'))
    argv = ["tiny_iter_4.caffemodel.h5", "--net", "net.prototxt", "-o", "x.h5"]
    said = refused(*argv)
    assert "layer d1b is missing" in said and "Did you mean d1?" in said
    assert run(*argv, "--leave-out", "d1b") == 0
    said = capsys.readouterr().out
    assert "unused      d1" in said and "left out    d1b" in said
    assert said.endswith(
        "x.h5: the model, for demitasse train; demitasse deploy would refuse it: it lacks d1b\n"
    )
    assert set(bits("x.h5")) == {"d0", "up", "score"}
    assert guarded(deploy.main, ["--weights", "x.h5", "img.tif"]) == 2
    assert "d1b" in capsys.readouterr().err


def test_layer_names_with_slashes(trained, refused, capsys):
    text = Path("net.prototxt").read_text()
    text = text.replace('name: "r0"', 'name: "d0/relu"').replace('name: "d1"', 'name: "d0/d1"')
    Path("slashes.prototxt").write_text(text)
    layers = weights.read("tiny_iter_4.caffemodel.h5").layers
    layers["d0/d1"] = layers.pop("d1")
    weights.write_caffemodel(
        "slashes.caffemodel",
        "slashes",
        [
            (schema.LayerParameter(name=n).SerializeToString(), blobs, [])
            for n, blobs in layers.items()
            if blobs
        ],
    )
    said = refused("slashes.caffemodel", "-o", "s.h5")
    command = "port slashes.caffemodel --net NET.prototxt -o s.h5"
    assert "layer name 'd0/d1' cannot be used" in said and f"demitasse {command}." in said
    assert run(*command.replace("NET", "slashes").split()[1:]) == 0
    assert bits("s.h5") == bits("slashes.caffemodel")
    assert guarded(deploy.main, ["--weights", "s.h5", "img.tif"]) == 0
    assert run("s.h5", "-o", "again.caffemodel") == 0
    assert bits("again.caffemodel") == bits("s.h5")


def test_leaving_out_what_is_not_there(refused):
    assert "no such layer" in refused(V1_WEIGHTS, "-o", "a.h5", "--leave-out", "zzz")
    said = refused(V1_WEIGHTS, "-o", "a.h5", "--leave-out", "scores")
    assert "Did you mean score?" in said


def test_without_a_net_layers_can_be_left_out_too():
    assert run(V1_WEIGHTS, "-o", "a.h5", "--leave-out", "score", "--leave-out", "up_u0a") == 0
    assert set(bits("a.h5")) == set(bits(V1_WEIGHTS)) - {"score", "up_u0a"}


def test_outputs_that_are_refused(refused):
    assert "ends in .h5 or .caffemodel" in refused(V1_WEIGHTS, "-o", "a.npz")
    Path("a.h5").write_text("precious")
    assert "--overwrite" in refused(V1_WEIGHTS, "-o", "a.h5")
    assert Path("a.h5").read_text() == "precious"
    assert "no/such" in refused(V1_WEIGHTS, "-o", "no/such/a.h5")
    assert "ghost" in refused("ghost.caffemodel", "-o", "b.h5")
    assert run(V1_WEIGHTS, "-o", "a.h5", "--overwrite") == 0


def test_four_axes_of_an_unknown_layer_need_the_net(refused):
    message = schema.NetParameter(name="old")
    layer = message.layers.add(name="a", type=schema.V1LayerParameter.SIGMOID)
    layer.blobs.add(num=1, channels=1, height=1, width=2, data=[1, 2])
    Path("old.caffemodel").write_bytes(message.SerializeToString())
    assert "--net" in refused("old.caffemodel", "-o", "a.h5")


def test_a_parameter_that_another_layer_owns_needs_the_net_or_goes_with_its_owner(refused):
    array = np.ones(2, "f4")
    weights.write_hdf5("s.h5", {"a": [array, array], "b": [None, array]})
    assert "layer 'b' uses a parameter of another" in refused("s.h5", "-o", "s.caffemodel")
    weights.write_hdf5("t.h5", {"a": [array], "b": []})
    assert run("t.h5", "-o", "t.caffemodel") == 0
    assert set(bits("t.caffemodel")) == {"a"}  # Caffe gives "b" what "a" has


def test_what_is_not_finite_is_said_and_kept(capsys):
    weights.write_hdf5("n.h5", {"a": [np.array([1, np.nan], "f4")]})
    assert run("n.h5", "-o", "n.caffemodel") == 0
    assert "not finite  a/0" in capsys.readouterr().out
    assert bits("n.h5") == bits("n.caffemodel")


@pytest.mark.parametrize("net", [[], ["--net", NETS / "unet_v1_trunk" / "net_v1.prototxt"]])
def test_the_generation_of_2014_is_written_too(net, refused):
    given = NETS / "unet_v1_trunk" / "weights.caffemodel"
    assert run(given, *net, "-o", "old.caffemodel", "--v1") == 0
    assert bits("old.caffemodel") == bits(V1_WEIGHTS)
    assert "--v1 is a kind of .caffemodel" in refused(given, "-o", "old.h5", "--v1")


def test_what_2014_did_not_know_is_refused(refused):
    said = refused(NETS / "residual_bn" / "weights.caffemodel", "-o", "a.caffemodel", "--v1")
    assert "had no parameters in V1" in said and not Path("a.caffemodel").exists()


ANOTHER = """
  layer { name: "data" type: "Input" top: "data"
          input_param { shape { dim: 1 dim: CHANNELS dim: 8 dim: 8 } } }
  layer { name: "a" type: "Convolution" bottom: "data" top: "a"
          convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "xavier" } } }
  layer { name: "b" type: "Convolution" bottom: "a" top: "b"
          convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: "xavier" } } }
  layer { name: "c" type: "Convolution" bottom: "b" top: "TOP"
          convolution_param { num_output: CLASSES kernel_size: 1 } }"""


def another(channels=1, classes=2, top="score"):
    text = ANOTHER.replace("CHANNELS", str(channels)).replace("CLASSES", str(classes))
    return text.replace("TOP", top)


def test_a_model_that_gets_another_net_is_known_as_before(capsys):
    net = Net(netspec.build(netspec.parse_net(another()), "TEST"))
    model = weights.Model(
        another(), {"name": "zscore", "parameters": {}}, ("background", "cell"), 1,
        pixel_size=(0.5, 0.25), origin={"iterations": 7},
    )  # fmt: skip
    weights.write_model("unet.h5", net.parameters(), model)
    Path("again.prototxt").write_text(another(top="again"))
    given = ["unet.h5", "--net", "again.prototxt"]
    assert run(*given, "-o", "a.h5") == 0
    assert "normalised" not in capsys.readouterr().out
    found = weights.read("a.h5").model
    assert 'top: "again"' in found.deploy and found.origin["iterations"] == 7
    assert (found.normalization, found.class_names) == (model.normalization, model.class_names)
    assert found.pixel_size == model.pixel_size
    assert found.origin["weights"] == "unet.h5" and "date" in found.origin
    assert run(*given, "-o", "b.h5", "--normalization", "none") == 0
    assert weights.read("b.h5").model.normalization["name"] == "none"

    args = export.parser().parse_args(
        ["--to", "onnx", "--weights", "unet.h5", "--model", "again.prototxt", "-o", "a.onnx"]
    )
    assert export.load(args)[1].normalization == model.normalization


def test_of_a_model_that_gets_a_net_of_other_sizes_what_is_still_true_is_kept():
    net = Net(netspec.build(netspec.parse_net(another()), "TEST"))
    model = weights.Model(
        another(), {"name": "zscore", "parameters": {}}, ("background", "cell"), 1
    )
    weights.write_model("unet.h5", net.parameters(), model)
    Path("wider.prototxt").write_text(another(channels=4, classes=3))
    left_out = ["--leave-out", "a", "--leave-out", "c"]
    assert run("unet.h5", "--net", "wider.prototxt", "-o", "c.h5", *left_out) == 0
    found = weights.read("c.h5").model
    assert found.input_channels == 4 and found.class_names == ()
    assert found.normalization == model.normalization
