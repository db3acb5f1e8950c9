"""Instances and pixel sizes on the command line: plans, limits, and what is written."""

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from demitasse import weights
from demitasse.imaging import tiff
from demitasse.imaging.instances import instances
from demitasse.imaging.opening import area_opening
from demitasse.imaging.rescale import rescaling
from demitasse.tools import _results, deploy
from demitasse.tools._main import guarded

MODEL = ["--weights", "tiny.h5"]

pytestmark = pytest.mark.usefixtures("trained")


@pytest.fixture
def run(capsys):
    """Run a command that ends with the given code; return stdout and stderr."""

    def run(*argv, code=0):
        capsys.readouterr()
        assert guarded(deploy.main, [*MODEL, *(str(a) for a in argv)]) == code
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return said.out, said.err

    return run


# ---------------------------------------------------------------------- instances


def test_instances_are_the_components_of_the_labels(run):
    out, _ = run(
        "img.tif", "--instances", "--min-size", "3", "--border", "2", "--connectivity", "8"
    )
    labels, objects = (tifffile.imread(f"img.{k}.tif") for k in ("labels", "instances"))
    expected = instances(labels, min_size=3, border=2, connectivity=8)
    np.testing.assert_array_equal(objects, expected)
    assert objects.dtype == np.uint16
    assert f"img.instances.tif: instances, {expected.max():,} objects" in out
    with tifffile.TiffFile("img.instances.tif") as file:
        info = file.imagej_metadata["Info"]
    assert 'normalization: {"name": "none"' in info and "min_size: 3" in info
    assert "weights: tiny.h5" in info


def test_an_empty_mask(run):
    run("img.tif", "--output", "instances", "--min-size", "2000")
    assert not tifffile.imread("img.instances.tif").any()


def test_a_stack_of_instances_has_one_type(run, monkeypatch):
    tiff.write("stack.tif", np.random.default_rng(0).integers(0, 255, (3, 30, 40)).astype("u1"))
    monkeypatch.setattr("demitasse.imaging.instances.storage", lambda n: np.dtype(np.uint32))
    run("stack.tif", "--output", "instances")
    found = tifffile.imread("stack.instances.tif")
    assert found.shape == (3, 30, 40) and found.dtype == np.uint32


def test_options_of_objects_without_objects(run):
    _, err = run("img.tif", "--min-size", "500", code=2)
    assert "--min-size says what an object is" in err and "--instances" in err


def test_a_border_that_leaves_nothing(run):
    _, err = run("img.tif", "--instances", "--border", "50", code=2)
    assert "img.tif: the border zone covers the whole image" in err
    assert not list(Path().glob("img.*.tif"))


# ---------------------------------------------------------------------- averaging, grey values


def test_seven_rotations(run):
    out, _ = run("img.tif", "--average", "rotate7", "--output", "score")
    assert "7 versions" in out and tifffile.imread("img.score.tif").shape == (2, 40, 50)


@pytest.mark.parametrize("name", ["none", "min-max", "z-score", "max-norm", "percentile", "depth"])
def test_every_normalization_by_its_name(run, name):
    run("img.tif", "--normalization", name, "--output", "score")
    assert np.isfinite(tifffile.imread("img.score.tif")).all()


def test_percentiles(run):
    run("img.tif", "--percentiles", "2,98")
    with tifffile.TiffFile("img.labels.tif") as file:
        assert '"high": 98.0, "low": 2.0' in file.imagej_metadata["Info"]
    _, err = run(
        "img.tif", "--overwrite", "--normalization", "z-score", "--percentiles", "2,98", code=2
    )
    assert "has no parameter" in err


# ---------------------------------------------------------------------- pixel size


def small(size=0.5, unit="um", shape=(1, 40, 50), name="small.tif"):
    """An image with a pixel size."""
    pixels = np.random.default_rng(1).integers(0, 255, shape).astype(np.uint8)
    sizes = (size, size) if size else None
    tiff.write(name, pixels, pixel_size=sizes, unit=unit, overwrite=True)
    return name, pixels


def test_an_image_is_rescaled_and_its_scores_come_back(run):
    name, pixels = small(0.5)
    out, _ = run(name, "--model-pixel-size", "0.25", "--output", "score,labels")
    assert "pixel size  0.5x0.5 um -> 0.25x0.25 um" in out
    assert "rescaled    by 2x2 to 80x100 pixels" in out
    plan = rescaling((40, 50), (0.5, 0.5), (0.25, 0.25))
    tiff.write("big.tif", plan.there(pixels))
    run("big.tif", "--output", "score")
    expected = plan.back(tifffile.imread("big.score.tif"))
    np.testing.assert_allclose(tifffile.imread("small.score.tif"), expected, rtol=1e-5, atol=1e-5)
    found = tiff.read("small.labels.tif")
    assert found.shape == (1, 1, 40, 50) and found.pixel_size == pytest.approx((0.5, 0.5))


def test_units_are_understood(run):
    out, _ = run(small(500, "nm")[0], "--model-pixel-size", "0.25", "--dry-run")
    assert "by 2x2" in out


def test_the_models_own_size_is_used(run):
    found = weights.read("tiny.h5")
    model = found.model.__class__(**{**vars(found.model), "pixel_size": (1.0, 1.0)})
    weights.write_model("tiny.h5", found.layers, model)
    assert "rescaled    by 0.5x0.5 to 20x25 pixels" in run(small()[0], "--dry-run")[0]
    assert "rescaled    by 2x1 to 80x50" in run(small()[0], "--pixel-size", "2x1", "--dry-run")[0]
    assert "rescaled" not in run(small()[0], "--pixel-size", "none", "--dry-run")[0]
    assert "as good as equal" in run(small(1.003)[0], "--dry-run")[0]
    said = run(small(None)[0], "--dry-run")[0]
    assert "note: the image's pixel size is not known, the net's is 1x1 um" in said


