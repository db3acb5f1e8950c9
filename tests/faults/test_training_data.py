"""Training data: lists, HDF5 files, labels, weights, and a loss that becomes NaN"""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse import weights
from demitasse.tools import caffe, solve

pytestmark = pytest.mark.usefixtures("tiny")

SOLVER = "solver.prototxt"
SIZE, OUT = 22, 16


@pytest.fixture
def listed(refused):
    """Train with another content of train.txt; what was said."""

    def listed(content):
        Path("train.txt").write_bytes(content)
        return refused(solve.main, SOLVER)

    return listed


@pytest.fixture
def stored(refused, write):
    """Train with other arrays in train.h5; what was said."""

    def stored(**arrays):
        write(**arrays)
        said = refused(solve.main, SOLVER)
        assert not Path("tiny.h5").exists()
        return said

    return stored


def ones():
    return np.ones((3, 1, OUT, OUT), "f4")


# ---------------------------------------------------------------------- lists and files


@pytest.mark.parametrize("content", [b"", b" \r\n \n\n"])
def test_an_empty_list(content, listed):
    """The list of training files is empty, or holds blanks only.
    Refused, saying that it names no file.
    """
    said = listed(content)
    assert "train.txt: is empty (0 bytes)" in said or "train.txt: names no file" in said


def test_a_list_from_another_editor(run):
    """The list has blank lines, Windows line ends or a byte-order mark.
    Read as it was meant.
    """
    Path("train.txt").write_bytes(b"\xef\xbb\xbf\r\ntrain.h5\r\n\r\n")
    assert run(solve.main, SOLVER).code == 0


def test_a_list_that_is_not_there(refused):
    """The list of training files is missing.
    Refused with its path and the folder that it is relative to.
    """
    Path("train.txt").unlink()
    said = refused(solve.main, SOLVER)
    assert f"train.txt: does not exist. The path is relative to {Path.cwd()}" in said


def test_a_list_of_a_missing_file(listed):
    """The list names a file that does not exist.
    Refused before training, with the file, the list and the folder, also where it comes last.
    """
    said = listed(b"train.h5\nghost.h5\n")
    assert "ghost.h5: does not exist, but 'train.txt' lists it" in said
    assert str(Path.cwd()) in said


def test_data_in_place_of_a_list(refused):
    """The HDF5 file itself was named as source.
    Refused, saying to write its path into a text file.
    """
    shutil.copy("train.h5", "train.txt")
    said = refused(solve.main, SOLVER)
    assert "train.txt: is not a text file but an HDF5 file" in said
    assert "Write the HDF5 file's path into a text file and name that as source" in said


def test_datasets_of_different_length(stored):
    """Images and labels are not equally many.
    Refused with both numbers.
    """
    said = stored(label=np.zeros((2, 1, OUT, OUT), "u1"))
    assert "train.h5: the datasets have different numbers of rows; expected 3" in said
    assert "found 2" in said


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (np.float32(3), "train.h5, 'data': is a single number, not rows"),
        (np.zeros((0, 1, SIZE, SIZE), "f4"), "train.h5, 'data': has no rows"),
        (np.zeros(3, "f4"), "(Convolution) works on axis 1, which its bottom 'data' lacks"),
        (np.array([b"a"] * 3), "'data': holds no plain numbers; expected numbers, found strings"),
        (np.zeros((3, 1, SIZE, SIZE), "c8"), "expected numbers, found complex numbers"),
    ],
)  # fmt: skip
def test_a_dataset_of_another_kind(data, words, stored):
    """A dataset is a single number, has no rows, too few axes, or holds strings.
    Refused with file, dataset and what was found.
    """
    assert words in stored(data=data)


def test_a_group_in_place_of_a_dataset(refused):
    """A group has the dataset's name.
    Refused, listing what is in it.
    """
    with h5py.File("train.h5", "r+") as file:
        file.move("data", "images")
        file.move("images", "data/images")
    said = refused(solve.main, SOLVER)
    assert "train.h5, 'data': is a group, not a dataset; found images in it" in said


PACKED = {
    "normalization": '{"name": "zscore", "parameters": {}}',
    "padding": "mirror",
    "class_names": ["cell", "border"],
    "pixel_size": [0.5, 0.5],
    "pixel_unit": "um",
    "input_channels": 1,
    "origin": '{"program": "demitasse", "seed": 0}',
}


