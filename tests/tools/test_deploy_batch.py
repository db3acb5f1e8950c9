"""Many images at once: folders, patterns, and a bad file among good ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from demitasse import weights
from demitasse.imaging import tiff
from demitasse.tools import deploy
from demitasse.tools._main import guarded

MODEL = ["--weights", "tiny.h5"]

pytestmark = pytest.mark.usefixtures("trained")


def run(capsys, *argv):
    """Exit code, stdout and stderr of a command."""
    capsys.readouterr()
    code = guarded(deploy.main, [str(a) for a in argv])
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    return code, said.out, said.err


@pytest.fixture
def plate():
    """A folder of two good images and, by name, a bad one between them."""
    folder = Path("plate")
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a1.tif", "a10.tif", "b2.tif"):
        tiff.write(folder / name, rng.integers(0, 255, (1, 30, 40)).astype(np.uint8))
    return folder


def test_pictures_of_a_folder_that_are_not_read_are_named(plate, capsys):
    for name in ("c.jpg", "d.lsm", "notes.txt", ".e.jpg"):
        (plate / name).write_bytes(b"II*\0")
    code, _, err = run(capsys, *MODEL, plate)
    said = "plate: 2 pictures left out that are neither .tif nor .png (c.jpg, d.lsm)"
    assert code == 0 and said in err
    assert "picture" not in run(capsys, *MODEL, plate / "a*.tif", "--overwrite")[2]


def test_a_folder_in_natural_order_and_again_without_its_own_results(plate, capsys):
    code, out, _ = run(capsys, *MODEL, plate, "--instances", "--overlay")
    assert code == 0 and "3 of 3 images done" in out
    assert out.index("plate/a1.tif") < out.index("plate/a10.tif") < out.index("plate/b2.tif")
    assert len(list(plate.glob("*.labels.tif"))) == len(list(plate.glob("*.instances.tif"))) == 3
    code, out, err = run(capsys, *MODEL, plate, "--overwrite")
    assert code == 0 and "3 of 3 images done" in out
    said = "(a1.instances.tif, a1.labels.tif, a1.overlay.png, ...)"
    assert f"plate: 9 results of an earlier run left out {said}" in err
    (plate / "b2.labels-0.25.tif").touch()  # as serve names it; it was segmented
    assert "plate: 10 results of" in run(capsys, *MODEL, plate, "--overwrite", "--dry-run")[2]


def test_a_row_of_the_table_names_its_image_once(plate, capsys):
    (plate / "a10.tif").rename(plate / "s.tif")
    tiff.write(plate / "c.tif", np.zeros((2, 9, 9), np.uint8))
    _, out, _ = run(capsys, *MODEL, plate, "--instances", "--overlay", "--measure")
    ends = ".instances.tif, .overlay.png, .objects.csv ("
    assert [f"  {name}.labels.tif, {ends}" in out for name in ("a1", "b2", "s")] == [True] * 3
    assert "  c.labels.tif, .instances.tif, .overlay-000.png ... c.overlay-001.png, " in out


def test_a_raw_ome_tiff_is_no_result(plate, capsys):
    """It was left out beside an image of that name, and overwritten by its probabilities."""
    raw = np.random.default_rng(1).integers(0, 255, (30, 40)).astype(np.uint8)
    tifffile.imwrite(plate / "a1.ome.tif", raw, ome=True, metadata={"Description": "of mine"})
    before = (plate / "a1.ome.tif").read_bytes()
    code, out, err = run(capsys, *MODEL, plate)
    assert code == 0 and "4 of 4 images done" in out and "left out" not in err
    code, _, err = run(capsys, *MODEL, plate, "--ome", "--overwrite")
    assert code == 2 and "plate/a1.ome.tif: would overwrite an image to be read" in err
    code, out, err = run(capsys, *MODEL, plate / "a1.tif", plate / "b2.tif", "--ome", "--overwrite")
    assert code == 1 and "plate/a1.ome.tif: was not written by demitasse" in err
    assert "1 of 2 images done; refused: plate/a1.tif" in out
    assert (plate / "a1.ome.tif").read_bytes() == before
    code, _, err = run(capsys, *MODEL, plate / "b2*.tif", "--ome", "--overwrite")
    assert code == 0 and "left out (b2.labels.tif, b2.ome.tif)" in err


def test_a_pattern(plate, capsys):
    code, out, _ = run(capsys, *MODEL, "plate/a*.tif")
    assert code == 0 and "2 of 2 images done" in out and not Path("plate/b2.labels.tif").exists()


@pytest.mark.parametrize(
    "spoil, said",
    [
        (lambda p: p.write_bytes(p.read_bytes()[:100]), "cannot be read as TIFF"),
        (lambda p: p.write_text("no image"), "is not a TIFF or PNG file"),
        (lambda p: p.write_bytes(b""), "is empty (0 bytes)"),
        (
            lambda p: tiff.write(p, np.zeros((1, 3, 9, 9), np.uint8), overwrite=True),
            "another number of channels",
        ),
        (
            lambda p: tifffile.imwrite(p, np.full((9, 9), np.nan, np.float32)),
            "81 of 81 pixels are not finite",
        ),
        (lambda p: p.with_name("a10.labels.tif").touch(), "exists already"),
    ],
    ids=["cut off", "no image", "empty", "channels", "not finite", "result exists"],
)
def test_one_bad_file_does_not_end_the_batch(plate, spoil, said, capsys):
    spoil(plate / "a10.tif")
    code, out, err = run(capsys, *MODEL, *sorted(plate.glob("a*[0-9].tif")), plate / "b2.tif")
    assert code == 1
    assert "2 of 3 images done; refused: plate/a10.tif" in out
    (row,) = [line for line in out.splitlines() if "refused:" in line and "done" not in line]
    assert row.startswith("plate/a10.tif") and said in row
    (line,) = err.strip().splitlines()
    assert line.startswith("error: plate/a10") and said in line
    for name in ("a1", "b2"):
        assert tifffile.imread(plate / f"{name}.labels.tif").shape == (30, 40)
    result = plate / "a10.labels.tif"
    assert not result.exists() or result.stat().st_size == 0  # as it was


def test_a_reason_is_told_once_and_in_the_table_in_short(plate, capsys):
    for path in plate.glob("a*.tif"):
        tiff.write(path, np.zeros((1, 3, 9, 9), np.uint8), overwrite=True)
    _, out, err = run(capsys, *MODEL, plate)
    assert err.count("It was read as") == 2 and "It was read as" not in out
    rows = [line.split("  ")[-1] for line in out.splitlines() if line.startswith("plate/a")]
    assert rows == ["refused: the image has another number of channels than the net"] * 2
    tiff.write(plate / "nan.tif", np.full((1, 9, 9), np.nan, np.float32))
    assert "  refused: page 0: 81 of 81 pixels" in run(capsys, *MODEL, plate, "--overwrite")[1]


def test_a_dry_run_says_what_was_planned(plate, capsys):
    (plate / "b2.tif").write_text("no image")
    _, out, _ = run(capsys, *MODEL, plate, "--dry-run")
    assert "2 of 3 images planned; refused: plate/b2.tif" in out and "done" not in out


def test_one_is_singular(monkeypatch, capsys):
    for objects, said in ((1, "1 object"), (2, "2 objects")):
        monkeypatch.setattr("demitasse.tools._writing.write", lambda *a, n=objects: (n, None))
        _, out, _ = run(capsys, *MODEL, "img.tif", "--output", "instances")
        assert out.splitlines()[-2] == f"img.instances.tif: instances, {said}"


@pytest.mark.parametrize("name", ["bad/out.tif", "mine"])
def test_a_file_in_the_place_of_a_folder(name, capsys):
    Path("mine").write_text("a file")
    code, _, err = run(capsys, *MODEL, "img.tif", "-o", name)
    folder = Path(name).parent
    assert code == 2 and err == (
        f"error: {name}: -o names a folder, not a file. With -o {folder} the result is "
        f"{folder / 'img.labels.tif'}.\n"
    )


def test_all_are_bad(capsys):
    code, out, err = run(capsys, "--weights", "missing.h5", "no.tif", "nor.tif")
    assert code == 1 and "0 of 2 images done; refused: no.tif, nor.tif" in out
    assert err.count("error: ") == 2


def test_what_is_wrong_with_the_model_ends_everything(plate, capsys):
    code, out, err = run(capsys, "--weights", "missing.h5", plate)
    assert code == 2 and "missing.h5: does not exist" in err and "images done" not in out


def test_a_folder_without_images(capsys):
    Path("none").mkdir()
    code, _, err = run(capsys, *MODEL, "none")
    assert code == 2 and err.strip() == "error: none: holds no TIFF or PNG file."


def test_a_constant_image_is_segmented_and_said(capsys):
    tiff.write("flat.tif", np.full((1, 30, 40), 7, np.uint8))
    code, _, err = run(capsys, *MODEL, "flat.tif", "--normalization", "min-max")
    assert code == 0
    assert (
        err.strip() == "warning: flat.tif, page 0: every pixel is 7: there is nothing to tell apart"
    )


@pytest.fixture
def dead():
    """Write tiny.h5 anew with a net that finds one class everywhere."""

    def dead(number):
        found = weights.read("tiny.h5")
        bias = np.where(np.arange(2) == number, 1, 0).astype("f4")
        layers = {n: [a * 0 for a in blobs] for n, blobs in found.layers.items()}
        layers["score"][1] = bias
        model = replace(found.model, class_names=("none", "cell"))
        weights.write_model("tiny.h5", layers, model)

    return dead


@pytest.mark.parametrize("kind", ["labels", "instances", "prob"])
def test_a_net_that_finds_one_class_everywhere_is_said_once(plate, dead, capsys, kind):
    argv = [*MODEL, "img.tif", "--output", kind, "--overwrite"]
    mapped = kind != "prob"
    assert "class" not in "".join(run(capsys, *argv)[1:])
    dead(1)
    said = "warning: every pixel of img.tif is class 1 (cell): the net may not have learned\n"
    assert run(capsys, *argv)[2] == said * mapped
    _, out, err = run(capsys, *MODEL, plate, "--output", kind)
    assert err == mapped * (
        "warning: every pixel of plate/a1.tif is class 1 (cell), as in 2 more of the images: the "
        "net may not have learned\n"
    )
    dead(0)
    _, out, err = run(capsys, *argv)
    assert not err  # an image may be empty
    assert ("note: every pixel of img.tif is class 0, the background\n" in out) == mapped


def test_pixels_that_are_not_finite(capsys):
    image = np.random.default_rng(0).standard_normal((1, 30, 40)).astype(np.float32)
    image[0, 3, 5] = np.inf
    tiff.write("inf.tif", image)
    code, _, err = run(capsys, *MODEL, "inf.tif")
    assert code == 2 and "inf.tif, page 0: 1 of 1200 pixels" in err and "y 3, x 5" in err
    code, _, err = run(capsys, *MODEL, "inf.tif", "--nonfinite", "zero")
    assert code == 0 and err.startswith("warning: inf.tif, page 0: pixels that are not finite")
