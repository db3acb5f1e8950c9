"""The guarded opener: what points elsewhere, is not there or is no number is refused by name."""

from __future__ import annotations

from mmap import ACCESS_READ, mmap

import h5py
import numpy as np
import pytest
from demitasse import heaps
from demitasse.errors import DataError, OutputError, WeightsError
from demitasse.h5 import (
    BOMB_BYTES,
    create_h5,
    dataset,
    file_size,
    is_group,
    members,
    open_h5,
    read_dataset,
    read_text,
    read_texts,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a file.h5"


def refuse(path, name, *words):
    with open_h5(path) as file, pytest.raises(DataError) as caught:
        read_dataset(file, name)
    for word in (str(path), name, *words):
        assert word in str(caught.value)


def test_reads_what_was_written(path):
    values = np.arange(12, dtype=">i2").reshape(3, 4)
    with h5py.File(path, "w") as file:
        file["g/a"] = values
        file["one"] = 2.5
        file.create_dataset("none", (0, 3), "f4")
        file.create_dataset("packed", data=np.ones((50, 50)), compression=9)
    with open_h5(path) as file:
        assert members(file) == ["g", "none", "one", "packed"] and members(file, "g") == ["a"]
        assert is_group(file, "g") and not is_group(file, "one")
        assert not is_group(file, "two")
        np.testing.assert_array_equal(read_dataset(file, "g/a"), values)
        assert read_dataset(file["g"], "a", dtype=np.float32).dtype == np.float32
        assert read_dataset(file, "one", dtype="f4") == np.float32(2.5)
        assert read_dataset(file, "none").shape == (0, 3)
        assert read_dataset(file, "packed").sum() == 2500
        assert dataset(file, "packed").shape == (50, 50)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty (0 bytes)"),
        (b"name: 'LeNet'", "is not an HDF5 file"),
        (b"\x89HDF", "is not an HDF5 file"),
        (b"\x89HDF\r\n\x1a\n" + b"\xff" * 90, "cannot be opened as HDF5"),
    ],
)
def test_files_that_are_not_hdf5(path, content, words):
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=str(path)) as caught, open_h5(path, error=WeightsError):
        pass
    assert words in str(caught.value)


def test_missing_file_and_folder(path, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        file_size(path)
    with pytest.raises(DataError, match="is a folder"), open_h5(tmp_path):
        pass
    with pytest.raises(DataError, match="relative to"):
        file_size("no such file")


def test_truncated_file_gives_both_sizes(path):
    with h5py.File(path, "w") as file:
        file["a"] = np.zeros(4096)
    whole = path.read_bytes()
    for size in (20000, 100):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError) as caught, open_h5(path):
            pass
        assert f"is cut off; expected {len(whole)} bytes, found {size}" in str(caught.value)


def test_values_of_other_files_are_refused(path, tmp_path):
    other = tmp_path / "secret.h5"
    with h5py.File(other, "w") as file:
        file["a"] = np.arange(10.0)
    (tmp_path / "raw").write_bytes(bytes(80))
    layout = h5py.VirtualLayout((10,), "f8")
    layout[:] = h5py.VirtualSource(other, "a", (10,))
    with h5py.File(path, "w") as file:
        file["external"] = h5py.ExternalLink(other, "/a")
        file["folder"] = h5py.ExternalLink(other, "/")
        file["soft"] = h5py.SoftLink("/loop")
        file["loop"] = h5py.SoftLink("/loop")
        file.create_dataset("raw", (10,), "f8", external=[(tmp_path / "raw", 0, 80)])
        file.create_virtual_dataset("virtual", layout)
    refuse(path, "external", "link into another file", "secret.h5")
    refuse(path, "folder", "link into another file")
    refuse(path, "soft", "is a link")
    refuse(path, "loop", "is a link")
    refuse(path, "raw", "keeps its values in another file")
    refuse(path, "virtual", "is a virtual dataset")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("text", "strings"),
        (np.array([b"ab"]), "strings"),
        (np.zeros(2, "c8"), "complex"),
        (np.zeros(2, bool), "booleans"),
        (np.zeros(2, [("x", "f4")]), "compound"),
        (h5py.Empty("f4"), "null dataset"),
        (np.dtype("f4"), "neither a group nor a dataset"),
    ],
)
def test_what_is_not_plain_numbers_is_refused(path, value, words):
    with h5py.File(path, "w") as file:
        file["x"] = value
    refuse(path, "x", words)


def test_groups_and_missing_names(path):
    with h5py.File(path, "w") as file:
        file["data/conv/0"] = np.zeros(3)
        file["labels"] = np.zeros(3)
    refuse(path, "data", "is a group, not a dataset", "conv")
    refuse(path, "label", "has no 'label'", "data, labels")
    refuse(path, "data/conv/1", "has no 'data/conv/1'", "0 in 'data/conv'")
    refuse(path, "labels/0", "has no 'labels/0'")
    with open_h5(path) as file, pytest.raises(DataError, match="is a dataset, not a group"):
        members(file, "labels")


