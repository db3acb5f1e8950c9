"""Binary parameter files: three generations, all ways to write numbers, all ways to break."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from demitasse.errors import OutputError, SpecError, WeightsError
from demitasse.netspec import read_net_binary, schema
from demitasse.weights import caffemodel, modern, read, write_caffemodel, write_hdf5
from hypothesis import given, settings
from hypothesis import strategies as st

from .wirebytes import block, legacy, net, number, packed, shape, unpacked, v0, v1, v2

W = np.arange(54, dtype="f4").reshape(2, 3, 3, 3) / 7
B = np.array([0.5, -1], "f4")
NETS = Path(__file__).resolve().parent.parent / "golden" / "nets"


def saved(folder, content):
    path = folder / "net.caffemodel"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("layer", [v0, v1, v2])
@pytest.mark.parametrize("write", [packed, unpacked])
@pytest.mark.parametrize("old", [False, True])
def test_every_generation(tmp_path, layer, write, old):
    w = (legacy(2, 3, 3, 3) if old else shape(2, 3, 3, 3)) + write(5, W)
    b = write(5, B) + (legacy(1, 1, 1, 2) if old else shape(2))
    weights = read(saved(tmp_path, net(layer("conv_d0a-b", w, b), layer("relu"))))
    assert list(weights.layers) == ["conv_d0a-b", "relu"] and weights.layers["relu"] == []
    found = weights.layers["conv_d0a-b"]
    np.testing.assert_array_equal(found[0], W)
    np.testing.assert_array_equal(found[1], B.reshape(1, 1, 1, 2) if old else B)
    assert all(a.dtype == np.float32 and a.flags.aligned and a.flags.writeable for a in found)
    assert (weights.legacy, weights.kind, weights.count) == (old, "caffemodel", 56)
    assert not weights.verified and weights.nonfinite() == [] and weights.duplicates == ()


def test_doubles_come_before_floats(tmp_path):
    blob = shape(2) + packed(5, [9, 9]) + packed(8, [1 / 3, 2], "d")
    (found,) = read(saved(tmp_path, net(v2("a", blob)))).layers["a"]
    assert found.dtype == np.float64 and found.tolist() == [1 / 3, 2]


def test_doubles_that_are_none_leave_the_floats(tmp_path):
    blob = shape(2) + packed(5, B) + packed(8, [], "d")
    (found,) = read(saved(tmp_path, net(v2("a", blob)))).layers["a"]
    assert found.dtype == np.float32 and found.tolist() == B.tolist()


@pytest.mark.parametrize(("layer", "dialect"), [(v0, "V0"), (v1, "V1"), (v2, "V2")])
def test_types_are_told_in_todays_words(tmp_path, layer, dialect):
    weights = read(saved(tmp_path, net(layer("a", shape(2) + packed(5, B)))))
    assert weights.types == {"a": "Convolution"} and weights.dialect == dialect


@pytest.mark.parametrize(
    "mark",
    [
        block(100, block(1, "c") + block(2, "CreateDeformation") + block(145, number(1, 3))),
        block(100, block(1, "c") + block(2, "ApplyDeformation") + block(146, block(1, "linear"))),
        block(100, block(1, "c") + block(2, "ValueAugmentation") + unpacked(149, [0.1])),
        block(100, block(1, "c") + block(2, "IoU") + block(151, number(1, 3))),
    ],
)
def test_freiburgs_fork_is_recognised_and_its_parameters_are_right(tmp_path, mark):
    pool = block(121, number(1, 0) + number(3, 2) + number(4, 2))  # kernel_size 3, stride 4
    conv = v2("conv", shape(2) + packed(5, B), shape(2, 3, 3, 3) + unpacked(5, W))
    path = saved(tmp_path, net(mark, v2("pool", rest=pool), conv))
    weights = read(path)
    assert weights.dialect == "V2 of Freiburg's fork"
    np.testing.assert_array_equal(weights.layers["conv"][0], B)
    np.testing.assert_array_equal(weights.layers["conv"][1], W)
    with pytest.raises(SpecError, match="Freiburg's Caffe"):
        read_net_binary(path)
    assert [la.name for la in read_net_binary(path, crop_offsets=False).message.layer][2] == "conv"


def test_our_own_binaries_are_not_taken_for_the_forks(tmp_path):
    message = schema.NetParameter(name="ours")
    for kind, param in (
        ("CreateDeformation", "create_deformation_param"),
        ("ApplyDeformation", "apply_deformation_param"),
        ("ValueAugmentation", "value_augmentation_param"),
    ):
        getattr(message.layer.add(name=kind, type=kind), param).SetInParent()
    pool = message.layer.add(name="pool", type="Pooling").pooling_param
    pool.kernel_size.append(2)
    pool.stride.append(2)
    path = saved(tmp_path, message.SerializeToString())
    assert read(path).dialect == "V2"
    assert len(read_net_binary(path).message.layer) == 4


@pytest.mark.parametrize("layer", [v0, v1])
def test_shapes_of_four_axes_are_brought_up_to_date_by_type(tmp_path, layer):
    ip = {v0: "innerproduct", v1: 14}[layer]
    single = legacy(1, 1, 3, 3) + packed(5, W[0, 0])  # one channel in, one out: stays
    bias = legacy(1, 1, 1, 2) + packed(5, B)
    matrix = legacy(1, 1, 2, 27) + packed(5, W)
    content = net(layer("conv", single, bias), layer("ip", matrix, bias, type=ip), layer("empty"))
    weights = read(saved(tmp_path, content))
    assert weights.legacy and weights.types["ip"] == "InnerProduct"
    new, changed = modern(weights)
    shapes = {name: [a.shape for a in blobs] for name, blobs in new.layers.items()}
    assert shapes == {"conv": [(1, 1, 3, 3), (2,)], "ip": [(2, 27), (2,)], "empty": []}
    assert [str(c) for c in changed] == [
        "conv/1: 1x1x1x2 -> 2",
        "ip/0: 1x1x2x27 -> 2x27",
        "ip/1: 1x1x1x2 -> 2",
    ]
    assert not new.legacy and new.count == weights.count
    np.testing.assert_array_equal(new.layers["ip"][0].ravel(), W.ravel())


def test_four_axes_of_an_unknown_layer_stay(tmp_path):
    weights = read(saved(tmp_path, net(v1("a", legacy(1, 1, 1, 2) + packed(5, B), type=99))))
    new, changed = modern(weights)
    assert new.legacy and changed == [] and new.layers["a"][0].shape == (1, 1, 1, 2)
    today = read(saved(tmp_path, net(v2("a", shape(1, 1, 1, 2) + packed(5, B)))))
    assert modern(today) == (today, [])


@given(
    st.lists(
        st.tuples(st.sampled_from(["f4", "f8"]), st.lists(st.integers(1, 3), max_size=5)),
        min_size=1,
        max_size=4,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=30, deadline=None)
def test_through_hdf5_and_back_every_bit_stays(tmp_path_factory, plan, random):
    arrays = []
    for dtype, dims in plan:
        size = int(np.prod(dims, dtype=int))
        bits = random.randbytes(size * np.dtype(dtype).itemsize)  # NaNs and all
        arrays.append(np.frombuffer(bits, dtype).reshape(dims))
    folder = tmp_path_factory.getbasetemp()
    message = schema.LayerParameter(name="a").SerializeToString()
    write_caffemodel(folder / "one.caffemodel", "n", [(message, arrays, [])])
    write_hdf5(folder / "two.h5", read(folder / "one.caffemodel").layers)
    found = read(folder / "two.h5").layers["a"]
    write_caffemodel(folder / "three.caffemodel", "n", [(message, found, [])])
    assert (folder / "one.caffemodel").read_bytes() == (folder / "three.caffemodel").read_bytes()
    for a, b in zip(arrays, found, strict=True):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def test_numbers_in_pieces_and_diffs(tmp_path):
    blob = packed(5, [1, 2]) + packed(6, [9, 9, 9]) + unpacked(5, [3]) + shape(3)
    (found,) = read(saved(tmp_path, net(v2("a", blob)))).layers["a"]
    assert found.tolist() == [1, 2, 3]


def test_a_single_number(tmp_path):
    (found,) = read(saved(tmp_path, net(v2("a", block(7, b"") + packed(5, [4]))))).layers["a"]
    assert found.shape == () and found == 4


def test_fields_of_other_dialects_are_skipped(tmp_path):
    # Freiburg's pooling numbers, NVIDIA's scalars in place of messages, a field nobody knows
    rest = block(121, number(2, 0) + number(3, 2) + number(3, 2)) + number(146, 7)
    rest += block(9999, b"\xff\xff") + unpacked(147, [1.5])
    layers = [v2("pool", rest=rest), v2("conv", shape(2) + packed(5, B), rest=rest)]
    weights = read(saved(tmp_path, net(*layers) + block(8, shape(1)) + number(5, 1)))
    np.testing.assert_array_equal(weights.layers["conv"][0], B)


def test_layers_of_one_name(tmp_path):
    blobs = [shape(1) + packed(5, [i]) for i in range(3)]
    content = net(v2("sc", blobs[0]), v2("bn"), v2("sc", blobs[1]), v2("sc", blobs[2]))
    weights = read(saved(tmp_path, content))
    assert list(weights.layers) == ["sc", "bn", "sc#2", "sc#3"] and weights.duplicates == ("sc",)
    assert [weights.layers[n][0][0] for n in ("sc", "sc#2", "sc#3")] == [0, 1, 2]


@pytest.mark.parametrize(
    ("blob", "found"),
    [
        (shape(2, 3) + packed(5, B), "blob 0 of layer 'a': has not as many values as its shape"),
        (shape(2), "expected 2 for (2,), found 0"),
        (legacy(1, 1, 2) + packed(5, B), "expected 0 for (1, 1, 2, 0), found 2"),
        (block(7, number(1, -1)) + packed(5, []), "for (-1,)"),
        (shape(1 << 40, 1 << 40) + packed(5, B), "found 2"),
    ],
)
def test_blobs_that_do_not_add_up(tmp_path, blob, found):
    with pytest.raises(WeightsError) as caught:
        read(saved(tmp_path, net(v2("a", blob))))
    assert str(tmp_path) in str(caught.value) and found in str(caught.value)


def test_a_file_that_is_cut_off(tmp_path):
    first, second = v2("one", shape(2) + packed(5, B)), v2("two", shape(54) + packed(5, W))
    whole = net(first, second)
    edge = len(whole) - len(second)
    for size in range(edge + 1, len(whole)):
        with pytest.raises(WeightsError) as caught:
            read(saved(tmp_path, whole[:size]))
        assert "is not a complete caffemodel" in str(caught.value)
        assert f"of {size}, after layer 'one'" in str(caught.value)
    assert list(read(saved(tmp_path, whole[:edge])).layers) == ["one"]  # match() will miss "two"


def test_what_holds_no_layers(tmp_path):
    with pytest.raises(WeightsError, match="holds no layers"):
        read(saved(tmp_path, block(1, "net")))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_file_raises_weights_errors_only(tmp_path_factory, data):
    good = bytearray(net(v1("one", legacy(1, 1, 1, 2) + packed(5, B)), v2("two", shape(2))))
    good = good if data.draw(st.booleans()) else bytearray(b"\xff" * 64)
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.getbasetemp() / "fuzz"
    folder.mkdir(exist_ok=True)
    try:
        read(saved(folder, bytes(good)))
    except WeightsError as error:
        assert str(folder) in str(error)


@pytest.mark.parametrize("name", sorted(p.name for p in NETS.iterdir()))
def test_what_caffe_saved_is_the_same_in_both_formats(name):
    binary, hdf5 = (read(NETS / name / f"weights.caffemodel{end}") for end in ("", ".h5"))
    assert set(binary.layers) == set(hdf5.layers) and binary.kind != hdf5.kind
    shared = 0
    for layer, blobs in binary.layers.items():
        kept = hdf5.layers[layer]
        shared += len(blobs) - len(kept)
        for one, two in zip(blobs, kept, strict=False):
            np.testing.assert_array_equal(one, two)
    assert shared == (4 if name == "siamese_multi_loss" else 0)


def test_what_caffe_saved_in_the_old_syntax():
    new, old = (read(NETS / "unet_v1_trunk" / f"weights{v}.caffemodel") for v in ("", "_v1"))
    assert old.legacy and not new.legacy
    for name, blobs in old.layers.items():
        for one, two in zip(blobs, new.layers[name], strict=True):
            assert one.ndim == 4
            np.testing.assert_array_equal(one.reshape(two.shape), two)


def test_written_files_are_read_back_and_by_protobuf(tmp_path):
    path = tmp_path / "a.caffemodel"
    layer = schema.LayerParameter(name="conv", type="Convolution", bottom=["data"])
    relu = schema.LayerParameter(name="relu", type="ReLU")
    arrays = [W[:, ::2], B.astype("f8"), np.float32(3).reshape(())]
    write_caffemodel(
        path,
        "a net",
        [(layer.SerializeToString(), arrays, []), (relu.SerializeToString(), [], [])],
    )
    weights = read(path)
    for one, two in zip(weights.layers["conv"], arrays, strict=True):
        np.testing.assert_array_equal(one, two)
        assert (one.dtype, one.shape) == (two.dtype, two.shape)
    message = schema.NetParameter.FromString(path.read_bytes())
    assert (message.name, [x.name for x in message.layer]) == ("a net", ["conv", "relu"])
    conv = message.layer[0]
    assert list(conv.bottom) == ["data"] and list(conv.blobs[0].shape.dim) == [2, 2, 3, 3]
    assert list(conv.blobs[0].data) == W[:, ::2].ravel().tolist()
    assert list(conv.blobs[1].double_data) == B.tolist()
    with pytest.raises(OutputError, match="exists already"):
        write_caffemodel(path, "a", [], overwrite=False)


def test_too_large_a_file_is_refused_before_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(caffemodel, "LIMIT", 200)
    layer = schema.LayerParameter(name="conv").SerializeToString()
    with pytest.raises(WeightsError, match=r"expected at most 200 bytes.*Save it as HDF5"):
        write_caffemodel(tmp_path / "a", "net", [(layer, [W], [])])
    assert list(tmp_path.iterdir()) == []


def test_nine_million_numbers_take_no_time(tmp_path):
    layer = schema.LayerParameter(name="big").SerializeToString()
    array = np.zeros((1024, 1024, 3, 3), "f4")
    write_caffemodel(tmp_path / "a", "net", [(layer, [array], [])])
    start = time.perf_counter()
    assert read(tmp_path / "a").count == array.size
    assert time.perf_counter() - start < 2  # about 0.05 on an idle machine


def test_nonfinite_blobs_are_named(tmp_path):
    content = net(
        v2("a", shape(2) + packed(5, B), shape(1) + packed(5, [np.nan])),
        v2("b", shape(2) + packed(5, [1, -np.inf])),
    )
    assert read(saved(tmp_path, content)).nonfinite() == ["a/1", "b/0"]
