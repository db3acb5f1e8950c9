"""Rows from HDF5 files: order, borders, shuffling, resuming, and what a user can get wrong."""

from __future__ import annotations

from itertools import pairwise

import h5py
import numpy as np
import pytest
from demitasse.data.hdf5 import HDF5Rows, Position, read_list
from demitasse.errors import DataError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def write(path, **datasets):
    with h5py.File(path, "w") as file:
        for name, value in datasets.items():
            file[name] = value


def numbered(folder, *lengths):
    """Files a, b, ... of consecutively numbered rows, and the list that names them."""
    start, words = 0, []
    for letter, n in zip("abcdef", lengths, strict=False):
        rows = np.arange(start, start + n)
        write(folder / letter, x=np.stack([rows, -rows], 1).astype("f4"), label=rows.astype("u1"))
        words.append(letter)
        start += n
    (folder / "list").write_text("\n".join(words))


def take(source, batch):
    x, label = np.full((batch, 2), np.nan, "f4"), np.full(batch, np.nan, "f4")
    source.read([x, label])
    np.testing.assert_array_equal(x, np.stack([label, -label], 1))
    return [int(i) for i in label]


def rows(folder, **settings):
    return HDF5Rows("list", ["x", "label"], folder=str(folder), **settings)


def test_rows_in_order_across_borders_and_around(tmp_path):
    numbered(tmp_path, 3, 1, 2)
    source = rows(tmp_path)
    assert source.row_shapes == ((2,), ())
    assert [take(source, 4) for _ in range(4)] == [
        [0, 1, 2, 3],
        [4, 5, 0, 1],
        [2, 3, 4, 5],
        [0, 1, 2, 3],
    ]
    assert take(source, 17) == [4, 5, *range(6), *range(6), 0, 1, 2]
    assert source.position == Position(5, 1, 0)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    batch=st.integers(1, 4),
    ranks=st.integers(1, 4),
    shuffle=st.booleans(),
    rounds=st.integers(1, 6),
)
def test_processes_share_all_rows_batch_by_batch(tmp_path, lengths, batch, ranks, shuffle, rounds):
    numbered(tmp_path, *lengths)
    common = {"batch": batch, "shuffle": shuffle, "key": (3, 1)}
    shares = [rows(tmp_path, rank=r, ranks=ranks, **common) for r in range(ranks)]
    together = [take(share, batch) for _ in range(rounds) for share in shares]
    alone = rows(tmp_path, **common)
    assert together == [take(alone, batch) for _ in range(rounds * ranks)]
    assert {share.position for share in shares} == {alone.position}
    late = rows(tmp_path, rank=ranks - 1, ranks=ranks, **common)
    late.position = alone.position
    for _ in range(ranks - 1):
        take(alone, batch)
    assert late.origin(late.position, batch) == alone.origin(alone.position, batch)
    assert take(late, batch) == take(shares[-1], batch)


def test_processes_share_files_of_other_sizes(tmp_path):
    for name, size in (("a", 2), ("b", 3), ("c", 4)):
        write(tmp_path / name, x=np.full((2, size), size))
    (tmp_path / "list").write_text("a b c")
    for rank in range(2):
        share = HDF5Rows("list", ["x"], folder=str(tmp_path), batch=1, rank=rank, ranks=2)
        sizes = []
        for _ in range(4):
            shape = share.next_shapes[0]
            out = np.zeros((1, *shape), "f4")
            share.read([out])
            assert (out == shape[0]).all()
            sizes.append(shape[0])
        assert sizes == [2, 3, 4, 2]


def test_single_file_is_read_once_and_only_one_is_in_memory(tmp_path, monkeypatch):
    from demitasse import h5

    numbered(tmp_path, 3)
    loads = []
    read = h5.read_dataset
    monkeypatch.setattr(h5, "read_dataset", lambda *a, **k: loads.append(a[1]) or read(*a, **k))
    source = rows(tmp_path)
    assert loads == []
    for _ in range(5):
        take(source, 2)
    assert loads == ["x", "label"]
    numbered(tmp_path, 3, 2)
    source = rows(tmp_path)
    take(source, 10)
    assert len(loads) == 2 + 4 * 2 and len(source._loaded[1]) == 2


def test_shuffle_permutes_files_and_rows_each_epoch(tmp_path):
    numbered(tmp_path, 4, 3, 5)
    epochs = []
    source = rows(tmp_path, shuffle=True, key=(1, 2))
    for _ in range(6):
        epoch = take(source, 12)
        assert sorted(epoch) == list(range(12))
        groups = ["a" if i < 4 else "b" if i < 7 else "c" for i in epoch]
        assert len([1 for p, q in pairwise(groups) if p != q]) == 2
        epochs.append((tuple(dict.fromkeys(groups)), tuple(epoch)))
    assert len({order for _, order in epochs}) == 6
    assert len({files for files, _ in epochs}) > 1
    again = rows(tmp_path, shuffle=True, key=(1, 2))
    assert take(again, 24) == [*epochs[0][1], *epochs[1][1]]
    assert take(rows(tmp_path, shuffle=True, key=(1, 3)), 12) != list(epochs[0][1])
    assert take(rows(tmp_path, shuffle=True, key=(-1, 2)), 12) != list(epochs[0][1])


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_position_is_taken_up_again(tmp_path, shuffle):
    numbered(tmp_path, 4, 3, 5)
    one = rows(tmp_path, shuffle=shuffle)
    for _ in range(9):
        take(one, 5)
        other = rows(tmp_path, shuffle=shuffle)
        take(other, 1)  # wherever it was before
        other.position = one.position
        assert take(other, 13) == take(one, 13)


