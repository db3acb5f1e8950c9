"""Weights: cut off, empty, damaged, of another net, of another kind"""

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from demitasse import netspec, weights
from demitasse.net import Net
from demitasse.net.saving import save_caffemodel, save_caffemodel_v1
from demitasse.tools import caffe, deploy, doctor, port, solve, upgrade_net_proto_binary

from ..weights.wirebytes import block, net, number, packed, shape, v2

pytestmark = pytest.mark.usefixtures("tiny")

SOLVER, BINARY = "solver.prototxt", "tiny.caffemodel"
DEPLOY = ["--model", "net.prototxt", "img.tif"]
FINETUNE = [SOLVER, "--prefix", "fine", "--max-iter", "1"]


@pytest.fixture
def binary(trained):
    """The trained parameters as Caffe's binary file."""
    save_caffemodel(loaded(trained), BINARY)
    return Path(BINARY)


def loaded(path):
    """The training net with the parameters of a file."""
    made = Net(netspec.build(netspec.read_net("net.prototxt"), "TRAIN"))
    made.load(weights.read(path), complete=True)
    return made


@pytest.fixture
def verified(capsys):
    """Check a file with --verify; the exit code and what was said."""

    def verified(name):
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            port.main(["--verify", name])
        return ended.value.code, capsys.readouterr().out

    return verified


def nothing_written():
    return not list(Path().glob("img.*.tif"))


# ---------------------------------------------------------------------- cut off, empty, damaged


