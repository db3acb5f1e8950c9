"""The deploy command: what it computes, and what it refuses before any work."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from demitasse import weights
from demitasse.imaging import tiff
from demitasse.imaging.deployed import load_deployed
from demitasse.imaging.predict import Predictor
from demitasse.tools import _results, deploy, plan
from demitasse.tools._main import guarded
from scipy.special import expit

BARE = ["--weights", "tiny_iter_4.caffemodel.h5", "--model", "net.prototxt"]
KINDS = ("labels", "prob", "score")
PROB = 'layer { name: "prob" type: "Softmax" bottom: "score" top: "prob" }\n'

pytestmark = pytest.mark.usefixtures("trained")


@pytest.fixture
def refused(capsys, monkeypatch):
    """Run a command that must be refused before a tile is predicted; return what it said."""

    def run(*argv, main=deploy.main, predicts=False):
        if not predicts:
            monkeypatch.setattr(Predictor, "predict", lambda *a, **k: pytest.fail("predicted"))
        capsys.readouterr()
        assert guarded(main, [str(a) for a in argv]) == 2
        said = capsys.readouterr().err.strip()
        assert said.startswith("error: ") and "\n" not in said
        return said

    return run


def net(old="", new=""):
    """Write net.prototxt anew, edited."""
    text = Path("net.prototxt").read_text()
    assert old in text
    Path("net.prototxt").write_text(text.replace(old, new) if old else text + new)


def segmented(*argv, image="img.tif"):
    """The results of one image, by kind."""
    argv = [*argv, image, "--overwrite", "--output", ",".join(KINDS)]
    assert guarded(deploy.main, argv) == 0
    stem = Path(image).stem
    return {kind: tifffile.imread(f"{stem}.{kind}.tif") for kind in KINDS}


def test_the_parameters_are_the_files_arrays_not_copies_of_them(monkeypatch):
    read, found = weights.read, []
    monkeypatch.setattr(weights, "read", lambda path: found.append(read(path)) or found[0])
    net = load_deployed("tiny.h5").predictor.net
    assert net.flat_data.size == 0
    for name, blobs in net.params.items():
        for blob, array in zip(blobs, found[0].layers[name], strict=True):
            assert np.shares_memory(blob.data, array)


def test_how_grey_values_are_normalised_is_said(capsys):
    def said(*argv):
        capsys.readouterr()
        assert guarded(deploy.main, [*argv, "img.tif", "--dry-run"]) == 0
        (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("grey"))
        return line.removeprefix("grey values: ")

    advice = (
        "does not say how the net's images were normalised; --normalization zscore is what "
        "demitasse pack uses"
    )
    assert said(*BARE) == f"as they are: tiny_iter_4.caffemodel.h5 {advice}"
    assert said("--weights", "tiny.h5") == f"as they are: tiny.h5 {advice}"  # its data do not, too
    assert said(*BARE, "--normalization", "z-score") == "zscore (from --normalization)"
    found = weights.read("tiny.h5")
    rule = {"name": "minmax", "parameters": {}}
    model = replace(found.model, normalization=rule, origin={})
    weights.write_model("packed.h5", found.layers, model)
    assert said("--weights", "packed.h5") == "minmax (from the model)"


@pytest.mark.parametrize(
    "more",
    [
        PROB,
        PROB.replace('top: "prob"', 'top: "score"'),
        PROB + PROB.replace("prob", "again").replace('bottom: "score"', 'bottom: "prob"'),
        PROB.replace("}", "softmax_param { axis: -3 } }"),
    ],
    ids=["prob", "in place", "twice", "from behind"],
)
def test_a_deploy_net_that_ends_in_softmax_gives_the_same(more):
    straight = segmented(*BARE)
    net('layer { name: "loss"', more + 'layer { name: "loss"')
    ended = segmented(*BARE)
    for kind, expected in straight.items():
        np.testing.assert_array_equal(ended[kind], expected, kind)
    score = straight["score"]
    np.testing.assert_allclose(straight["prob"], expit(score[1] - score[0]), rtol=1e-4, atol=1e-30)


def test_a_softmax_that_somebody_reads_stays(refused):
    net(
        'layer { name: "loss"',
        PROB
        + """layer { name: "last" type: "Convolution" bottom: "prob"
        top: "last" convolution_param { num_output: 2 kernel_size: 1 } }
        layer { name: "loss\"""",
    )
    assert "last" in refused(*BARE, "img.tif")  # its parameters are not in the file


def test_two_images_with_one_target(refused):
    Path("sub").mkdir()
    Path("out").mkdir()
    for copy in ("sub/img.tif", "img.png"):
        Path(copy).write_bytes(Path("img.tif").read_bytes())
    model = ["--weights", "tiny.h5"]
    said = refused(*model, "img.tif", "sub/img.tif", "-o", "out")
    assert "out/img.labels.tif" in said and "img.tif and sub/img.tif" in said
    assert "img.tif and img.png" in refused(*model, "img.tif", "img.png")
    assert "img.tif and img.tif" in refused(*model, "img.tif", "img.tif")
    assert not list(Path().glob("**/*.labels.tif"))


