"""`demitasse plan NET`: sizes and memory, of whatever file holds a net."""

import re
from pathlib import Path

import pytest
from demitasse.tools import cli
from demitasse.tools._main import guarded
from demitasse.tools.plan import main

pytestmark = pytest.mark.usefixtures("trained")


def planned(capsys, *argv):
    capsys.readouterr()
    assert cli.main(["plan", *argv]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_model_holds_its_net(capsys):
    found = planned(capsys, "tiny.h5", "--input", "24")
    assert found[:3] == [
        "tiny: 274 parameters, 0 MiB",
        "  data: 1 x 1 x 24 x 24",
        "  score: 1 x 2 x 18 x 18",
    ]
    assert found[1:] == planned(capsys, "net.prototxt", "--input", "24")[1 : len(found)]


@pytest.mark.parametrize("name", ["tiny_iter_4.caffemodel.h5", "train.h5"])
def test_hdf5_without_a_net(name, capsys):
    assert cli.main(["plan", name]) == 2
    assert capsys.readouterr().err == (
        f"error: {name}: holds no net; expected a prototxt, or a model such as unet.h5, found "
        "another HDF5 file (parameters alone, solver state or data).\n"
    )


def data(kind, says):
    """A net that classifies; its loss reads the label."""
    return f"""name: "n"
layer {{ name: "d" type: "{kind}" top: "data" top: "label" {says} }}
layer {{ name: "c" type: "InnerProduct" bottom: "data" top: "score" inner_product_param {{ num_output: 10 }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }}"""  # noqa: E501


def memory(lines):
    """MiB of activations in TRAIN, and the line."""
    (line,) = (line for line in lines if line.startswith("  TRAIN"))
    return int(re.search(r": ([\d,]+) MiB", line)[1].replace(",", "")), line


@pytest.mark.parametrize(
    ("kind", "says", "guess"),
    [
        (
            "Data",
            'data_param { source: "none" backend: LMDB batch_size: 6 } '
            "transform_param { crop_size: 8 mean_value: 1 mean_value: 2 mean_value: 3 }",
            "",
        ),
        (
            "Data",
            'data_param { batch_size: 6 } transform_param { crop_size: 8 mean_file: "m" }',
            "; a guess: 3 channels (--channels)",
        ),
        (
            "DummyData",
            "dummy_data_param { shape { dim: 6 dim: 3 dim: 8 dim: 8 } shape { dim: 6 } }",
            "",
        ),
    ],
)
def test_the_size_and_the_batch_are_those_of_the_nets_data(kind, says, guess, capsys):
    Path("n.prototxt").write_text(data(kind, says))
    found = planned(capsys, "n.prototxt")
    assert found[0] == f"n: 1,930 parameters, 0 MiB{guess}"
    images = 6 if kind == "DummyData" else 1
    assert found[1] == f"  data: {images} x 3 x 8 x 8"
    with_batch = "" if kind == "DummyData" else ", with 6 x 3 x 8 x 8"
    assert memory(found)[1].startswith(f"  TRAIN{with_batch}: ")


def test_a_size_that_the_net_does_not_tell_is_said_to_be_a_guess(capsys):
    Path("n.prototxt").write_text(data("HDF5Data", "hdf5_data_param { batch_size: 2 }"))
    words = "; a guess: 1 x 572 x 572 (--channels, --input)"
    assert planned(capsys, "n.prototxt")[0].endswith(words)
    assert planned(capsys, "n.prototxt", "--input", "8")[0].endswith(
        "; a guess: 1 channel (--channels)"
    )
    both = planned(capsys, "n.prototxt", "--input", "8", "--channels", "3")
    assert both[0] == "n: 1,930 parameters, 0 MiB"
    odd = data("HDF5Data", "").replace("InnerProduct", "Slice") + "\n"
    Path("n.prototxt").write_text(odd.replace('top: "score"', 'top: "score" top: "rest"'))
    assert guarded(main, ["n.prototxt"]) == 2
    assert "1 x 572 x 572, is a guess: give --channels, --input." in capsys.readouterr().err


def test_training_takes_as_much_more_as_its_batch_is_larger(capsys):
    text = Path("net.prototxt").read_text()
    one, line = memory(planned(capsys, "net.prototxt", "--input", "222"))
    assert line.startswith("  TRAIN: ")
    Path("net.prototxt").write_text(text.replace("batch_size: 1", "batch_size: 8"))
    eight, line = memory(planned(capsys, "net.prototxt", "--input", "222"))
    assert line.startswith("  TRAIN, with 8 x 1 x 222 x 222: ") and 6 * one < eight < 10 * one


def test_a_tile_that_the_net_cuts_is_as_large_as_the_one_asked_for(capsys):
    cut = """layer { name: "cut" type: "CreateDeformation" bottom: "whole" top: "cut"
      include { phase: TRAIN } create_deformation_param { ny: 22 nx: 22 } }
    layer { name: "bend" type: "ApplyDeformation" bottom: "whole" bottom: "cut" top: "data"
      include { phase: TRAIN } }
    layer { name: "d0" type: "Convolution" bottom: "data" top: "d0" include { phase: TRAIN }"""
    test = """layer { name: "d0" type: "Convolution" bottom: "whole" top: "d0"
      include { phase: TEST } convolution_param { num_output: 4 kernel_size: 3 } }"""
    text = Path("net.prototxt").read_text().replace('top: "data"', 'top: "whole"')
    text = text.replace(
        'layer { name: "d0" type: "Convolution" bottom: "data" top: "d0"', test + cut
    )
    Path("net.prototxt").write_text(text)
    asked = memory(planned(capsys, "net.prototxt", "--input", "222"))[0]
    assert asked > 1
    Path("net.prototxt").write_text(text.replace("22 nx: 22", "222 nx: 222"))
    assert memory(planned(capsys, "net.prototxt"))[0] == asked


def test_a_net_with_two_inputs_is_planned_as_it_states_them(capsys):
    Path("n.prototxt").write_text("""name: "n"
layer { name: "a" type: "Input" top: "a" input_param { shape { dim: 1 dim: 3 dim: 16 dim: 16 } } }
layer { name: "b" type: "Input" top: "b" input_param { shape { dim: 1 dim: 4 } } }
layer { name: "p" type: "InnerProduct" bottom: "a" top: "p" inner_product_param { num_output: 5 } }
layer { name: "q" type: "InnerProduct" bottom: "b" top: "q" inner_product_param { num_output: 5 } }
layer { name: "sum" type: "Eltwise" bottom: "p" bottom: "q" top: "y" }""")
    found = planned(capsys, "n.prototxt", "--input", "8")
    assert found[:3] == ["n: 990 parameters, 0 MiB", "  a: 1 x 3 x 8 x 8", "  b: 1 x 4"]
    assert planned(capsys, "n.prototxt")[0].startswith("n: 3,870")


def test_errors_have_the_place_of_their_layer(capsys):
    text = Path("net.prototxt").read_text()
    Path("net.prototxt").write_text(text.replace("ReLU", "RelU"))
    assert guarded(main, ["net.prototxt"]) == 2
    assert capsys.readouterr().err.startswith(
        "error: net.prototxt:6:1: layer 'r0' is of an unknown"
    )


def test_a_solver_is_told_to_be_one(capsys):
    assert guarded(main, ["solver.prototxt"]) == 2
    said = "error: solver.prototxt: is a solver, not a net. The net that it trains is net.prototxt."
    assert capsys.readouterr().err.strip() == said
