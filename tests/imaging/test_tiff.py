"""TIFF and PNG in and out: every kind there is, every way to be broken."""

import logging
import struct
import threading
import warnings
import zlib

import numpy as np
import PIL.Image
import pytest
import tifffile
from demitasse.errors import DemitasseError, ImageError, MemoryBudgetError, OutputError
from demitasse.imaging import decode, pixel_size, tiff
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture
def stack():
    return np.random.default_rng(0).integers(0, 200, (5, 21, 34)).astype(np.uint8)


def saved(path, array, **settings):
    settings.setdefault("photometric", "minisblack")
    tifffile.imwrite(path, array, **settings)
    return path


# ---------------------------------------------------------------------- reading


WRAPPINGS = {
    "plain": {},
    "deflate": {"compression": "zlib"},
    "lzw": {"compression": "lzw"},
    "tiled": {"compression": "zlib", "tile": (16, 16)},
    "bigtiff": {"bigtiff": True},
    "imagej": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "ome": {"ome": True, "metadata": {"axes": "ZYX"}},
}
TYPES = ["u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8", ">u2", ">f4"]
IMAGEJ_TYPES = ["u1", "u2", "i2", "f4", ">u2", ">f4"]


@pytest.mark.parametrize(
    ("dtype", "wrapping"),
    [(d, w) for w in WRAPPINGS for d in (IMAGEJ_TYPES if w == "imagej" else TYPES)],
)
def test_every_type_in_every_wrapping(stack, dtype, wrapping, tmp_path):
    settings = WRAPPINGS[wrapping]
    array = stack.astype(dtype) if dtype != "i1" else (stack // 2).astype(dtype)
    order = ">" if dtype[0] == ">" or settings.get("imagej") else "<"
    image = tiff.read(saved(tmp_path / "a.tif", array, byteorder=order, **settings))
    assert image.shape == (5, 1, 21, 34)
    assert image.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(image.pixels[:, 0], array)
    np.testing.assert_array_equal(image.page(3)[0], array[3])
    assert image.page(3).dtype.isnative


def test_small_types_become_plain_ones(stack, tmp_path):
    bits = tiff.read(saved(tmp_path / "a.tif", stack > 100))
    assert bits.dtype == np.uint8
    np.testing.assert_array_equal(bits.pixels[:, 0], stack > 100)
    half = tiff.read(saved(tmp_path / "b.tif", stack.astype(np.float16)))
    assert half.dtype == np.float32
    np.testing.assert_array_equal(half.pixels[:, 0], stack)


def test_a_hyperstack_is_read_by_its_axes(tmp_path):
    array = np.random.default_rng(0).integers(0, 9, (2, 3, 4, 8, 9)).astype(np.uint16)
    metadata = {"axes": "TZCYX", "unit": "um", "spacing": 2.0}
    tifffile.imwrite(tmp_path / "h.tif", array, imagej=True, metadata=metadata, resolution=(10, 5))
    image = tiff.read(tmp_path / "h.tif")
    np.testing.assert_array_equal(image.pixels, array.reshape(6, 4, 8, 9))
    assert (image.pixel_size, image.unit) == ((0.2, 0.1), "um")
    assert image.summary() == (
        "6 pages, 4 channels, 8 x 9 pixels (axes TZCYX; T = pages, Z = pages, C = channels), "
        "uint16, pixel 0.2 x 0.1 um"
    )


def test_ome_axes_in_another_order(tmp_path):
    array = np.random.default_rng(0).integers(0, 9, (2, 3, 4, 8, 9)).astype(np.uint16)
    metadata = {"axes": "TCZYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2}
    tifffile.imwrite(tmp_path / "h.ome.tif", array, metadata=metadata, compression="zlib")
    image = tiff.read(tmp_path / "h.ome.tif")
    expected = array.transpose(0, 2, 1, 3, 4).reshape(8, 3, 8, 9)
    np.testing.assert_array_equal(image.pixels, expected)
    assert (image.pixel_size, image.unit) == ((0.2, 0.1), "um")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_rgb(planar, compression, tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (7, 9, 3)).astype(np.uint8)
    stored = array if planar == "contig" else array.transpose(2, 0, 1)
    saved(
        tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar, compression=compression
    )
    image = tiff.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels[0], array.transpose(2, 0, 1))


def test_an_alpha_channel_is_left_out_and_said(tmp_path):
    array = np.random.default_rng(0).integers(0, 255, (7, 9, 4)).astype(np.uint8)
    saved(tmp_path / "a.tif", array, photometric="rgb", extrasamples=["unassalpha"])
    image = tiff.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.page(0), array[..., :3].transpose(2, 0, 1))
    assert "alpha channel left out" in image.summary()