def test_shape_bomb(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("bomb", (1 << 24, 1 << 24), "f4", chunks=(64, 64))
        file.create_dataset("sparse", (100, 100), "f4", chunks=(64, 64))
    assert path.stat().st_size < BOMB_BYTES
    refuse(path, "bomb", "declares far more than the file holds")
    with open_h5(path) as file:
        assert not read_dataset(file, "sparse").any()  # small: zeros, as HDF5 defines it


def test_damaged_chunk(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=np.random.default_rng(0).random(5000), compression=9)
        info = file["a"].id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[info.byte_offset + 100 : info.byte_offset + 200] = bytes(100)
    path.write_bytes(content)
    refuse(path, "a", "is damaged or cannot be decoded")


def test_a_new_file_appears_whole_or_not_at_all(path, tmp_path):
    with create_h5(path) as file:
        file["a"] = np.arange(5)
        assert not path.exists()
    with open_h5(path) as file:
        assert read_dataset(file, "a").sum() == 10
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), create_h5(path) as file:
        file["a"] = 1 / 0
    with pytest.raises(OutputError, match="exists already"), create_h5(path, overwrite=False):
        raise AssertionError("refused only after the work")
    with pytest.raises(OutputError, match="does not exist"), create_h5(tmp_path / "no" / "a.h5"):
        raise AssertionError("refused only after the work")
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_text_of_fixed_and_variable_length(path):
    with h5py.File(path, "w") as file:
        file["fixed"] = np.bytes_("net: 'µ'".encode())
        file["free"] = "net"
        file["one"] = np.array([b"alone"])
        file["names"] = np.array([b"cell", b"background"])
        file["latin"] = np.bytes_(b"\xb5m")
        file["null"] = h5py.Empty("S3")
    with open_h5(path) as file:
        assert read_text(file, "fixed") == "net: 'µ'" and read_text(file, "free") == "net"
        assert read_text(file, "one") == "alone" and read_text(file, "null") == ""
        assert read_texts(file, "names") == ["cell", "background"]
        assert read_text(file, "latin").encode("utf-8", "surrogateescape") == b"\xb5m"


def test_what_is_no_text_is_refused(path, tmp_path, monkeypatch):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = "hidden"
    with h5py.File(path, "w") as file:
        file["number"] = 3
        file["two"] = np.array([b"a", b"b"])
        file["link"] = h5py.ExternalLink("other.h5", "secret")
        file.create_dataset("many", (70_000,), "S1")
        file["long"] = "x" * 100
    monkeypatch.setattr("demitasse.h5.MOST_TEXT", 99)
    with open_h5(path) as file:
        for name, words in (
            ("number", "expected strings, found numbers"),
            ("two", "expected one, found 2"),
            ("link", "a link into another file"),
            ("many", "too many strings"),
            ("long", "too much text"),
            ("absent", "has no 'absent'"),
        ):
            with pytest.raises(WeightsError, match=words):
                read_text(file, name, error=WeightsError)


@pytest.mark.parametrize("library", ["C's", "Python's"])
def test_a_heap_of_strings_that_leads_nowhere(tmp_path, monkeypatch, library):
    assert heaps._memmem() is not None
    if library == "Python's":
        monkeypatch.setattr(heaps, "_memmem", lambda: None)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["text"] = "a string of variable length"
        file["data"] = np.frombuffer(b"GCOL\x01\0\0\0" * 4, np.uint8)  # by chance, and at the end
    with open_h5(path) as file:
        assert "data" in file
    content = path.read_bytes()
    start = content.find(b"GCOL\x01\0\0\0")
    free = start + 16 + 16 + 32  # behind the only object
    assert content[free : free + 8] == bytes(8)
    path.write_bytes(content[: free + 8] + bytes(8) + content[free + 16 :])
    words = rf"the heap of its strings leads nowhere at byte {free}"
    with pytest.raises(DataError, match=words), open_h5(path):
        pass
    with open_h5(path, texts=False) as file:
        assert "data" in file


@pytest.mark.parametrize("at", [*range(0, 17), 4000, 4088, 4089, 4095])
def test_both_searches_find_the_same(tmp_path, monkeypatch, at):
    path, word = tmp_path / "a", b"GCOL\x01\0\0\0"
    path.write_bytes((bytes(at) + word + bytes(4096))[:4096])
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as data:
        found = [heaps._find(data, start) for start in (0, at, at + 1, 4095)]
        monkeypatch.setattr(heaps, "_memmem", lambda: None)
        assert found == [heaps._find(data, start) for start in (0, at, at + 1, 4095)]
        assert found[:3] == ([at, at, -1] if at + 8 <= 4096 else [-1] * 3)
