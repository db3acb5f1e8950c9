"""LMDB databases and the Datums in them."""

import sys

import numpy as np
import pytest
from demitasse.data import datum, pictures, records
from demitasse.errors import DataError, ImageError, OutputError
from demitasse.netspec import schema


def database(path, rows):
    with records.create(str(path)) as put:
        for key, value in rows:
            put(key, value)
    return str(path)


@pytest.fixture
def five(tmp_path):
    rows = [(b"%d" % i, b"value %d" % i) for i in (3, 1, 0, 4, 2)]
    return database(tmp_path / "db", rows)


def values(rows):
    return [int(value.split()[1]) for _, value in rows]


def test_rows_come_in_the_order_of_their_keys_and_without_end(five):
    rows = records.Records(five)
    assert rows.count == 5
    assert [values(rows.read(start, 3)) for start in (0, 3, 6)] == [[0, 1, 2], [3, 4, 0], [1, 2, 3]]
    assert values(rows.read(4, 1)) == [4]  # not where the last read ended
    assert values(rows.read(1, 7)) == [1, 2, 3, 4, 0, 1, 2]
    one, two = records.Records(five), records.Records(five)  # the same file twice in a process
    assert values(one.read(2, 2)) == values(two.read(2, 2)) == [2, 3]


def test_a_database_grows_past_its_first_size_and_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_FIRST_SIZE", 1 << 16)
    monkeypatch.setattr(records, "BATCH", 7)
    rows = [(b"%04d" % i, bytes([i % 256]) * 3000) for i in range(100)]
    assert records.Records(database(tmp_path / "db", rows)).read(0, 100) == rows


def test_a_database_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), records.create(str(tmp_path / "db")) as put:
        put(b"a", b"b")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    database(tmp_path / "db", [(b"a", b"b")])
    with pytest.raises(OutputError, match="exists already"), records.create(str(tmp_path / "db")):
        pass
    with pytest.raises(OutputError, match="does not exist"):
        records.check_new(str(tmp_path / "no" / "db"))
    with pytest.raises(OutputError, match="could not be written"):
        database(tmp_path / "keys", [(b"k" * 5000, b"")])


def test_refusals(tmp_path, five):
    def refused(path, match):
        with pytest.raises(DataError, match=match):
            records.Records(str(path))

    refused(tmp_path / "lost", "does not exist")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "is a folder without a database; expected an LMDB folder")
    (tmp_path / "empty" / "CURRENT").write_text("MANIFEST-1")
    refused(tmp_path / "empty", "is a LevelDB database.*convert_imageset")
    refused(database(tmp_path / "none", []), "holds no row")
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "data.mdb").write_bytes(b"junk" * 4096)
    refused(tmp_path / "junk", "cannot be read as LMDB")
    rows = records.Records(five)
    content = (tmp_path / "db" / "data.mdb").read_bytes()
    (tmp_path / "db" / "data.mdb").write_bytes(content[:-4096])
    refused(five, "data.mdb: is cut off; expected .* bytes")
    (tmp_path / "db" / "data.mdb").write_bytes(content)
    import lmdb

    with lmdb.open(five) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"5", b"")
    with pytest.raises(DataError, match="has changed while it was in use"):
        rows.read(0, 1)


def test_the_library_is_named_where_it_is_missing(five, monkeypatch):
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(DataError, match=r"pip install 'demitasse\[lmdb\]'"):
        records.Records(five)


# ---- Datum


def test_datums_of_bytes_floats_and_pictures():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (3, 4, 5)).astype(np.uint8)
    for wanted in (image, rng.standard_normal((2, 3, 1)).astype(np.float32)):
        got, label = datum.unpack(datum.pack(wanted, -7))
        np.testing.assert_array_equal(got, wanted)
        assert got.dtype == wanted.dtype and label == -7
    file = pictures.encode(image.transpose(1, 2, 0), "png", where="")
    got, label = datum.unpack(datum.pack_encoded(file, 2))
    np.testing.assert_array_equal(got, image)
    assert label == 2
    grey, _ = datum.unpack(datum.pack_encoded(file, 2), colour=False)
    assert grey.shape == (1, 4, 5)
    grey_file = pictures.encode(grey.transpose(1, 2, 0), "png", where="")
    stored = datum.pack_encoded(grey_file, 0)
    assert datum.unpack(stored)[0].shape == (1, 4, 5)
    assert (datum.unpack(stored, colour=True)[0] == grey).all()


def test_a_datum_has_bvlc_field_numbers():
    """channels 1, height 2, width 3, data 4, label 5, encoded 7, as on Caffe's wire."""
    packed = datum.pack(np.array([[[9, 8]]], np.uint8), 3)
    assert packed == bytes([8, 1, 16, 1, 24, 2, 34, 2, 9, 8, 40, 3, 56, 0])


def test_broken_datums_are_refused():
    with pytest.raises(DataError, match="db, 'k': is not a Datum"):
        datum.unpack(b"\xff\xff\xff", where="db, 'k'")
    short = schema.Datum(channels=3, height=2, width=2, data=b"12345").SerializeToString()
    with pytest.raises(DataError, match=r"expected 3 x 2 x 2 values .*, found 5"):
        datum.unpack(short)
    with pytest.raises(DataError, match="expected 0 x 0 x 0"):
        datum.unpack(b"")
    with pytest.raises(ImageError, match="is not a picture"):
        datum.unpack(datum.pack_encoded(b"hello", 0))
