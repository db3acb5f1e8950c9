"""Images read window by window: OME-Zarr and TIFF, and what is written as OME-Zarr."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from demitasse.data.normalize import Normalization
from demitasse.errors import ImageError
from demitasse.imaging import ngff, windows
from demitasse.imaging.tiles import Tile, read

zarr = pytest.importorskip("zarr", reason="zarr is not installed: pip install 'demitasse[dask]'")

PIXELS = np.random.default_rng(0).integers(0, 1000, (2, 3, 4, 50, 40)).astype("u2")  # TCZYX


def scales(axes, steps, unit="micrometer", path="0"):
    spaces = {a: {"name": a, "type": "space", "unit": unit} for a in "zyx"}
    named = {"t": {"name": "t", "type": "time"}, "c": {"name": "c", "type": "channel"}} | spaces
    moves = [{"type": "scale", "scale": steps}]
    return [
        {
            "axes": [named[a] for a in axes],
            "datasets": [{"path": path, "coordinateTransformations": moves}],
        }
    ]


def write(path, pixels, multiscales=None, *, version=3, group=None):
    root = zarr.open_group(path, mode="w", zarr_format=version)
    target = root if group is None else root.create_group(group)
    chunks = (1,) * (pixels.ndim - 2) + (16, 16)
    target.create_array("0", shape=pixels.shape, chunks=chunks, dtype=pixels.dtype)[:] = pixels
    if multiscales is not None:
        said = {"multiscales": multiscales}
        target.attrs.update(said if version == 2 else {"ome": {"version": "0.5", **said}})


@pytest.mark.parametrize("version", [2, 3])
def test_axes_and_pixel_size_of_ome_zarr(tmp_path, version):
    steps = [1.0, 1.0, 2.0, 0.5, 0.25]
    write(tmp_path / "a.zarr", PIXELS, scales("tczyx", steps), version=version)
    image = windows.open_image(tmp_path / "a.zarr")
    assert image.shape == (8, 3, 50, 40) and image.axes == "TCZYX"
    assert (image.pixel_size, image.depth, image.unit) == ((0.5, 0.25), 2.0, "um")
    np.testing.assert_array_equal(image.page(5), PIXELS[1, :, 1])
    part = image.window(5, slice(3, 30), slice(7, 40))
    np.testing.assert_array_equal(part, PIXELS[1, :, 1, 3:30, 7:40])


def test_an_image_of_a_collection(tmp_path):
    write(tmp_path / "a.zarr", PIXELS[0, 0, 0], scales("yx", [1, 1]), group="0")
    assert windows.open_image(tmp_path / "a.zarr").shape == (1, 1, 50, 40)
    with pytest.raises(ImageError, match=r"has no series 1; expected 0: 50 x 40 \(YX, uint16\)"):
        windows.open_image(tmp_path / "a.zarr", series=1)


def test_of_several_images_of_a_collection_the_first_is_read_and_that_is_said(tmp_path):
    write(tmp_path / "a.zarr", PIXELS[0, 0, 0], scales("yx", [1, 1]), group="0")
    write(tmp_path / "b.zarr", PIXELS[0, 0, :, :9], scales("zyx", [1, 1, 1]), group="1")
    (tmp_path / "b.zarr" / "1").rename(tmp_path / "a.zarr" / "1")
    image = windows.open_image(tmp_path / "a.zarr")
    each = "0: 50 x 40 (YX, uint16), 1: 4 x 9 x 40 (ZYX, uint16)"
    assert image.shape == (1, 1, 50, 40)
    assert f"the first of 2 images alone is read ({each}): " in image.summary()
    assert windows.open_image(tmp_path / "a.zarr", series=0).notes == ()
    assert windows.open_image(tmp_path / "a.zarr", series=1).shape == (4, 1, 9, 40)


def test_the_pixels_of_a_whole_zarr_image(tmp_path):
    write(tmp_path / "a.zarr", PIXELS[0, 0], scales("zyx", [1, 1, 1]))
    image = windows.open_image(tmp_path / "a.zarr")
    np.testing.assert_array_equal(image.pixels[:, 0], PIXELS[0, 0])


def test_a_bare_array_says_what_was_assumed(tmp_path):
    array = zarr.create_array(str(tmp_path / "a.zarr"), shape=(4, 50, 40), dtype="u2")
    array[:] = PIXELS[0, 0]
    image = windows.open_image(tmp_path / "a.zarr")
    assert image.axes == "ZYX" and "does not say what its axes are" in image.summary()
    assert windows.open_image(tmp_path / "a.zarr", axes="CYX").shape == (1, 4, 50, 40)


def test_a_group_without_an_image_is_refused(tmp_path):
    write(tmp_path / "a.zarr", PIXELS)
    with pytest.raises(ImageError, match="does not say which image it holds; expected OME-Zarr"):
        windows.open_image(tmp_path / "a.zarr")
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "zarr.json").write_text("{")
    with pytest.raises(ImageError, match="cannot be read as Zarr"):
        windows.open_image(tmp_path / "b.zarr")


@pytest.mark.parametrize(
    "settings",
    [{"tile": (16, 16), "compression": "zlib"}, {"compression": "zlib", "rowsperstrip": 8}, {}],
    ids=["tiles", "strips", "contiguous"],
)
def test_windows_of_a_tiff_file(tmp_path, settings):
    stack = PIXELS[0, 0]
    tifffile.imwrite(
        tmp_path / "a.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"}, **settings
    )
    image = windows.open_image(tmp_path / "a.tif")
    for page in range(4):
        part = image.window(page, slice(10, 33), slice(0, 40))
        np.testing.assert_array_equal(part[0], stack[page, 10:33])


@pytest.mark.parametrize("ome", [True, False])
def test_windows_of_a_pyramid_are_of_its_full_size(ome, tmp_path):
    stack, tiles = PIXELS[0, :2, 0], {"tile": (16, 16), "compression": "zlib"}
    with tifffile.TiffWriter(tmp_path / "a.tif", ome=ome) as file:
        file.write(stack, subifds=1, photometric="minisblack", metadata={"axes": "CYX"}, **tiles)
        file.write(stack[:, ::2, ::2], subfiletype=1, photometric="minisblack", **tiles)
        if not ome:  # as a preview beside the pyramid
            file.write(stack[0, :7, :9], subfiletype=1, metadata=None)
    image = windows.open_image(tmp_path / "a.tif", axes="CYX")
    assert image.shape == (1, 2, 50, 40)
    np.testing.assert_array_equal(image.window(0, slice(10, 33), slice(3, 40)), stack[:, 10:33, 3:])
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.series[0].is_pyramidal


def test_windows_of_one_file_of_several(tmp_path):
    for k in (0, 1):
        data = "".join(
            f'<TiffData IFD="0" FirstT="{t}"><UUID FileName="{t}.tif">{t}</UUID></TiffData>'
            for t in (0, 1)
        )
        sizes = 'SizeX="40" SizeY="50" SizeZ="1" SizeC="1" SizeT="2"'
        xml = f'<Image><Pixels DimensionOrder="XYCZT" {sizes}>{data}</Pixels></Image></OME>'
        tifffile.imwrite(
            tmp_path / f"{k}.tif", PIXELS[k, 0, 0], metadata=None,
            description=f'<OME UUID="{k}">{xml}', tile=(16, 16), compression="zlib",
        )  # fmt: skip
    image = windows.open_image(tmp_path / "1.tif")
    assert image.shape == (1, 1, 50, 40)
    part = image.window(0, slice(10, 33), slice(0, 40))
    np.testing.assert_array_equal(part[0], PIXELS[1, 0, 0, 10:33])


def test_a_tiff_file_of_one_large_strip_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(windows, "PIECE", 1000)
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[0, 0, 0], compression="zlib", rowsperstrip=50)
    with pytest.raises(ImageError, match=r"too large .*; expected tiles .* Save it as OME-Zarr"):
        windows.open_image(tmp_path / "a.tif")


@pytest.mark.parametrize("padding", ["mirror", "zero"])
@pytest.mark.parametrize("axes", [2, 3])
def test_a_tile_of_a_sample_is_that_of_the_image_in_memory(tmp_path, padding, axes):
    write(tmp_path / "a.zarr", PIXELS, scales("tczyx", [1] * 5))
    image = windows.open_image(tmp_path / "a.zarr")
    whole = PIXELS[1].astype("f8") if axes == 3 else PIXELS[1, :, 2]
    pages = (4, 5, 6, 7) if axes == 3 else (6,)
    rule = Normalization("zscore")
    offset, scale = rule.fit(whole)
    normal = rule.apply(PIXELS[1] if axes == 3 else PIXELS[1, :, 2], offset, scale)
    sample = windows.Sample(image, pages, axes, offset, scale)
    assert sample.shape == normal.shape
    for start in (-20, 5, 30):
        spans = (slice(-3, 6), slice(start, start + 30), slice(start, start + 30))[-axes:]
        tile = Tile(spans, spans, spans)
        np.testing.assert_array_equal(read(sample, tile, padding), read(normal, tile, padding))


def test_pixels_that_are_not_finite_are_named(tmp_path):
    pixels = PIXELS[0, 0, 0].astype("f4")
    pixels[20, 30] = np.nan
    write(tmp_path / "a.zarr", pixels, scales("yx", [1, 1]))
    image = windows.open_image(tmp_path / "a.zarr")
    with pytest.raises(ImageError, match=r"a\.zarr, page 0, the part from y 10 and x 20 on: 1 of"):
        windows.Sample(image, (0,))[:, 10:40, 20:40]
    assert windows.Sample(image, (0,), nonfinite="zero")[:, 20:21, 30:31] == 0


def test_levels_of_a_new_image(tmp_path, monkeypatch):
    monkeypatch.setattr(ngff, "LEAST", 20)
    labels = np.arange(3 * 45 * 37).reshape(3, 45, 37).astype("u2")
    for name, is_labels, dtype in (("a", True, "u2"), ("b", False, "f4")):
        made = ngff.create(
            Path(tmp_path / f"{name}.zarr"), labels.shape, "ZYX", (1, 16, 16), dtype,
            pixel={"Z": 3.0, "Y": 0.5, "X": 0.25}, unit="um", name=name, labels=is_labels, about={},
        )  # fmt: skip
        made.levels[0][:] = labels
        for level in range(1, len(made.levels)):
            for chunk in range(made.chunks(level)):
                made.shrink(level, chunk)
        assert [a.shape for a in made.levels] == [(3, 45, 37), (3, 23, 19), (3, 12, 10)]
        image = windows.open_image(tmp_path / f"{name}.zarr")
        assert (image.pixel_size, image.depth, image.unit) == ((0.5, 0.25), 3.0, "um")
        below = labels.astype(dtype)
        for level in made.levels[1:]:
            if is_labels:
                below = below[:, ::2, ::2]
            else:
                below = np.pad(below, [(0, 0), *((0, n % 2) for n in below.shape[1:])], mode="edge")
                below = below.reshape(3, below.shape[1] // 2, 2, -1, 2).mean((2, 4), dtype="f8")
            np.testing.assert_allclose(level[:], below, rtol=1e-6)
    said = zarr.open_group(str(tmp_path / "b.zarr"), mode="r").attrs["ome"]["multiscales"][0]
    assert [a["name"] for a in said["axes"]] == ["z", "y", "x"]
    assert said["axes"][1] == {"name": "y", "type": "space", "unit": "micrometer"}
    assert said["datasets"][2]["coordinateTransformations"] == [
        {"type": "scale", "scale": [3.0, 2.0, 1.0]},
        {"type": "translation", "translation": [0.0, 0.75, 0.375]},
    ]
