"""`demitasse check NET`: what is wrong, where, and the sizes of what is right."""

import re
from pathlib import Path

import numpy as np
import pytest
from demitasse.tools import check, solve
from demitasse.tools._main import guarded

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture
def run(capsys):
    def checked(*argv):
        capsys.readouterr()
        code = guarded(check.main, [str(a) for a in argv])
        said = capsys.readouterr()
        return code, said.out, said.err.splitlines()

    return checked


def edit(old, new):
    text = Path("net.prototxt").read_text()
    assert old in text
    Path("net.prototxt").write_text(text.replace(old, new, 1))


def test_a_good_net(tiny, run):
    code, out, err = run("net.prototxt")
    assert code == 0 and not err
    assert "tiny, TRAIN and TEST" in out and out.count(" SoftmaxWithLoss ") == 1
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.split()}
    assert rows["d0"] == ["Convolution", "d0", "1x4x20x20", "40"]
    assert rows["score"] == ["Convolution", "score", "1x2x16x16", "18"]
    assert out.endswith("net.prototxt: 0 errors, 0 warnings\n")


def test_the_net_in_a_model(trained, run):
    code, out, err = run(trained)
    assert code == 0 and not err and out.startswith("tiny, TRAIN and TEST\n")
    assert re.search(r"score +Convolution +score 1x2x16x16 +18\n", out)
    code, out, err = run("tiny_iter_4.caffemodel.h5")
    assert code == 2 and "holds no net" in err[0]


def test_all_errors_of_layers_are_told_with_their_places(tiny, run):
    edit('type: "ReLU"', 'type: "RelU"')
    edit("num_output: 4 kernel_size: 2 stride: 2", "num_output: 4 kernel_size: 2 kernel_h: 2")
    code, out, err = run("net.prototxt")
    assert code == 2 and "2 errors" in out
    assert err[0].startswith("error: net.prototxt:6:1: ") and "Did you mean ReLU" in err[0]
    assert err[1].startswith("error: net.prototxt:11:1: ") and "kernel_h" in err[1]


def test_a_size_that_does_not_fit(tiny, write, run):
    write(data=np.zeros((3, 1, 21, 22), "f4"))
    code, _, err = run("net.prototxt", "--quiet")
    assert code == 2 and len(err) == 1
    assert err[0].startswith("error: net.prototxt:") and "instead of 21: 20 or 22" in err[0]


def test_a_blob_is_named_as_the_prototxt_does(tiny, run):
    """And not its copies, which are other ones in each phase: the error would be told twice."""
    edit(
        'layer { name: "pool"',
        'layer { name: "look" type: "Silence" bottom: "d0"\n'
        '  include { phase: TEST } }\nlayer { name: "pool"',
    )
    edit("offset: 2", "offset: 9")
    code, _, err = run("net.prototxt", "--quiet")
    assert code == 2 and len(err) == 1 and "past the end of 'd0' on axis 2: 'u0' wants" in err[0]


def test_tops_that_no_layer_reads(tiny, run):
    edit(' bottom: "weight" top: "loss"', ' top: "loss"')
    text = Path("net.prototxt").read_text()
    more = 'layer { name: "more" type: "Power" bottom: "e1" top: "far" }\n'
    Path("net.prototxt").write_text(text + more)
    code, out, err = run("net.prototxt")
    assert code == 0 and "0 errors, 2 warnings" in out
    assert err == [
        "warning: net.prototxt:2:1: no layer reads 'weight', a top of 'rows' (HDF5Data)",
        f"warning: net.prototxt:{text.count(chr(10)) + 1}:1: no layer reads 'far', a top of 'more' "
        "(Power)",
    ]


def test_a_syntax_error_has_line_and_column(tiny, run):
    edit("kernel_size: 3", "kernel_size: three")
    code, _, err = run("net.prototxt")
    assert code == 2 and err[0].startswith("error: net.prototxt:5:")


