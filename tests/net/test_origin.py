"""Which rows a batch was made of: what messages name is what was read."""

from pathlib import Path

import h5py
import numpy as np
import PIL.Image
import pytest
from demitasse import netspec
from demitasse.data import datum, records
from demitasse.errors import DataError
from demitasse.net import Net, origin

LOSS = """
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "s"
        inner_product_param { num_output: 2 weight_filler { type: "msra" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "s" bottom: "y" top: "loss" }
"""


def build(data, **settings):
    text = f'layer {{ name: "rows" top: "x" top: "y" {data} }} {LOSS}'
    return Net(netspec.build(netspec.parse_net(text), "TRAIN"), seed=3, **settings)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Three HDF5 files of 4, 5 and 6 rows; each row of x says its file and its number."""
    monkeypatch.chdir(tmp_path)
    for k in range(3):
        with h5py.File(f"{k}.h5", "w") as file:
            file["x"] = np.array([[k, row] for row in range(4 + k)], np.float32)
            file["y"] = np.zeros(4 + k, np.float32)
    Path("list.txt").write_text("0.h5\n1.h5\n2.h5\n")


@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("shuffle", ["false", "true"])
@pytest.mark.parametrize("batch", [1, 4, 17])
def test_rows_of_hdf5_files_over_several_epochs(batch, shuffle, ahead, files):
    net = build(
        f'type: "HDF5Data" hdf5_data_param {{ source: "list.txt" batch_size: {batch} '
        f"shuffle: {shuffle} }}",
        ahead=ahead,
    )
    for _ in range(40 // batch + 2):
        state = net.state()
        net.forward()
        read = [f"{int(k)}.h5, row {int(row)}" for k, row in net.blobs["x"].data]
        assert origin.batches(net, state) == [read]


def test_a_batch_in_one_line(files):
    net = build('type: "HDF5Data" hdf5_data_param { source: "list.txt" batch_size: 6 }')
    said = "0.h5, row 0 and 0.h5, row 1 and 0.h5, row 2 and 0.h5, row 3 and 2 more"
    assert origin.said(net, net.state()) == said


def test_a_label_that_several_layers_read_is_named_as_the_prototxt_does(files):
    with h5py.File("1.h5", "r+") as file:
        file["y"][0] = 7
    accuracy = 'layer { name: "acc" type: "Accuracy" bottom: "s" bottom: "y" top: "acc" }'
    rows = 'type: "HDF5Data" hdf5_data_param { source: "list.txt" batch_size: 6 }'
    text = f'layer {{ name: "rows" top: "x" top: "y" {rows} }} {LOSS} {accuracy}'
    net = Net(netspec.build(netspec.parse_net(text), "TEST"))
    with (
        pytest.raises(
            DataError, match=r"the label 7 in 'y', item 4, from 1.h5, row 0; .* \('s' has"
        ),
        origin.named(net, net.state()),
    ):
        net.forward()


def test_images_of_a_list(tmp_path):
    for name in "abc":
        PIL.Image.new("L", (4, 4)).save(tmp_path / f"{name}.png")
    (tmp_path / "list.txt").write_text("a.png 0\nb.png 1\nc.png 7\n")
    net = build(
        'type: "ImageData" image_data_param { source: "list.txt" batch_size: 2 is_color: false }',
        folder=str(tmp_path),
    )
    net.forward()
    words = rf"the label 7 in 'y', item 0, from {tmp_path}/c\.png; expected a class from 0 to 1"
    with pytest.raises(DataError, match=words), origin.named(net, net.state()):
        net.forward()


def test_rows_of_a_database(tmp_path):
    pytest.importorskip("lmdb", reason="the extra `lmdb` is not installed")
    with records.create(str(tmp_path / "db")) as put:
        for row, label in enumerate((0, 1, 5)):
            put(b"%08d" % row, datum.pack(np.zeros((1, 4, 4), np.uint8), label))
    net = build(
        'type: "Data" data_param { source: "db" batch_size: 3 backend: LMDB }',
        folder=str(tmp_path),
    )
    words = rf"the label 5 in 'y', item 2, from {tmp_path}/db, row 2; expected"
    with pytest.raises(DataError, match=words), origin.named(net, net.state()):
        net.forward()


def test_a_net_without_data_layers_says_nothing():
    net = build(
        'type: "DummyData" dummy_data_param { shape { dim: 2 dim: 3 } shape { dim: 2 } '
        'data_filler { type: "constant" } data_filler { type: "constant" value: 9 } }'
    )
    assert origin.said(net, net.state()) == ""
    words = r"in 'y', item 0; expected"
    with pytest.raises(DataError, match=words), origin.named(net, net.state()):
        net.forward()