def test_a_target_that_is_another_image(refused):
    tifffile.imwrite("img.labels.tif", np.zeros((9, 9), np.uint8))
    said = refused("--weights", "tiny.h5", "img.labels.tif", "img.tif", "--overwrite")
    assert "img.labels.tif" in said and "would overwrite an image to be read" in said


@pytest.mark.parametrize(
    "name, said",
    [
        ("missing.tif", "missing.tif: does not exist."),
        ("no/such/missing.tif", "no/such/missing.tif: does not exist."),
        ("notes.tif", "notes.tif: is not a TIFF or PNG file"),
        ("cut.tif", "cut.tif"),
        ("img.tif", "img.tif: has no page 1"),
    ],
)
def test_an_image_is_looked_at_before_any_work(refused, name, said):
    Path("notes.tif").write_text("no image")
    Path("cut.tif").write_bytes(Path("img.tif").read_bytes()[:100])
    pages = ["--pages", "1"] if name == "img.tif" else []
    assert said in refused("--weights", "tiny.h5", name, *pages)


def test_a_file_of_another_number_of_channels(refused):
    tiff.write("rgb.tif", np.zeros((1, 3, 30, 30), np.uint8))
    said = refused("--weights", "tiny.h5", "rgb.tif", predicts=True)
    assert said.startswith("error: rgb.tif: the image has another number of channels")
    assert "expected 1, found 3" in said


@pytest.mark.parametrize("how", ["hyperstack", "colours"])
def test_one_channel_may_be_taken(how, refused):
    pages = np.random.default_rng(0).integers(0, 255, (3, 2, 30, 40)).astype(np.uint8)
    if how == "hyperstack":
        tifffile.imwrite("two.tif", pages, imagej=True, metadata={"axes": "TCYX"})
    else:
        rgb = np.moveaxis(pages[:, [0, 1, 0]], 1, -1)
        tifffile.imwrite("two.tif", rgb, photometric="rgb")
    said = refused("--weights", "tiny.h5", "two.tif", predicts=True)
    assert "--channel takes one of them" in said
    argv = ("--weights", "tiny.h5", "two.tif", "--channel", "3")
    assert "has no channel 3" in refused(*argv, predicts=True)
    tiff.write("one.tif", pages[:, 1])
    found = segmented("--weights", "tiny.h5", "--channel", "1", image="two.tif")
    for kind, expected in segmented("--weights", "tiny.h5", image="one.tif").items():
        np.testing.assert_array_equal(found[kind], expected)


def test_one_of_several_images_in_a_file_may_be_taken(refused):
    pages = np.random.default_rng(0).integers(0, 255, (2, 30, 40)).astype(np.uint8)
    with tifffile.TiffWriter("many.tif") as file:
        file.write(pages[0, :9], metadata=None)
        file.write(pages[1], metadata=None)
    argv = ("--weights", "tiny.h5", "many.tif")
    assert "deploy --series NUMBER" in refused(*argv, predicts=True)
    assert "has no series 2" in refused(*argv, "--series", "2", predicts=True)
    tiff.write("one.tif", pages[1:])
    found = segmented("--weights", "tiny.h5", "--series", "1", image="many.tif")
    for kind, expected in segmented("--weights", "tiny.h5", image="one.tif").items():
        np.testing.assert_array_equal(found[kind], expected)


def test_scores_that_are_not_finite(refused):
    layers = weights.read("tiny.h5").layers
    weights.write_hdf5(
        "tiny_iter_4.caffemodel.h5", {n: [a * 0 + 3e37 for a in x] for n, x in layers.items()}
    )
    said = refused(*BARE, "img.tif", predicts=True)
    assert said.startswith("error: tiny_iter_4.caffemodel.h5: ")
    assert "img.tif, page 0" in said and "not finite" in said
    assert not Path("img.labels.tif").exists()


def test_a_net_with_two_inputs(refused):
    net('bottom: "v0" top: "score"', 'bottom: "v0" top: "raw"')
    net(
        'layer { name: "loss"',
        """layer { name: "mask" type: "DummyData" top: "mask"
        dummy_data_param { shape { dim: 1 dim: 2 dim: 16 dim: 16 } } }
        layer { name: "sum" type: "Eltwise" bottom: "raw" bottom: "mask" top: "score" }
        layer { name: "loss\"""",
    )
    said = refused(*BARE, "img.tif")
    assert "net.prototxt" in said and "'mask'" in said


def test_a_net_with_two_outputs(refused):
    net(
        'layer { name: "loss"',
        """layer { name: "more" type: "Power" bottom: "e1" top: "more" }
        layer { name: "loss\"""",
    )
    said = refused(*BARE, "img.tif")
    assert said.startswith("error: net.prototxt: ") and "more, score" in said
    assert "Remove the others from the deploy prototxt" in said


