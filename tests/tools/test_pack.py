"""The pack command: from image files to training files, and what it says on the way."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import PIL.Image
import pytest
import tifffile
from demitasse.data import synthetic
from demitasse.errors import DataError, DemitasseError, ImageError, OutputError
from demitasse.imaging import tiff
from demitasse.imaging.outlines import outlines
from demitasse.imaging.rois import Region, write_rois
from demitasse.tools import pack

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--input-size", "60", "--output-size", "40"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a stack of four drawn slices, to work in."""
    monkeypatch.chdir(tmp_path)
    pixels, instances = synthetic.volume(0, 4, (90, 80))
    tiff.write("images.tif", pixels, pixel_size=(0.004, 0.004), unit="um")
    tiff.write("labels.tif", ((instances > 0) * 255).astype(np.uint8))
    tiff.write("instances.tif", instances.astype(np.uint16))
    return tmp_path


def run(*options, images=("images.tif",), labels=("labels.tif",), output="train.h5"):
    argv = ["--images", *images, "--labels", *labels, "--output", output, *SMALL, *options]
    return pack.main(argv)


def test_a_stack_becomes_tiles_and_a_table(folder, capsys):
    assert run("--slices", "0-1,3") == 0
    out = capsys.readouterr().out
    assert "images: images.tif: 4 pages, 1 channel, 90 x 80 pixels (axes ZYX; Z = pages)" in out
    assert "labels are binary (the only value besides 0 is 255)" in out
    assert "18 tiles from 3 slices" in out
    assert "1 foreground" in out
    assert "train.txt: the list for HDF5Data's source" in out
    with h5py.File("train.h5") as file:
        assert file["data"].shape == (18, 1, 60, 60)
        assert list(file.attrs["pixel_size"]) == [0.004, 0.004]
        origin = json.loads(file.attrs["origin"])
        instances = tiff.read("instances.tif").page(3)[0]
        np.testing.assert_array_equal(file["label"][12, 0], instances[:40, :40] > 0)
    assert origin["slices"] == [0, 1, 3]
    assert origin["sources"]["images"][0]["name"] == "images.tif"
    assert len(origin["sources"]["labels"][0]["sha256"]) == 64
    assert Path("train.txt").read_text() == "train.h5\n"


def test_every_option_at_once(folder, capsys):
    run(
        *("--labels-are", "instances", "--ignore", "3", "--class-names", "membrane,cell"),
        *("--tiles", "7", "--augment", "flips,elastic,grey", "--seed", "4", "--files-of", "3"),
        *("--normalization", "percentile", "--percentiles", "2,98", "--nonfinite", "zero"),
        *("--w0", "5", "--sigma", "3", "--border-term", "background"),
        labels=("instances.tif",),
    )
    out = capsys.readouterr().out
    assert "labels are instances, as told" in out
    assert "ignored (label 255)" in out
    assert "train-000.h5 ... train-002.h5" in out
    with h5py.File("train-002.h5") as file:
        assert file["data"].shape[0] == 1
        assert json.loads(file.attrs["normalization"])["parameters"] == {"low": 2, "high": 98}
        assert list(file.attrs["class_names"]) == ["membrane", "cell"]
        weights = json.loads(file.attrs["origin"])["weights"]
    assert weights == {"w0": 5, "sigma": 3, "inside": False}


def test_instances_are_told_apart_from_classes(folder, capsys):
    run(labels=("instances.tif",))
    assert "labels are instances" in capsys.readouterr().out


def test_folders_of_pngs_are_paired_in_natural_order(folder, capsys):
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
        stack = tiff.read(f"{kind}.tif").pixels[:, 0]
        for name, page in zip((1, 2, 10, 20), stack, strict=True):
            PIL.Image.fromarray(page).save(folder / kind / f"{name}.png")
    run(images=("images",), labels=("labels/*.png",), output="png.h5")
    run(output="tif.h5")
    with h5py.File("png.h5") as a, h5py.File("tif.h5") as b:
        for name in ("data", "label", "weight"):
            np.testing.assert_array_equal(a[name][()], b[name][()])
    assert "4 files, 4 slices in all" in capsys.readouterr().out


