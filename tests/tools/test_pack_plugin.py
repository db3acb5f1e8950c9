"""`pack.py --convention plugin`: from image files to the plugin's files."""

import json
from pathlib import Path

import h5py
import numpy as np
import PIL.Image
import pytest
import tifffile
from demitasse.errors import DataError, OutputError
from demitasse.imaging import tiff
from demitasse.tools import pack

PLUGIN = ["--convention", "plugin", "--images", "i.tif"]
INSTANCES = ["--labels", "m.tif", "--labels-are", "instances"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """i.tif: 3 pages of noise, 0.5 um a pixel; m.tif: two touching objects, 1 around, 0 ignored."""
    monkeypatch.chdir(tmp_path)
    mask = np.ones((3, 30, 26), np.uint8)
    mask[:, 4:14, 5:12], mask[:, 4:14, 12:20], mask[:, :, :3] = 2, 3, 0
    image = np.random.default_rng(0).integers(0, 4000, mask.shape).astype(np.uint16)
    tiff.write("i.tif", image, pixel_size=(0.5, 0.5), unit="um")
    tiff.write("m.tif", mask)
    return tmp_path


def run(*options, output="t.h5"):
    return pack.main([*PLUGIN, *options, "-o", output])


def test_training_files_the_table_and_the_preview(folder, capsys):
    assert run(*INSTANCES, "--class-names", "outside,cell", "--preview", "t.png") == 0
    out = capsys.readouterr().out
    for words in ("3 frames for train", "share of weight", "1 cell", "ignored: 11.54 %"):
        assert words in out
    assert "t.png: a preview of 3 samples" in out
    with h5py.File("t.h5") as file:
        assert file["weights2"].shape == (3, 1, 30, 26)
        np.testing.assert_array_equal(file["data"].attrs["element_size_um"], [0.5, 0.5])
        assert file["labels"][0, 0, 6, 12] == 0 < file["labels"][0, 0, 6, 10]
        origin = json.loads(file.attrs["origin"])
    assert origin["sources"]["labels"][0]["name"] == "m.tif"
    with PIL.Image.open("t.png") as picture:
        assert picture.size[0] > 1000


def test_every_option_of_the_weights(folder):
    run(
        *INSTANCES,
        *("--border-weight-factor", "20", "--border-weight-sigma", "2", "--sigma1", "3"),
        *("--foreground-background-ratio", "0.3", "--normalization", "zscore"),
        *("--input-dataset-name", "raw", "--files-of", "2"),
    )
    with h5py.File("t-001.h5") as file:
        said = file["conversionParameters"].attrs
        assert [said["borderWeightFactor"], said["borderWeightSigmaPx"]] == [20, 2]
        assert [said["sigma1_um"], said["foregroundBackgroundRatio"]] == [3, 0.3]
        assert said["normalizationType"] == 2
        assert file["raw"].shape[0] == 1


def test_rescaling_is_said_before_it_is_done(folder, capsys):
    run(*INSTANCES, "--element-size", "1x0.5")
    assert "rescaled: 30 x 26 pixels of 0.5 x 0.5 um to 15 x 26 of 1 x 0.5 um" in (
        capsys.readouterr().out
    )
    with h5py.File("t.h5") as file:
        assert file["data"].shape[2:] == (15, 26)


def test_masks_with_background_0_and_classes_with_instances(folder, capsys):
    mask = tiff.read("m.tif").pixels[:, 0]
    tiff.write("ours.tif", np.where(mask < 2, 0, mask).astype(np.uint8))
    tiff.write("open.tif", (mask == 0).astype(np.uint8))
    run("--labels", "ours.tif", "--background", "0", "--labels-are", "classes",
        "--ignore-regions", "open.tif", output="a.h5")  # fmt: skip
    with h5py.File("a.h5") as file:
        assert set(np.unique(file["labels"])) == {0, 2, 3}
        assert (file["weights"][:, 0][mask == 0] == 0).all()
    tiff.write("class.tif", np.minimum(mask, 2).astype(np.uint8))
    run("--labels", "class.tif", "--instances", "m.tif", output="b.h5")
    run(*INSTANCES, output="c.h5")
    with h5py.File("b.h5") as b, h5py.File("c.h5") as c:
        np.testing.assert_array_equal(b["weights"], c["weights"])
    capsys.readouterr()
    run("--labels", "class.tif", output="d.h5")
    assert "labels are binary" in capsys.readouterr().out


def test_validation_tiles(folder, capsys):
    run(*INSTANCES, "--for", "validation", "--input-size", "40", "--output-size", "20",
        "--input-blob-name", "image", "--slices", "1", "--preview", "t.png")  # fmt: skip
    assert Path("t.txt").read_text().split() == [f"t-00{i}.h5" for i in range(4)]
    with h5py.File("t-003.h5") as file:
        assert file["image"].shape == (1, 1, 40, 40)
        assert (file["weights"][0, 0, 10:] == 0).all()


def test_prediction_needs_no_labels(folder):
    run("--for", "predict", "--preview", "t.png")
    with h5py.File("t.h5") as file:
        assert list(file) == ["data"]
        assert file["data"].shape == (3, 1, 30, 26)
        assert (file["data"][()].min(), file["data"][()].max()) == (0, 1)


def test_rgb_has_three_channels(folder):
    rgb = np.random.default_rng(0).integers(0, 255, (20, 22, 3), np.uint8)
    PIL.Image.fromarray(rgb).save("c.png")
    pack.main(["--convention", "plugin", "--for", "predict", "--images", "c.png", "-o", "t.h5"])
    with h5py.File("t.h5") as file:
        assert file["data"].shape == (1, 3, 20, 22)


def test_volumes_with_the_spacing_of_the_file(folder, capsys):
    image = np.random.default_rng(0).integers(0, 255, (2, 5, 12, 14), np.uint8)
    settings = {"axes": "TZYX", "spacing": 2.0, "unit": "um"}
    tifffile.imwrite("v.tif", image, imagej=True, resolution=(2, 2), metadata=settings)
    mask = np.ones(image.shape, np.uint8)
    mask[:, 1:3, 3:8, 3:8] = 2
    tifffile.imwrite("w.tif", mask, imagej=True, metadata={"axes": "TZYX"})
    common = ["--convention", "plugin", "--images", "v.tif", "--labels", "w.tif", "--volumes"]
    common += ["--labels-are", "instances", "--element-size", "1x0.5x0.5"]
    assert pack.main([*common, "-o", "t.h5", "--preview", "t.png"]) == 0
    assert "5 x 12 x 14 pixels of 2 x 0.5 x 0.5 um to 10 x 12 x 14" in capsys.readouterr().out
    with h5py.File("t.h5") as file:
        assert file["data"].shape == (2, 1, 10, 12, 14)
        np.testing.assert_array_equal(file["data"].attrs["element_size_um"], [1, 0.5, 0.5])
        assert (file["labels"][0, 0, 2:5, 3:8, 3:8] == 1).all()
    tiles = ["--for", "validation", "--input-size", "8x10x10", "--output-size", "4x6x6"]
    assert pack.main([*common, *tiles, "-o", "v.h5", "--slices", "1"]) == 0
    with h5py.File("v-000.h5") as file:
        assert file["data3"].shape == (1, 1, 8, 10, 10)
    with pytest.raises(DataError, match="cannot be told which axis is the depth; found axes TYX"):
        for name, pages in (("v.tif", image), ("w.tif", mask)):
            tifffile.imwrite(name, pages[0], imagej=True, metadata={"axes": "TYX"})
        pack.main([*common, "-o", "n.h5"])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ([*INSTANCES, "--tiles", "4"], DataError, "--tiles is of the paper's convention"),
        ([], DataError, "Give --labels"),
        ([*INSTANCES, "--normalization", "percentile"], DataError, "expected one of none, minmax"),
        ([*INSTANCES, "--instances", "m.tif"], DataError, "says the same again"),
        ([*INSTANCES, "--element-size", "1x1x1"], DataError, "expected 1 or 2 numbers, found 3"),
        ([*INSTANCES, "--border-weight-sigma", "0"], DataError, "both sigmas > 0"),
        ([*INSTANCES, "--for", "validation", "--input-size", "8x8x8"], DataError, "need 2 sizes"),
        ([*INSTANCES, "--preview", "no/t.png"], OutputError, "does not exist"),
        (["--labels", "m.tif", "--slices", "1-9"], DataError, "slice that is not there"),
    ],
)
def test_refusals(folder, options, error, words):
    with pytest.raises(error, match=words):
        run(*options)
    assert not list(folder.glob("*.h5"))


