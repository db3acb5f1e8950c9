"""Images spread over files, as OME and Micro-Manager have them, and several images in a file."""

import json
import struct
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
import tifffile
from demitasse.errors import ImageError
from demitasse.imaging import tiff, windows

PLANES = np.random.default_rng(0).integers(0, 200, (2, 3, 2, 9, 10)).astype(np.uint16)  # TZCYX


def image(planes, sizes, name="", order="XYCZT"):
    """An Image element; planes: (file, its UUID or "", IFD, {axis: index}) each."""
    data = ""
    for file, uuid, ifd, at in planes:
        first = " ".join(f'First{axis}="{i}"' for axis, i in at.items())
        inner = f"<UUID FileName={quoteattr(file)}>{uuid}</UUID>" if uuid else ""
        data += f'<TiffData IFD="{ifd}" PlaneCount="1" {first}>{inner}</TiffData>'
    size = " ".join(f'Size{axis}="{sizes.get(axis, 1)}"' for axis in "CZT")
    return (
        f'<Image ID="Image:{name}"><Pixels ID="Pixels:{name}" DimensionOrder="{order}" '
        f'Type="uint16" SizeX="10" SizeY="9" {size}>{data}</Pixels></Image>'
    )


def save(path, pages, uuid, *images, compression="zlib"):
    of = f' UUID="{uuid}"' if uuid else ""
    xml = f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{of}>{"".join(images)}</OME>'
    with tifffile.TiffWriter(path) as file:
        for k, page in enumerate(pages):
            file.write(
                page,
                description=None if k else xml.encode(),
                metadata=None,
                contiguous=False,
                compression=compression,
                photometric="minisblack",
            )


def pair(folder, compression="zlib"):
    """Two positions, each in a file whose XML names both; the second is larger when packed."""
    own = [np.zeros((9, 10), "u2"), PLANES[0, 0, 0]]
    images = [image([(f"p{k}.ome.tif", f"u{k}", 0, {})], {}, str(k)) for k in (0, 1)]
    for k in (0, 1):
        save(folder / f"p{k}.ome.tif", [own[k]], f"u{k}", *images, compression=compression)
    return own


@pytest.mark.parametrize("compression", ["zlib", None])
@pytest.mark.parametrize("axes", [None, "YX"])
def test_of_positions_in_a_file_each_a_file_gives_its_own(compression, axes, tmp_path):
    for k, own in enumerate(pair(tmp_path, compression)):
        found = tiff.read(tmp_path / f"p{k}.ome.tif", axes=axes)
        np.testing.assert_array_equal(found.pixels, own[None, None])
        assert "read by itself" in found.summary()


def test_a_file_stands_without_the_others_and_under_another_name(tmp_path):
    _, own = pair(tmp_path)
    (tmp_path / "p0.ome.tif").unlink()
    (tmp_path / "p1.ome.tif").rename(tmp_path / "mine.tif")
    np.testing.assert_array_equal(tiff.read(tmp_path / "mine.tif").pixels, own[None, None])


@pytest.mark.parametrize("order", ["XYCZT", "XYZCT"])
def test_of_a_series_in_a_file_for_each_time_a_file_gives_its_own(order, tmp_path):
    axes = order[2:][::-1]
    stored = PLANES if order == "XYCZT" else PLANES.transpose(0, 2, 1, 3, 4)
    inner = list(np.ndindex(stored.shape[1:3]))
    named = [
        (f"t{t}.ome.tif", f"u{t}", ifd, dict(zip(axes, (t, *at), strict=True)))
        for t in (0, 1)
        for ifd, at in enumerate(inner)
    ]
    xml = image(named, {"T": 2, "Z": 3, "C": 2}, order=order)
    for t in (0, 1):
        save(tmp_path / f"t{t}.ome.tif", [stored[t][at] for at in inner], f"u{t}", xml)
    for t in (0, 1):
        found = tiff.read(tmp_path / f"t{t}.ome.tif")
        assert found.shape == (3, 2, 9, 10) and set(found.axes) == set("ZCYX")
        np.testing.assert_array_equal(found.pixels, PLANES[t])


def test_a_part_that_fills_no_axes_is_refused(tmp_path):
    cells = list(np.ndindex(2, 2))
    named = [
        (f"f{k > 2}.ome.tif", f"u{k > 2}", k % 3, {"T": t, "C": c})
        for k, (t, c) in enumerate(cells)
    ]
    save(tmp_path / "f.ome.tif", PLANES[0, :, 0], "uFalse", image(named, {"T": 2, "C": 2}))
    with pytest.raises(ImageError, match=r"a part of an image that lies in several.*found 3 of 4"):
        tiff.read(tmp_path / "f.ome.tif")


def test_a_part_that_is_cut_off_is_refused(tmp_path):
    named = [(f"f{k > 1}.ome.tif", f"u{k > 1}", k % 2, {"T": k}) for k in range(4)]
    save(tmp_path / "f.ome.tif", PLANES[0, :1, 0], "uFalse", image(named, {"T": 4}))
    with pytest.raises(ImageError, match="is cut off or damaged"):
        tiff.read(tmp_path / "f.ome.tif")


def test_no_other_file_is_opened(tmp_path, monkeypatch):
    pair(tmp_path)
    opened, init = [], tifffile.TiffFile.__init__
    monkeypatch.setattr(
        tifffile.TiffFile,
        "__init__",
        lambda self, file, **kw: (opened.append(str(file)), init(self, file, **kw))[1],
    )
    print(tiff.read(tmp_path / "p1.ome.tif").pixels)
    assert set(opened) == {str(tmp_path / "p1.ome.tif")}


