"""TIFF files: odd, broken and hostile ones"""

import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
from demitasse.imaging import tiff
from demitasse.tools import deploy

pytestmark = pytest.mark.usefixtures("trained")

MODEL = ["--weights", "tiny.h5"]
SIDE = 20
# tags of a TIFF file that the tests change: number -> (type, count, value)
SHORT, LONG = 3, 4
TAGS = {
    256: (LONG, 1, SIDE),  # width
    257: (LONG, 1, SIDE),  # height
    258: (SHORT, 1, 8),  # bits of a sample
    259: (SHORT, 1, 1),  # compression: none
    262: (SHORT, 1, 1),  # black is zero
    273: (LONG, 1, 8),  # where the strip is
    277: (SHORT, 1, 1),  # samples of a pixel
    278: (LONG, 1, SIDE),  # rows of a strip
    279: (LONG, 1, SIDE * SIDE),  # bytes of the strip
}


def noise(*shape):
    return np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)


def built(*, order="<", loop=False, pixels=None, **changed):
    """A TIFF file by bytes, some tags changed (t256=(type, count, value)) or left out (None)."""
    tags = TAGS | {int(name[1:]): tag for name, tag in changed.items()}
    pixels = noise(SIDE, SIDE).tobytes() if pixels is None else pixels
    at = 8 + len(pixels)
    entries = [(number, tag) for number, tag in sorted(tags.items()) if tag is not None]
    body = struct.pack(order + "H", len(entries))
    for number, (kind, count, value) in entries:
        packed = struct.pack(
            order + ("HH" if kind == SHORT else "I"), *([value, 0][: 1 + (kind == SHORT)])
        )
        body += struct.pack(order + "HHI", number, kind, count) + packed
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", at)
    return head + pixels + body + struct.pack(order + "I", at if loop else 0)


@pytest.fixture
def turned_away(refused):
    """Segment bytes as a file; what was said, and nothing was written."""

    def turned_away(content, *argv):
        Path("a.tif").write_bytes(content)
        said = refused(deploy.main, *MODEL, "a.tif", *argv)
        assert said.startswith("error: a.tif") and not Path("a.labels.tif").exists()
        return said

    return turned_away


@pytest.fixture
def segmented(run):
    """Segment a TIFF file that tifffile writes; what was printed."""

    def segmented(array, *argv, **settings):
        tifffile.imwrite("a.tif", array, **settings)
        ended = run(deploy.main, *MODEL, "a.tif", *argv)
        assert ended.code == 0, ended.err
        return ended.out

    return segmented


def test_the_bytes_the_tests_build_are_an_image_unless_changed(run):
    """A plain TIFF file, big or little endian.
    Segmented: what is refused below is refused for what was changed in it.
    """
    for order in "<>":
        Path("a.tif").write_bytes(built(order=order))
        assert run(deploy.main, *MODEL, "a.tif", "--overwrite").code == 0
        np.testing.assert_array_equal(tiff.read("a.tif").page(0)[0], noise(SIDE, SIDE))


# ---------------------------------------------------------------------- broken


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty (0 bytes)"),
        (b"hello world", 'is not a TIFF or PNG file; found a file that begins with "hello wo"'),
        (b"\xff\xd8\xff\xe0 JFIF", "found a JPEG picture"),
        (b"II*\0\x08\0\0\0", "is cut off or damaged; found a header without an image"),
    ],
)
def test_a_file_that_is_no_tiff(content, words, turned_away):
    """The file is empty, another kind of file, or a header of 8 bytes.
    Refused, saying what it seems to be.
    """
    assert words in turned_away(content)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_tiff_that_was_cut_off(compression, part, turned_away):
    """A copy ended early: pixels are missing.
    Refused with the bytes that are there and those that should be.
    """
    tifffile.imwrite(
        "whole.tif", noise(3, 40, 50), photometric="minisblack", compression=compression
    )
    content = Path("whole.tif").read_bytes()
    said = turned_away(content[: int(part * len(content))])
    assert "cut off or damaged" in said or "cannot be read as TIFF" in said


def test_a_chain_of_pages_that_bites_its_tail(turned_away):
    """The pages of a TIFF form a loop.
    Refused; it is not followed for ever.
    """
    assert "circular reference" in turned_away(built(loop=True))


def test_a_tiff_without_pixels(turned_away):
    """A TIFF has no size, or does not say where its pixels are.
    Refused.
    """
    assert "has no pixels" in turned_away(built(t256=(LONG, 1, 0), t257=(LONG, 1, 0)))
    assert "missing data offset tag" in turned_away(built(t273=None))


@pytest.mark.parametrize(
    "changed",
    [
        {"t273": (LONG, 1, 1 << 30)},  # the strip lies beyond the end
        {"t279": (LONG, 1, 1 << 30)},  # and here its end does
        {"t279": (LONG, 1 << 28, 8)},  # a list of 2^28 byte counts
        {"t277": (SHORT, 1, 60_000)},  # samples of a pixel
        {"t257": (LONG, 1, 1 << 20)},  # more rows than are stored
    ],
)
def test_tags_that_point_beyond_the_file(changed, turned_away):
    """A tag points behind the end of the file, or declares more than is there.
    Refused, with the bytes.
    """
    assert "is cut off or damaged" in turned_away(built(**changed))