def test_pages_written_one_by_one_are_one_stack(stack, tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in stack:
            file.write(page, contiguous=False)
    np.testing.assert_array_equal(tiff.read(tmp_path / "a.tif").pixels[:, 0], stack)


def test_a_pyramid_is_read_at_full_size(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.ones((64, 64), np.uint8), subifds=1)
        file.write(np.ones((32, 32), np.uint8), subfiletype=1)
    assert tiff.read(tmp_path / "a.tif").shape == (1, 1, 64, 64)


@pytest.mark.parametrize("first", [True, False])
def test_a_preview_beside_the_image_is_left_out_and_said(first, stack, tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for preview in (True, False) if first else (False, True):
            page = stack[0][:7, :8] if preview else stack[1]
            file.write(page, subfiletype=1 if preview else 0, metadata=None)
    image = tiff.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels[0, 0], stack[1])
    assert "smaller copy left out" in image.summary()


def test_series_have_the_numbers_that_choose_them(stack, tmp_path):
    """Where a smaller copy is left out, and where there are many."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(stack[0][:7, :8], subfiletype=1, metadata=None)
        for k in range(9):
            file.write(stack[1][: 9 + k, :8], metadata=None)
    with pytest.raises(ImageError, match=r"found 1: 9 x 8 \(.* 8: 16 x 8 \(.*\) and 1 more\. "):
        tiff.read(tmp_path / "a.tif")
    assert tiff.read(tmp_path / "a.tif", series=1).shape == (1, 1, 9, 8)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_axes_may_be_told(stack, compression, tmp_path):
    path = saved(tmp_path / "a.tif", stack, compression=compression)
    assert tiff.read(path).shape == (5, 1, 21, 34)
    channels = tiff.read(path, axes="CYX")
    assert channels.shape == (1, 5, 21, 34)
    np.testing.assert_array_equal(channels.page(0), stack)
    turned = tiff.read(path, axes="YZX")
    np.testing.assert_array_equal(turned.pixels[:, 0], stack.transpose(1, 0, 2))


def test_one_pixel(tmp_path):
    image = tiff.read(saved(tmp_path / "a.tif", np.array([[7]], np.uint8)))
    np.testing.assert_array_equal(image.pixels, [[[[7]]]])


def test_a_page_that_is_not_there_is_an_index_error(stack, tmp_path):
    image = tiff.read(saved(tmp_path / "a.tif", stack))
    assert len(image) == 5
    for i in (-1, 5):
        with pytest.raises(IndexError):
            image.page(i)


def test_a_page_may_be_changed_without_changing_the_file(stack, tmp_path):
    image = tiff.read(saved(tmp_path / "a.tif", stack))
    image.page(0)[:] = 0
    np.testing.assert_array_equal(image.page(0)[0], stack[0])


def test_nothing_is_decoded_before_a_page_is_asked_for(tmp_path):
    path = saved(tmp_path / "a.tif", np.zeros((3, 64, 64), np.uint8), compression="zlib")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        at = file.pages[1].dataoffsets[0]
    data[at : at + 8] = b"\xff" * 8
    path.write_bytes(data)
    image = tiff.read(path)
    assert (image.page(0) == 0).all()
    with pytest.raises(ImageError, match=r"a\.tif, page 1: cannot be decoded"):
        image.page(1)


# ---------------------------------------------------------------------- PNG


@pytest.mark.parametrize(
    ("mode", "channels", "dtype"),
    [
        ("L", 1, np.uint8),
        ("1", 1, np.uint8),
        ("I;16", 1, np.uint16),
        ("RGB", 3, np.uint8),
        ("RGBA", 3, np.uint8),
        ("LA", 1, np.uint8),
        ("P", 1, np.uint8),
    ],
)
def test_png(mode, channels, dtype, tmp_path):
    picture = PIL.Image.new(mode, (5, 4))
    picture.putpixel((2, 1), (9,) * len(picture.getbands()) if len(picture.getbands()) > 1 else 1)
    picture.save(tmp_path / "a.png")
    image = tiff.read(tmp_path / "a.png")
    assert image.shape == (1, channels, 4, 5)
    assert image.dtype == dtype
    assert [tuple(p) for p in np.argwhere(image.page(0)[0])] == [(1, 2)]
    assert ("alpha" in image.summary()) == (mode in ("RGBA", "LA"))


def png(values, bits, colour):
    """A PNG file of values (height, width[, samples]); colour: 0 grey, 2 RGB, 4 grey and alpha,
    6 RGBA."""
    rows = values.reshape(len(values), -1)
    if bits == 16:
        packed = rows.astype(">u2").view(np.uint8)
    else:
        each = np.unpackbits(rows.astype(np.uint8)[..., None], axis=2)[..., 8 - bits :]
        packed = np.packbits(each.reshape(len(rows), -1), axis=1)
    raw = b"".join(b"\0" + row.tobytes() for row in packed)
    sizes = struct.pack(">IIBBBBB", values.shape[1], len(values), bits, colour, 0, 0, 0)
    chunks = ((b"IHDR", sizes), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_grey_values_of_a_png_are_those_stored(bits, tmp_path):
    values = np.arange(35).reshape(5, 7) % 2**bits
    (tmp_path / "a.png").write_bytes(png(values, bits, 0))
    np.testing.assert_array_equal(tiff.read(tmp_path / "a.png").page(0)[0], values)


@pytest.mark.parametrize("colour, samples", [(2, 3), (4, 2), (6, 4)])
def test_a_png_of_which_half_of_each_value_would_be_lost_is_refused(colour, samples, tmp_path):
    values = 300 + np.arange(20 * samples).reshape(4, 5, samples)
    (tmp_path / "a.png").write_bytes(png(values, 16, colour))
    with pytest.raises(ImageError, match=r"16 bits .* Save it as TIFF"):
        tiff.read(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(png(values % 256, 8, colour))
    found = tiff.read(tmp_path / "b.png").pixels[0]
    kept = values[..., : 1 if samples == 2 else 3] % 256
    np.testing.assert_array_equal(found, np.moveaxis(kept, 2, 0))


def test_a_damaged_png(tmp_path):
    PIL.Image.new("L", (50, 50)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[:45])
    with pytest.raises(ImageError, match="cannot be read as PNG"):
        tiff.read(tmp_path / "a.png")


# ---------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", r"is empty \(0 bytes\)"),
        (b"hello world", "is not a TIFF or PNG file; found a file that begins with"),
        (b"\xff\xd8\xff\xe0 JFIF", "found a JPEG picture"),
        (b"\x89HDF\r\n\x1a\n", "found an HDF5 file"),
        (b"II*\0\x08\0\0\0", "is cut off or damaged"),
        (b"II*\0\0\0\0\0", "is cut off or damaged"),
        (b"II*\0", "cannot be read as TIFF|is cut off"),
        (b"MM\0+" + bytes(12), "is cut off or damaged|cannot be read"),
    ],
)
def test_what_is_no_image(content, words, tmp_path):
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(ImageError, match=words):
        tiff.read(tmp_path / "a.tif")


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(ImageError, match="does not exist"):
        tiff.read(tmp_path / "a.tif")
    with pytest.raises(ImageError, match="is a folder"):
        tiff.read(tmp_path)


@pytest.mark.parametrize("kind", ["plain", "deflate", "imagej", "one by one", "one page"])
@pytest.mark.parametrize("part", [0.35, 0.7, 0.97])
def test_a_file_that_is_cut_off_never_loses_pages_silently(stack, kind, part, tmp_path):
    path = tmp_path / "a.tif"
    if kind == "one by one":
        with tifffile.TiffWriter(path) as file:
            for page in stack:
                file.write(page, contiguous=False)
    else:
        settings = {"deflate": {"compression": "zlib"}, "imagej": {"imagej": True}}.get(kind, {})
        saved(path, stack[0] if kind == "one page" else stack, **settings)
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    with pytest.raises(ImageError, match=r"cut off|cannot be"):
        print(tiff.read(path).pixels)


@pytest.mark.parametrize("how", ["level", "disabled", "all"])
def test_a_file_that_is_cut_off_is_refused_where_logging_is_turned_off(stack, how, tmp_path):
    path, logger = tmp_path / "a.tif", logging.getLogger("tifffile")
    saved(path, stack, imagej=True)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    before = logger.level, logger.disabled, logging.root.manager.disable
    if how == "all":
        logging.disable(logging.CRITICAL)
    elif how == "level":
        logger.setLevel(logging.CRITICAL)
    else:
        logger.disabled = True
    set_so = logger.level, logger.disabled, logging.root.manager.disable
    try:
        with pytest.raises(ImageError, match=r"cut off|cannot be"):
            print(tiff.read(path).pixels)
        assert (logger.level, logger.disabled, logging.root.manager.disable) == set_so
    finally:
        logger.setLevel(before[0])
        logger.disabled = before[1]
        logging.disable(before[2])


def test_threads_that_read_at_once_leave_logging_as_it_was(stack, tmp_path):
    path, logger = tmp_path / "a.tif", logging.getLogger("tifffile")
    saved(path, stack)
    before = logger.level
    inside = threading.Event()

    def listen():
        with decode._listening([]):
            inside.set()

    with decode._listening([]):
        other = threading.Thread(target=listen)
        other.start()
        assert not inside.wait(0.1)  # it would keep this thread's level as its own
    other.join()
    assert inside.is_set() and logger.level == before


def bomb(side, stored=100):
    """A TIFF of one deflated strip that declares side x side pixels."""
    tags = [
        (256, 4, side),
        (257, 4, side),
        (258, 3, 8),
        (259, 3, 8),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, side),
        (279, 4, stored),
    ]
    body = struct.pack("<H", len(tags))
    for tag, kind, value in tags:
        body += struct.pack("<HHII", tag, kind, 1, value)
    return b"II*\0" + struct.pack("<I", 8 + stored) + b"x" * stored + body + bytes(4)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path):
    (tmp_path / "a.tif").write_bytes(bomb(40_000))
    with pytest.raises(ImageError, match=r"declares 1,600,000,000 bytes .* only 100 are stored"):
        tiff.read(tmp_path / "a.tif")
    with pytest.raises(MemoryBudgetError, match="one page takes more memory"):
        tiff.read(tmp_path / "a.tif", max_bytes=10**9)


def test_sizes_beyond_the_budget_are_refused(stack, tmp_path):
    path = saved(tmp_path / "a.tif", stack)
    with pytest.raises(MemoryBudgetError, match="one page"):
        tiff.read(path, max_bytes=700)
    image = tiff.read(path, max_bytes=1000)
    assert image.page(0).nbytes < 1000
    with pytest.raises(MemoryBudgetError, match="the whole stack"):
        print(image.pixels)


def test_an_uncompressed_page_that_is_larger_than_the_file(tmp_path):
    path = saved(tmp_path / "a.tif", np.zeros((4, 4), np.uint8))
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tag = file.pages[0].tags["ImageLength"]
        at = tag.offset + 8
    data[at : at + 2] = struct.pack("<H", 60_000)
    path.write_bytes(data)
    with pytest.raises(ImageError, match=r"cut off or damaged|cannot be"):
        print(tiff.read(path).pixels)


def test_pages_of_different_sizes(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(np.ones((8, 8), np.uint8))
        file.write(np.ones((4, 4), np.uint8))
    each = r"0: 8 x 8 \(YX, uint8\), 1: 4 x 4 \(YX, uint8\)\."
    with pytest.raises(ImageError, match=f"different sizes or types; found {each}"):
        tiff.read(tmp_path / "a.tif")
    assert tiff.read(tmp_path / "a.tif", series=1).shape == (1, 1, 4, 4)
    with pytest.raises(ImageError, match=f"has no series 2; expected {each}"):
        tiff.read(tmp_path / "a.tif", series=2)
    tiff.write(tmp_path / "one.tif", np.ones((1, 8, 8), np.uint8))
    with pytest.raises(ImageError, match=r"has no series 1; expected 0: 8 x 8 \(YX, uint8\)\.$"):
        tiff.read(tmp_path / "one.tif", series=1)


def test_kinds_of_pixels_that_are_no_intensities(tmp_path):
    saved(tmp_path / "a.tif", np.ones((4, 4), np.complex64))
    with pytest.raises(ImageError, match="pixels of type complex64"):
        tiff.read(tmp_path / "a.tif")
    saved(tmp_path / "b.tif", np.ones((4, 4, 4), np.uint8), photometric="separated")
    with pytest.raises(ImageError, match="colours that are not RGB"):
        tiff.read(tmp_path / "b.tif")


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_white_of_one_bit_is_1(photometric, compression, stack, tmp_path):
    white = stack > 100
    stored = white if photometric == "minisblack" else ~white
    path = saved(tmp_path / "a.tif", stored, photometric=photometric, compression=compression)
    image = tiff.read(path)
    np.testing.assert_array_equal(image.pixels[:, 0], white)
    assert image.dtype == np.uint8
    part = image.window(1, slice(2, 9), slice(3, 20))
    np.testing.assert_array_equal(part[0], white[1, 2:9, 3:20])
    assert ("white is read as 1" in image.summary()) == (photometric == "miniswhite")


def test_min_is_white_of_more_bits_is_said(stack, tmp_path):
    image = tiff.read(saved(tmp_path / "a.tif", stack, photometric="miniswhite"))
    np.testing.assert_array_equal(image.pixels[:, 0], stack)
    assert "not inverted" in image.summary()


def test_indexed_colours_are_said(tmp_path):
    colormap = np.zeros((3, 256), np.uint16)
    saved(tmp_path / "a.tif", np.eye(4, dtype=np.uint8), photometric="palette", colormap=colormap)
    image = tiff.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.page(0)[0], np.eye(4))
    assert "indices are read" in image.summary()


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    edits=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6),
    keep=st.floats(0.1, 1.0),
    compressed=st.booleans(),
)
def test_a_damaged_file_raises_nothing_but_our_errors(edits, keep, compressed, tmp_path):
    path = tmp_path / "a.tif"
    array = np.arange(3 * 9 * 10, dtype=np.uint16).reshape(3, 9, 10)
    saved(path, array, imagej=not compressed, compression="zlib" if compressed else None)
    data = bytearray(path.read_bytes())
    for at, value in edits:
        data[at % min(len(data), 700)] = value
    path.write_bytes(data[: int(keep * len(data))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = tiff.read(path, max_bytes=10**7)
            for i in range(min(len(image), 5)):
                assert image.page(i).shape == image.shape[1:]
        except DemitasseError:
            pass


# ---------------------------------------------------------------------- finding


def test_files_come_in_natural_order(tmp_path):
    for name in ("t10.tif", "t2.tif", "t1.TIF", "a.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    names = lambda *patterns: [p.name for p in tiff.find(patterns)]  # noqa: E731
    assert names(tmp_path) == ["a.png", "t1.TIF", "t2.tif", "t10.tif"]
    assert names(tmp_path / "t*.tif") == ["t2.tif", "t10.tif"]
    assert names(tmp_path / "t10.tif", tmp_path / "a.png") == ["t10.tif", "a.png"]


def test_a_pattern_across_folders_comes_in_the_natural_order_of_the_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for day in (10, 2, 1):
        for name in ("m10.tif", "m2.tif"):
            (tmp_path / f"day{day}" / name).parent.mkdir(exist_ok=True)
            (tmp_path / f"day{day}" / name).write_bytes(b"x")
    days = ["day1", "day2", "day10"]
    for start in ("", f"{tmp_path}/"):
        found = tiff.find([f"{start}day*/m2.tif"])
        assert [p.parent.name for p in found] == days
        found = [f"{p.parent.name}/{p.name}" for p in tiff.find([f"{start}day*/*.tif"])]
        assert found == [f"{day}/{name}" for day in days for name in ("m2.tif", "m10.tif")]


def test_names_that_differ_in_zeros_or_case_have_an_order_of_their_own(tmp_path):
    paths = [tmp_path / name for name in ("T1.tif", "t01.tif", "t1.tif", "t001.tif")]
    assert sorted(paths, key=tiff.natural) == sorted(reversed(paths), key=tiff.natural)


def test_patterns_without_a_match_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ImageError, match=r"\*\.tif: matches no file"):
        tiff.find(["*.tif"])
    with pytest.raises(ImageError, match="holds no TIFF or PNG"):
        tiff.find([tmp_path])
    (tmp_path / "odd[1].tif").write_bytes(b"x")
    assert [p.name for p in tiff.find(["odd[1].tif"])] == ["odd[1].tif"]


def test_files_whose_names_begin_with_a_dot_are_not_looked_for(tmp_path):
    for name in ("cell1.tif", "._cell1.tif", "only/._cell1.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    for pattern, names in ((tmp_path, ["cell1.tif"]), (tmp_path / "*.tif", ["cell1.tif"])):
        assert [p.name for p in tiff.find([pattern])] == names
    assert [p.name for p in tiff.find([tmp_path / ".*.tif"])] == ["._cell1.tif"]  # asked for
    for pattern, words in (("only", "holds no TIFF or PNG file"), ("only/*", "matches no file")):
        with pytest.raises(ImageError, match=words):
            tiff.find([tmp_path / pattern])


# ---------------------------------------------------------------------- writing


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize(
    "shape", [(1, 6, 7), (4, 6, 7), (3, 2, 6, 7), (1, 3, 6, 7), (2, 6, 1), (3, 2, 1, 1)]
)
def test_what_is_written_is_read_back(dtype, shape, tmp_path):
    array = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    tiff.write(tmp_path / "a.tif", array, pixel_size=(0.25, 0.5), unit="um")
    image = tiff.read(tmp_path / "a.tif")
    expected = array if array.ndim == 4 else array[:, None]
    np.testing.assert_array_equal(image.pixels, expected)
    assert image.dtype == array.dtype
    assert image.pixel_size == pytest.approx((0.25, 0.5))
    assert image.unit == "um"
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_imagej == (shape[-1] > 1)


@pytest.mark.parametrize(
    ("given", "becomes"),
    [("?", "u1"), ("i8", "u1"), ("f8", "f4"), (">u2", "u2"), ("f2", "f4")],
)
def test_other_types_become_imagejs(given, becomes, tmp_path):
    array = np.array([[[0, 1], [1, 1]]]).astype(given)
    tiff.write(tmp_path / "a.tif", array)
    assert tiff.read(tmp_path / "a.tif").dtype == np.dtype(becomes)
    np.testing.assert_array_equal(tiff.read(tmp_path / "a.tif").pixels[:, 0], array)


def test_object_numbers_above_255_keep_their_value(tmp_path):
    tiff.write(tmp_path / "a.tif", np.array([[[0, 300]], [[1, 2]]], np.int32))
    np.testing.assert_array_equal(tiff.read(tmp_path / "a.tif").pixels.ravel(), [0, 300, 1, 2])


def test_pages_may_come_one_by_one(stack, tmp_path):
    tiff.write(tmp_path / "a.tif", (page for page in stack), count=5, display=(0, 1))
    image = tiff.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels[:, 0], stack)
    assert "max=1" in image.description


@pytest.mark.parametrize("letters", ["TZ", "ZT"])
def test_pages_along_two_axes(letters, stack, tmp_path):
    pages = np.concatenate([stack, stack[:1]])
    tiff.write(tmp_path / "a.tif", iter(pages), letters=letters, lengths=(3, 2))
    image = tiff.read(tmp_path / "a.tif")
    assert image.axes == f"{letters}YX" and image.layout.shape[:2] == (3, 2)
    np.testing.assert_array_equal(image.pixels[:, 0], pages)


@pytest.mark.parametrize("count", [4, 6])
def test_a_wrong_number_of_pages_leaves_no_file(stack, count, tmp_path):
    with pytest.raises(ValueError, match="pages"):
        tiff.write(tmp_path / "a.tif", iter(stack), count=count)
    assert list(tmp_path.iterdir()) == []


def test_beyond_4_gb_the_file_is_a_bigtiff_with_the_same_content(stack, tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "CLASSIC_BYTES", 100)
    tiff.write(tmp_path / "a.tif", stack, pixel_size=(4, 4), unit="nm")
    image = tiff.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.pixels[:, 0], stack)
    assert (image.pixel_size, image.unit) == ((4, 4), "nm")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff


def test_an_existing_file_is_kept_unless_told(stack, tmp_path):
    tiff.write(tmp_path / "a.tif", stack)
    before = (tmp_path / "a.tif").read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        tiff.write(tmp_path / "a.tif", stack[:1])
    assert (tmp_path / "a.tif").read_bytes() == before
    tiff.write(tmp_path / "a.tif", stack[:1], overwrite=True)
    assert len(tiff.read(tmp_path / "a.tif")) == 1


def test_object_numbers_of_32_bits_keep_their_value_and_pixel_size(tmp_path):
    numbers = np.array([[0, 65_536], [70_000, 2**32 - 1]], np.uint32)
    tiff.write(
        tmp_path / "a.tif", iter([numbers]), count=1, pixel_size=(0.5, 0.25), info="of cells"
    )
    found = tiff.read(tmp_path / "a.tif")
    assert (found.dtype, found.pixel_size, found.unit) == (np.uint32, (0.5, 0.25), "um")
    np.testing.assert_array_equal(found.page(0)[0], numbers)
    assert "of cells" in found.description


@pytest.mark.parametrize("unit", pixel_size.UNITS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint32])
def test_every_unit_is_read_back(unit, dtype, tmp_path):
    size = (1e-5, 2e-5)
    tiff.write(
        tmp_path / "a.tif", iter([np.eye(4, dtype=dtype)]), count=1, pixel_size=size, unit=unit
    )
    found = tiff.read(tmp_path / "a.tif")
    assert found.pixel_size == pytest.approx(size) and found.unit == unit


def test_info_is_kept_where_imagej_shows_it(tmp_path):
    tiff.write(tmp_path / "a.tif", np.zeros((2, 5, 6), np.uint8), info="normalized: zscore")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.imagej_metadata["Info"] == "normalized: zscore"