def test_a_net_that_enlarges_its_image(refused):
    """As nets for super-resolution do; this one's crop is off centre at every size, too."""
    Path("large.prototxt").write_text(
        """layer { name: "in" type: "Input" top: "data"
          input_param { shape { dim: 1 dim: 1 dim: 224 dim: 224 } } }
        layer { name: "up" type: "Deconvolution" bottom: "data" top: "up"
          convolution_param { num_output: 2 kernel_size: 3 stride: 2 pad: 1 } }
        layer { name: "near" type: "Deconvolution" bottom: "data" top: "near"
          convolution_param { num_output: 2 kernel_size: 2 stride: 2 } }
        layer { name: "crop" type: "Crop" bottom: "near" bottom: "up" top: "crop" }
        layer { name: "sum" type: "Eltwise" bottom: "crop" bottom: "up" top: "sum" }"""
    )
    said = refused(*BARE[:2], "--model", "large.prototxt", "img.tif")
    assert said == (
        "error: large.prototxt: the output 'sum' is larger than the image; found 224 -> 447 pixels."
        " Only nets whose output has the scale of the image can be tiled; pycaffe runs others."
    )


def test_a_net_that_pads_takes_one_tile(refused):
    net('"d1" top: "e1"\n  convolution_param { num_output: 4 kernel_size: 3',
        '"d1" top: "e1"\n  convolution_param { num_output: 4 kernel_size: 3 pad: 1')  # fmt: skip
    net("offset: 2", "offset: 0")
    one = segmented(*BARE)["score"]
    np.testing.assert_array_equal(segmented(*BARE, "--tiles", "9")["score"], one)
    assert "one tile" in refused(*BARE, "img.tif", "--overwrite", "--tile-size", "22")
    assert "one tile" in refused(*BARE, "img.tif", "--overwrite", "--memory", "0.01")


def test_more_memory_than_there_is(refused):
    said = refused("--weights", "tiny.h5", "img.tif", "--tile-size", "2000002")
    assert "2000002x2000002 pixels" in said and "--memory or --tile-size" in said


def test_one_kind_is_written_page_by_page(monkeypatch):
    """What one run writes alone is what it writes among others, and pages are not collected."""
    stack = np.random.default_rng(0).integers(0, 255, (3, 30, 40)).astype(np.uint8)
    tiff.write("stack.tif", stack)
    together = segmented("--weights", "tiny.h5", image="stack.tif")
    given = []
    write = tiff.write
    monkeypatch.setattr(tiff, "write", lambda p, x, **k: (given.append(x), write(p, x, **k)))
    for kind, expected in together.items():
        argv = ["--weights", "tiny.h5", "stack.tif", "--overwrite", "--output", kind, "--overlay"]
        assert guarded(deploy.main, argv) == 0
        np.testing.assert_array_equal(tifffile.imread(f"stack.{kind}.tif"), expected)
    assert len(given) == 3 and not any(isinstance(x, list | np.ndarray) for x in given)
    assert len(list(Path().glob("stack.overlay-00?.png"))) == 3


def test_a_probability_does_not_keep_the_other_class_alive():
    score = np.random.default_rng(0).standard_normal((2, 5, 6))
    kept = score.copy()
    prob = _results.result("prob", score)
    assert prob.base is None and prob.shape == (5, 6) and prob.dtype == np.float32
    np.testing.assert_array_equal(score, kept)


def test_plan_says_why_a_net_does_not_train(capsys):
    net('bottom: "label" bottom: "weight"', 'bottom: "label" bottom: "data"')
    assert guarded(plan.main, ["net.prototxt", "--input", "22"]) == 0
    (line,) = [x for x in capsys.readouterr().out.splitlines() if "TRAIN" in x]
    assert "not at this size" in line and "loss" in line


@pytest.mark.parametrize(("axes", "shape"), [("TYX", (3,)), ("TZYX", (3, 2)), ("ZYX", (3,))])
def test_maps_have_the_images_times_and_slices(axes, shape):
    pages = np.random.default_rng(0).integers(0, 255, (*shape, 30, 40)).astype(np.uint8)
    tifffile.imwrite("t.tif", pages, imagej=True, metadata={"axes": axes})
    kinds = ("labels", "score", "instances")
    found = guarded(deploy.main, ["--weights", "tiny.h5", "t.tif", "--output", ",".join(kinds)])
    assert found == 0
    for kind in kinds:
        said = tiff.read(f"t.{kind}.tif")
        assert (said.axes.replace("C", ""), len(said)) == (axes, len(pages.reshape(-1, 30, 40)))
    assert guarded(deploy.main, ["--weights", "tiny.h5", "t.tif", "--pages", "1,2", "-o", "."]) == 2
    argv = ["--weights", "tiny.h5", "t.tif", "--pages", "1,2", "--overwrite"]
    assert guarded(deploy.main, argv) == 0
    assert tiff.read("t.labels.tif").axes == ("TYX" if axes == "TYX" else "ZYX")