def test_a_size_of_the_image_alone_is_said_to_be_of_no_use(run):
    assert (
        "the net's pixel size is not known" in run("img.tif", "--pixel-size", "1", "--dry-run")[0]
    )


def test_a_dry_run_touches_nothing(run, monkeypatch):
    before = {p: p.stat().st_mtime_ns for p in Path().rglob("*")}
    folder = Path().stat().st_mtime_ns
    out, _ = run(
        "img.tif", "--dry-run", "--tiles", "9", "--average", "mirror", "--output", "labels,prob"
    )
    assert {p: p.stat().st_mtime_ns for p in Path().rglob("*")} == before
    assert Path().stat().st_mtime_ns == folder
    assert "1 page x 4 versions" in out and "MiB of activations" in out
    assert "would write img.labels.tif: labels" in out and "would write img.prob.tif" in out
    (line,) = [x for x in out.splitlines() if x.startswith("  tiles")]
    assert int(line.split()[1].rstrip(":")) % 4 == 0


def test_the_case_of_six_hundred_gigabytes(run):
    name, _ = small(50.0)
    _, err = run(name, "--model-pixel-size", "0.01", "--dry-run", code=2)
    assert "small.tif: segmenting it takes more memory than is allowed" in err
    assert "200000x250000 pixels (the image has 40x50; its pixel is 50x50 um" in err
    assert "by 5000x5000" in err and "--pixel-size none" in err and "\n" not in err.strip()


def test_too_many_tiles(run):
    name, _ = small(5.0)
    argv = (name, "--model-pixel-size", "0.5", "--tile-size", "22", "--dry-run")
    _, err = run(*argv, "--max-tiles", "100", code=2)
    assert "more tiles than is allowed" in err and "at most 100 for a page" in err
    assert "tiles" in run(*argv, "--max-tiles", "100000")[0]
    assert "takes more memory" in run(*argv, "--max-memory", "0.001", code=2)[1]


def test_a_pixel_size_far_from_the_nets_is_pointed_out(run):
    said = {
        size: run(small(size)[0], "--model-pixel-size", "0.1", "--dry-run")[0]
        for size in (0.002, 0.03, 0.3, 2)
    }
    assert "note: the image's pixels are 50 times smaller than in training" in said[0.002]
    assert "note: the image's pixels are 20 times larger than" in said[2]
    assert "--pixel-size gives it, or none" in said[2]
    assert "note" not in said[0.03] + said[0.3]


def test_what_is_not_finite_is_left_out_ahead_of_rescaling(run):
    image = np.random.default_rng(0).standard_normal((1, 30, 40)).astype(np.float32)
    image[0, 3, 5] = np.nan
    tiff.write("nan.tif", image, pixel_size=(1, 1))
    argv = ("nan.tif", "--model-pixel-size", "0.5", "--normalization", "zscore")
    assert "y 3, x 5" in run(*argv, code=2)[1]
    run(*argv, "--nonfinite", "zero", "--output", "score")
    assert np.isfinite(tifffile.imread("nan.score.tif")).all()


def test_depth_is_that_of_the_file_not_of_the_rescaled_image(run):
    name, pixels = small(1.0)
    run(name, "--normalization", "depth", "--model-pixel-size", "2", "--output", "score")
    plan = rescaling((40, 50), (1, 1), (2, 2))
    tiff.write("half.tif", plan.there(pixels) / np.float32(255))
    run("half.tif", "--normalization", "none", "--output", "score")
    expected = plan.back(tifffile.imread("half.score.tif"))
    np.testing.assert_allclose(tifffile.imread("small.score.tif"), expected, rtol=1e-4, atol=1e-5)


def test_objects_are_told_apart_by_their_cores(run):
    run("img.tif", "--instances", "--output", "labels,prob", "--seeds", "0.6", "--min-size", "2")
    labels, prob, objects = (
        tifffile.imread(f"img.{k}.tif") for k in ("labels", "prob", "instances")
    )
    both = np.stack([1 - prob, prob])
    expected = instances(labels, min_size=2, seeds=0.6, probabilities=both)
    np.testing.assert_array_equal(objects, expected)
    run("img.tif", "--seeds", "0.6", "--overwrite", code=2)  # no objects are asked for


def test_small_objects_vanish_from_the_probabilities(run):
    run("img.tif", "--output", "prob")
    plain = tifffile.imread("img.prob.tif")
    run("img.tif", "--output", "labels,prob", "--area-opening", "6", "--overwrite")
    opened = tifffile.imread("img.prob.tif")
    np.testing.assert_array_equal(opened, area_opening(plain, 6))
    assert (opened < plain).any()
    with tifffile.TiffFile("img.prob.tif") as file:
        assert "area opening: 6" in file.imagej_metadata["Info"]
    _, err = run("img.tif", "--area-opening", "6", "--overwrite", code=2)
    assert "--area-opening changes probabilities, but none are asked for" in err


def test_of_three_classes_the_first_has_what_is_lowered():
    score = np.random.default_rng(0).standard_normal((3, 12, 12)).astype(np.float32)
    args = Namespace(area_opening=5, connectivity=8)
    plain, opened = _results.result("prob", score), _results.result("prob", score, args)
    np.testing.assert_allclose(opened.sum(axis=0), 1, rtol=0, atol=1e-6)
    for found, before in zip(opened[1:], plain[1:], strict=True):
        np.testing.assert_array_equal(found, area_opening(before, 5, connectivity=8))