def test_the_papers_convention_does_not_know_the_plugins_options(folder):
    argv = ["--images", "i.tif", "--labels", "m.tif", "-o", "t.h5", "--element-size", "1"]
    with pytest.raises(DataError, match="--element-size is of the plugin's convention"):
        pack.main(argv)


def test_a_label_volume_of_another_size_or_page_count_is_refused(folder):
    tiff.write("few.tif", np.ones((2, 30, 26), np.uint8))
    with pytest.raises(DataError, match=r"images and labels do not come in pairs.*2 in few\.tif"):
        run("--labels", "few.tif")
    tiff.write("small.tif", np.ones((3, 30, 25), np.uint8))
    with pytest.raises(DataError, match=r"small\.tif, page 0: .*different sizes"):
        run(*INSTANCES, "--ignore-regions", "small.tif")


def test_an_unknown_pixel_size_cannot_be_rescaled(folder):
    tiff.write("n.tif", np.zeros((1, 30, 26), np.uint8))
    argv = ["--convention", "plugin", "--for", "predict", "--images", "n.tif", "-o", "p.h5"]
    with pytest.raises(DataError, match=r"n\.tif: the size of its pixels is not known"):
        pack.main([*argv, "--element-size", "0.5"])
    assert pack.main([*argv, "--element-size", "0.5", "--pixel-size", "0.25"]) == 0
    with h5py.File("p.h5") as file:
        assert file["data"].shape[2:] == (15, 13)


