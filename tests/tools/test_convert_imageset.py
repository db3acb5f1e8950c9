"""convert_imageset and compute_image_mean: images into a database, and their mean."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from demitasse.data import datum, pictures, records
from demitasse.data.blobproto import read_blob
from demitasse.data.resize import bilinear
from demitasse.errors import DataError, DemitasseError, ImageError, OutputError
from demitasse.netspec import schema
from demitasse.tools import compute_image_mean, convert_imageset

ROOT = Path(__file__).resolve().parents[2]


def image(k, shape=(6, 8, 3)):
    return np.random.default_rng(k).integers(0, 256, shape).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Four colour images, labels 10 to 13, and the folder as the current one."""
    monkeypatch.chdir(tmp_path)
    Path("img").mkdir()
    for k in range(4):
        Path(f"img/{k}.PNG").write_bytes(pictures.encode(image(k), "png", where=""))
    Path("list.txt").write_text("".join(f"{k}.PNG {k + 10}\n" for k in range(4)))
    return tmp_path


def convert(*options):
    return convert_imageset.main([*options, "img/", "list.txt", "db"])


def stored(path="db"):
    rows = records.Records(path)
    return [(key.decode(), *datum.unpack(value)) for key, value in rows.read(0, rows.count)]


def message(row=0):
    return schema.Datum.FromString(records.Records("db").read(row, 1)[0][1])


def test_images_and_labels_are_stored_under_caffes_keys(folder, capsys):
    assert convert() == 0
    assert capsys.readouterr().out == "db: 4 images\n"
    for k, (key, pixels, label) in enumerate(stored()):
        assert (key, label) == (f"{k:08d}_{k}.PNG", k + 10)
        np.testing.assert_array_equal(pixels, image(k).transpose(2, 0, 1))
    assert sorted(os.listdir("db")) == ["data.mdb", "lock.mdb"] and sorted(os.listdir()) == [
        "db",
        "img",
        "list.txt",
    ]
    assert not message().encoded


def test_gray_and_resized(folder):
    convert("-gray", "--resize_height", "5", "--resize_width=3")
    wanted = bilinear(pictures.read("img/2.PNG", colour=False), 5, 3).transpose(2, 0, 1)
    np.testing.assert_array_equal(stored()[2][1], wanted)


def test_shuffled_by_its_seed(folder):
    orders = []
    for seed in "1122345":
        convert("--shuffle", "--seed", seed)
        orders.append(tuple(label for _, _, label in stored()))
        assert all(key.endswith(f"_{label - 10}.PNG") for key, _, label in stored())
        os.rename("db", f"db{len(orders)}")
    assert orders[0] == orders[1] and orders[2] == orders[3] and len(set(orders)) > 2
    assert all(sorted(order) == [10, 11, 12, 13] for order in orders)


def test_encoded_keeps_files_of_the_kind_and_encodes_others(folder):
    convert("--encoded")
    assert message().encoded and message().data == Path("img/0.PNG").read_bytes()
    np.testing.assert_array_equal(stored()[1][1], image(1).transpose(2, 0, 1))
    os.rename("db", "one")
    convert("--encode_type", "bmp")  # implies encoded
    assert message().encoded and message().data[:2] == b"BM" and message().label == 10
    np.testing.assert_array_equal(stored()[1][1], image(1).transpose(2, 0, 1))
    os.rename("db", "two")
    convert("--encoded", "--gray")
    assert message().data != Path("img/0.PNG").read_bytes()
    assert stored()[0][1].shape == (1, 6, 8)


def test_unreadable_images_stop_the_work_or_are_named(folder, capsys):
    Path("img/1.PNG").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"img/1\.PNG: is not a picture.*--skip-unreadable goes"):
        convert()
    assert not Path("db").exists()
    convert("--skip-unreadable")
    said = capsys.readouterr()
    assert said.err.startswith("skipped: img/1.PNG: is not a picture") and "3 images" in said.out
    assert [key for key, _, _ in stored()] == ["00000000_0.PNG", "00000002_2.PNG", "00000003_3.PNG"]
    for k in range(4):
        Path(f"img/{k}.PNG").write_bytes(b"no picture")
    os.rename("db", "one")
    with pytest.raises(DataError, match="no image could be read"):
        convert("--skip-unreadable")


