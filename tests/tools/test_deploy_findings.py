"""Overlay, regions, OME-TIFF and measurements of the deploy command, read back by others."""

import csv
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import roifile
import tifffile
from demitasse.imaging import tiff
from demitasse.imaging.instances import instances
from demitasse.tools import deploy
from demitasse.tools._main import guarded
from scipy import ndimage

MODEL = ["--weights", "tiny.h5"]
ALL = ["--overlay", "--measure", "--rois", "--ome"]

trained = pytest.mark.usefixtures("trained")


def run(*argv, code=0):
    assert guarded(deploy.main, [*MODEL, *(str(a) for a in argv)]) == code


def table(name):
    with open(name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def drawn(roi, shape):
    """The pixels of a region: even-odd over the vertical edges of its rings."""
    found = np.zeros(shape, bool)
    for ring in roi.coordinates(multi=True) if roi.composite else [roi.coordinates()]:
        ring = ring.astype(int)
        for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
            if x0 == x1:
                found[min(y0, y1) : max(y0, y1), x0:] ^= True
    return found


@trained
def test_what_is_told_agrees_with_the_maps():
    rng = np.random.default_rng(1)
    tiff.write(
        "a.tif", rng.integers(0, 255, (1, 40, 50)).astype("u1"), pixel_size=(0.5, 0.2), unit="um"
    )
    argv = ("--output", "labels,prob,instances", "--min-size", "4", "--fill-holes")
    run("a.tif", *ALL, *argv)
    labels, prob, objects = (tifffile.imread(f"a.{k}.tif") for k in ("labels", "prob", "instances"))
    np.testing.assert_array_equal(objects, instances(labels, min_size=4, fill_holes=True))
    assert ((objects > 0) & (labels == 0)).any()
    rows = table("a.objects.csv")
    assert [int(row["id"]) for row in rows] == list(range(1, objects.max() + 1))
    for row in rows:
        mask = objects == int(row["id"])
        assert int(row["area_px"]) == mask.sum()
        assert float(row["area_um2"]) == pytest.approx(0.1 * mask.sum(), rel=1e-5)
        y, x = ndimage.center_of_mass(mask)
        assert (float(row["centroid_y"]), float(row["centroid_x"])) == pytest.approx(
            (y, x), abs=1e-3
        )
        assert float(row["mean_probability"]) == pytest.approx(prob[mask].mean(), abs=1e-4)
        y, x, h, w = (int(row[f"box_{k}"]) for k in ("y", "x", "height", "width"))
        assert ndimage.find_objects(mask.astype(int))[0] == (slice(y, y + h), slice(x, x + w))
    regions = roifile.roiread("a.rois.zip")
    assert len(regions) == len(rows)
    for roi in regions:
        number = int(roi.name.split("-")[-1])
        np.testing.assert_array_equal(drawn(roi, labels.shape), objects == number)
    ome = tifffile.imread("a.ome.tif")
    assert ome.shape == (2, 40, 50)
    np.testing.assert_array_equal(ome[1], prob)
    np.testing.assert_allclose(ome.sum(axis=0), 1, rtol=1e-6)
    with PIL.Image.open("a.overlay.png") as picture:
        assert picture.format == "PNG"


@trained
def test_a_stack_has_an_overlay_a_page_and_its_slices_numbers(capsys):
    stack = np.random.default_rng(2).integers(0, 255, (4, 30, 40)).astype(np.uint8)
    tiff.write("s.tif", stack)
    run("s.tif", *ALL, "--pages", "1,3")
    assert sorted(p.name for p in Path().glob("s.overlay*")) == [
        "s.overlay-001.png",
        "s.overlay-003.png",
    ]
    rows = table("s.objects.csv")
    assert {row["page"] for row in rows} == {"1", "3"} and rows[0]["area_um2"] == ""
    regions = roifile.roiread("s.rois.zip")
    assert {roi.position for roi in regions} == {2, 4}
    assert all(roi.name.startswith(f"p{roi.position - 1}-class1-") for roi in regions)
    assert len({roi.name for roi in regions}) == len(regions) == len(rows)
    assert tifffile.imread("s.ome.tif").shape == (2, 2, 30, 40)
    run(".", "--dry-run")
    assert "4 results of an earlier run left out" in capsys.readouterr().err


@trained
def test_one_map_is_still_written_page_by_page(monkeypatch):
    tiff.write("s.tif", np.random.default_rng(2).integers(0, 255, (3, 30, 40)).astype(np.uint8))
    given = []
    write = tiff.write
    monkeypatch.setattr(tiff, "write", lambda p, x, **k: (given.append(x), write(p, x, **k)))
    run("s.tif", "--measure", "--rois")
    assert len(given) == 1 and not isinstance(given[0], list | np.ndarray)


@trained
@pytest.mark.parametrize(
    "option, target",
    [
        ("--overlay", "img.overlay.png"),
        ("--rois", "img.rois.zip"),
        ("--ome", "img.ome.tif"),
        ("--measure", "img.objects.csv"),
    ],
)
def test_what_exists_is_refused_before_any_work(option, target, capsys, monkeypatch):
    Path(target).write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr("demitasse.tools._writing.write", lambda *a: pytest.fail("worked"))
        run("img.tif", option, code=2)
    assert f"{target}: exists already" in capsys.readouterr().err
    assert Path(target).read_text() == "mine" and not Path("img.labels.tif").exists()
    if option == "--ome":  # is asked whose it is
        run("img.tif", option, "--overwrite", code=2)
        assert Path(target).read_text() == "mine"
        Path(target).unlink()
    run("img.tif", option, "--overwrite")
    assert Path(target).read_bytes() != b"mine"


@trained
def test_a_pixel_size_that_the_user_says_is_the_one_measured_by():
    run("img.tif", "--measure", "--ome", "--pixel-size", "2x0.5")
    for row in table("img.objects.csv"):
        assert float(row["area_um2"]) == int(row["area_px"])
    assert tiff.read("img.ome.tif").pixel_size == (2, 0.5)


@trained
def test_objects_have_options_where_they_are_measured():
    run("img.tif", "--measure", "--min-size", "2000")
    assert table("img.objects.csv") == []


@trained
def test_a_missing_library_is_said_before_any_work(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "roifile", None)
    run("img.tif", "--rois", code=2)
    assert "pip install 'demitasse[rois]'" in capsys.readouterr().err
    assert not Path("img.labels.tif").exists()


@pytest.mark.usefixtures("deep")
def test_objects_of_volumes():
    """Two volumes in time, with a bar through all slices of the second."""
    voxels = np.full((2, 3, 6, 8), -1, np.float32)
    voxels[0, 1, 2:4, 3:6] = 1
    voxels[1, :, 5, 7] = 1
    sizes = {"resolution": (2, 2), "metadata": {"axes": "TZYX", "spacing": 2.0, "unit": "um"}}
    tifffile.imwrite("v.tif", voxels, imagej=True, **sizes)
    assert guarded(deploy.main, ["--weights", "deep.h5", "v.tif", *ALL]) == 0
    rows = table("v.objects.csv")
    assert [(r["page"], r["id"], r["volume_px"], r["volume_um3"]) for r in rows] == [
        ("0", "1", "6", "3"),
        ("3", "1", "3", "1.5"),
    ]
    assert (rows[0]["box_z"], rows[0]["box_depth"], rows[1]["box_depth"]) == ("1", "1", "3")
    assert float(rows[0]["mean_probability"]) == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-4)
    regions = {roi.name: (roi.t_position, roi.z_position) for roi in roifile.roiread("v.rois.zip")}
    assert regions == {
        "p1-cell-0001": (1, 2),
        "p3-cell-0001": (2, 1),
        "p4-cell-0001": (2, 2),
        "p5-cell-0001": (2, 3),
    }
    with tifffile.TiffFile("v.ome.tif") as file:
        assert file.series[0].axes == "TZCYX"
        np.testing.assert_array_equal(file.asarray()[:, :, 1] > 0.5, voxels > 0)
    assert tiff.read("v.ome.tif").depth == 2.0
    assert len(list(Path().glob("v.overlay-00?.png"))) == 6