def test_test_data_of_other_channels_are_refused_as_training_refuses_them(tiny, write, run, capsys):
    Path("train.h5").rename("test.h5")
    Path("test.txt").write_text("test.h5\n")
    write(data=np.zeros((3, 3, 22, 22), "f4"))
    text = Path("net.prototxt").read_text()
    at = text.index("layer {")
    data = text[at : text.index("layer {", at + 1)]
    parts = [
        data.rstrip()[:-1] + f"include {{ phase: {phase.upper()} }} }}\n"
        for phase in ("train", "test")
    ]
    parts[1] = parts[1].replace("train.txt", "test.txt")
    Path("net.prototxt").write_text(text.replace(data, "".join(parts)))
    solver = Path("solver.prototxt")
    solver.write_text(solver.read_text() + "test_iter: 1 test_interval: 1")
    for path in ("net.prototxt", "solver.prototxt"):
        code, _, err = run(path, "--quiet")
        assert code == 2 and err == [
            "error: net.prototxt: layer 'd0' cannot share its parameters with the training net; "
            "expected (4, 3, 3, 3), (4,) for train.txt (3 channels), found (4, 1, 3, 3), (4,) for "
            "test.txt (1 channel). Train and test on data with as many channels."
        ]
    capsys.readouterr()
    assert guarded(solve.main, ["solver.prototxt"]) == 2
    assert capsys.readouterr().err.splitlines() == err
    Path("test.txt").unlink()  # what is not there is not compared
    code, _, err = run("net.prototxt", "--quiet")
    assert code == 0 and len(err) == 1 and err[0].startswith("warning: ")


def test_data_that_training_refuses_are_an_error_and_only_missing_ones_a_warning(tiny, run):
    edit('source: "train.txt"', 'source: "train.h5"')
    code, _, err = run("solver.prototxt", "--quiet")
    assert code == 2 and len(err) == 1
    assert "train.h5: is not a text file but an HDF5 file" in err[0]
    edit('source: "train.h5"', 'source: "none.txt"')
    code, _, err = run("solver.prototxt", "--quiet")
    assert code == 0 and err[0].startswith("warning: ") and "first training" not in err[0]
    edit('source: "none.txt"', 'source: "examples/membranes-22-16/train.txt"')
    code, _, err = run("solver.prototxt", "--quiet")
    assert code == 0 and err[0].endswith("The first training makes it.")


def test_a_solver_stands_for_its_nets(tiny, run):
    code, out, err = run("solver.prototxt")
    assert code == 0 and not err and "tiny, TRAIN" in out and "TEST" not in out
    Path("solver.prototxt").write_text('net: "absent.prototxt" base_lr: 1')
    code, _, err = run("solver.prototxt")
    assert code == 2 and err[0].startswith("error: absent.prototxt: there is no such file")
    assert "has no lr_policy" in err[1] and "max_iter" in err[2]


