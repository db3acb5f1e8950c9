"""TIFF stacks segmented as volumes by a 3-D net, from file to file."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from demitasse import netspec, weights
from demitasse.imaging import tiff
from demitasse.imaging.predict import Predictor, softmax
from demitasse.net import Net
from demitasse.tools import deploy
from demitasse.tools._main import guarded

MODELS = Path(__file__).resolve().parent.parent.parent / "models"
RNG = np.random.default_rng(3)


@pytest.fixture
def narrow(tmp_path, monkeypatch):
    """volumes.h5, the 3-D U-Net of 2016 at a sixteenth of its width, in the current folder."""
    monkeypatch.chdir(tmp_path)
    message = netspec.deploy(
        netspec.read_net(str(MODELS / "unet3d.prototxt")), shape=(1, 1, 92, 92, 92), softmax=False
    )
    for layer in message.layer:
        if layer.type in ("Convolution", "Deconvolution") and layer.top[0] != "score":
            layer.convolution_param.num_output //= 16
    net = Net(netspec.build(message, "TEST"), seed=1)
    model = weights.Model(
        deploy=netspec.to_text(message),
        normalization={"name": "none", "parameters": {}},
        class_names=("background", "cell", "wall"),
        input_channels=1,
        padding="mirror",
        pixel_size=(2.0, 0.5, 0.5),
        origin={},
    )
    weights.write_model("volumes.h5", net.parameters(), model)
    return Predictor(net)


def run(capsys, *argv):
    capsys.readouterr()
    code = guarded(deploy.main, ["--weights", "volumes.h5", *map(str, argv)])
    said = capsys.readouterr()
    return code, said.out, said.err.strip()


def stack(*shape):
    return RNG.integers(0, 255, shape).astype(np.float32) / 255


def test_a_stack_is_one_volume(narrow, capsys):
    volume = stack(5, 9, 7)
    tiff.write("v.tif", volume, pixel_size=(0.5, 0.5), unit="um", depth=2.0)
    code, out, _ = run(capsys, "v.tif", "--output", "labels,score,prob", "--instances")
    assert code == 0 and "1 volume; 1x1x1 tiles of 100x100x100 pixels" in out
    want = narrow.predict(volume[None], narrow.tiling((5, 9, 7), (100, 100, 100)))
    np.testing.assert_array_equal(tifffile.imread("v.score.tif"), np.moveaxis(want, 0, 1))
    np.testing.assert_array_equal(tifffile.imread("v.labels.tif"), want.argmax(0))
    prob = np.moveaxis(tifffile.imread("v.prob.tif"), 1, 0)
    np.testing.assert_allclose(prob, softmax(want.copy()), atol=1e-6)
    labels = tiff.read("v.labels.tif")
    assert labels.axes == "ZYX" and labels.depth == 2.0 and labels.pixel_size == (0.5, 0.5)
    objects = tifffile.imread("v.instances.tif")
    assert ((objects > 0) == (want.argmax(0) > 0)).all()


def test_tiles_give_the_same_volume(narrow, capsys):
    tiff.write("v.tif", stack(14, 5, 4))
    for size, folder in (("108x100x92", "one"), ("100x100x92", "two")):
        Path(folder).mkdir()
        how = ["--pixel-size", "none", "--tile-size", size, "-o", folder, "--output", "score"]
        assert run(capsys, "v.tif", *how)[0] == 0
    one, two = (tifffile.imread(f"{folder}/v.score.tif") for folder in ("one", "two"))
    np.testing.assert_allclose(two, one, atol=1e-5 * np.abs(one).max())


def test_volumes_of_a_time_series_keep_their_places(narrow, capsys):
    series = stack(2, 3, 4, 5)
    metadata = {"axes": "TZYX", "spacing": 2.0, "unit": "um"}
    tifffile.imwrite("t.tif", series, imagej=True, resolution=(2, 2), metadata=metadata)
    code, out, _ = run(capsys, "t.tif", "--output", "labels,score")
    assert code == 0 and "2 volumes" in out
    tiling = narrow.choose((3, 4, 5))
    want = np.stack([narrow.predict(volume[None], tiling) for volume in series])
    np.testing.assert_array_equal(tifffile.imread("t.score.tif"), np.moveaxis(want, 1, 2))
    assert tiff.read("t.labels.tif").axes == "TZYX"
    np.testing.assert_array_equal(tifffile.imread("t.labels.tif"), want.argmax(1))


def test_a_stack_of_other_spacing_is_rescaled_along_each_axis(narrow, capsys):
    tiff.write("v.tif", stack(8, 6, 6), pixel_size=(0.25, 0.5), unit="um", depth=1.0)
    code, out, _ = run(capsys, "v.tif")
    assert code == 0
    assert "1x0.25x0.5 um -> 2x0.5x0.5 um" in out and "by 0.5x0.5x1 to 4x3x6 pixels" in out
    assert tifffile.imread("v.labels.tif").shape == (8, 6, 6)


@pytest.mark.parametrize(
    ("axes", "more", "said"),
    [
        ("TYX", [], "it is a series of images, and volumes are wanted"),
        ("ZTYX", [], "it is not clear which of its pages make a volume"),
        ("TZYX", ["--pages", "0-2"], "Leave --pages out"),
    ],
)
def test_what_is_no_volume_is_refused(narrow, capsys, axes, more, said):
    shape = (2, 3, 4, 5)[-len(axes) :]
    tifffile.imwrite("v.tif", np.zeros(shape, np.uint8), photometric="minisblack")
    code, _, err = run(capsys, "v.tif", "--axes", axes, *more)
    assert code == 2 and said in err and "\n" not in err


def test_an_anisotropic_caffe_file_needs_its_prototxt_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    source = netspec.read_net(str(MODELS / "unet3d_anisotropic.prototxt"))
    for layer in source.message.layer:
        if (
            layer.type in ("Convolution", "Deconvolution")
            and layer.convolution_param.num_output > 2
        ):
            layer.convolution_param.num_output //= 16
    Path("net.prototxt").write_text(netspec.to_text(source.message))
    message = netspec.deploy(source, shape=(1, 1, 18, 92, 92), softmax=False)
    net = Net(netspec.build(message, "TEST"), seed=1)
    weights.write_hdf5("old.caffemodel.h5", net.parameters())
    volume = stack(7, 12, 9)
    tiff.write("v.tif", volume)
    argv = ["--weights", "old.caffemodel.h5", "--model", "net.prototxt", "v.tif"]
    assert guarded(deploy.main, [*argv, "--output", "score"]) == 0
    p = Predictor(net)
    want = p.predict(volume[None], p.choose(volume.shape))
    np.testing.assert_array_equal(tifffile.imread("v.score.tif"), np.moveaxis(want, 0, 1))
