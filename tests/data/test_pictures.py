"""Pictures and their sizes, against what OpenCV makes of the same files (tests/golden)."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse.data import pictures
from demitasse.data.resize import bilinear
from demitasse.errors import ImageError

GOLDEN = Path(__file__).parent.parent / "golden" / "opencv.h5"
with h5py.File(GOLDEN) as recorded:
    FILES, SIZES = list(recorded["decode"]), list(recorded["resize"])


@pytest.mark.parametrize("kind, colour", [("colour", True), ("grey", False), ("stored", None)])
@pytest.mark.parametrize("name", FILES)
def test_decoded_as_by_opencv(name, kind, colour):
    with h5py.File(GOLDEN) as file:
        content, wanted = file[f"decode/{name}/file"][...].tobytes(), file[f"decode/{name}/{kind}"]
        if wanted.dtype != np.uint8:
            with pytest.raises(ImageError, match="16 bits a channel"):
                pictures.decode(content, colour=colour, where=name)
            return
        got = pictures.decode(content, colour=colour, where=name)
        assert got.shape == wanted.shape and got.dtype == np.uint8 and got.flags.c_contiguous
        apart = np.abs(got.astype(int) - wanted[...]).max()
    assert apart <= (1 if name.startswith("jpeg") or (name, kind) == ("png_48bit", "grey") else 0)


@pytest.mark.parametrize("case", SIZES)
def test_resized_as_by_opencv(case):
    with h5py.File(GOLDEN) as file:
        before, after = file[f"resize/{case}/in"][...], file[f"resize/{case}/out"][...]
    np.testing.assert_array_equal(bilinear(before, *after.shape[:2]), after)


def test_files_are_read_and_resized(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    path = tmp_path / "a.png"
    path.write_bytes(pictures.encode(picture, "png", where="a"))
    np.testing.assert_array_equal(pictures.read(str(path)), picture)
    np.testing.assert_array_equal(pictures.read(str(path), size=(3, 5)), bilinear(picture, 3, 5))
    grey = picture[..., :1]
    path.write_bytes(pictures.encode(grey, "PNG", where="a"))
    np.testing.assert_array_equal(pictures.read(str(path), colour=None), grey)
    flat = np.full((16, 16, 3), (10, 100, 200), np.uint8)
    jpeg = pictures.decode(pictures.encode(flat, "jpg", where="a"), colour=True, where="a")
    assert np.abs(jpeg.astype(int) - flat).max() <= 2


def test_refusals(tmp_path):
    def refused(content, match, colour=True):
        path = tmp_path / "p"
        path.write_bytes(content)
        with pytest.raises(ImageError, match=match) as caught:
            pictures.read(str(path), colour=colour)
        assert str(path) in str(caught.value)

    refused(b"", "is not a picture; found an empty file")
    refused(b"hello world", 'is not a picture; found a file that begins with "hello wo"')
    whole = pictures.encode(np.zeros((40, 40, 3), np.uint8) + 7, "png", where="")
    refused(whole[: len(whole) // 2], "cannot be decoded")
    with pytest.raises(ImageError, match=r"lost\.png: cannot be read"):
        pictures.read(str(tmp_path / "lost.png"))
    with pytest.raises(ImageError, match="cannot be written as 'xyz'"):
        pictures.encode(np.zeros((2, 2, 3), np.uint8), "xyz", where="")


def test_floating_point_pictures_are_refused(tmp_path):
    import tifffile

    path = tmp_path / "f.tif"
    tifffile.imwrite(path, np.zeros((4, 4), np.float32))
    with pytest.raises(ImageError, match="holds floating point numbers"):
        pictures.read(str(path))
