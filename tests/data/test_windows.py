"""Lists of images, window files, and how windows are laid."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse.data.image_list import read_image_list
from demitasse.data.resize import bilinear
from demitasse.data.windows import fit, read_windows
from demitasse.errors import DataError

GOLDEN = Path(__file__).parent.parent / "golden" / "opencv.h5"


def written(tmp_path, content):
    path = tmp_path / "list.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


def test_an_image_list(tmp_path):
    path = written(tmp_path, "a b/c.png 3\r\nd.png -1\n\n\xe9.png 0")
    assert read_image_list(path) == [("a b/c.png", 3), ("d.png", -1), ("\xe9.png", 0)]


@pytest.mark.parametrize(
    "content, match",
    [
        ("", r"is empty \(0 bytes\)"),
        (" \n", "names no image"),
        ("a.png 1\nb.png\n", r"list.txt:2: does not name an image and its label; .* found b.png"),
        ("a.png 1.5", "found a.png 1.5"),
        ("a.png\t1", "does not name an image and its label"),
        ("a.png 9999999999", "does not name"),
        (" 7", "does not name"),
        (b"\x89HDF\0\0", "is not a text file"),
    ],
)
def test_bad_image_lists(tmp_path, content, match):
    with pytest.raises(DataError, match=match):
        read_image_list(written(tmp_path, content))


WINDOWS = """# 0
a.png 3 40 50 3
7 0.5 1 2 3 4
8 0.25 0 0 9 9
9 0.3 0 0 9 9
# 1
b.png 3 10 10 0
# 2
c.png 3
20 20 2
1 1.0 0 0 5 5   2 0 1 1 6 7
"""


def test_windows_are_told_apart_by_their_overlap(tmp_path):
    found = read_windows(written(tmp_path, WINDOWS), 0.5, 0.3)
    assert found.paths == ("a.png", "b.png", "c.png")
    assert found.objects.tolist() == [[0, 7, 1, 2, 3, 4], [2, 1, 0, 0, 5, 5]]
    # 0.3 is not below 0.3, also in the float32 that Caffe compares in
    assert found.background.tolist() == [[0, 0, 0, 0, 9, 9], [2, 0, 1, 1, 6, 7]]


@pytest.mark.parametrize(
    "old, new, match",
    [
        (WINDOWS, " ", "is empty; expected `# index`"),
        ("# 1", "# 2", "image 1: is not where it should be; found # 2"),
        ("# 0", "0", "image 0: is not where it should be"),
        ("b.png 3", "b.png 1", "image 1: is not in colour; expected 3 channels, found 1"),
        ("7 0.5", "0 0.5", "shows an object, but of no class"),
        ("7 0.5", "7.5 0.5", "image 0: cannot be understood"),
        ("7 0.5", "cat 0.5", "image 0: cannot be understood"),
        ("7 0.5", "7 nan", "cannot be understood"),
        ("1 1 6 7", "1 1 6", "image 2: cannot be understood"),
        ("1 2 3 4", "3 2 1 4", "has a window that ends before it begins"),
        ("10 10 0", "10 10 -1", "image 1: cannot be understood"),
    ],
)
def test_bad_window_files(tmp_path, old, new, match):
    with pytest.raises(DataError, match=match):
        read_windows(written(tmp_path, WINDOWS.replace(old, new)), 0.5, 0.3)


@pytest.mark.parametrize("fg, bg, kind", [(2, 0.3, "objects"), (0.5, 0, "background")])
def test_both_kinds_are_wanted(tmp_path, fg, bg, kind):
    with pytest.raises(DataError, match=f"has no window of {kind}"):
        read_windows(written(tmp_path, WINDOWS), fg, bg)


def test_windows_lie_as_in_caffe():
    """Recorded: cut, resized and laid by OpenCV as window_data_layer.cpp says."""
    with h5py.File(GOLDEN) as file:
        image, cases = file["window/image"][...], [n for n in file["window"] if n.isdigit()]
        assert len(cases) == 24
        for case in cases:
            got, wanted = laid(image, file["window/mean"][...], file[f"window/{case}"])
            np.testing.assert_array_equal(got, wanted, case)


def laid(image, mean, case):
    wanted, mirrored = case["out"][...], bool(case.attrs["mirrored"])
    place = fit(
        tuple(int(v) for v in case.attrs["box"]),
        image.shape[:2],
        14,
        context_pad=int(case.attrs["context_pad"]),
        square=bool(case.attrs["square"]),
        mirrored=mirrored,
        dtype=np.float32,
        where="",
    )
    x1, y1, x2, y2 = place.part
    part = bilinear(image[y1 : y2 + 1, x1 : x2 + 1], *place.size)
    part = part[:, ::-1] if mirrored else part
    out, (top, left), (height, width) = np.zeros_like(wanted), place.at, place.size
    there = (slice(None), slice(top, top + height), slice(left, left + width))
    out[there] = part.transpose(2, 0, 1)
    out[there] -= mean[:, 2:16, 2:16][there]
    out[there] *= np.float32(0.5)
    return out, wanted


def test_a_window_outside_its_image_is_refused():
    settings = {"context_pad": 0, "square": False, "mirrored": False, "dtype": np.float32}
    with pytest.raises(DataError, match=r"a\.png: has a window that does not lie in it; expected"):
        fit((0, 0, 10, 5), (10, 10), 7, **settings, where="a.png")
    with pytest.raises(DataError, match="does not lie in it"):
        fit((30, 30, 35, 35), (10, 10), 7, **{**settings, "context_pad": 1}, where="a.png")
    whole = fit((0, 0, 9, 5), (10, 10), 7, **settings, where="")
    assert (whole.part, whole.size, whole.at) == ((0, 0, 9, 5), (7, 7), (0, 0))