def test_slices_of_files_are_the_numbers_in_their_names(folder, capsys):
    """As evaluate counts them: counted from 0, a slice that was trained on was scored as new."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir()
        stack = tiff.read(f"{kind}.tif").pixels[:, 0]
        for n, page in enumerate(stack, 1):
            tiff.write(folder / kind / f"z{n}.tif", page[None])
    both = {"images": ("images",), "labels": ("labels",)}
    run("--slices", "3,4", **both)
    assert (
        "slices: images/z3.tif, images/z4.tif; 2 of 4, by the numbers in the files' names"
        in capsys.readouterr().out
    )
    with h5py.File("train.h5") as file:
        label = tiff.read("labels.tif").page(2)[0]
        np.testing.assert_array_equal(file["label"][0, 0], label[:40, :40] > 0)
        assert json.loads(file.attrs["origin"])["slices"] == [3, 4]
    expected = r"expected 1 to 4, by the numbers in the files' names, found 0"
    with pytest.raises(DataError, match=expected):
        run("--slices", "0-2", "--overwrite", **both)
    for kind in both:
        (folder / kind / "z2.tif").rename(folder / kind / "z9.tif")
    with pytest.raises(DataError, match=r"expected 1, 3, 4, 9, by the numbers .* found 2"):
        run("--slices", "2", "--overwrite", **both)
    for kind in both:
        (folder / kind / "z9.tif").rename(folder / kind / "z2.tif")
    run("--slices", "0-3", "--overwrite")
    said = "slices: images.tif, page 0 ... images.tif, page 3; 4 of 4, counted from 0"
    assert said in capsys.readouterr().out
    for n in range(4, 0, -1):
        (folder / "labels" / f"z{n}.tif").rename(folder / "labels" / f"z{n + 1}.tif")
    run("--slices", "0", "--overwrite", "--in-order", **both)
    assert "slices: images/z1.tif; 1 of 4, counted from 0" in capsys.readouterr().out


def test_rgb_labels_of_grey_values_are_taken_and_colours_are_not(folder):
    label = tiff.read("labels.tif").page(0)[0]
    image = tiff.read("images.tif").page(0)[0]
    PIL.Image.fromarray(image).save("i.png")
    PIL.Image.fromarray(np.stack([label] * 3, -1)).save("l.png")
    run(images=("i.png",), labels=("l.png",))
    PIL.Image.fromarray(np.stack([label, label, 0 * label], -1)).save("l.png")
    words = r"l\.png, page 0: has several channels.*--label-axes, and of the images with --axes"
    with pytest.raises(ImageError, match=words):
        run("--overwrite", images=("i.png",), labels=("l.png",))


def test_rgb_images_have_three_channels(folder):
    PIL.Image.fromarray(np.stack([tiff.read("images.tif").page(0)[0]] * 3, -1)).save("i.png")
    PIL.Image.fromarray(tiff.read("labels.tif").page(0)[0]).save("l.png")
    run(images=("i.png",), labels=("l.png",))
    with h5py.File("train.h5") as file:
        assert file["data"].shape[1] == file.attrs["input_channels"] == 3


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (["--slices", "2-4"], DataError, "slice that is not there; expected 0 to 3, .* found 4"),
        (["--augment", "flips"], DataError, r"random tiles.*--tiles"),
        (["--input-size", "61"], DataError, "do not belong together.*demitasse plan NET --input N"),
        (["--classes", "0,255", "--labels-are", "binary"], DataError, "are not classes"),
        (["--classes", "0,254"], DataError, r"holds the value 255.*one of 0, 254"),
        (["--normalization", "minmix"], DataError, r"no normalization 'minmix'.*minmax"),
        (["--percentiles", "1,99"], DataError, "has no parameter 'low'"),
        (["--axes", "YX"], ImageError, "axes 'YX' do not fit"),
        (["--axes", "CYX"], DataError, r"pairs; expected.*1 in images\.tif.*found 4.*--label-axes"),
        (["-o", "missing/train.h5"], OutputError, "does not exist"),
        (["-o", "train.tif"], DataError, r"name ending in \.h5"),
    ],
)
def test_refusals(folder, options, error, words):
    with pytest.raises(error, match=words):
        run(*options)
    assert not list(folder.glob("*.h5"))
    assert not list(folder.glob(".*"))


def test_classes_may_be_any_values(folder, capsys):
    run("--classes", "255,0", "--class-names", "interior,membrane")
    assert "labels are classes, as told" in capsys.readouterr().out
    with h5py.File("train.h5") as file:
        np.testing.assert_array_equal(
            file["label"][0, 0], tiff.read("labels.tif").page(0)[0, :40, :40] == 0
        )


def test_sizes_are_compared_before_anything_is_read(folder):
    tiff.write("other.tif", np.zeros((4, 90, 81), np.uint8))
    with pytest.raises(DataError, match=r"other\.tif, page 0: .*\(90, 80\).*found \(90, 81\)"):
        run(labels=("other.tif",))


def test_nan_is_refused_with_file_page_and_place(folder):
    images = tiff.read("images.tif").pixels[:, 0].astype(np.float32)
    images[2, 5, 6] = np.nan
    tiff.write("nan.tif", images)
    with pytest.raises(ImageError, match=r"nan\.tif, page 2: 1 of 7200 pixels.*y 5, x 6"):
        run(images=("nan.tif",))
    assert run("--nonfinite", "zero", images=("nan.tif",)) == 0


def test_an_empty_mask_is_pointed_out(folder, capsys):
    labels = tiff.read("labels.tif").pixels[:, 0]
    labels[1] = 0
    tiff.write("gap.tif", labels)
    run(labels=("gap.tif",))
    out = capsys.readouterr().out
    assert "warning: images.tif, page 1: every pixel is background; is the mask empty?" in out


@pytest.mark.parametrize("size, unit", [(0.004 + 1e-11, "um"), (4, "nm")])
def test_pixel_sizes_that_are_the_same_but_for_rounding_or_the_unit(size, unit, folder, capsys):
    pixels = tiff.read("images.tif").pixels[:, 0]
    tiff.write("more.tif", pixels, pixel_size=(size, size), unit=unit)
    images, labels = ("images.tif", "more.tif"), ("labels.tif", "labels.tif")
    assert run("--in-order", images=images, labels=labels) == 0
    assert "different pixel sizes" not in capsys.readouterr().out
    with h5py.File("train.h5") as file:
        np.testing.assert_allclose(file.attrs["pixel_size"], 0.004)
        assert file.attrs["pixel_unit"] == "um"


def test_of_several_images_in_a_file_the_first_is_packed(folder, capsys):
    page = tiff.read("images.tif").pixels[0, 0]
    for n in range(4):
        with tifffile.TiffWriter(f"z{n}.ome.tif", ome=True) as file:
            file.write(page, metadata={"axes": "YX"})
            file.write(page[:9], metadata={"axes": "YX"})
    assert run(images=("z*.ome.tif",)) == 0
    out = capsys.readouterr().out
    assert out.count("the first of 2 images alone is read") == 1
    assert "note: z0.ome.tif and 3 more files: the first" in out


def test_pictures_of_a_folder_that_are_not_read_are_named(folder, capsys):
    Path("images").mkdir()
    Path("images.tif").rename("images/images.tif")
    Path("images/more.jpg").write_bytes(b"x")
    assert run(images=("images",)) == 0
    said = "images: 1 picture left out that is neither .tif nor .png (more.jpg)"
    assert said in capsys.readouterr().err


def test_one_channel_of_the_images_may_be_taken(folder):
    pixels = tiff.read("images.tif").pixels[:, 0]
    tiff.write("two.tif", np.stack([pixels // 2, pixels], axis=1))
    assert run() == run("--channel", "1", images=("two.tif",), output="b.h5") == 0
    with h5py.File("train.h5") as one, h5py.File("b.h5") as two:
        np.testing.assert_array_equal(one["data"][:], two["data"][:])
    with pytest.raises(ImageError, match="has no channel 2"):
        run("--channel", "2", images=("two.tif",), output="c.h5")


def test_different_pixel_sizes_are_not_mixed(folder, capsys):
    tiff.write("more.tif", np.zeros((1, 90, 80), np.uint8), pixel_size=(1, 1))
    tiff.write("lab.tif", np.eye(90, 80, dtype=np.uint8)[None])
    run(
        "--labels-are",
        "binary",
        images=("images.tif", "more.tif"),
        labels=("labels.tif", "lab.tif"),
    )
    assert "different pixel sizes" in capsys.readouterr().out
    with h5py.File("train.h5") as file:
        assert "pixel_size" not in file.attrs


def test_outputs_are_not_overwritten_unasked(folder):
    run()
    before = Path("train.h5").read_bytes()
    with pytest.raises(OutputError, match=r"exists already.*--overwrite"):
        run("--seed", "1")
    assert Path("train.h5").read_bytes() == before
    assert run("--overwrite", "--slices", "0") == 0
    assert Path("train.h5").read_bytes() != before


@pytest.mark.parametrize("option", ["--classes", "--percentiles", "--slices", "--input-size"])
def test_options_that_are_no_numbers(folder, option, capsys):
    with pytest.raises(SystemExit) as stop:
        run(option, "x")
    assert stop.value.code == 2
    assert f"argument {option}" in capsys.readouterr().err


def test_the_help_teaches(capsys):
    with pytest.raises(SystemExit):
        pack.main(["--help"])
    out = capsys.readouterr().out
    for words in ("examples:", "--tiles 400 --augment flips,elastic,grey", "hdf5_data_param"):
        assert words in out


def test_it_runs_as_a_script_from_anywhere_and_refuses_in_one_paragraph(folder):
    command = [sys.executable, str(ROOT / "tools" / "pack.py"), "--images", "images.tif"]
    command += ["--labels", "labels.tif", "--output", "train.h5", *SMALL]
    done = subprocess.run([*command, "--slices", "9"], capture_output=True, text=True)
    assert done.returncode == DemitasseError.exit_code
    assert done.stderr.startswith("error: --slices asks for a slice that is not there")
    assert "Traceback" not in done.stderr
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path("train.h5").exists()


def test_a_pixel_size_may_be_told(folder, capsys):
    run("--pixel-size", "0.19")
    run("--pixel-size", "0.5x0.19", output="flat.h5")
    for name, size in (("train.h5", [0.19, 0.19]), ("flat.h5", [0.5, 0.19])):
        with h5py.File(name) as file:
            assert (list(file.attrs["pixel_size"]), file.attrs["pixel_unit"]) == (size, "um")
    with pytest.raises(DataError, match=r"--pixel-size does not fit images; expected 1 or 2"):
        run("--pixel-size", "1x1x1", output="deep.h5")
    tiff.write("more.tif", tiff.read("images.tif").pixels[:, 0], pixel_size=(1, 1))
    images, labels = ("images.tif", "more.tif"), ("labels.tif", "labels.tif")
    run(images=images, labels=labels, output="two.h5")
    assert "give --pixel-size to have one" in capsys.readouterr().out
    run("--pixel-size", "0.1", images=images, labels=labels, output="told.h5")
    with h5py.File("told.h5") as file:
        assert list(file.attrs["pixel_size"]) == [0.1, 0.1]


@pytest.mark.parametrize(
    "options",
    [[], ["--labels-are", "instances"], ["--convention", "plugin", "--background", "0"]],
)
def test_ignoring_all_that_could_be_learnt_is_refused(folder, options):
    with pytest.raises(DataError, match=r"nothing but background.*255.*leave --ignore away"):
        run("--ignore", "255", *options)
    assert not list(folder.glob("*.h5"))


@pytest.mark.parametrize("labels", ["labels.tif", "instances.tif"])
@pytest.mark.parametrize(
    "options", [[], ["--labels-are", "classes"], ["--convention", "plugin", "--background", "0"]]
)
def test_swapped_images_and_labels_are_asked_about(folder, labels, options):
    with pytest.raises(DataError, match="look like an image") as caught:
        run(*options, images=(labels,), labels=("images.tif",))
    assert "images.tif: these labels look like an image" in str(caught.value)
    assert str(caught.value).endswith("Are --images and --labels swapped?")


def test_few_grey_values_and_many_objects_are_not_called_swapped(folder):
    """Objects have many numbers, each in one piece; an image may have few values."""
    labels = np.kron(np.arange(200).reshape(10, 20), np.ones((5, 5), int)).astype(np.uint16)
    tiff.write("many.tif", labels[None])
    tiff.write("dark.tif", np.random.default_rng(0).integers(0, 5, (1, 50, 100)).astype(np.uint8))
    assert run(images=("dark.tif",), labels=("many.tif",)) == 0


def test_what_is_printed_explains_itself(folder, capsys):
    run("--slices", "0", labels=("instances.tif",))
    out = capsys.readouterr().out
    assert "in one piece, as objects are" in out
    assert "6 tiles from 1 slice, mean weight of a pixel" in out
    assert "w_c: what a pixel counts for its class" in out
    assert "MiB" in out
    assert " MB" not in out
    run("--tiles", "1", "--preview", "one.png", labels=("instances.tif",), output="one.h5")
    out = capsys.readouterr().out
    assert "1 tile from 4 slices" in out
    assert "a preview of 1 sample\n" in out


def outlined(name, labels):
    """The objects of pages as the ROI Manager saves them."""
    regions = [
        Region(f"{z}-{n}", rings, (0, 0, 0), slice=z if len(labels) > 1 else None)
        for z, page in enumerate(labels)
        for n, rings in outlines(page).items()
    ]
    write_rois(name, regions)


def test_selections_of_imagej_are_labels(folder, capsys):
    instances = tiff.read("instances.tif").pixels[:, 0]
    outlined("rois.zip", instances)
    run("--labels-are", "instances", labels=("instances.tif",), output="a.h5")
    capsys.readouterr()
    run(labels=("rois.zip",), output="b.h5")
    out = capsys.readouterr().out
    assert "labels are instances, drawn from ImageJ's selections" in out
    with h5py.File("a.h5") as a, h5py.File("b.h5") as b:
        for name in ("data", "label", "weight"):
            np.testing.assert_array_equal(a[name], b[name])


def test_a_folder_of_selections_beside_a_folder_of_images(folder, capsys):
    Path("imgs").mkdir()
    Path("rois").mkdir()
    instances = tiff.read("instances.tif").pixels[:, 0]
    for k, page in enumerate(tiff.read("images.tif").pixels):
        tiff.write(f"imgs/cell{k}.tif", page)
        outlined(f"rois/cell{k}.zip", instances[k : k + 1])
    run(images=("imgs",), labels=("rois",))
    assert "cell3.tif with cell3.zip; their names agree" in capsys.readouterr().out
    Path("rois/cell2.zip").unlink()
    with pytest.raises(DataError, match=r"one \.zip for each of 4 image files.*cell2\.tif"):
        run("--overwrite", images=("imgs",), labels=("rois",))
