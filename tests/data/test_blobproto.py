"""One array in a .binaryproto file."""

from __future__ import annotations

import re

import numpy as np
import pytest
from demitasse.data.blobproto import read_blob, write_blob
from demitasse.errors import DataError, OutputError, SpecError
from demitasse.netspec import schema


def numbers(*shape, dtype=np.float32):
    return np.random.default_rng(3).standard_normal(shape).astype(dtype)


def write(path, **fields):
    """A BlobProto as another program would write it."""
    proto = schema.BlobProto()
    for name, value in fields.items():
        if name == "shape":
            proto.shape.dim.extend(value)
        elif np.ndim(value):
            getattr(proto, name).extend(np.ravel(value).tolist())
        else:
            setattr(proto, name, value)
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 4), (1, 3, 5, 7), (2, 1, 3, 1, 2)])
def test_what_is_written_is_read(tmp_path, shape, dtype):
    array = numbers(*shape, dtype=dtype)
    write_blob(tmp_path / "a.binaryproto", array)
    back = read_blob(tmp_path / "a.binaryproto")
    assert back.dtype == dtype and back.shape == shape
    np.testing.assert_array_equal(back, array)


def test_integers_become_floats(tmp_path):
    write_blob(tmp_path / "a", np.arange(6).reshape(2, 3))
    assert read_blob(tmp_path / "a").dtype == np.float32


def test_the_bytes_are_those_of_the_wire_format(tmp_path):
    write_blob(tmp_path / "a", np.array([[1.0, -2.0]], np.float32))
    floats = b"\x00\x00\x80\x3f\x00\x00\x00\xc0"
    assert (tmp_path / "a").read_bytes() == b"\x2a\x08" + floats + b"\x3a\x04\x0a\x02\x01\x02"
    write_blob(tmp_path / "a", np.array([1.0, -2.0], np.float32), legacy=True)
    assert (tmp_path / "a").read_bytes() == b"\x08\x01\x10\x01\x18\x01\x20\x02\x2a\x08" + floats


def test_legacy_axes(tmp_path):
    array = numbers(3, 4, 5)
    write_blob(tmp_path / "a", array, legacy=True)
    np.testing.assert_array_equal(read_blob(tmp_path / "a"), array[None])
    path = write(tmp_path / "b", num=2, channels=1, height=1, width=3, shape=[6], data=range(6))
    assert read_blob(path).shape == (2, 1, 1, 3)  # any of the old fields comes before `shape`


def test_doubles_come_first(tmp_path):
    path = write(tmp_path / "a", shape=[2], data=[1.0, 2.0], double_data=[0.1, 0.2])
    np.testing.assert_array_equal(read_blob(path), np.array([0.1, 0.2]))


def test_unpacked_numbers_of_older_writers(tmp_path):
    (tmp_path / "a").write_bytes(
        b"\x3a\x02\x0a\x00\x3a\x03\x0a\x01\x02" + b"\x2d\x00\x00\x80\x3f" * 2
    )
    assert read_blob(tmp_path / "a").tolist() == [1, 1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"shape": [2, 3], "data": [1.0]}, "expected 2 x 3 values, found 1"),
        ({"shape": [2], "data": [1.0, 2.0], "double_data": [1.0]}, "expected 2 values, found 1"),
        ({"shape": [-1, -1], "data": [1.0]}, "expected -1 x -1 values, found 1"),
        ({"num": 1, "data": [1.0]}, "expected 1 x 0 x 0 x 0 values, found 1"),
        ({"data": [1.0, 2.0]}, "expected 1 values, found 2"),
    ],
)
def test_values_that_do_not_fill_the_shape(tmp_path, fields, words):
    with pytest.raises(SpecError, match=re.escape(words)):
        read_blob(write(tmp_path / "a", **fields))


def test_a_file_cut_off_anywhere_is_refused(tmp_path):
    write_blob(tmp_path / "whole", numbers(2, 3))
    content = (tmp_path / "whole").read_bytes()
    for length in range(len(content)):
        (tmp_path / "cut").write_bytes(content[:length])
        with pytest.raises(SpecError):
            read_blob(tmp_path / "cut")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "found an empty file"),
        (b"1 0 0\n0 1 0\n", "found text"),
        (b"\x89HDF\r\n\x1a\n" + bytes(40), "found an HDF5 file"),
    ],
)
def test_other_files(tmp_path, content, words):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(SpecError, match=words):
        read_blob(tmp_path / "a")


def test_a_net_is_no_array(tmp_path):
    net = schema.NetParameter(name="x")
    net.layer.add(name="a", type="ReLU")
    (tmp_path / "a").write_bytes(net.SerializeToString())
    with pytest.raises(SpecError, match="is not an array"):
        read_blob(tmp_path / "a")


def test_a_missing_file_names_its_neighbours(tmp_path):
    (tmp_path / "mean.binaryproto").touch()
    with pytest.raises(SpecError, match=r"Did you mean mean\.binaryproto"):
        read_blob(tmp_path / "means.binaryproto")


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(DataError, match="no legacy shape; found 5 axes"):
        write_blob(tmp_path / "a", np.zeros((1, 1, 1, 1, 1)), legacy=True)
    huge = np.broadcast_to(np.float32(0), (1 << 16, 1 << 14))
    with pytest.raises(DataError, match="too large"):
        write_blob(tmp_path / "a", huge)
    with pytest.raises(OutputError, match="does not exist"):
        write_blob(tmp_path / "no" / "a", np.zeros(1))
    assert not (tmp_path / "a").exists()