@pytest.mark.parametrize(
    "name", [p.name for p in sorted(MODELS.glob("*.prototxt")) if "solver" not in p.name]
)
def test_the_shipped_nets_are_right_and_their_sizes_known_without_data(
    name, run, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(MODELS / name)
    assert (
        code == 0 and re.search(r"score (1|24|32)x", out) and ", TRAIN" in out and ", TEST" in out
    )
    assert all(line.startswith("warning: ") and "does not exist" in line for line in err)


CLASSES = """layer { name: "d" type: "Data" top: "data" top: "label" data_param { source: "none"
  backend: LMDB batch_size: 6 } transform_param { %s } }
layer { name: "cut" type: "Slice" bottom: "data" top: "a" top: "b" slice_param { slice_point: 2 } }
layer { name: "c" type: "InnerProduct" bottom: "a" top: "score" inner_product_param { num_output: 10 } }
layer { name: "quiet" type: "Silence" bottom: "b" }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }"""  # noqa: E501


def test_without_data_sizes_are_those_that_the_net_tells(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    Path("n.prototxt").write_text(CLASSES % "crop_size: 8 force_color: true")
    code, out, err = run("n.prototxt")
    assert code == 0 and "a 6x2x8x8" in out and "label 6" in out and "a guess" not in out
    assert [line.split(": ")[1] for line in err] == ["n.prototxt:1:1"]  # the data are not there
    Path("n.prototxt").write_text(CLASSES % "crop_size: 8 force_gray: true")
    code, _, err = run("n.prototxt", "--quiet")
    assert code == 2 and "n.prototxt:3:1: layer 'cut' (Slice)" in err[0]


def test_what_does_not_fit_at_a_guessed_size_is_a_warning(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    Path("n.prototxt").write_text(CLASSES % "crop_size: 8")
    code, out, err = run("n.prototxt")
    assert code == 0 and "0 errors, 2 warnings" in out
    assert err[1].startswith("warning: n.prototxt:3:1: layer 'cut' (Slice)")
    assert err[1].endswith(" But 1 channel is a guess, for want of its data.")
    Path("n.prototxt").write_text(CLASSES % 'mean_file: "none" ')
    code, out, err = run("n.prototxt")
    assert code == 0 and "a 6x2x572x572" in out and "; a guess: 3 x 572 x 572" in out


def test_a_missing_mean_file_is_a_warning_as_missing_data_are(tiny, run):
    Path("list.txt").write_text("a.png 0\n")
    text = """layer { name: "rows" type: "ImageData" top: "data" top: "label" image_data_param {
      source: "list.txt" batch_size: 1 } transform_param { mean_file: "mean.binaryproto" } }"""
    at = Path("net.prototxt").read_text()
    Path("net.prototxt").write_text('name: "tiny"\n' + text + at[at.index('layer { name: "d0"') :])
    edit(' bottom: "weight" top: "loss"', ' top: "loss"')
    code, _, err = run("net.prototxt", "--quiet")
    assert code == 0 and err[0].startswith(
        "warning: net.prototxt:2:1: layer 'rows' (ImageData): mean.binaryproto: there is no such"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("base_lr", "bas_lr", "2:1: a solver has no field 'bas_lr'. Did you mean base_lr?"),
        ('"fixed"', '"fixd"', "2:15: lr_policy 'fixd' is not known"),
        ('lr_policy: "fixed"', "", " has no lr_policy"),
        ("max_iter: 4", "max_iter: 0", "2:48: max_iter must be at least 1; found 0"),
        ("base_lr", 'type: "SDG" base_lr', "2:1: solver type 'SDG' is not known"),
        ("base_lr", 'type: "AdaGrad" base_lr', "2:50: AdaGrad cannot be used with momentum"),
        ("base_lr", "test_iter: 1 base_lr", "2:1: has test_iter but no test_interval"),
        ("base_lr", "test_state { } base_lr", "2:1: there must be a test_state for each test net"),
    ],
)
def test_what_is_wrong_in_a_solver_has_its_place(old, new, said, tiny, run):
    solver = Path("solver.prototxt")
    solver.write_text(solver.read_text().replace(old, new, 1))
    code, _, err = run("solver.prototxt", "--quiet")
    assert code == 2 and len(err) == 1 and err[0].startswith(f"error: solver.prototxt:{said}")


def test_all_that_is_wrong_in_a_solver_and_its_net_is_told(tiny, run):
    edit('type: "ReLU"', 'type: "RelU"')
    solver = Path("solver.prototxt")
    solver.write_text(solver.read_text().replace("fixed", "fixd").replace("max_iter: 4", ""))
    code, out, err = run("solver.prototxt", "--quiet")
    assert code == 2 and "3 errors" in out
    assert ["lr_policy" in err[0], "max_iter" in err[1], "RelU" in err[2]] == [True] * 3


@pytest.mark.parametrize("state", ["train_state", "test_state"])
def test_a_solvers_nets_are_in_the_states_that_it_gives_them(state, tiny, run):
    solver = Path("solver.prototxt")
    text = solver.read_text() + "test_iter: 1 test_interval: 1\n"
    edit('name: "up" type: "Deconvolution"', 'name: "up" type: "Deconv" include { stage: "odd" }')
    same = (
        'layer { name: "up" type: "Deconvolution" bottom: "e1" top: "u0" exclude { stage: "odd" } '
    )
    edit(
        'layer { name: "crop"',
        same + "convolution_param { num_output: 4 kernel_size: 2 stride: 2 } }\n"
        'layer { name: "crop"',
    )
    solver.write_text(text)
    assert run("solver.prototxt", "--quiet")[0] == 0
    solver.write_text(text + state + ' { stage: "odd" }')
    code, _, err = run("solver.prototxt", "--quiet")
    assert code == 2 and "unknown type 'Deconv'" in err[0]


def test_a_net_that_is_meant_for_one_phase_alone_is_right(tiny, run):
    text = Path("net.prototxt").read_text()
    kept = 'hdf5_data_param { source: "train.txt" batch_size: 1 }'
    for phase, other in (("TEST", "TRAIN"), ("TRAIN", "TEST")):
        Path("net.prototxt").write_text(text)
        edit('type: "Convolution" bottom: "v0"', 'type: "Convolution" bottom: "cat"')
        edit('top: "v0"', f'top: "cat" include {{ phase: {phase} }}')
        code, out, err = run("net.prototxt", "--quiet")
        assert code == 0 and "0 errors, 1 warning" in out
        assert f"which is made by layer 'cat' only, and that is left out in {other}" in err[0]
        assert err[0].endswith(f"It is sound in {phase}.")
    edit("pool: MAX", "pool: MIX")
    assert run("net.prototxt", "--quiet")[0] == 2
    Path("net.prototxt").write_text(text)
    edit(kept, kept + " include { phase: TRAIN }")
    edit('type: "ReLU"', 'type: "RelU"')
    code, _, err = run("net.prototxt", "--quiet")
    assert code == 2 and "RelU" in err[0]
