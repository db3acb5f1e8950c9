"""Layers of one name: none is lost, in the net, in files, and in what a snapshot keeps."""

import numpy as np
import pytest
from demitasse import netspec, weights
from demitasse.net import Net
from demitasse.net.saving import save_caffemodel, save_hdf5
from demitasse.netspec.unique import unique_names
from hypothesis import given
from hypothesis import strategies as st

TEXT = """
layer { name: "in" type: "Input" top: "a" input_param { shape { dim: 2 dim: 3 dim: 4 } } }
layer { name: "bn" type: "BatchNorm" bottom: "a" top: "b" }
layer { name: "sc" type: "Scale" bottom: "b" top: "b" scale_param { bias_term: true } }
layer { name: "drop" type: "Dropout" bottom: "b" top: "b" }
layer { name: "bn" type: "BatchNorm" bottom: "b" top: "c" }
layer { name: "sc" type: "Scale" bottom: "c" top: "c"
        scale_param { bias_term: true filler { type: "gaussian" } } }
layer { name: "drop" type: "Dropout" bottom: "c" top: "c" }
"""
NAMES = ["in", "bn", "sc", "drop", "bn#2", "sc#2", "drop#2"]


def net(**settings):
    return Net(netspec.build(netspec.parse_net(TEXT), "TRAIN"), **settings)


@given(st.lists(st.sampled_from(["a", "a#2", "b", "a#2#2", "a#3"]), max_size=9))
def test_every_name_once_and_the_first_keeps_it(names):
    found = unique_names(names)
    assert len(set(found)) == len(found) == len(names)
    for i, name in enumerate(names):
        assert found[i] == name if name not in names[:i] else found[i].startswith(f"{name}#")


def test_the_net_knows_each_by_a_name_of_its_own():
    made = net()
    assert [node.name for node in made.graph.nodes] == NAMES
    assert [str(node.layer.name) for node in made.graph.nodes][4:6] == ["bn", "sc"]
    assert made.params["sc#2"][0].data.std() > 0 and (made.params["sc"][0].data == 1).all()
    assert set(made.state()) == {"drop", "drop#2"}


@pytest.mark.parametrize(("save", "end"), [(save_hdf5, ".h5"), (save_caffemodel, ".caffemodel")])
def test_all_of_them_come_back_from_a_file(tmp_path, save, end):
    made = net(seed=1)
    for i, blobs in enumerate(made.params.values()):
        for k, blob in enumerate(blobs):
            blob.data[...] = 10 * i + k
    save(made, tmp_path / f"net{end}")
    other = net(seed=2)
    found = weights.read(tmp_path / f"net{end}")
    assert {n for n, blobs in found.layers.items() if blobs} == {"bn", "sc", "bn#2", "sc#2"}
    other.load(found, complete=True)
    np.testing.assert_array_equal(other.flat_data, made.flat_data)


def test_a_binary_net_keeps_the_names_as_written(tmp_path):
    save_caffemodel(net(), tmp_path / "a.caffemodel")
    message = netspec.schema.NetParameter.FromString((tmp_path / "a.caffemodel").read_bytes())
    assert [la.name for la in message.layer if la.blobs] == ["bn", "sc", "bn", "sc"]


def test_a_real_name_is_not_taken_for_a_second_one(tmp_path):
    text = TEXT.replace(
        'name: "drop" type: "Dropout" bottom: "b"', 'name: "sc#2" type: "Scale" bottom: "b"'
    )
    made = Net(netspec.build(netspec.parse_net(text), "TRAIN"))
    assert [n.name for n in made.graph.nodes][3:6] == ["sc#2", "bn#2", "sc#3"]
    save_caffemodel(made, tmp_path / "a.caffemodel")
    found = weights.read(tmp_path / "a.caffemodel").layers
    assert [len(found[n]) for n in ("sc", "sc#2", "sc#3")] == [2, 1, 2]
