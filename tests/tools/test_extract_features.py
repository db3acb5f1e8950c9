"""Features: what is written is what the net computes, batch by batch."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse import netspec, weights
from demitasse.net import Net
from demitasse.tools import extract_features
from demitasse.tools._main import guarded

NET = """layer { name: "rows" type: "HDF5Data" top: "data"
  hdf5_data_param { source: "rows.txt" batch_size: 2 } }
layer { name: "in" type: "Convolution" bottom: "data" top: "deep/in"
  convolution_param { num_output: 3 kernel_size: 2 weight_filler { type: "gaussian" } } }
layer { name: "r" type: "ReLU" bottom: "deep/in" top: "deep/in" }
layer { name: "ip" type: "InnerProduct" bottom: "deep/in" top: "ip"
  inner_product_param { num_output: 4 weight_filler { type: "gaussian" } } }
layer { name: "sum" type: "EuclideanLoss" bottom: "ip" bottom: "ip" top: "sum" }
"""


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A folder, the current one, with a net, three rows of data, and weights."""
    monkeypatch.chdir(tmp_path)
    with h5py.File("rows.h5", "w") as file:
        file["data"] = np.random.default_rng(0).standard_normal((3, 2, 4, 5)).astype("f4")
    Path("rows.txt").write_text("rows.h5")
    Path("net.prototxt").write_text(NET)
    weights.write_hdf5("w.h5", build(seed=5).parameters())


def build(**settings):
    return Net(netspec.build(netspec.read_net("net.prototxt"), "TEST"), keep=True, **settings)


def computed(blob, batches):
    net = build()
    net.load(weights.read("w.h5"), complete=True)
    found = []
    for _ in range(batches):
        net.forward()
        found.append(np.atleast_1d(net.blobs[blob].data).copy())
    return np.concatenate(found)


def run(*argv):
    return guarded(extract_features.main, ["w.h5", "net.prototxt", *map(str, argv)])


def test_hdf5(trained, capsys):
    assert run("deep/in,ip,sum", "a.h5,b.h5,c.h5", 3, "hdf5", "CPU") == 0
    assert "b.h5: ip, 6 items" in capsys.readouterr().out
    for path, blob in (("a.h5", "deep/in"), ("b.h5", "ip"), ("c.h5", "sum")):
        with h5py.File(path) as file:
            assert np.array_equal(file[blob][()], computed(blob, 3))


def test_hdf5_features_feed_a_data_layer(trained):
    assert run("ip", "ip.h5", 2, "hdf5") == 0
    Path("ip.txt").write_text("ip.h5")
    text = """layer { name: "d" type: "HDF5Data" top: "ip"
      hdf5_data_param { source: "ip.txt" batch_size: 4 } }"""
    net = Net(netspec.build(netspec.parse_net(text), "TEST"))
    net.forward()
    assert np.array_equal(net.blobs["ip"].data, computed("ip", 2))


def test_lmdb(trained):
    pytest.importorskip("lmdb", reason="the extra `lmdb` is not installed")
    from demitasse.data import datum, records

    assert run("deep/in,ip", "a_lmdb,b_lmdb", 2, "lmdb") == 0
    for path, blob in (("a_lmdb", "deep/in"), ("b_lmdb", "ip")):
        rows, expected = records.Records(path), computed(blob, 2)
        assert rows.count == 4
        for i, (key, value) in enumerate(rows.read(0, 4)):
            image, _ = datum.unpack(value)
            assert key == b"%010d" % i and image.dtype == np.float32
            assert image.shape == (*expected[i].shape, 1, 1)[:3]
            assert np.array_equal(image.ravel(), expected[i].ravel())


def test_layers_that_the_file_lacks_are_named(trained, capsys):
    Path("net.prototxt").write_text(NET.replace('name: "ip"', 'name: "other"'))
    assert run("ip", "ip.h5", 1, "hdf5") == 0
    assert "layer other is not in w.h5" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv, words",
    [
        (["ipp", "a.h5", 1, "hdf5"], ["no blob 'ipp'", "Did you mean ip"]),
        (["ip,data", "a.h5", 1, "hdf5"], ["a dataset of its own"]),
        (["ip,data", "a.h5,a.h5", 1, "hdf5"], ["a dataset of its own"]),
        (["ip", "a", 1, "leveldb"], ["leveldb", "lmdb"]),
        (["ip", "a", 1, "hdf"], ["Did you mean hdf5"]),
        (["ip", "rows.h5", 1, "hdf5"], ["exists already", "--overwrite"]),
        (["ip", "no/such/a.h5", 1, "hdf5"], ["no/such"]),
        (["ip", "a.h5", 1, "hdf5", "GPU", 0], ["-gpu 0"]),
    ],
)
def test_what_is_refused(trained, capsys, argv, words):
    before = sorted(path.name for path in Path().iterdir())
    assert run(*argv) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and all(word in message for word in words)
    assert sorted(path.name for path in Path().iterdir()) == before


def test_an_interrupted_run_leaves_no_file(trained, capsys):
    shutil.copy("rows.h5", "more.h5")
    with h5py.File("more.h5", "a") as file:
        file["data"][0] = np.nan
        del file["data"]
    Path("rows.txt").write_text("rows.h5\nmore.h5")
    assert run("ip", "ip.h5", 3, "hdf5") == 2
    assert not Path("ip.h5").exists() and "more.h5" in capsys.readouterr().err