# ---- points, and what a model says ---------------------------------------------------------------


def points(*rows, head="x,y,slice"):
    Path("p.csv").write_text("\n".join([head, *rows]) + "\n")


def test_points_alone(folder, capsys):
    points("8,10,1", "20.4,9.6,3")
    assert run("--points", "p.csv") == 0
    out = capsys.readouterr().out
    assert "points: p.csv: 2 of 2" in out and "1 foreground" in out
    with h5py.File("t.h5") as file:
        labels, weights = file["labels"][:, 0], file["weights"][:, 0]
    y, x = np.indices((30, 26))
    for page, (py, px) in ((0, (10, 8)), (2, (10, 20))):
        squared = (y - py) ** 2 + (x - px) ** 2
        np.testing.assert_array_equal(labels[page] == 1, squared <= 4)
        np.testing.assert_array_equal(weights[page] == 0, (squared > 4) & (squared <= 16))
    assert not labels[1].any() and (weights[1] > 0).all()


def test_points_beside_masks_and_rescaled(folder):
    points("22,26,2")
    run(*INSTANCES, "--points", "p.csv", "--disk-radius", "1", "--element-size", "1")
    with h5py.File("t.h5") as file:
        labels = file["labels"][:, 0]
    assert labels[1, 13, 11] == 1 and labels[0, 13, 11] == 0
    assert (labels[1] - labels[0]).sum() == 5  # a disk of radius 1 at (13, 11)
    assert labels[0, 3:6, 4:5].all()


def test_points_of_volumes_and_of_chosen_slices(folder):
    points("8,10,2", "3,3,3")
    run("--points", "p.csv", "--volumes", "--disk-radius", "1", output="v.h5")
    with h5py.File("v.h5") as file:
        where = np.argwhere(file["labels"][0, 0])
    assert len(where) == 7 + 6  # a ball, and one at the last slice
    run("--points", "p.csv", "--slices", "1", output="s.h5")
    with h5py.File("s.h5") as file:
        assert file["labels"].shape[0] == 1 and file["labels"][0, 0, 10, 8] == 1


@pytest.mark.parametrize(
    ("row", "more", "said"),
    [
        ("8,30,1", [], "a point lies outside the image"),
        ("8,-2,1", [], "a point lies outside the image"),
        ("8,3,9", [], "no point lies on the pages that are packed"),
    ],
)
def test_points_that_are_not_there(folder, row, more, said):
    points(row)
    with pytest.raises(DataError, match=said):
        run("--points", "p.csv", *more)
    assert not Path("t.h5").exists()


def test_what_a_model_says(folder, capsys):
    from demitasse.weights import LossWeights, ModelDef, write_modeldef

    model = ModelDef(
        ident="m",
        model_prototxt="",
        solver_prototxt="",
        element_size_um=(1.0, 1.0),
        downsample_factor=(2, 2),
        pad_input=(4, 4),
        pad_output=(0, 0),
        input_dataset_name="raw",
        normalization_type=2,
        class_names=("nothing", "cell"),
        disk_radius_px=3,
        loss_weights=LossWeights(20, 2, 0.3, 4),
    )
    write_modeldef("m.modeldef.h5", model)
    points("20,20,1,cell", head="x,y,slice,class")
    assert run("--points", "p.csv", "--modeldef", "m.modeldef.h5", "--sigma1", "5") == 0
    assert "settings: m.modeldef.h5: m, 2-D, zscore" in capsys.readouterr().out
    with h5py.File("t.h5") as file:
        said = file["conversionParameters"].attrs
        names = ("borderWeightFactor", "borderWeightSigmaPx", "foregroundBackgroundRatio")
        assert [said[name] for name in (*names, "sigma1_um")] == pytest.approx([20, 2, 0.3, 5])
        assert [n.decode() for n in said["classNames"]] == ["nothing", "cell"]
        assert file["raw"].shape == (3, 1, 15, 13) and said["normalizationType"] == 2
        assert (file["labels"][0] == 1).sum() == 28  # a disk of radius 3, cut by the edge
    with pytest.raises(DataError, match=r"--modeldef is of the plugin's convention"):
        pack.main(["--images", "i.tif", "--labels", "m.tif", "--modeldef", "x", "-o", "u.h5"])


@pytest.mark.parametrize("purpose", ["train", "predict"])
def test_a_constant_image_is_said(folder, purpose, capsys):
    image = tiff.read("i.tif").pixels[:, 0]
    image[1] = 7
    tiff.write("i.tif", image, overwrite=True)
    assert run(*INSTANCES, "--for", purpose) == 0
    said = "warning: i.tif, page 1: every pixel of the image is the same: nothing to learn from"
    assert said in capsys.readouterr().out
    with h5py.File("t.h5") as file:
        assert np.isfinite(file["data"][()]).all()
