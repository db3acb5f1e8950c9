"""Caffe's HDF5 parameter files: layout, checksums, atomic writing, suspicion."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import h5py
import numpy as np
import pytest
from demitasse.errors import OutputError, WeightsError
from demitasse.weights import read, write_hdf5
from hypothesis import given, settings
from hypothesis import strategies as st

LAYERS = {
    "data": [],
    "conv1": [np.arange(18, dtype="f4").reshape(2, 1, 3, 3), np.array([1, 2], "f4")],
    "ip_p": [None, np.array([3.5], "f4")],
    "scale": [np.float32(2).reshape(())],
}


def same(one, two):
    assert list(one) == sorted(two)
    for name, blobs in two.items():
        assert len(one[name]) == len(blobs)
        for a, b in zip(one[name], blobs, strict=True):
            if b is None:
                assert a is None
            else:
                assert (a.dtype, a.shape) == (b.dtype, b.shape)
                np.testing.assert_array_equal(a, b)


def test_the_layout_is_caffes(tmp_path):
    path = tmp_path / "net.caffemodel.h5"
    write_hdf5(path, LAYERS)
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: getattr(item, "shape", None)}))
        conv = file["data/conv1/0"]
        assert conv.chunks is None and conv.compression is None and conv.dtype == "<f4"
        assert conv.attrs["sha256"] == hashlib.sha256(LAYERS["conv1"][0].tobytes()).hexdigest()
    assert found == {
        "data": None,
        "data/data": None,
        "data/conv1": None,
        "data/conv1/0": (2, 1, 3, 3),
        "data/conv1/1": (2,),
        "data/ip_p": None,
        "data/ip_p/1": (1,),
        "data/scale": None,
        "data/scale/0": (),
    }
    weights = read(path)
    same(weights.layers, LAYERS)
    assert weights.kind == "hdf5" and weights.verified and not weights.legacy
    assert weights.count == 22


@given(
    st.dictionaries(
        st.text("abz_-. é漢", min_size=1).filter(lambda s: s != "."),
        st.lists(st.tuples(st.lists(st.integers(1, 3), max_size=5), st.sampled_from(["f4", "f8"]))),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=25, deadline=None)
def test_written_read_written_gives_the_same_bytes(tmp_path_factory, plan):
    rng = np.random.default_rng(0)
    layers = {
        name: [np.asarray(rng.standard_normal(shape), dtype) for shape, dtype in blobs]
        for name, blobs in plan.items()
    }
    folder = tmp_path_factory.getbasetemp()
    write_hdf5(folder / "one.h5", layers)
    found = read(folder / "one.h5")
    same(found.layers, layers)
    write_hdf5(folder / "two.h5", {name: found.layers[name] for name in layers})
    assert (folder / "one.h5").read_bytes() == (folder / "two.h5").read_bytes()


def test_gradients_lie_beside_and_are_not_read(tmp_path):
    diffs = {
        "conv1": [np.full((2, 1, 3, 3), 5, "f4"), np.zeros(2, "f4")],
        "ip_p": [np.ones(1, "f4")],
    }
    write_hdf5(tmp_path / "a.h5", LAYERS, diffs)
    with h5py.File(tmp_path / "a.h5") as file:
        assert set(file) == {"data", "diff"} and (file["diff/conv1/0"][()] == 5).all()
    same(read(tmp_path / "a.h5").layers, LAYERS)


def test_arrays_that_do_not_lie_in_order(tmp_path):
    array = np.arange(12, dtype=">f4").reshape(3, 4).T
    write_hdf5(tmp_path / "a.h5", {"a": [array]})
    found = read(tmp_path / "a.h5")
    np.testing.assert_array_equal(found.layers["a"][0], array)
    assert found.verified and found.layers["a"][0].dtype == np.dtype("f4")


def test_a_changed_bit_is_found(tmp_path):
    path = tmp_path / "a.h5"
    write_hdf5(path, LAYERS)
    content = bytearray(path.read_bytes())
    start = content.index(LAYERS["conv1"][0].tobytes())
    content[start + 21] ^= 4
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"checksum mismatch in conv1/0\."):
        read(path)


def test_files_without_checksums_are_read_unverified(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data/ip/0"] = np.arange(6, dtype="i4").reshape(2, 3)
        file["data/ip/1"] = np.zeros(2)
        file.create_group("data/relu")
    weights = read(tmp_path / "a.h5")
    assert not weights.verified and weights.layers["relu"] == []
    assert [a.dtype for a in weights.layers["ip"]] == [np.float32, np.float64]
    assert weights.layers["ip"][0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_values_of_other_files_are_refused(tmp_path):
    path, other = tmp_path / "a.h5", tmp_path / "other.h5"
    write_hdf5(other, LAYERS)
    (tmp_path / "raw").write_bytes(bytes(8))
    layout = h5py.VirtualLayout((2,), "f4")
    layout[:] = h5py.VirtualSource(other, "data/conv1/1", (2,))
    for name, make in {
        "blob": lambda f: f.update({"data/a/0": h5py.ExternalLink(other, "/data/conv1/1")}),
        "layer": lambda f: f.update({"data/a": h5py.ExternalLink(other, "/data/conv1")}),
        "all": lambda f: f.update({"data": h5py.ExternalLink(other, "/data")}),
        "soft": lambda f: f.update({"data/a/0": h5py.SoftLink("/data/a/0")}),
        "raw": lambda f: f.create_dataset(
            "data/a/0", (2,), "f4", external=[(tmp_path / "raw", 0, 8)]
        ),
        "virtual": lambda f: f.create_virtual_dataset("data/a/0", layout),
        "bomb": lambda f: f.create_dataset("data/a/0", (1 << 24, 1 << 24), "f4"),
        "text": lambda f: f.update({"data/a/0": "text"}),
        "complex": lambda f: f.update({"data/a/0": np.zeros(2, "c8")}),
        "deeper": lambda f: f.create_group("data/a/0"),
        "loop": lambda f: f.create_group("data/a/b").update({"c": f["data"]}),
        "twice": lambda f: f.create_group("data/a/b").parent.update({"c": f["data/a/b"]}),
        "deep": lambda f: f.update({"data" + "/a" * 2000: np.zeros(2)}),
        "names": lambda f: f.update({"data/a/weights": np.zeros(2)}),
        "huge": lambda f: f.update({"data/a/99999999999": np.zeros(2)}),
        "leading": lambda f: f.update({"data/a/00": np.zeros(2)}),
        "flat": lambda f: f.update({"data/a": np.zeros(2)}),
    }.items():
        with h5py.File(path, "w") as file:
            make(file)
        with pytest.raises(WeightsError) as caught:
            read(path)
        assert str(path) in str(caught.value), name


@pytest.mark.parametrize("name", ["", ".", "inception/1x1"])
def test_names_that_hdf5_cannot_hold(tmp_path, name):
    with pytest.raises(WeightsError, match=r"cannot be used in HDF5.*Rename the layer"):
        write_hdf5(tmp_path / "a.h5", {name: [np.ones(1, "f4")]})
    assert list(tmp_path.iterdir()) == []


def test_a_name_with_a_slash_matters_only_where_there_are_parameters(tmp_path):
    array = np.ones(2, "f4")
    write_hdf5(tmp_path / "a.h5", {"conv": [array], "conv/relu": []}, {"conv/relu": []})
    assert list(read(tmp_path / "a.h5").layers) == ["conv"]


def test_what_caffe_nests_is_read(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, number in (("conv/0", 1), ("conv/bn/0", 2), ("conv/bn/1/0", 3)):
            file[f"data/{name}"] = np.full(1, number, "f4")
    layers = read(tmp_path / "a.h5").layers
    assert {name: float(blobs[0][0]) for name, blobs in layers.items()} == {
        "conv": 1,
        "conv/bn": 2,
        "conv/bn/1": 3,
    }


def test_what_is_no_blob(tmp_path):
    with pytest.raises(WeightsError, match=r"conv/0 is no floating point blob.*found int64"):
        write_hdf5(tmp_path / "a.h5", {"conv": [np.zeros(3, "i8")]})


def test_an_old_file_survives_whatever_happens(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    write_hdf5(path, LAYERS)
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        write_hdf5(path, LAYERS, overwrite=False)

    def interrupted(array):
        raise KeyboardInterrupt

    monkeypatch.setattr("demitasse.weights.hdf5.digest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_hdf5(path, LAYERS)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_no_space_left(tmp_path):
    """A limit on file size stands for the full disk: the write fails in the same place."""
    path = tmp_path / "a.h5"
    write_hdf5(path, LAYERS)
    before = path.read_bytes()
    code = (
        "import resource, signal, sys, numpy as np\n"
        "from demitasse.weights import write_hdf5\n"
        "from demitasse.errors import OutputError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "layers = {f'layer{i}': [np.ones(9000, 'f4')] for i in range(9)}\n"
        "try:\n"
        "    write_hdf5(sys.argv[1], layers)\n"
        "except OutputError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{path}: could not be written (")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