def attributes(**other):
    """Let train.h5 say what packed data say, but for some attributes."""
    with h5py.File("train.h5", "r+") as file:
        for name, value in (PACKED | other).items():
            file.attrs[name] = value


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        *[("normalization", value, "a normalization is not written as it should be")
          for value in ("5", "[" * 60_000, b"\xff\xfe", "null", 5)],
        ("normalization", '{"name": "zzz"}', "there is no normalization 'zzz'"),
        ("normalization", '{"name": "depth", "parameters": {"a": 1}}', "has no parameter 'a'"),
        *[("origin", value, "origin is no JSON of ours")
          for value in ("[" * 60_000, "{", '{"a": NaN}', '{"a": 1e999}')],
        *[("origin", value, "origin is 5, not names and values") for value in ("5", 5)],
        ("class_names", 5, "class_names is 5, not a list of names"),
        ("class_names", [1, 2], "class_names is [1, 2], not a list of names"),
        ("padding", 5, "padding is 5, not mirror or zero"),
        ("pixel_size", "x", "pixel_size is 'x', not a list of sizes above 0"),
        ("pixel_size", [np.nan], "pixel_size is [nan], not a list of sizes above 0"),
        ("pixel_size", [[1, 2]], "pixel_size is [[1, 2]], not a list"),
        ("input_channels", "x", "input_channels is 'x', not a whole number above 0"),
    ],
)  # fmt: skip
def test_an_attribute_of_packed_data_was_changed(name, value, words, refused):
    """Another program changed an attribute of packed data: grey values, classes, pixel size.
    Refused before the first iteration, with the file and the attribute.
    """
    attributes(**{name: value})
    said = refused(solve.main, SOLVER)
    assert "train.h5" in said and name in said and words in said and len(said) < 500
    assert not Path("log.jsonl").exists() and not list(Path().glob("tiny*.h5"))


def test_attributes_of_other_programs(run):
    """The training data have attributes of the same names, but from another program.
    Trained as data without attributes; the model does not say how its images were normalised.
    """
    attributes(normalization="by eye", origin="the archive", padding=5)
    assert run(solve.main, SOLVER).code == 0
    model = weights.read("tiny.h5").model
    assert model.normalization["name"] == "none" and model.origin["normalization unknown"]


def test_packed_data_of_names_that_are_no_utf_8(run):
    """The images that were packed have names from an old disk, which are no UTF-8.
    Trained; the model has such bytes replaced where it says what it was made of.
    """
    attributes(origin=r'{"program": "demitasse", "sources": ["m\udce4.tif"]}', pixel_unit=5)
    assert run(solve.main, SOLVER).code == 0
    model = weights.read("tiny.h5").model
    assert model.origin["data"]["sources"] == ["m\ufffd.tif"] and model.pixel_size == ()


def test_a_pixel_size_that_is_none_in_micrometres(refused):
    """The pixel size of packed data is beyond all numbers once it is in micrometres.
    Refused before the first iteration.
    """
    attributes(pixel_size=[1e308, 1e308], pixel_unit="cm")
    said = refused(solve.main, SOLVER)
    assert "tiny.h5: cannot be written: pixel_size is (inf, inf)" in said
    assert not Path("log.jsonl").exists()


def test_a_dataset_that_is_missing(refused):
    """The file lacks a dataset that the net asks for.
    Refused, listing those that are there.
    """
    with h5py.File("train.h5", "r+") as file:
        del file["weight"]
    assert "train.h5: has no 'weight'; found data, label in '/'" in refused(solve.main, SOLVER)


# ---------------------------------------------------------------------- labels and weights


@pytest.mark.parametrize("value", [255, -1, 2])
def test_a_label_out_of_range(value, stored):
    """A label is no class.
    Refused with file, row, position and classes; says how to ignore a label on purpose.
    """
    label = np.zeros((3, 1, OUT, OUT), "f4")
    label[1, 0, 5, 7] = value
    said = stored(label=label)
    assert f"found the label {value} in 'label', item 0, position (0, 5, 7)" in said
    assert "from train.h5, row 1; expected a class from 0 to 1" in said
    assert "name it as ignore_label" in said


def test_a_label_out_of_range_in_a_large_batch(stored, edit):
    """A label in the middle of a batch is no class.
    Names the row of the file, across the borders of batches and epochs.
    """
    edit("net.prototxt", "batch_size: 1", "batch_size: 2")
    label = np.zeros((3, 1, OUT, OUT), "u1")
    label[2] = 9
    assert "item 0, position (0, 0, 0), from train.h5, row 2" in stored(label=label)


