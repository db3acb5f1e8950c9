"""Bad input ends with exit code 2, one clear paragraph on stderr, and nothing lost."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from demitasse.tools import deploy, plan, solve
from demitasse.tools._main import guarded

SIZE, OUT = 22, 16

pytestmark = pytest.mark.usefixtures("tiny")


def edit(path, old, new):
    text = Path(path).read_text()
    assert old in text
    Path(path).write_text(text.replace(old, new))


@pytest.fixture
def refused(capsys):
    """Run a command that must be refused; return what it said."""

    def run(main, *argv, code=2):
        capsys.readouterr()
        found = guarded(main, [str(a) for a in argv])
        said = capsys.readouterr().err.strip()
        assert found == code, said
        assert said.startswith("error: ") and "\n" not in said and "Traceback" not in said
        return said

    return run


def test_the_example_itself_works(trained):
    assert guarded(deploy.main, ["--weights", "tiny.h5", "img.tif"]) == 0
    assert tifffile.imread("img.labels.tif").shape == (40, 50)


def test_an_unknown_field(refused):
    edit("net.prototxt", "num_output: 4 kernel_size: 3", "num_outputs: 4 kernel_size: 3")
    said = refused(solve.main, "solver.prototxt")
    assert "net.prototxt:5:23" in said and "num_output" in said.split("num_outputs", 1)[1]


def test_an_unknown_layer_type(refused):
    edit("net.prototxt", '"ReLU"', '"ReLu"')
    said = refused(solve.main, "solver.prototxt")
    assert "'ReLu'" in said and "Did you mean ReLU" in said and "net.prototxt:6:1" in said


def test_an_unknown_bottom(refused):
    edit("net.prototxt", 'bottom: "d1"', 'bottom: "dl"')
    said = refused(solve.main, "solver.prototxt")
    assert "'dl'" in said and "net.prototxt:" in said


def test_two_producers_of_a_blob(refused):
    edit("net.prototxt", 'top: "e1"', 'top: "d0"')
    said = refused(solve.main, "solver.prototxt")
    assert "net.prototxt:9:" in said
    assert "the blob 'd0' is made twice, by layer 'd0' and by layer 'd1'" in said


def test_a_tile_that_does_not_fit(refused, trained, write):
    rng = np.random.default_rng(0)
    write(data=rng.standard_normal((3, 1, SIZE + 1, SIZE + 1)).astype("f4"))
    said = refused(solve.main, "solver.prototxt", "--overwrite")
    assert f"instead of {SIZE + 1}: {SIZE} or {SIZE + 2}" in said
    said = refused(deploy.main, "--weights", "tiny.h5", "img.tif", "--tile-size", SIZE + 1)
    assert f"expected {SIZE} " in said and f"or {SIZE + 2} " in said


def test_an_odd_crop(refused):
    edit(
        "net.prototxt", 'bottom: "u0" bottom: "s0" top: "v0"', 'bottom: "u0" bottom: "d0" top: "v0"'
    )
    edit("net.prototxt", 'name: "d0" type: "Convolution" bottom: "data" top: "d0"\n'
         "  convolution_param { num_output: 4 kernel_size: 3",
         'name: "d0" type: "Convolution" bottom: "data" top: "d0"\n'
         "  convolution_param { num_output: 4 kernel_size: 2")  # fmt: skip
    said = refused(solve.main, "solver.prototxt")
    assert "layer 'cat' (Concat) cannot join" in said
    assert "1x4x21x21" in said and "1x4x18x18" in said and "instead of 22: 21 or 23" in said


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_list(refused, text):
    Path("train.txt").write_text(text)
    assert "train.txt" in refused(solve.main, "solver.prototxt")


def test_a_missing_list_or_data_file(refused):
    Path("train.h5").unlink()
    assert "train.h5" in refused(solve.main, "solver.prototxt")
    Path("train.txt").unlink()
    assert "train.txt" in refused(solve.main, "solver.prototxt")


def test_datasets_of_unequal_length(refused, write):
    write(weight=np.ones((2, 1, OUT, OUT), "f4"))
    assert "weight" in refused(solve.main, "solver.prototxt")


def test_a_label_out_of_range_says_where_it_lies(refused, write):
    label = np.zeros((3, 1, OUT, OUT), "u1")
    label[1, 0, 5, 7] = 3
    write(label=label)
    said = refused(solve.main, "solver.prototxt")
    assert "3" in said and "5, 7" in said and "ignore_label" in said


def test_labels_of_another_size(refused, write):
    write(label=np.zeros((3, 1, SIZE, SIZE), "u1"))
    said = refused(solve.main, "solver.prototxt")
    assert f"{SIZE}x{SIZE}" in said and f"{OUT}x{OUT}" in said
    assert f"pack again with the same --input-size, and --output-size {OUT}x{OUT}" in said


def test_pixels_that_are_not_finite(refused, trained, write):
    data = np.zeros((3, 1, SIZE, SIZE), "f4")
    data[2, 0, 3, 4] = np.nan
    write(data=data)
    assert "train.h5" in refused(solve.main, "solver.prototxt", "--overwrite")
    image = np.zeros((40, 50), "f4")
    image[6, 7] = np.inf
    tifffile.imwrite("bad.tif", image)
    said = refused(deploy.main, "--weights", "tiny.h5", "bad.tif")
    assert "bad.tif" in said and "6" in said and "7" in said
    assert not Path("bad.labels.tif").exists()


def test_a_loss_that_becomes_nan(refused):
    edit("solver.prototxt", "base_lr: 0.01", "base_lr: 1e30")
    said = refused(solve.main, "solver.prototxt", code=1)
    assert "iteration 1 (learning rate 1e+30, batch: train.h5, row 1)" in said
    assert "layer 'd1' (Convolution) is the first layer whose output is not finite" in said
    assert not Path("tiny.h5").exists()


def test_a_truncated_weights_file(refused, trained):
    whole = trained.read_bytes()
    trained.write_bytes(whole[: len(whole) // 2])
    assert "tiny.h5" in refused(deploy.main, "--weights", "tiny.h5", "img.tif")


def test_a_foreign_weights_file(refused):
    Path("notes.h5").write_text("these are no weights\n" * 20)
    assert "notes.h5" in refused(deploy.main, "--weights", "notes.h5", "img.tif")


def test_a_bare_caffe_file_asks_for_its_net(refused, trained):
    said = refused(deploy.main, "--weights", "tiny_iter_4.caffemodel.h5", "img.tif")
    assert "--model" in said
    bare = ["--weights", "tiny_iter_4.caffemodel.h5", "--model", "net.prototxt", "img.tif"]
    assert guarded(deploy.main, bare) == 0


def test_shapes_that_do_not_match(refused, trained):
    edit("net.prototxt", "num_output: 2", "num_output: 3")
    said = refused(deploy.main, "--weights", "tiny.h5", "--model", "net.prototxt", "img.tif")
    assert "score" in said and "2x8x1x1" in said and "3x8x1x1" in said


def test_an_output_that_exists(refused, trained):
    Path("img.labels.tif").write_text("precious")
    assert "--overwrite" in refused(deploy.main, "--weights", "tiny.h5", "img.tif")
    assert Path("img.labels.tif").read_text() == "precious"
    assert guarded(deploy.main, ["--weights", "tiny.h5", "img.tif", "--overwrite"]) == 0


def test_a_folder_that_cannot_be_written_is_said_before_iteration_0(refused, capsys):
    edit("solver.prototxt", '"tiny"', '"no/such/folder/tiny"')
    assert "no/such/folder" in refused(solve.main, "solver.prototxt")
    assert "Iteration" not in capsys.readouterr().out


def test_a_gpu_is_refused_by_name(refused):
    assert "-gpu 0" in refused(solve.main, "-solver", "solver.prototxt", "-gpu", "0")


def test_weights_and_snapshot_exclude_each_other(refused):
    said = refused(solve.main, "solver.prototxt", "-weights", "a", "-snapshot", "b")
    assert "exclude" in said


def test_a_file_that_is_not_there(refused):
    assert "solver.prototxt" in refused(solve.main, "sover.prototxt")
    assert "net.prototxt" in refused(plan.main, "nte.prototxt")
    assert "ghost.h5" in refused(deploy.main, "--weights", "ghost.h5", "img.tif")


def test_a_page_that_is_not_there(refused, trained):
    said = refused(deploy.main, "--weights", "tiny.h5", "img.tif", "--pages", "3")
    assert "no page 3" in said
