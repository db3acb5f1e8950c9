"""Many images at once, and results that exist"""

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from demitasse.imaging import tiff
from demitasse.tools import _writing, deploy, pack

pytestmark = pytest.mark.usefixtures("trained")

MODEL = ["--weights", "tiny.h5"]


@pytest.fixture
def plate():
    """A folder of three good images."""
    folder = Path("plate")
    folder.mkdir()
    for name in ("a1.tif", "a2.tif", "a3.tif"):
        image = np.random.default_rng(0).integers(0, 255, (1, 30, 40)).astype(np.uint8)
        tiff.write(folder / name, image)
    return folder


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "cannot be read as TIFF"),
        (lambda path: path.write_bytes(b""), "is empty (0 bytes)"),
        (lambda path: tifffile.imwrite(path, np.full((9, 9), np.nan, "f4")), "are not finite"),
        (lambda path: tifffile.imwrite(path, np.zeros((9, 9, 4), "u1")), "number of channels"),
    ],
)  # fmt: skip
def test_one_bad_file_in_a_batch(spoil, words, plate, run):
    """One file of a batch is cut off or empty, holds NaN, or has other channels.
    The others are segmented; a table at the end says why that one was not; exit code 1.
    """
    spoil(plate / "a2.tif")
    ended = run(deploy.main, *MODEL, *(plate / f"a{n}.tif" for n in (1, 2, 3)))
    assert ended.code == 1
    assert "2 of 3 images done; refused: plate/a2.tif" in ended.out
    (row,) = [line for line in ended.out.splitlines() if "  refused: " in line]
    assert row.startswith("plate/a2.tif") and words.split(": ")[-1] in row
    assert ended.err.count("error: ") == 1 and words in ended.err
    for name in ("a1", "a3"):
        assert tifffile.imread(plate / f"{name}.labels.tif").shape == (30, 40)
    assert not (plate / "a2.labels.tif").exists()


def test_a_fault_of_ours_in_a_batch(plate, run, monkeypatch):
    """One file of a batch meets a mistake in demitasse.
    The others are segmented; the table says so, and what to do to see where; exit code 1.
    """
    found = _writing.info

    def info(deployed, made, kind, args):
        if made.image.path.name == "a2.tif":
            raise UnicodeError("odd")
        return found(deployed, made, kind, args)

    monkeypatch.setattr(_writing, "info", info)
    ended = run(deploy.main, *MODEL, *(plate / f"a{n}.tif" for n in (1, 2, 3)))
    assert ended.code == 1 and "2 of 3 images done; refused: plate/a2.tif" in ended.out
    said = "plate/a2.tif: a fault of demitasse (UnicodeError: odd). Give this file alone to see"
    assert said in ended.err and said.split(": ", 1)[1] in ended.out
    with pytest.raises(UnicodeError):
        run(deploy.main, *MODEL, plate / "a2.tif", "--overwrite")


def test_a_batch_of_bad_files_only(run):
    """No file of a batch can be read.
    Each is named with its reason; exit code 1.
    """
    ended = run(deploy.main, *MODEL, "no.tif", "nor.tif")
    assert ended.code == 1 and "0 of 2 images done; refused: no.tif, nor.tif" in ended.out


def test_a_pattern_that_matches_nothing(refused):
    """A pattern or a folder holds no image.
    Refused before the model is read.
    """
    assert "*.tiff: matches no file" in refused(deploy.main, "--weights", "no.h5", "*.tiff")
    Path("none").mkdir()
    assert "none: holds no TIFF or PNG" in refused(deploy.main, "--weights", "no.h5", "none")


# ---------------------------------------------------------------------- results


def test_a_result_that_exists(refused, run):
    """A result of that name exists.
    Refused before any work unless --overwrite is given; the file stays as it was.
    """
    Path("img.labels.tif").write_text("precious")
    said = refused(deploy.main, *MODEL, "img.tif")
    assert "img.labels.tif: exists already. Give --overwrite or name another file" in said
    assert Path("img.labels.tif").read_text() == "precious"
    assert run(deploy.main, *MODEL, "img.tif", "--overwrite").code == 0
    assert tifffile.imread("img.labels.tif").shape == (40, 50)


def test_a_result_that_would_replace_an_image(refused):
    """A result would have the name of an image of the same batch.
    Refused, also with --overwrite; the image stays as it was.
    """
    before = Path("img.tif").read_bytes()
    Path("img.labels.tif").write_bytes(before)
    said = refused(deploy.main, *MODEL, "img.tif", "img.labels.tif", "--overwrite")
    assert "img.labels.tif: would overwrite an image to be read" in said
    assert Path("img.labels.tif").read_bytes() == before


def test_a_result_that_is_a_link_to_its_image(run):
    """The result's name is a link to an image.
    The link is replaced with --overwrite, never what it points to.
    """
    before = Path("img.tif").read_bytes()
    os.symlink("img.tif", "copy.labels.tif")
    Path("copy.tif").write_bytes(before)
    assert run(deploy.main, *MODEL, "copy.tif", "--overwrite").code == 0
    assert not Path("copy.labels.tif").is_symlink() and Path("img.tif").read_bytes() == before


def test_two_images_with_one_result(refused):
    """Two images of one name, from two folders, would be written to one file.
    Refused with both.
    """
    for folder in ("one", "two", "out"):
        Path(folder).mkdir()
        Path(folder, "img.tif").write_bytes(Path("img.tif").read_bytes())
    said = refused(deploy.main, *MODEL, "one/img.tif", "two/img.tif", "-o", "out")
    assert "two images would be written to one file" in said
    assert "one/img.tif and two/img.tif" in said


def test_a_folder_for_results_that_is_not_there(refused):
    """The folder for results does not exist.
    Refused before any work, with the command that makes it.
    """
    said = refused(deploy.main, *MODEL, "img.tif", "-o", "no where")
    assert (
        "no where: the folder to write into does not exist. Make it (mkdir -p 'no where')" in said
    )


def unwritable(folder):
    """A folder that even root cannot write into."""
    folder.mkdir()
    if os.geteuid() == 0:
        return Path("/sys")
    folder.chmod(0o500)
    return folder


def test_a_folder_for_results_that_cannot_be_written(refused):
    """The folder for results may not be written.
    Refused before any work.
    """
    folder = unwritable(Path("locked"))
    said = refused(deploy.main, *MODEL, "img.tif", "-o", folder)
    assert f"{folder}: the folder cannot be written (Permission denied)" in said


def test_a_failure_in_the_middle_of_a_result(run, monkeypatch):
    """Something failed while a result of many pages was written.
    Nothing is there afterwards: neither a part of the result nor a temporary file.
    """
    stack = np.random.default_rng(0).integers(0, 255, (4, 30, 40)).astype(np.float32)
    stack[2, 5, 5] = np.nan
    tifffile.imwrite("stack.tif", stack, photometric="minisblack")
    before = sorted(os.listdir())
    ended = run(deploy.main, *MODEL, "stack.tif")
    assert ended.code == 2 and "stack.tif, page 2: 1 of 1200 pixels are not finite" in ended.err
    assert sorted(os.listdir()) == before


def test_data_for_training_that_exist(refused):
    """Training data of that name exist.
    Refused before any work unless --overwrite is given; they stay as they were.
    """
    before = Path("train.h5").read_bytes()
    given = ["--images", "img.tif", "--labels", "img.tif", "--output", "train.h5"]
    assert "train.h5: exists already" in refused(pack.main, *given)
    assert Path("train.h5").read_bytes() == before