@pytest.mark.parametrize("uuid", ["", "mine"])
@pytest.mark.parametrize("name", ["old.ome.tif", "a.tif"])
def test_a_file_whose_xml_says_another_name_or_uuid_is_read_alone(name, uuid, tmp_path):
    named = [(name, "another", t, {"T": t}) for t in (0, 1)]
    save(tmp_path / "a.tif", PLANES[0, :2, 0], uuid, image(named, {"T": 2}))
    found = tiff.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.pixels[:, 0], PLANES[0, :2, 0])
    assert found.axes == "TYX" and "by itself" not in found.summary()


def test_a_file_of_which_the_xml_names_nothing_has_its_pages(tmp_path):
    named = [(f"{t}.tif", f"u{t}", 0, {"T": t}) for t in (0, 1)]
    save(tmp_path / "a.tif", PLANES[0, :2, 0], "mine", image(named, {"T": 2}))
    found = tiff.read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.pixels[:, 0], PLANES[0, :2, 0])
    assert "by itself" in found.summary()


# ---------------------------------------------------------------------- several images in a file


def several(path, *arrays):
    with tifffile.TiffWriter(path, ome=True) as file:
        for k, array in enumerate(arrays):
            size = 0.5 if k < 2 else 4.0
            file.write(
                array,
                metadata={"axes": "YX", "PhysicalSizeX": size, "PhysicalSizeY": size},
                photometric="minisblack",
            )


def test_images_that_are_alike_are_pages(tmp_path):
    several(tmp_path / "a.ome.tif", *PLANES[0, :2, 0])
    found = tiff.read(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(found.pixels[:, 0], PLANES[0, :2, 0])
    assert found.pixel_size == (0.5, 0.5)


def test_of_images_that_are_not_alike_the_first_is_read_unless_one_is_named(tmp_path):
    several(tmp_path / "a.ome.tif", *PLANES[0, :2, 0], np.ones((3, 4), np.uint16))
    for first in (tiff.read(tmp_path / "a.ome.tif"), windows.open_image(tmp_path / "a.ome.tif")):
        np.testing.assert_array_equal(first.pixels[:, 0], PLANES[0, :1, 0])
        assert first.pixel_size == (0.5, 0.5)
        each = [f"{k}: {size} (YX, uint16)" for k, size in enumerate(("9 x 10", "9 x 10", "3 x 4"))]
        said = f"the first of 3 images alone is read ({', '.join(each)}): deploy and serve take"
        assert said in first.summary()
    for number, size in ((1, 0.5), (2, 4.0)):
        found = tiff.read(tmp_path / "a.ome.tif", series=number)
        assert found.pixel_size == (size, size)
    assert found.shape == (1, 1, 3, 4)


def test_images_of_unlike_pixel_sizes_have_none_together(tmp_path):
    several(tmp_path / "a.ome.tif", *PLANES[0, :, 0])
    found = tiff.read(tmp_path / "a.ome.tif")
    assert len(found) == 3 and found.pixel_size is None


# ---------------------------------------------------------------------- Micro-Manager's own index


def micro_manager(path, pages, places, sizes):
    """A stack as Micro-Manager 1.4 and 2 write it; places: (channel, z, time, position) of each
    page.  Source: https://micro-manager.org/Micro-Manager_File_Formats"""
    summary = json.dumps({"MicroManagerVersion": "2.0", "Prefix": "a", **sizes}).encode()
    start = 40 + len(summary) + len(summary) % 2
    height, width = pages[0].shape
    length = 162 + 2 * height * width
    index = start + length * len(pages)
    head = (54773648, index, 483765892, 0, 99384722, 0, 2355492, len(summary))
    data = b"II*\0" + struct.pack("<9I", start, *head) + summary + bytes(len(summary) % 2)
    for k, page in enumerate(pages):
        at = start + k * length
        tags = [(254, 4, 1, 0), (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 16)]
        tags += [(259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, at + 162), (277, 3, 1, 1)]
        tags += [(278, 4, 1, height), (279, 4, 1, 2 * height * width), (284, 3, 1, 1)]
        tags += [(296, 3, 1, 1), (51123, 2, len(summary), 40)]
        data += struct.pack("<H", 13) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
        data += struct.pack("<I", at + length if page is not pages[-1] else 0) + page.tobytes()
    rows = [(*place, start + k * length) for k, place in enumerate(places)]
    data += struct.pack("<II", 3453623, len(rows)) + np.array(rows, "<u4").tobytes()
    path.write_bytes(data)


@pytest.mark.parametrize("alone", [False, True])
def test_of_micro_managers_positions_a_file_gives_its_own(alone, tmp_path):
    sizes = {"Channels": 2, "Slices": 1, "Frames": 2, "Positions": 2}
    places = [(c, 0, t, 0) for t in (0, 1) for c in (0, 1)]
    for p in (0, 1):
        pages = [*PLANES[p, :2].reshape(-1, 9, 10)]
        at = [(c, z, t, p) for c, z, t, _ in places]
        micro_manager(tmp_path / f"a_MMStack_Pos{p}.ome.tif", pages, at, sizes)
    if alone:
        (tmp_path / "a_MMStack_Pos0.ome.tif").unlink()
    found = tiff.read(tmp_path / "a_MMStack_Pos1.ome.tif")
    assert found.axes == "TCYX"
    np.testing.assert_array_equal(found.pixels, PLANES[1, :2])
    assert ("by itself" in found.summary()) != alone