@pytest.mark.parametrize("bad", [(0, 2, 0), (0, 0, 4), (0, 1, 1), (-1, 0, 0), (0, 0, -1)])
def test_a_position_that_the_data_lack_is_refused(tmp_path, bad):
    numbered(tmp_path, 4, 1)
    source = rows(tmp_path)
    with pytest.raises(DataError, match="has changed since the snapshot"):
        source.position = Position(*bad)
    assert source.position == Position()


def test_types_are_converted_and_paths_may_stand_in_any_white_space(tmp_path):
    for name, dtype in [("a", "u1"), ("b", "f8"), ("c", ">i8"), ("d", "f2")]:
        write(tmp_path / name, x=np.arange(2, dtype=dtype))
    (tmp_path / "list").write_text(f"a  b\r\n\r\n\tc\n{tmp_path / 'd'}\n")
    assert read_list("list", str(tmp_path)) == [str(tmp_path / name) for name in "abcd"]
    out = np.zeros(8, "f8")
    HDF5Rows(str(tmp_path / "list"), ["x"], folder=str(tmp_path), dtype="f8").read([out])
    assert out.tolist() == [0, 1] * 4


def test_relative_paths_start_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    numbered(tmp_path, 2)
    (tmp_path / "sub" / "list").write_text("a")
    monkeypatch.chdir(tmp_path)
    assert take(HDF5Rows("sub/list", ["x", "label"]), 2) == [0, 1]


def refused(tmp_path, *words, names=("x", "label")):
    with pytest.raises(DataError) as caught:
        HDF5Rows("list", names, folder=str(tmp_path))
    for word in (str(tmp_path), *words):
        assert word in str(caught.value), str(caught.value)


def test_lists_that_are_no_lists(tmp_path):
    refused(tmp_path, "list", "does not exist")
    (tmp_path / "list").write_bytes(b"")
    refused(tmp_path, "list", "is empty (0 bytes)")
    (tmp_path / "list").write_text(" \n\r\n\t")
    refused(tmp_path, "list", "names no file")
    write(tmp_path / "list", x=np.zeros(3))
    refused(tmp_path, "list", "but an HDF5 file")
    (tmp_path / "list").write_bytes(b"\xff\xfe\x00")
    refused(tmp_path, "is not a text file")


def test_files_that_cannot_be_used(tmp_path):
    (tmp_path / "list").write_text("a b")
    write(tmp_path / "a", x=np.zeros((2, 3)), label=np.zeros(2))
    refused(tmp_path, "/b", "does not exist", "list' lists it")
    (tmp_path / "b").write_bytes((tmp_path / "a").read_bytes()[:-100])
    refused(tmp_path, "/b", "is cut off")
    (tmp_path / "b").write_text("x")
    refused(tmp_path, "/b", "is not an HDF5 file")


@pytest.mark.parametrize(
    ("second", "words"),
    [
        ({"x": np.zeros((2, 3)), "labels": np.zeros(2)}, ["has no 'label'", "labels, x"]),
        ({"x": np.zeros((2, 3)), "label/a": np.zeros(2)}, ["'label'", "is a group"]),
        ({"x": np.zeros((2, 3)), "label": np.zeros(3)}, ["expected 2 in 'label'", "found 3"]),
        ({"x": np.float32(0), "label": np.zeros(2)}, ["'x'", "is a single number"]),
        ({"x": np.zeros((0, 3)), "label": np.zeros(0)}, ["'x'", "has no rows"]),
        ({"x": np.zeros((2, 3), "c8"), "label": np.zeros(2)}, ["'x'", "complex"]),
        ({"x": np.zeros((2, 3)), "label": np.array([b"a"] * 2)}, ["'label'", "strings"]),
        ({"x": np.zeros((2, 4)), "label": np.zeros(2)}, ["'x'", "expected (3,)", "found (4,)"]),
        ({"x": np.zeros((2, 3)), "label": np.zeros((2, 1))}, ["'label'", "another shape"]),
    ],
)
def test_unlike_files_are_refused_at_the_start(tmp_path, second, words):
    write(tmp_path / "a", x=np.zeros((2, 3)), label=np.zeros(2))
    write(tmp_path / "b", **second)
    (tmp_path / "list").write_text("a b")
    refused(tmp_path, str(tmp_path / "b"), *words)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite_are_named(tmp_path, value):
    x = np.zeros((3, 2, 4))
    x[1, 0, 3] = value
    write(tmp_path / "a", x=x)
    (tmp_path / "list").write_text("a")
    source = HDF5Rows("list", ["x"], folder=str(tmp_path))
    with pytest.raises(DataError, match=r"/a, 'x'.* in row 1 at \(0, 3\)"):
        source.read([np.zeros((1, 2, 4), "f4")])


def test_a_file_that_changes_under_the_training(tmp_path):
    numbered(tmp_path, 2, 2)
    source = rows(tmp_path)
    take(source, 2)
    write(tmp_path / "b", x=np.zeros((3, 2)), label=np.zeros(3))
    with pytest.raises(DataError, match="has changed"):
        take(source, 1)