def test_refusals(folder):
    Path("img/1.PNG").write_bytes(pictures.encode(image(1, (5, 5, 3)), "png", where=""))
    with pytest.raises(DataError, match=r"expected 6 x 8 x 3, found 5 x 5 x 3.*--resize_height"):
        convert("--check_size")
    with pytest.raises(DemitasseError, match="--resize_height and --resize_width go together"):
        convert("--resize_width", "3")
    with pytest.raises(DemitasseError, match="expected --backend lmdb, found leveldb"):
        convert("-backend", "leveldb")
    with pytest.raises(ImageError, match="cannot be written as 'xyz'"):
        convert("--encode_type", "xyz")
    convert()
    with pytest.raises(OutputError, match="db: exists already"):
        convert()


# ---- compute_image_mean


def wanted_mean():
    return np.mean([image(k).transpose(2, 0, 1) for k in range(4)], axis=0)


def test_the_mean_of_a_database_as_caffe_writes_it(folder, capsys):
    convert()
    capsys.readouterr()
    assert compute_image_mean.main(["db", "mean.binaryproto"]) == 0
    mean = read_blob("mean.binaryproto")
    assert mean.shape == (1, 3, 6, 8) and mean.dtype == np.float32
    np.testing.assert_allclose(mean[0], wanted_mean(), rtol=1e-6)
    proto = schema.BlobProto.FromString(Path("mean.binaryproto").read_bytes())
    assert (proto.num, proto.channels, proto.height, proto.width) == (1, 3, 6, 8)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Number of channels: 3"
    for c in range(3):
        name, value = lines[1 + c].split(": ")
        assert name == f"mean_value channel [{c}]"
        assert abs(float(value) - wanted_mean()[c].mean()) < 1e-3


def test_the_mean_of_encoded_rows_and_of_a_list_is_the_same(folder):
    convert("--encoded")
    compute_image_mean.main(["-backend=lmdb", "db", "one"])
    compute_image_mean.main(["--root", "img/", "list.txt", "two"])
    np.testing.assert_array_equal(read_blob("one"), read_blob("two"))
    compute_image_mean.main(
        ["--root=img/", "-gray", "-resize_height=2", "-resize_width=2", "list.txt", "small"]
    )
    assert read_blob("small").shape == (1, 1, 2, 2)
    assert compute_image_mean.main(["--root", "img/", "list.txt"]) == 0  # prints only


def test_the_mean_of_floats(folder):
    with records.create("db") as put:
        for k in range(3):
            put(b"%d" % k, datum.pack(np.full((2, 1, 1), k - 0.5, np.float32), 0))
    compute_image_mean.main(["db", "mean"])
    assert read_blob("mean").tolist() == [[[[0.5]], [[0.5]]]]


def test_mean_refusals(folder):
    convert()
    with pytest.raises(DataError, match="is a database: its images are taken as they are"):
        compute_image_mean.main(["--gray", "db"])
    with pytest.raises(OutputError, match="does not exist"):
        compute_image_mean.main(["db", "no/mean"])
    Path("img/3.PNG").write_bytes(pictures.encode(image(1, (5, 5, 3)), "png", where=""))
    with pytest.raises(DataError, match=r"img/3\.PNG: has another size.*--resize_height"):
        compute_image_mean.main(["--root", "img/", "list.txt", "mean"])
    assert not Path("mean").exists()


def test_both_run_as_scripts(folder):
    for tool, options in (
        ("convert_imageset", ["img/", "list.txt", "db"]),
        ("compute_image_mean", ["db", "mean"]),
        ("compute_image_mean", ["lost", "mean"]),
    ):
        command = [sys.executable, str(ROOT / "tools" / f"{tool}.py"), *options]
        done = subprocess.run(command, capture_output=True, text=True)
        if options[0] == "lost":
            assert done.returncode == 2 and done.stderr.startswith("error: lost: does not exist")
        else:
            assert (done.returncode, done.stderr) == (0, "")