def test_a_compression_that_nobody_knows(turned_away):
    """The pixels are compressed in an unknown way.
    Refused by its number.
    """
    said = turned_away(built(t259=(SHORT, 1, 9_999)))
    assert "a.tif, page 0: cannot be decoded (9999 is not a known COMPRESSION)" in said


def test_compressed_pixels_that_are_damaged(turned_away):
    """The compressed pixels are damaged.
    Refused with the page.
    """
    assert "a.tif, page 0: cannot be decoded" in turned_away(built(t259=(SHORT, 1, 8)))


# ---------------------------------------------------------------------- bombs


def bomb(side, stored=100):
    """A TIFF file of a few hundred bytes that declares side x side pixels."""
    size = {"t256": (LONG, 1, side), "t257": (LONG, 1, side), "t278": (LONG, 1, side)}
    return built(pixels=bytes(stored), t259=(SHORT, 1, 8), t279=(LONG, 1, stored), **size)


@pytest.mark.parametrize("side", [40_000, (1 << 32) - 1])
def test_a_bomb(side, turned_away):
    """A TIFF of some hundred bytes declares gigabytes of pixels.
    Refused by what it declares and what is stored, before anything is decoded or allocated.
    """
    tracemalloc.start()
    said = turned_away(bomb(side))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert f"declares {side * side:,} bytes of pixels, but only 100 are stored" in said
    assert peak < 20 << 20


def test_a_bomb_within_reason_and_beyond_max_memory(turned_away):
    """A small file declares more than --max-memory allows.
    Refused from the header.
    """
    said = turned_away(bomb(16_000), "--max-memory", "0.1")
    assert "one page takes more memory than is allowed" in said
    assert "expected at most 107,374,182 bytes, found 256,000,000" in said


