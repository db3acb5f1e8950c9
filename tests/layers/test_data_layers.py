"""Input, DummyData and HDF5Data: the layers without bottoms."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from demitasse.errors import DataError, ShapeError, SpecError
from demitasse.layers.base import Context
from demitasse.layers.registry import create
from demitasse.netspec import parse_net

from .driver import Rig, context


def message(text):
    return parse_net(f"layer {{ name: 'test' {text} }}").message.layer[0]


def rig(text, **settings):
    from demitasse.layers.registry import layer_class

    spec = message(text)
    return Rig(layer_class(spec.type), spec, [], **settings)


# ---- Input


def tops(text):
    return create(message(text), context()).shapes().tops


def test_input_takes_one_shape_for_all_tops_or_one_for_each():
    start = "type: 'Input' top: 'a' top: 'b' input_param"
    assert tops(start + "{ shape { dim: 2 dim: 3 } }") == ((2, 3), (2, 3))
    assert tops(start + "{ shape { dim: 2 } shape { dim: 5 dim: 1 } }") == ((2,), (5, 1))
    assert tops("type: 'Input' top: 'a' input_param { shape { } }") == ((),)


def test_input_leaves_its_top_alone():
    made = create(message("type: 'Input' top: 'a' input_param { shape { dim: 2 } }"), context())
    made.forward([], [])
    made.backward([], [], [])
    assert made.state() == {}


def test_input_refusals():
    with pytest.raises(ShapeError, match=r"does not say how large 'a' is\. .*dim: 572"):
        tops("type: 'Input' top: 'a'")
    with pytest.raises(ShapeError, match="has a size below 1"):
        tops("type: 'Input' top: 'a' input_param { shape { dim: 1 dim: 0 } }")
    with pytest.raises(SpecError, match=r"expected one for each of its 3 tops.*found 2"):
        tops("type: 'Input' top: 'a' top: 'b' top: 'c' input_param { shape { } shape { } }")


# ---- DummyData


def test_dummy_data_shapes():
    start = "type: 'DummyData' top: 'a' top: 'b' dummy_data_param"
    assert tops(start + "{ shape { dim: 2 dim: 3 } }") == ((2, 3), (2, 3))
    assert tops(start + "{ shape { dim: 2 } shape { dim: 3 } }") == ((2,), (3,))
    old = "{ num: 2 channels: 1 height: 4 height: 5 width: 6 }"
    assert tops(start + old) == ((2, 1, 4, 6), (2, 1, 5, 6))


def test_dummy_data_is_drawn_anew_and_a_constant_stays():
    text = (
        "type: 'DummyData' top: 'a' top: 'b' dummy_data_param { shape { dim: 50 } "
        "data_filler { type: 'gaussian' } data_filler { value: 7 } }"
    )
    one = rig(text)
    passes = [one.forward() for _ in range(3)]  # the rig fills the tops with NaN before each
    assert all((b == 7).all() for _, b in passes)
    assert len({a.tobytes() for a, _ in passes}) == 3
    again = rig(text)
    assert (again.forward()[0] == passes[0][0]).all()
    again.layer.load_state({"passes": 2})
    assert (again.forward()[0] == passes[2][0]).all() and again.layer.state() == {"passes": 3}
    for other in ({"seed": 8}, {"index": 4}):
        assert (rig(text, **other).forward()[0] != passes[0][0]).all()


def test_dummy_data_without_filler_is_zero():
    (a,) = rig("type: 'DummyData' top: 'a' dummy_data_param { shape { dim: 3 } }").forward()
    assert a.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "wrong number of 'shape' entries; expected one, found 0"),
        ("shape { dim: 1 } num: 1", "gives its sizes twice"),
        ("num: 1 channels: 1 height: 1", "wrong number of 'width' entries"),
        ("shape { dim: 1 } data_filler { } data_filler { }", "number of 'data_filler' entries"),
        ("shape { dim: 0 }", "top 'a': has a size below 1"),
        ("shape { dim: 1 } data_filler { type: 'gausian' }", "Did you mean gaussian?"),
    ],
)
def test_dummy_data_refusals(text, words):
    with pytest.raises((SpecError, ShapeError)) as caught:
        tops(f"type: 'DummyData' top: 'a' dummy_data_param {{ {text} }}")
    assert words in str(caught.value)


# ---- HDF5Data

TEXT = "type: 'HDF5Data' top: 'data' top: 'label' hdf5_data_param"


@pytest.fixture
def folder(tmp_path):
    for name, rows in (("a.h5", range(4)), ("b.h5", range(4, 7))):
        with h5py.File(tmp_path / name, "w") as file:
            file["data"] = np.array([[r, r / 2] for r in rows])
            file["label"] = np.array(rows, "u1")
    (tmp_path / "list.txt").write_text("a.h5\nb.h5\n")
    return str(tmp_path)


def test_hdf5_data_crosses_files_and_goes_round(folder):
    one = rig(TEXT + "{ source: 'list.txt' batch_size: 3 }", folder=folder, dtype=np.float32)
    assert one.shapes.tops == ((3, 2), (3,))
    labels = []
    for _ in range(5):
        data, label = one.forward()
        np.testing.assert_array_equal(data, np.stack([label, label / 2], 1))
        labels += label.tolist()
    assert labels == [*range(7), *range(7), 0]


@pytest.mark.parametrize("shuffle", ["false", "true"])
def test_hdf5_data_resumes_where_it_was(folder, shuffle):
    text = f"{TEXT} {{ source: 'list.txt' batch_size: 3 shuffle: {shuffle} }}"
    straight = [rig_.forward()[1].tolist() for rig_ in [rig(text, folder=folder)] for _ in range(8)]
    first = rig(text, folder=folder)
    for want in straight[:5]:
        assert first.forward()[1].tolist() == want
    state = first.layer.state()
    assert state == {"epoch": 2, "file": 0, "row": 1}
    second = rig(text, folder=folder)
    second.layer.load_state(state)
    assert [second.forward()[1].tolist() for _ in range(3)] == straight[5:]
    if shuffle == "true":
        assert rig(text, folder=folder, seed=99).forward()[1].tolist() != straight[0]


def test_hdf5_data_refusals(folder):
    def refused(kind, text, match):
        with pytest.raises(kind, match=match):
            create(message(text), Context(folder=folder, where="net.prototxt:1:1"))

    refused(SpecError, TEXT + "{ batch_size: 3 }", "net.prototxt:1:1: .* has no source")
    refused(SpecError, TEXT + "{ source: 'list.txt' }", "has no batch_size.*found 0")
    whole = TEXT + "{ source: 'list.txt' batch_size: 3 }"
    refused(SpecError, whole + " transform_param { scale: 2 }", "does not know transform_param")
    refused(DataError, whole.replace("list", "lost"), "lost.txt: does not exist")
    refused(DataError, whole.replace("'label'", "'labels'"), "has no 'labels'; found data, label")
