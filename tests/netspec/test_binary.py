"""Files sniffed and read: binary nets of every generation, and what junk is said to be."""

import pytest
from demitasse.errors import SpecError
from demitasse.netspec import parse_net, read_net, read_net_binary, read_solver, schema
from demitasse.netspec.text import read_text

TEXTS = {
    "v2": "name: 'n' layer { name: 'c' type: 'Convolution' blobs { shape { dim: 1 } data: 2 } }",
    "v1": "name: 'n' layers { name: 'c' type: CONVOLUTION blobs { num: 1 data: 3 } blobs_lr: 2 }",
    "v0": "name: 'n' layers { layer { name: 'c' type: 'conv' pad: 3 blobs { num: 1 } } }",
    "crop": "layers { name: 'c' type: CROP bottom: 'a' bottom: 'a' top: 'b' }",
}


def serialized(text, name="NetParameter"):
    message = schema.message(name)()
    read_text(text, message, "x")
    return message.SerializeToString()


@pytest.mark.parametrize("name", TEXTS)
def test_a_binary_net_is_upgraded_like_its_text(name):
    assert read_net_binary(serialized(TEXTS[name])).message == parse_net(TEXTS[name]).message


@pytest.mark.parametrize("name", TEXTS)
def test_read_net_sniffs(name, tmp_path):
    text, binary = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
    text.write_text(TEXTS[name])
    binary.write_bytes(serialized(TEXTS[name]))
    assert (
        read_net(text).message == read_net(str(binary)).message == read_net_binary(binary).message
    )
    assert read_net(text).where("c").startswith(f"{text}:")
    assert read_net(binary).where("c", "type") == read_net(binary).path == str(binary)


@pytest.mark.parametrize(
    "net",
    [
        "name: 'b'",
        "layer { name: 'b' }",
        "layer { top: 'b' }",
        "layers { bottom: 'b' }",
        "input: 'b'",
    ],
)
def test_a_name_that_a_terminal_would_obey(net):
    content = serialized(f"layer {{ name: 'a' }} {net}").replace(b"\x01b", b"\x01\x1b")
    with pytest.raises(SpecError, match=r"^w: a name in it holds a control character, \\x1b\.$"):
        read_net_binary(content, "w")


def test_unpacked_floats_are_read():
    blob = bytes([5 << 3 | 5, 0, 0, 128, 63]) * 2  # data: 1.0 twice, not packed
    layer = bytes([1 << 3 | 2, 1]) + b"c" + bytes([7 << 3 | 2, len(blob)]) + blob
    net = read_net_binary(bytes([0xA2, 0x06, len(layer)]) + layer).message
    assert list(net.layer[0].blobs[0].data) == [1, 1]


def test_an_old_type_number_that_nobody_knows_leaves_the_type_empty():
    layer = schema.V1LayerParameter(name="odd").SerializeToString() + bytes([5 << 3, 77])
    net = bytes([2 << 3 | 2, len(layer)]) + layer
    (got,) = read_net_binary(net).message.layer
    assert (got.name, got.type) == ("odd", "")


def test_weights_can_be_read_where_offsets_cannot_be_computed():
    crop = "layers { name: 'c' type: CROP bottom: ['a', 'b'] blobs { data: 1 } }"
    with pytest.raises(SpecError, match="different blobs"):
        read_net_binary(serialized(crop), "w.caffemodel")
    (layer,) = read_net_binary(serialized(crop), crop_offsets=False).message.layer
    assert len(layer.blobs) == 1
    assert not layer.HasField("crop_param")


JUNK = {
    "empty": (b"", "an empty file"),
    "hdf5": (b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file"),
    "text": (b"layer { }", "text"),
    "utf-16": ('name: "n"'.encode("utf-16"), "UTF-16"),
    "junk": (b"\x00\xff" * 50, "something else, or a net that was cut off"),
    "cut": (serialized(TEXTS["v2"])[:-3], "cut off"),
    "no layer": (serialized('name: "n"') + b"\x10\x01", "a net without any layer"),
    "state": (
        serialized("iter: 5 learned_net: 'n.caffemodel' history { data: 1 }", "SolverState"),
        "a solver state",
    ),
    "mean": (serialized("num: 1 channels: 3 data: [1, 2, 3]", "BlobProto"), "a mean image"),
}


@pytest.mark.parametrize("name", JUNK)
def test_junk_is_refused_with_what_it_seems_to_be(name):
    content, seems = JUNK[name]
    with pytest.raises(SpecError, match=seems) as caught:
        read_net_binary(content, "my.caffemodel")
    assert caught.value.where == "my.caffemodel"


@pytest.mark.parametrize("name", ["empty", "hdf5", "utf-16", "junk", "state"])
@pytest.mark.parametrize("read", [read_net, read_solver])
def test_junk_files_are_refused_by_every_reader(name, read, tmp_path):
    content, seems = JUNK[name]
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(SpecError, match=seems) as caught:
        read(path)
    assert caught.value.where == str(path)


def test_every_cut_of_a_net_is_a_net_or_refused(unet_2015):
    whole = serialized(unet_2015)
    for end in range(0, len(whole), 7):
        try:
            read_net_binary(whole[:end])
        except SpecError as error:
            assert error.where == "<bytes>"


@pytest.mark.parametrize("read", [read_net, read_solver, read_net_binary])
def test_missing_files_name_the_nearest(read, tmp_path):
    (tmp_path / "train.prototxt").touch()
    with pytest.raises(SpecError, match=r"no such file. Did you mean train\.prototxt\?"):
        read(tmp_path / "trian.prototxt")
    with pytest.raises(SpecError, match="no folder"):
        read(tmp_path / "gone" / "train.prototxt")
    with pytest.raises(SpecError, match="cannot be read"):
        read(tmp_path)


def test_latin_1_in_a_comment_is_no_matter_but_in_a_string_it_is(tmp_path):
    path = tmp_path / "old.prototxt"
    path.write_bytes("# für\nname: 'n' layer { name: 'x' }".encode("latin-1"))
    assert read_net(path).message.name == "n"
    path.write_bytes("name: 'für'".encode("latin-1"))
    with pytest.raises(SpecError, match=":1:7: the string of 'name' is not UTF-8"):
        read_net(path)
