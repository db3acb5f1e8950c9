"""Images: sizes, memory and grey values"""

import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile
from demitasse.imaging import tiff
from demitasse.tools import deploy

pytestmark = pytest.mark.usefixtures("trained")

MODEL = ["--weights", "tiny.h5"]


@pytest.fixture
def segmented(run):
    """Segment an array; how the command ended, and the labels."""

    def segmented(array, *argv):
        tifffile.imwrite("a.tif", array, photometric="minisblack")
        ended = run(deploy.main, *MODEL, "a.tif", *argv)
        assert ended.code == 0, ended.err
        return ended, tifffile.imread("a.labels.tif")

    return segmented


def noise(*shape):
    return np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 3), (7, 7)])
@pytest.mark.parametrize("average", ["none", "all"])
def test_an_image_smaller_than_a_tile(shape, average, segmented):
    """An image is smaller than a tile, even a single pixel, so that the mirrored border is wider.
    Segmented at its own size; the border is mirrored as often as it takes.
    """
    _, labels = segmented(noise(*shape), "--average", average)
    assert labels.shape == shape and set(np.unique(labels)) <= {0, 1}


def test_an_image_of_one_value(segmented):
    """Every pixel of an image has the same value.
    Segmented without dividing by zero, with a warning that there is nothing to tell apart.
    """
    ended, labels = segmented(np.full((30, 40), 7, np.uint8), "--normalization", "min-max")
    assert labels.shape == (30, 40)
    words = "warning: a.tif, page 0: every pixel is 7: there is nothing to tell apart"
    assert ended.err.strip() == words


def test_pixels_that_are_not_finite(refused):
    """A floating-point TIFF holds NaN or infinity.
    Refused with how many and where the first is; nothing is written.
    """
    image = noise(30, 40).astype(np.float32)
    image[3, 5], image[9, 9] = np.inf, np.nan
    tifffile.imwrite("a.tif", image)
    said = refused(deploy.main, *MODEL, "a.tif")
    assert "a.tif, page 0: 2 of 1200 pixels are not finite numbers" in said
    assert "the first is inf at channel 0, y 3, x 5" in said and "--nonfinite zero" in said
    with pytest.raises(FileNotFoundError):
        tifffile.imread("a.labels.tif")


def test_pixels_that_are_not_finite_count_as_zero_where_asked(segmented):
    """NaN pixels, and --nonfinite zero was given.
    Segmented, with a warning; they have no part in the normalisation.
    """
    image = noise(30, 40).astype(np.float32)
    image[3, 5] = np.nan
    ended, labels = segmented(image, "--nonfinite", "zero")
    assert "warning: a.tif, page 0: pixels that are not finite count as 0" in ended.err
    assert labels.shape == (30, 40)


def test_an_image_of_nothing_but_nan(segmented):
    """Every pixel is NaN, and --nonfinite zero was given.
    Segmented as an image of one value, with both warnings.
    """
    ended, labels = segmented(np.full((9, 9), np.nan, np.float32), "--nonfinite", "zero")
    assert ended.err.count("warning: a.tif, page 0") == 2 and labels.shape == (9, 9)


def test_pixels_beyond_what_the_net_computes_with(refused):
    """A TIFF of doubles holds 1e300.
    Refused with the largest value, instead of blaming the weights.
    """
    tifffile.imwrite("a.tif", noise(20, 20) * 1e300)
    said = refused(deploy.main, *MODEL, "a.tif")
    assert "a.tif, page 0: normalised, it holds values beyond what the net computes with" in said
    assert "found pixels up to 2.54e+302" in said


def test_colours_in_a_net_for_grey_values(refused):
    """An RGB image was given to a net of one channel.
    Refused with both numbers and how the file was read.
    """
    tifffile.imwrite("a.tif", noise(20, 20, 3), photometric="rgb")
    said = refused(deploy.main, *MODEL, "a.tif")
    assert "another number of channels than the net; expected 1, found 3" in said
    assert "It was read as 1 page, 3 channels, 20 x 20 pixels (axes YXS" in said


def test_axes_that_do_not_fit(refused):
    """--axes has other letters than the file has axes.
    Refused with the file's shape and its own axes.
    """
    said = refused(deploy.main, *MODEL, "img.tif", "--axes", "ZYX")
    assert "expected 2 letters for its shape (40, 50)" in said
    assert "The file itself says YX" in said


def test_a_tile_that_the_net_cannot_take(refused):
    """--tile-size does not fit the net.
    Refused with the two nearest sizes.
    """
    said = refused(deploy.main, *MODEL, "img.tif", "--tile-size", 23)
    assert "expected 22 " in said and "or 24 " in said


def test_less_memory_than_the_smallest_tile_needs(refused):
    """--memory is smaller than what one tile needs.
    Refused before any work with what the smallest tile takes.
    """
    said = refused(deploy.main, *MODEL, "img.tif", "--memory", "0.0001")
    assert "even the smallest tile needs more memory than allowed" in said
    assert "Give a larger --memory" in said


def test_an_image_that_takes_more_memory_than_is_allowed(refused):
    """A page needs more memory than --max-memory allows.
    Refused from its header, before a pixel is read.
    """
    tifffile.imwrite("big.tif", shape=(20_000, 20_000), dtype=np.uint8)  # no pixel is written
    said = refused(deploy.main, *MODEL, "big.tif", "--max-memory", "0.1")
    assert "big.tif: one page takes more memory than is allowed" in said
    assert "expected at most 107,374,182 bytes, found 400,000,000" in said
    said = refused(deploy.main, *MODEL, "big.tif", "--max-memory", "1")
    assert "big.tif: segmenting it takes more memory than is allowed" in said
    assert "for 20000x20000 pixels" in said and "--max-memory" in said


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (MOST, MOST))
from demitasse.tools import deploy
from demitasse.tools._main import guarded
sys.exit(guarded(deploy.main, sys.argv[1:]))
"""


def test_a_stack_that_is_larger_than_memory():
    """A stack is larger than all the memory that the process may have.
    Streams page by page under the limit (here an address space of 1.5 GiB, and 2 GiB of pixels).
    """
    side = 1024
    tifffile.imwrite("big.tif", shape=(2048, side, side), dtype=np.uint8, bigtiff=True)  # sparse
    with open("big.tif", "r+b") as file, tifffile.TiffFile("big.tif") as known:
        file.seek(known.series[0].dataoffset + 1900 * side * side)
        file.write(noise(side, side).tobytes())
    code = LIMITED.replace("MOST", str(3 << 29))
    ended = subprocess.run(
        [sys.executable, "-c", code, *MODEL, "big.tif", "--pages", "7,1900", "--threads", "1"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert ended.returncode == 0, ended.stderr
    blank, noisy = tiff.read("big.labels.tif").pixels[:, 0]
    assert len(np.unique(blank)) == 1 and len(np.unique(noisy)) == 2
