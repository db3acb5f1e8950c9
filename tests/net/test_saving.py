"""Files written from a net: Caffe's own bytes, splits and shared parameters included."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse import netspec, weights
from demitasse.net import Net
from demitasse.net.saving import save_caffemodel, save_hdf5

NETS = Path(__file__).resolve().parent.parent / "golden" / "nets"
CASES = sorted(p.name for p in NETS.iterdir())
NET = """name: "n"
layer { name: "x" type: "DummyData" top: "x" top: "y"
  dummy_data_param { shape { dim: 2 dim: 3 } data_filler { type: "gaussian" } } }
layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { name: "w" }
  inner_product_param { num_output: 3 weight_filler { type: "gaussian" } } }
layer { name: "b" type: "InnerProduct" bottom: "a" top: "b" param { name: "w" }
  inner_product_param { num_output: 3 } }
layer { name: "s" type: "Scale" bottom: "b" top: "b" scale_param { axis: 0 num_axes: 0 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "b" bottom: "y" top: "loss" }
"""


def built(text=NET, phase="TRAIN", dtype=np.float32):
    net = Net(netspec.build(netspec.parse_net(text), phase), dtype=dtype)
    net.forward()
    net.backward()
    return net


@pytest.mark.parametrize("case", CASES)
def test_the_bytes_are_caffes(case, tmp_path):
    net = Net(netspec.build(netspec.read_net(NETS / case / "net.prototxt"), "TEST"), fill=False)
    net.load(weights.read(NETS / case / "weights.caffemodel"), complete=True)
    save_caffemodel(net, tmp_path / "net.caffemodel")
    assert (tmp_path / "net.caffemodel").read_bytes() == (
        NETS / case / "weights.caffemodel"
    ).read_bytes()


@pytest.mark.parametrize("case", CASES)
def test_the_hdf5_layout_is_caffes(case, tmp_path):
    net = Net(netspec.build(netspec.read_net(NETS / case / "net.prototxt"), "TEST"), fill=False)
    net.load(weights.read(NETS / case / "weights.caffemodel.h5"), complete=True)
    save_hdf5(net, tmp_path / "net.h5")
    found = []
    for path in (tmp_path / "net.h5", NETS / case / "weights.caffemodel.h5"):
        items = {}
        with h5py.File(path) as file:
            file.visititems(
                lambda name, item, items=items: items.update(
                    {name: item[()].tobytes() if isinstance(item, h5py.Dataset) else None}
                )
            )
        found.append(items)
    assert found[0] == found[1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_are_kept_where_they_are_asked_for(dtype, tmp_path):
    net = built(dtype=dtype)
    save_caffemodel(net, tmp_path / "net.caffemodel", diff=True)
    message = netspec.schema.NetParameter.FromString((tmp_path / "net.caffemodel").read_bytes())
    save_hdf5(net, tmp_path / "net.h5", diff=True)
    with h5py.File(tmp_path / "net.h5") as file:
        assert "0" not in file["data/b"] and "1" in file["data/b"]  # "a" owns it
        for layer in message.layer:
            for i, (blob, kept) in enumerate(
                zip(layer.blobs, net.params.get(layer.name, []), strict=True)
            ):
                values = blob.diff if dtype == np.float32 else blob.double_diff
                assert list(values) == kept.diff.ravel().tolist()
                np.testing.assert_array_equal(file[f"diff/{layer.name}/{i}"], kept.diff)
    assert np.abs(net.params["a"][0].diff).max() > 0
    for name in ("net.caffemodel", "net.h5"):
        assert built(dtype=dtype).load(weights.read(tmp_path / name), complete=True).complete


def test_without_a_gradient_zeros_are_written(tmp_path):
    net = Net(netspec.build(netspec.parse_net(NET), "TEST"))
    save_hdf5(net, tmp_path / "net.h5", diff=True)
    with h5py.File(tmp_path / "net.h5") as file:
        assert not file["diff/a/0"][()].any() and file["diff/a/0"].shape == (3, 3)


@pytest.mark.parametrize("end", ["", ".h5"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_bit_comes_back(end, dtype, tmp_path):
    net, path = built(dtype=dtype), tmp_path / f"net.caffemodel{end}"
    odd = np.array([np.nan, -0.0, np.inf, 1e-45, 1 / 3, -1e-40, 5e-324, 2, 3], dtype)
    net.params["a"][0].data.flat = odd
    (save_hdf5 if end else save_caffemodel)(net, path)
    other = built(NET.replace('"gaussian"', '"constant"'), dtype=dtype)
    other.load(weights.read(path), complete=True)
    assert other.flat_data.tobytes() == net.flat_data.tobytes()
