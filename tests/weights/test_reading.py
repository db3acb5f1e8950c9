"""Files told apart by content, and what is said of those that hold no parameters."""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile

import h5py
import numpy as np
import pytest
from demitasse.errors import WeightsError
from demitasse.netspec import schema
from demitasse.weights import read, write_hdf5

from .wirebytes import block, net, number, packed, shape, v2


def refused(path, content, *words):
    path.write_bytes(content)
    with pytest.raises(WeightsError) as caught:
        read(path)
    for word in (str(path), *words):
        assert word in str(caught.value), str(caught.value)


def test_a_layer_whose_name_a_terminal_would_obey(tmp_path):
    with h5py.File(tmp_path / "w", "w") as file:
        file["data/a\x1b[31m/0"] = np.ones(1, np.float32)
    with pytest.raises(WeightsError, match=r"layer holds a control character, \\x1b\.$"):
        read(tmp_path / "w")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some file"


@pytest.mark.parametrize("name", ["net.caffemodel", "net.h5", "net.prototxt", "net"])
def test_the_name_does_not_matter(tmp_path, name):
    (tmp_path / name).write_bytes(net(v2("a", shape(1) + packed(5, [1]))))
    assert read(tmp_path / name).kind == "caffemodel"
    write_hdf5(tmp_path / name, {"a": [np.zeros(1, "f4")]})
    assert read(str(tmp_path / name)).kind == "hdf5"


def test_files_that_are_not_there(path, tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        read(path)
    with pytest.raises(WeightsError, match="is a folder"):
        read(tmp_path)
    refused(path, b"", "is empty (0 bytes)")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: 'net'\nlayer { name: 'a' }", "is a net's prototxt, not a parameter file"),
        ("layers { name: 'a' type: CONVOLUTION }", "Give it to --model"),
        ("net: 'a.prototxt'\nbase_lr: 0.1\n", "is a solver's prototxt"),
        ("hello world, not a net" * 9, "is text, not a parameter file"),
        ("Zelle ä" * 2000, "is text"),  # the sniffed part ends within a character
    ],
)
def test_text(path, text, words):
    refused(path, text.encode(), words)
    refused(path, ("x" + text).encode(), "text" if "hello" in text or "Zelle" in text else "txt")


def test_junk(path):
    refused(path, b"\xff" * 64, "is not a caffemodel", "at byte 0 of 64")
    refused(path, b"\0" * 64, "is not a caffemodel")
    for seed in range(20):
        refused(path, b"\xfe" + np.random.default_rng(seed).bytes(5000), "caffemodel")


def test_files_of_other_programs(path):
    refused(path, pickle.dumps([1], protocol=2), "a Python pickle")
    refused(path, gzip.compress(b"abc"), "gzip", "unpack it")
    refused(path, b"II*\0" + bytes(100), "a TIFF image")
    refused(path, b"<!DOCTYPE html>", "failed download")
    refused(path, b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("data.pkl", "x")
    refused(path, buffer.getvalue(), "a zip archive")
    np.save(buffer := io.BytesIO(), np.zeros(3))
    refused(path, buffer.getvalue(), "a NumPy array")


def test_solver_states(path):
    state = schema.SolverState(iter=300, learned_net="a_iter_300.caffemodel", current_step=2)
    state.history.add(data=[1, 2]).shape.dim.append(2)
    refused(path, state.SerializeToString(), "is a solver state", "--snapshot", ".caffemodel")
    with h5py.File(path, "w") as file:
        file["iter"], file["current_step"] = [300], [2]
        file["learned_net"] = np.bytes_("a_iter_300.caffemodel.h5")
        file["history/0"] = np.zeros(3)
    refused(path, path.read_bytes(), "is a solver state", "--snapshot")


def test_protobuf_of_another_kind(path):
    onnx = number(1, 8) + block(2, "pytorch") + block(7, block(1, "graph"))
    refused(path, onnx, "is not a caffemodel")
    refused(path, block(1, block(1, "node")) * 3, "holds no layers")
    refused(path, block(1, "net") + number(100, 5), "caffemodel")
    refused(path, block(1, "net") + block(100, block(1, b"\xff\xff")), "caffemodel")


def test_hdf5_of_another_kind(path):
    def content(**items):
        with h5py.File(path, "w") as file:
            for name, value in items.items():
                file[name.replace("__", "/")] = value
        return path.read_bytes()

    zeros = np.zeros((2, 3))
    refused(path, content(data=zeros, label=zeros), "no group '/data'", "found data, label")
    refused(path, content(data=zeros, label=zeros), "Training data belong into")
    refused(path, content(model_weights__a=zeros), "found model_weights")
    refused(path, content(), "found nothing in it")
    refused(path, content(model_prototxt="x", data__a=zeros), "Freiburg's plugin")
    with h5py.File(path, "w") as file:
        file.create_group("data")
    refused(path, path.read_bytes(), "holds no layers")
    write_hdf5(path, {"a": [np.zeros(5000, "f4")]})
    whole = path.read_bytes()
    refused(path, whole[:9000], f"is cut off; expected {len(whole)} bytes, found 9000")
    refused(path, whole[:50], "is cut off")
    refused(path, whole[:8], "cannot be opened as HDF5")


def test_hdf5_behind_a_user_block(path):
    with h5py.File(path, "w", userblock_size=512) as file:
        file["data/a/0"] = np.ones(3, "f4")
    assert read(path).count == 3