def test_a_caffemodel_that_is_cut_off(refused, binary):
    """The .caffemodel was cut off while it was copied.
    Refused, with the byte where it breaks, its size and the last whole layer.
    """
    whole = binary.read_bytes()
    binary.write_bytes(whole[: len(whole) * 3 // 4])
    said = refused(deploy.main, "--weights", BINARY, *DEPLOY)
    assert f"{BINARY}: is not a complete caffemodel: it breaks at byte " in said
    assert f"of {len(whole) * 3 // 4}, after layer '" in said and "fetch it again" in said
    assert nothing_written()


def at_a_layer(binary):
    """Cut a .caffemodel where its last convolution begins: what is left can be parsed."""
    whole = binary.read_bytes()
    message = netspec.schema.NetParameter.FromString(whole)
    del message.layer[[layer.name for layer in message.layer].index("score") :]
    binary.write_bytes(message.SerializeToString(deterministic=True))
    assert whole.startswith(binary.read_bytes())


def test_a_caffemodel_that_is_cut_at_a_layer(refused, run, binary):
    """The .caffemodel was cut off exactly between two layers, so it can be parsed.
    Segmenting is refused and names the layers that lack parameters; fine-tuning lists them and
    goes on, unless --strict was given.
    """
    at_a_layer(binary)
    said = refused(deploy.main, "--weights", BINARY, *DEPLOY)
    assert f"{BINARY}: has no parameters for layers score" in said and nothing_written()
    ended = run(solve.main, *FINETUNE, "-weights", BINARY)
    assert ended.code == 0 and "missing     score" in ended.out
    Path("fine.h5").unlink()
    said = refused(solve.main, *FINETUNE, "-weights", BINARY, "--strict")
    assert "expected parameters for score" in said and not Path("fine.h5").exists()


def test_weights_of_a_net_with_other_layers(refused, run, edit, trained):
    """The net was given other layer names than the weights have.
    Fine-tuning lists the layers that were not found and those that were not used; with --strict it
    is refused.
    """
    edit("net.prototxt", '"score" type', '"score_new" type')
    ended = run(solve.main, *FINETUNE, "-weights", "tiny.h5")
    assert "missing     score_new" in ended.out and "unused      score" in ended.out
    said = refused(solve.main, *FINETUNE, "-weights", "tiny.h5", "--strict", "--overwrite")
    assert "expected parameters for score_new" in said
    assert "layer score of tiny.h5, which the net lacks" in said


@pytest.mark.parametrize("name", ["empty.caffemodel", "empty.h5"])
def test_an_empty_file(refused, name):
    """The weights file is empty.
    Refused: it is empty (0 bytes).
    """
    Path(name).touch()
    assert f"{name}: is empty (0 bytes)" in refused(deploy.main, "--weights", name, *DEPLOY)
    assert f"{name}: is empty (0 bytes)" in refused(port.main, name, "-o", "a.h5")


def test_an_hdf5_file_that_is_cut_off(refused, trained):
    """The .h5 was cut off while it was copied.
    Refused, with its size and the size it should have.
    """
    whole = trained.read_bytes()
    trained.write_bytes(whole[:5000])
    said = refused(deploy.main, "--weights", "tiny.h5", "img.tif")
    assert f"tiny.h5: is cut off; expected {len(whole)} bytes, found 5000" in said


def test_an_hdf5_file_that_is_none(refused):
    """A file with the name of an HDF5 file is something else.
    Refused, and said what it is where that can be seen.
    """
    for content, words in (
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html><title>404</title>", "so perhaps a failed download"),
        (b"PK\x03\x04" + bytes(60), "a zip archive (PyTorch, Keras and NumPy save so)"),
        (b"\x80\x02}q\x00.", "a Python pickle"),
    ):
        Path("unet.h5").write_bytes(content)
        assert words in refused(deploy.main, "--weights", "unet.h5", "img.tif")


def flipped(path, array):
    """Change one bit of an array in a file."""
    content = bytearray(path.read_bytes())
    content[content.index(np.ascontiguousarray(array).tobytes()) + 2] ^= 1
    path.write_bytes(content)


def test_a_bit_that_changed(refused, run, trained):
    """One bit of a weight changed on the disk or on the way.
    Refused, with the file and the blob; `demitasse doctor FILE` and --verify list every blob
    (exit code 1).
    """
    flipped(trained, weights.read(trained).layers["d1"][0])
    said = refused(deploy.main, "--weights", "tiny.h5", "img.tif")
    assert "tiny.h5: checksum mismatch in d1/0" in said and nothing_written()
    ended = run(doctor.main, "tiny.h5")
    assert ended.code == 1 and "damaged: checksum mismatch in d1/0" in ended.out
    assert "tiny.h5: damaged, blobs: " in ended.out and "7 ok" in ended.out


def test_a_bit_that_changed_in_the_description(refused, verified, trained):
    """One bit changed in what a model says of itself: its net, classes or normalisation.
    Refused, as a checksum mismatch in its description.
    """
    content = trained.read_bytes()
    trained.write_bytes(content.replace(b"num_output: 4", b"num_output: 5", 1))
    said = refused(deploy.main, "--weights", "tiny.h5", "img.tif")
    assert "tiny.h5: is a damaged model: checksum mismatch in its description" in said
    code, said = verified("tiny.h5")
    assert code == 1 and "checksum mismatch in its description" in said


def test_files_without_checksums(run, verified, binary):
    """The weights are Caffe's own: binary, or HDF5 without checksums.
    They are used; --verify says that they are unverified, which is no fault.
    """
    with h5py.File("tiny_iter_4.caffemodel.h5", "r+") as file:
        file.visititems(lambda name, item: item.attrs.clear())
    for name in (BINARY, "tiny_iter_4.caffemodel.h5"):
        code, said = verified(name)
        assert code == 0 and "blobs: 8 unverified" in said
        assert run(deploy.main, "--weights", name, *DEPLOY, "--overwrite").code == 0


def test_weights_that_are_not_finite(refused, verified, trained):
    """The weights hold NaN or infinity, because the training diverged.
    Segmenting is refused and names the blobs; --verify counts the numbers.
    """
    found = weights.read(trained)
    found.layers["up"][0][1, 2] = np.nan
    weights.write_model("nan.h5", found.layers, found.model)
    said = refused(deploy.main, "--weights", "nan.h5", "img.tif")
    assert "nan.h5: holds values that are not finite, in up/0" in said and "earlier" in said
    code, said = verified("nan.h5")
    assert code == 1 and "not finite: 4 of 64 numbers" in said


# ---------------------------------------------------------------------- of another net or kind


def test_a_layer_of_another_size(refused, edit, trained):
    """The net asks for another number of outputs than the weights have.
    Refused, with both shapes and Caffe's advice: rename the layer to learn it from scratch.
    """
    edit("net.prototxt", "num_output: 2", "num_output: 3")
    for main, argv in (
        (deploy.main, ["--weights", "tiny.h5", *DEPLOY]),
        (solve.main, [*FINETUNE, "-weights", "tiny.h5"]),
    ):
        said = refused(main, *argv)
        assert "layer score, blob 0: file has 2x8x1x1, net wants 3x8x1x1" in said
        assert "rename it in the net" in said


def test_weights_given_as_a_snapshot(refused, trained):
    """A .caffemodel was given to -snapshot.
    Refused; the solver state that belongs to it is named, and the option for parameters.
    """
    name = "tiny_iter_2.caffemodel.h5"
    for main, argv in ((solve.main, [SOLVER]), (caffe.main, ["train", "-solver", SOLVER])):
        said = refused(main, *argv, "-snapshot", name)
        assert f"{name}: holds parameters, not a solver state" in said
        assert "tiny_iter_2.solverstate.h5" in said and f"--weights {name}" in said


def test_a_snapshot_given_as_weights(refused, trained):
    """A .solverstate was given to --weights.
    Refused; the option for it is named.
    """
    name = "tiny_iter_2.solverstate.h5"
    for main, argv in (
        (deploy.main, ["--weights", name, *DEPLOY]),
        (solve.main, [*FINETUNE, "-weights", name]),
    ):
        said = refused(main, *argv)
        assert (
            f"{name}: is a solver state (momentum and iteration)" in said and "--snapshot" in said
        )


def test_a_prototxt_given_as_weights(refused):
    """A prototxt was given as weights.
    Refused; the option that takes it is named.
    """
    said = refused(deploy.main, "--weights", "net.prototxt", "img.tif")
    assert "net.prototxt: is a net's prototxt, not a parameter file" in said and "--model" in said
    said = refused(deploy.main, "--weights", SOLVER, "img.tif")
    assert "solver.prototxt: is a solver's prototxt" in said and "--solver" in said


def test_weights_and_a_snapshot(refused):
    """Both -weights and -snapshot were given.
    Refused: a snapshot brings its own parameters.
    """
    for main, argv in ((solve.main, [SOLVER]), (caffe.main, ["train", "-solver", SOLVER])):
        said = refused(main, *argv, "-weights", "a.caffemodel", "-snapshot", "b.solverstate")
        assert "-weights and -snapshot exclude each other" in said


def test_weights_of_2014(run, trained):
    """The weights are of Caffe's first generations (V1), with four axes for every blob.
    They are read and give the same segmentation.
    """
    save_caffemodel_v1(loaded(trained), "old.caffemodel")
    found = weights.read("old.caffemodel")
    assert found.legacy and found.dialect == "V1"
    images = []
    for name in ("tiny.h5", "old.caffemodel"):
        assert run(deploy.main, "--weights", name, *DEPLOY, "--overwrite").code == 0
        images.append(tifffile.imread("img.labels.tif"))
    assert np.array_equal(*images)


def test_weights_of_freiburgs_fork(run, refused, trained):
    """The weights come from the U-Net authors' fork of Caffe, whose layers have other fields.
    The parameters are read all the same, and tools/port.py says whose dialect it is; to take the
    net from the file as well is refused, because its settings mean something else.
    """
    found = weights.read(trained).layers
    layers = [
        v2(name, *(shape(*a.shape) + packed(5, a) for a in blobs)) for name, blobs in found.items()
    ]
    mark = block(100, block(1, "c") + block(2, "CreateDeformation") + block(145, number(1, 3)))
    Path("fork.caffemodel").write_bytes(net(mark, *layers))
    ended = run(port.main, "fork.caffemodel", "--leave-out", "c", "-o", "new.h5")
    assert ended.code == 0 and "V2 of Freiburg's fork" in ended.out
    for name, blobs in weights.read("new.h5").layers.items():
        assert all(map(np.array_equal, blobs, found[name]))
    said = refused(upgrade_net_proto_binary.main, "fork.caffemodel", "new.caffemodel")
    assert "Freiburg's Caffe" in said and not Path("new.caffemodel").exists()