def test_a_bomb_that_is_a_png(turned_away):
    """A PNG of some hundred bytes declares gigabytes of pixels.
    Refused before it is decoded.
    """
    PIL.Image.new("L", (5, 4)).save("small.png")
    content = bytearray(Path("small.png").read_bytes())
    content[16:24] = struct.pack(">II", 40_000, 40_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    assert "the picture declares 1,600,000,000 bytes of pixels" in turned_away(bytes(content))


# ---------------------------------------------------------------------- odd kinds


@pytest.mark.parametrize("compression", ["lzw", "zlib", "jpeg", "packbits"])
def test_compressed_tiffs(compression, segmented):
    """A TIFF is compressed with LZW, deflate, JPEG or PackBits.
    Segmented.
    """
    assert "1 page, 1 channel, 40 x 50 pixels" in segmented(noise(40, 50), compression=compression)


def test_a_compression_whose_library_is_missing():
    """The library for LZW and JPEG was uninstalled.
    Refused by its name; TIFFs without compression are read.
    """
    tifffile.imwrite("packed.tif", noise(40, 50), compression="lzw")
    tifffile.imwrite("plain.tif", noise(40, 50))
    code = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from demitasse.tools import deploy\n"
        "from demitasse.tools._main import guarded\n"
        "sys.exit(guarded(deploy.main, sys.argv[1:]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, *MODEL, "packed.tif", "plain.tif"],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert "packed.tif, page 0: cannot be decoded" in ended.stderr
    assert "requires the 'imagecodecs' package" in ended.stderr
    assert "1 of 2 images done; refused: packed.tif" in ended.stdout


@pytest.mark.parametrize("settings", [{"byteorder": ">"}, {"bigtiff": True}, {"tile": (16, 16)}])
def test_other_layouts(settings, segmented):
    """A TIFF is big endian, a BigTIFF, or tiled.
    Segmented to the same labels as a plain one.
    """
    segmented(noise(40, 50).astype(np.uint16))
    plain = tiff.read("a.labels.tif").pixels
    segmented(noise(40, 50).astype(np.uint16), "--overwrite", **settings)
    np.testing.assert_array_equal(tiff.read("a.labels.tif").pixels, plain)


@pytest.mark.parametrize("dtype", ["?", "i1", "u4", "i8", "f2", "f8"])
def test_pixels_of_unusual_types(dtype, segmented):
    """Pixels are bits, signed, of 32 or 64 bits, or half, or double floating-point numbers.
    Segmented; the line printed says as what they were read.
    """
    image = noise(40, 50)
    array = image > 100 if dtype == "?" else (image // 2).astype(dtype)
    kind = {"?": "uint8", "f2": "float32"}.get(dtype, np.dtype(dtype).name)
    assert f"(axes YX), {kind}" in segmented(array)


def test_pixels_of_complex_numbers(turned_away):
    """Pixels are complex numbers.
    Refused, saying to save the magnitude.
    """
    tifffile.imwrite("whole.tif", noise(9, 9).astype(np.complex64))
    said = turned_away(Path("whole.tif").read_bytes())
    assert "has pixels of type complex64" in said and "Save the magnitude" in said


def test_indexed_colours(segmented):
    """A TIFF has a palette.
    Segmented by its indices, which is said.
    """
    colours = np.zeros((3, 256), np.uint16)
    said = segmented(noise(40, 50), photometric="palette", colormap=colours)
    assert "indexed colours: the indices are read, not the colours" in said


def test_colours_for_print(turned_away):
    """A TIFF is in CMYK.
    Refused, saying to convert it to RGB.
    """
    tifffile.imwrite("whole.tif", noise(9, 9, 4), photometric="separated")
    said = turned_away(Path("whole.tif").read_bytes())
    assert "has colours that are not RGB (SEPARATED)" in said and "Convert it to RGB" in said


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_rgb_in_a_net_for_grey_values(planar, turned_away):
    """An RGB TIFF, interleaved or in planes, was given to a net of one channel.
    Refused alike, with how it was read.
    """
    image = noise(20, 20, 3)
    stored = image if planar == "contig" else image.transpose(2, 0, 1)
    tifffile.imwrite("whole.tif", stored, photometric="rgb", planarconfig=planar)
    said = turned_away(Path("whole.tif").read_bytes())
    assert "expected 1, found 3" in said and "3 channels, 20 x 20 pixels" in said


def test_a_hyperstack(segmented, turned_away):
    """A hyperstack of five axes.
    Its times and slices are pages, which is said; its channels must be those of the net, or
    --channel takes some.
    """
    axes = {"imagej": True, "metadata": {"axes": "TZCYX"}}
    said = segmented(noise(2, 3, 1, 20, 20), **axes)
    assert "6 pages, 1 channel, 20 x 20 pixels (axes TZYX; T = pages, Z = pages)" in said
    Path("a.labels.tif").unlink()
    tifffile.imwrite("whole.tif", noise(2, 3, 2, 20, 20), **axes)
    said = turned_away(Path("whole.tif").read_bytes())
    assert "expected 1, found 2. It was read as 6 pages, 2 channels" in said
    assert "C = channels); --axes says otherwise, --channel takes one of them" in said


def test_an_ome_tiff_that_goes_on_in_other_files(segmented):
    """The metadata of an OME-TIFF name other files, which are there, are not, or are anything.
    Each file is read by itself, which is said; no other is opened.
    """
    data = "".join(
        f'<TiffData IFD="0" FirstT="{t}"><UUID FileName="{name}">{name}</UUID></TiffData>'
        for t, name in enumerate(("a.tif", "/etc/passwd", "b.tif"))
    )
    sizes = 'DimensionOrder="XYZCT" SizeX="50" SizeY="40" SizeZ="1" SizeC="1" SizeT="3"'
    xml = f"<OME><Image><Pixels {sizes}>{data}</Pixels></Image></OME>"
    said = segmented(noise(40, 50), description=xml, metadata=None)
    assert "1 page, 1 channel, 40 x 50 pixels (axes YX), uint8; its metadata name other" in said


def test_a_png_of_16_bits_in_colour(turned_away):
    """A PNG has colours of 16 bits, of which the library for PNG reads 8.
    Refused, saying to save it as TIFF.
    """
    rows = zlib.compress(bytes(4 * (1 + 5 * 6)))
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in (
        (b"IHDR", struct.pack(">IIBBBBB", 5, 4, 16, 2, 0, 0, 0)),
        (b"IDAT", rows),
        (b"IEND", b""),
    ):
        content += struct.pack(">I", len(data)) + kind + data
        content += struct.pack(">I", zlib.crc32(kind + data))
    said = turned_away(content)
    assert "has values of 16 bits in several channels" in said and "Save it as TIFF" in said


def test_a_mask_of_one_bit_in_which_white_is_0():
    """A mask of one bit stores white as 0, as programs for scans do.
    White is read as 1, which is said.
    """
    white = noise(9, 8) > 100
    tifffile.imwrite("mask.tif", ~white, photometric="miniswhite")
    image = tiff.read("mask.tif")
    np.testing.assert_array_equal(image.page(0)[0], white)
    assert "white is read as 1" in image.summary()


def test_pages_of_different_sizes(turned_away):
    """The pages of a TIFF, or the images of an OME-TIFF, differ in size.
    Pages are refused with their numbers and sizes, until deploy's --series takes one; of images
    the first is read, which is said. A page that says that it is a smaller copy of another is left
    out.
    """
    with tifffile.TiffWriter("whole.tif") as file:
        file.write(noise(40, 50))
        file.write(noise(20, 50))
    said = turned_away(Path("whole.tif").read_bytes())
    assert "different sizes or types; found 0: 40 x 50 (YX, uint8), 1: 20 x 50 (YX, uint8)" in said
    assert "deploy --series NUMBER" in said
    with tifffile.TiffWriter("whole.tif", ome=True) as file:
        file.write(noise(40, 50), metadata={"axes": "YX"})
        file.write(noise(20, 50), metadata={"axes": "YX"})
    assert "the first of 2 images alone" in tiff.read("whole.tif").summary()
