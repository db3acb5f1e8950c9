"""The objects command: what it measures of label images by anybody, and what it refuses."""

import csv
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import roifile
import tifffile
from demitasse.imaging import tiff
from demitasse.imaging.outlines import outlines
from demitasse.imaging.rois import Region, write_rois
from demitasse.tools import objects
from demitasse.tools._main import guarded
from demitasse.tools._maps import kind_told


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capsys):
    def run(*argv, code=0):
        assert guarded(objects.main, [str(a) for a in argv]) == code
        return capsys.readouterr().err

    return run


def table(name="img.objects.csv"):
    with open(name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def drawn(name="img.labels.tif", pages=1, **settings):
    """A square of class 1 and a bar of class 2, apart, on each page."""
    labels = np.zeros((pages, 20, 30), np.uint8)
    labels[:, 2:6, 3:7] = 1
    labels[:, 10, 5:15] = 2
    labels[:, 15:17, 20:22] = 1
    tiff.write(name, labels, **settings)
    return labels


def test_classes_are_taken_apart(run):
    drawn(pixel_size=(0.5, 0.5))
    run("img.labels.tif", "--class-names", "none,cell,fibre")
    found = [(r["id"], r["class_name"], r["area_px"], r["area_um2"]) for r in table()]
    assert found == [
        ("1", "cell", "16", "4"),
        ("2", "cell", "4", "1"),
        ("3", "fibre", "10", "2.5"),
    ]
    assert table()[0]["centroid_y"] == "3.500" and table()[0]["mean_probability"] == ""


def test_numbers_of_objects_are_kept(run):
    labels = drawn("cells.tif")[0].astype(np.uint16)
    labels[2:6, 3:7] = 41
    tiff.write("cells.tif", labels[None], overwrite=True)
    run("cells.tif", "--kind", "instances", "--min-size", "4", "--rois", "--measure")
    assert [r["id"] for r in table("cells.objects.csv")] == ["2", "41"]
    assert [roi.name for roi in roifile.roiread("cells.rois.zip")] == ["object-0002", "object-0041"]


def test_what_deploy_says_of_its_maps(run):
    """One piece of each class looks like objects, and two objects look like nothing."""
    labels = np.zeros((1, 20, 30), np.uint8)
    labels[0, 2:6, 3:7], labels[0, 10, 5:15], labels[0, 15:17, 20:22] = 1, 2, 3
    prob = np.stack([np.full((20, 30), p, np.float32) for p in (0.1, 0.2, 0.3, 0.4)])[None]
    tiff.write("img.prob.tif", prob)
    tiff.write("img.labels.tif", labels, info="demitasse 1.0: labels of img.tif")
    run("img.labels.tif", "--prob", "img.prob.tif")
    found = [(r["class"], r["mean_probability"]) for r in table()]
    assert found == [("1", "0.2000"), ("2", "0.3000"), ("3", "0.4000")]
    two = np.where(labels < 3, labels, 0)
    tiff.write("img.instances.tif", two)  # of which the name tells enough
    tiff.write("two.tif", two, info="demitasse 1.0: instances of img.tif")
    for name, made in ("img.instances.tif", "img"), ("two.tif", "two"):
        run(name, "--prob", "img.prob.tif", "--overwrite")
        found = [(r["id"], r["mean_probability"]) for r in table(f"{made}.objects.csv")]
        assert found == [("1", ""), ("2", "")]


def test_an_overlay_on_the_image_beside(run):
    drawn(pages=2)
    image = np.random.default_rng(0).integers(0, 255, (2, 20, 30)).astype(np.uint8)
    tiff.write("img.tif", image, pixel_size=(0.1, 0.1))
    run("img.labels.tif", "--overlay", "--measure")
    for page in (0, 1):
        with PIL.Image.open(f"img.overlay-00{page}.png") as picture:
            assert picture.width > 2 * 30
    assert table()[0]["area_um2"] == "0.16"


def test_images_in_a_folder_of_their_own(run):
    Path("imgs").mkdir()
    Path("res").mkdir()
    for name in "ab":
        drawn(f"res/{name}.labels.tif")
        tiff.write(f"imgs/{name}.tif", np.zeros((1, 20, 30), np.uint8), pixel_size=(0.1, 0.1))
    run("res", "--overlay", "--measure", "--image", "imgs")
    assert Path("res/a.overlay.png").exists() and Path("res/b.overlay.png").exists()
    assert table("res/b.objects.csv")[0]["area_um2"] == "0.16"
    Path("imgs/b.tif").unlink()
    err = run("res", "--overlay", "--image", "imgs", "--overwrite", code=1)
    assert "expected imgs/b.tif" in err and "Name it, or its folder: --image" in err


def test_selections_of_imagej_become_labels(run):
    Path("imgs").mkdir()
    Path("rois").mkdir()
    numbers = np.zeros((1, 20, 30), np.uint16)
    numbers[0, 2:6, 3:7], numbers[0, 10, 5:15] = 1, 2
    tiff.write("imgs/a.tif", np.zeros((1, 20, 30), np.uint8), pixel_size=(0.1, 0.1))
    regions = [Region(str(n), rings, (0, 0, 0)) for n, rings in outlines(numbers[0]).items()]
    write_rois("rois/a.zip", regions)
    err = run("rois", "--instances", code=2)
    assert "rois/a.zip: there is no image to draw these selections in; expected rois/a.tif" in err
    run("rois", "--instances", "--measure", "--image", "imgs")
    labels = tiff.read("rois/a.instances.tif")
    np.testing.assert_array_equal(labels.pixels[:, 0], numbers)
    assert labels.dtype == np.uint16
    assert labels.pixel_size == pytest.approx((0.1, 0.1)) and kind_told(labels) == "instances"
    assert [r["area_px"] for r in table("rois/a.objects.csv")] == ["16", "10"]
    run("rois", "--instances", "--image", "imgs", "--min-size", "10", "--overwrite")
    np.testing.assert_array_equal(tiff.read("rois/a.instances.tif").pixels[:, 0], numbers % 2)


def test_the_mean_probability_is_of_the_objects_class(run):
    labels = drawn()[0]
    prob = np.zeros((1, 3, 20, 30), np.float32)
    prob[0, 1], prob[0, 2] = 0.7, 0.9
    prob[0, 2, 10, 5] = 0.4
    tiff.write("p.tif", prob)
    run("img.labels.tif", "--prob", "p.tif", "--measure")
    assert [r["mean_probability"] for r in table()] == ["0.7000", "0.7000", "0.8500"]
    tiff.write("one.tif", (labels * 0.25).astype(np.float32)[None])
    run("img.labels.tif", "--prob", "one.tif", "--overwrite")
    assert [r["mean_probability"] for r in table()] == ["0.2500", "0.2500", "0.5000"]


def test_a_filled_hole_has_the_probability_of_its_objects_class(run):
    labels = np.zeros((1, 20, 30), np.uint8)
    labels[0, 2:7, 3:8] = 2
    labels[0, 4, 5] = 0
    tiff.write("img.labels.tif", labels)
    prob = np.stack([np.where(labels[0] == c, 0.8, 0.1) for c in range(3)])[None]
    tiff.write("p.tif", prob.astype(np.float32))
    run("img.labels.tif", "--prob", "p.tif", "--fill-holes")
    (row,) = table()
    assert row["class"] == "2"
    assert float(row["mean_probability"]) == pytest.approx((24 * 0.8 + 0.1) / 25, abs=1e-4)


def test_a_volume(run):
    drawn(pages=3)
    run("img.labels.tif", "--volumes", "--pixel-size", "2x1x1", "--rois", "--measure")
    assert [(r["volume_px"], r["volume_um3"]) for r in table()] == [
        ("48", "96"),
        ("12", "24"),
        ("30", "60"),
    ]
    regions = roifile.roiread("img.rois.zip")
    assert len(regions) == 9 and {roi.position for roi in regions} == {1, 2, 3}


@pytest.mark.parametrize(("axes", "stack"), [("ZYXS", True), ("ZCYX", False)])
def test_where_regions_of_coloured_stacks_lie(run, axes, stack):
    """ImageJ has slices in a stack of RGB pictures, and places along Z beside channels."""
    drawn(pages=2)
    shape = (2, 20, 30, 3) if stack else (2, 3, 20, 30)
    colours = {"photometric": "rgb" if stack else "minisblack"}
    pixels = np.zeros(shape, np.uint8)
    tifffile.imwrite("img.tif", pixels, imagej=True, metadata={"axes": axes}, **colours)
    run("img.labels.tif", "--rois")
    found = {(roi.position, roi.z_position) for roi in roifile.roiread("img.rois.zip")}
    assert found == ({(1, 0), (2, 0)} if stack else {(0, 1), (0, 2)})


def test_volumes_of_a_time_series(run):
    """An object at the end of one time and one at the beginning of the next were one."""
    labels = np.zeros((2, 3, 20, 30), np.uint8)
    labels[0, 2, 2:4, 2:4] = labels[1, 0, 2:4, 2:4] = labels[1, :, 8, 8] = 1
    tifffile.imwrite("img.labels.tif", labels, imagej=True, metadata={"axes": "TZYX"})
    run("img.labels.tif", "--volumes")
    found = [(r["page"], r["id"], r["volume_px"], r["box_z"]) for r in table()]
    assert found == [("0", "1", "4", "2"), ("3", "1", "4", "0"), ("3", "2", "3", "0")]


def test_a_picture_that_is_not_drawn_on_need_not_fit(run):
    drawn()
    tiff.write("img.tif", np.zeros((2, 20, 30), np.uint8))
    run("img.labels.tif", "--measure")
    assert len(table()) == 3
    assert "has other pages" in run("img.labels.tif", "--overlay", "--overwrite", code=2)


def test_contours_are_those_of_the_objects(run):
    """They were drawn around everything in the map."""
    drawn()
    tiff.write("img.tif", np.zeros((1, 20, 30), np.uint8))
    run("img.labels.tif", "--overlay", "--min-size", "10")
    with PIL.Image.open("img.overlay.png") as picture:
        left, right = np.split(np.asarray(picture)[: 20 * 8], [30 * 8 + 8], axis=1)
    assert not left[:, : 30 * 8].any()
    assert right[2 * 8 : 6 * 8, 3 * 8 : 7 * 8].any()
    assert not right[10 * 8 : 17 * 8].any()
    labels = np.zeros((1, 20, 30), np.uint8)
    labels[0, 4:14, 5:15], labels[0, 4:14, 15:25] = 1, 2
    tiff.write("img.instances.tif", labels)
    run("img.instances.tif", "--overlay", "--overwrite")
    with PIL.Image.open("img.overlay.png") as picture:
        between = np.asarray(picture)[9 * 8, (30 + 1 + 15) * 8 - 3 : (30 + 1 + 15) * 8 + 3]
    assert between.any(axis=1).tolist() == [False, True, True, True, True, False]


def test_a_folder_with_a_bad_file(run):
    Path("plate").mkdir()
    drawn("plate/a.labels.tif")
    Path("plate/b.labels.tif").write_text("no image")
    assert "is not a TIFF or PNG file" in run("plate", code=1)
    assert len(table("plate/a.objects.csv")) == 3


def test_what_exists_is_refused_before_any_work(run):
    drawn()
    Path("img.objects.csv").write_text("mine")
    assert "img.objects.csv: exists already" in run("img.labels.tif", "--rois", "--measure", code=2)
    assert Path("img.objects.csv").read_text() == "mine" and not Path("img.rois.zip").exists()


@pytest.mark.parametrize(
    "argv, said",
    [
        (["--overlay"], "there is no image to draw its contours on; expected img.tif"),
        (["--overlay", "--image", "small.tif"], "small.tif: has other pages than img.labels.tif"),
        (["--prob", "small.tif"], "small.tif: has other pages than img.labels.tif"),
        (["--kind", "instances", "--fill-holes"], "--fill-holes is for maps of classes"),
        (["two.labels.tif", "--image", "small.tif"], "are for one label image"),
    ],
)
def test_what_does_not_fit(run, argv, said):
    drawn()
    drawn("two.labels.tif")
    drawn("small.tif")
    tiff.write("small.tif", np.zeros((1, 5, 5), np.uint8), overwrite=True)
    assert said in run("img.labels.tif", *argv, code=2)
    assert not list(Path().glob("*.csv")) and not list(Path().glob("*.png"))


def test_two_maps_with_one_name(run):
    PIL.Image.fromarray(drawn()[0]).save("img.labels.png")
    assert "two label images would be written to one file" in run(
        "img.labels.tif", "img.labels.png", code=2
    )


@pytest.mark.parametrize("many", [3, 20])
def test_the_values_of_another_programs_labels_tell(run, many):
    """They were classes 1, 2 and 3."""
    labels = np.zeros((1, 20, 50), np.uint8)
    labels[0, 5:10, ::2][:, :many] = np.arange(1, many + 1)
    tiff.write("img.labels.tif", labels)
    run("img.labels.tif")
    assert {r["class"] for r in table()} == {"1"} and len(table()) == many
    run("img.labels.tif", "--kind", "classes", "--overwrite")
    assert [r["class"] for r in table()] == [str(k) for k in range(1, many + 1)]
    tiff.write("img.labels.tif", labels, info="demitasse 1.0: labels of img.tif", overwrite=True)
    run("img.labels.tif", "--overwrite")
    assert len({r["class"] for r in table()}) == many


def test_a_micrograph_that_nothing_is_wanted_of_is_not_read(run):
    """After deploy --series 1 it was refused."""
    with tifffile.TiffWriter("img.tif") as file:
        file.write(np.zeros((20, 30), np.uint8), metadata=None)
        file.write(np.zeros((8, 9), np.uint8), metadata=None)
    for sizes in ({"pixel_size": (0.5, 0.5)}, {}):
        drawn(**sizes, overwrite=True)
        run("img.labels.tif", "--measure", "--overwrite")
        assert len(table()) == 3
    assert "different sizes" in run("img.labels.tif", "--overlay", "--overwrite", code=2)


def test_a_folder_of_results_gives_maps_of_one_kind(run):
    """Objects and classes of one image were refused, as two for one table."""
    Path("res").mkdir()
    labels = drawn("res/img.labels.tif")
    tiff.write("res/img.prob.tif", np.full((1, 20, 30), 0.5, np.float32))
    said = "1 label image taken (img.labels.tif), 1 other file left out (img.prob.tif)"
    assert said in run("res")
    assert len(table("res/img.objects.csv")) == 3
    tiff.write("res/img.instances.tif", np.where(labels == 1, 7, 0).astype(np.uint8))
    said = "1 label image taken (img.instances.tif), 2 other files left out "
    said += "(img.labels.tif, img.prob.tif)"
    for named in ["res"], ["res/*.tif"], sorted(Path("res").glob("*.tif")):  # or a shell names all
        assert said in run(*named, "--overwrite")
        assert [row["id"] for row in table("res/img.objects.csv")] == ["7"]


def test_what_is_taken_is_chosen_for_each_image(run):
    """An image of which there are classes alone was left out beside the objects of another."""
    Path("res").mkdir()
    drawn("res/a.labels.tif")
    drawn("res/b.labels.tif")
    drawn("res/b.instances.tif")
    drawn("res/b.tif")
    assert "2 other files left out (b.labels.tif, b.tif)" in run("res")
    assert len(table("res/a.objects.csv")) == 3 and len(table("res/b.objects.csv")) == 2


def test_what_is_not_read_of_files_is_said_once(run, capsys):
    """Of a batch it was said of each file, and of its image."""
    Path("res").mkdir()
    for name in "ab":
        labels = drawn(f"res/{name}.labels.tif", overwrite=True)
        with tifffile.TiffWriter(f"res/{name}.tif") as file:
            file.write(labels[0], metadata=None)
            file.write(labels[0, :7, :8], subfiletype=1, metadata=None)
    assert guarded(objects.main, ["res", "--rois"]) == 0
    out = capsys.readouterr().out
    assert out.count("a smaller copy left out") == 1
    assert "note: res/a.tif and 1 more file: a smaller copy" in out


def test_fractions_are_no_labels(run):
    tiff.write("p.tif", np.full((1, 5, 5), 0.5, np.float32))
    assert "holds fractions" in run("p.tif", code=2)


def test_values_that_do_not_tell(run):
    labels = np.zeros((1, 8, 8), np.uint8)
    labels[0, 1, 1], labels[0, 3, 3] = 1, 2  # each in one piece, and only two
    tiff.write("u.tif", labels)
    assert "--kind classes or --kind instances" in run("u.tif", code=2)


def test_an_image_is_no_map_of_labels(run):
    grey = np.random.default_rng(0).integers(40, 200, (60, 60), np.uint8)
    tiff.write("img.tif", grey[None])
    err = run("img.tif", code=2)
    assert "img.tif: looks like an image, not like labels; found 160 values in scattered" in err
    assert "Segment it first (demitasse deploy), or say --kind classes" in err
    run("img.tif", "--kind", "classes")