def test_a_patch_whose_labels_are_all_ignored(write, edit, run):
    """Every label of a patch is the ignored one.
    Trains on with loss 0 and warns once.
    """
    edit("net.prototxt", 'top: "loss" }', 'top: "loss" loss_param { ignore_label: 255 } }')
    edit(SOLVER, "max_iter: 4", "max_iter: 4 display: 1")
    write(label=np.full((3, 1, OUT, OUT), 255, "u1"))
    ended = run(solve.main, SOLVER)
    assert ended.code == 0 and "loss = 0\n" in ended.out and "nan" not in ended.out
    assert ended.out.count("warning: layer 'loss' (SoftmaxWithLoss): no place of this batch") == 1


def test_weights_that_are_all_zero(write, edit, run):
    """A patch's weight map is 0 everywhere.
    Trains on with loss 0 and warns once; the parameters stay finite.
    """
    edit(SOLVER, "max_iter: 4", "max_iter: 4 display: 1")
    write(weight=0 * ones())
    ended = run(solve.main, SOLVER)
    assert ended.code == 0 and "loss = 0\n" in ended.out and "nan" not in ended.out
    assert ended.out.count("warning: layer 'loss' (SoftmaxWithLoss): no place of this batch") == 1


def test_a_negative_weight(stored):
    """A weight is negative.
    Refused with file, row and position: it would turn learning round.
    """
    weight = ones()
    weight[1, 0, 2, 3] = -2
    said = stored(weight=weight)
    assert (
        "found the weight -2 in 'weight', item 0, position (0, 2, 3), from train.h5, row 1" in said
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["data", "weight"])
def test_training_data_that_are_not_finite(name, value, stored):
    """A pixel or a weight is NaN or infinite.
    Refused with file, dataset, row and position, before it reaches a parameter.
    """
    array = ones() if name == "weight" else np.zeros((3, 1, SIZE, SIZE), "f4")
    array[2, 0, 3, 4] = value
    said = stored(**{name: array})
    assert f"train.h5, '{name}': holds a value that float32 cannot use" in said
    assert f"found {value} in row 2 at (0, 3, 4)" in said


def test_training_images_that_are_constant(write, run):
    """Every pixel of the training images has the same value.
    Trains; nothing is divided by zero.
    """
    write(data=np.full((3, 1, SIZE, SIZE), 7, "f4"))
    ended = run(solve.main, SOLVER)
    assert ended.code == 0 and "nan" not in ended.out


# ---------------------------------------------------------------------- NaN


def test_a_loss_that_becomes_nan(edit, failed):
    """The learning rate was far too high, and the loss became NaN.
    Stops at once (exit code 1) with iteration, rate, batch and the first layer that is not finite;
    writes no model.
    """
    edit(SOLVER, "base_lr: 0.01", "base_lr: 1e30")
    said = failed(solve.main, SOLVER)
    assert (
        "the loss became nan at iteration 1 (learning rate 1e+30, batch: train.h5, row 1)" in said
    )
    assert "layer 'd1' (Convolution) is the first layer whose output is not finite" in said
    assert "Lower base_lr, set clip_gradients, or look at the data" in said
    assert not list(Path().glob("tiny*"))


@pytest.mark.parametrize("main", [solve.main, lambda argv: caffe.main(["train", *argv])])
def test_a_training_that_diverges_later_keeps_its_snapshots(main, edit, failed, run):
    """The training diverged after some snapshots, or goes on from one.
    Stops at once (exit code 1) and names the last snapshot without NaN; all that were written load.
    """
    edit(SOLVER, "snapshot: 2", "snapshot: 1")
    edit(SOLVER, "base_lr: 0.01", "base_lr: 3")
    edit(SOLVER, "max_iter: 4", "max_iter: 40")
    said = failed(main, "-solver", SOLVER)
    written = len(list(Path().glob("tiny_iter_*.solverstate.h5")))
    assert 0 < written < 40
    assert f"the last good snapshot is tiny_iter_{written}.solverstate.h5 (where" in said
    for number in range(1, written + 1):
        assert all(
            np.isfinite(array).all()
            for arrays in weights.read(f"tiny_iter_{number}.caffemodel.h5").layers.values()
            for array in arrays
        )
    # from the last one it diverges again; from the first it does not, at a lower rate
    last, first = (f"tiny_iter_{n}.solverstate.h5" for n in (written, 1))
    assert last in failed(main, "-solver", SOLVER, "-snapshot", last)
    edit(SOLVER, "base_lr: 3", "base_lr: 0.001")
    edit(SOLVER, "max_iter: 40", "max_iter: 3")
    assert run(main, "-solver", SOLVER, "-snapshot", first).code == 0
