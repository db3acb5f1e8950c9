"""`demitasse check NET`: what is wrong, where, and the sizes of what is right."""

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
    assert "tiny, TRAIN" in out and "tiny, TEST" in out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.split()}
    assert rows["d0"] == ["Convolution", "d0", "1x4x20x20", "40"]
    assert rows["score"] == ["Convolution", "score", "1x2x16x16", "18"]
    assert out.endswith("net.prototxt: 0 errors, 0 warnings\n")


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
    assert code == 2 and "absent.prototxt" in err[0]


@pytest.mark.parametrize(
    "name", [p.name for p in sorted(MODELS.glob("*.prototxt")) if "solver" not in p.name]
)
def test_the_shipped_nets_are_right_and_their_sizes_known_without_data(
    name, run, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(MODELS / name)
    assert code == 0 and "score 1x" in out and ", TRAIN" in out and ", TEST" in out
    assert all(line.startswith("warning: ") and "does not exist" in line for line in err)
