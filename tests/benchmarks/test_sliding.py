"""The classifier of windows: what it is trained on, and that all pixels at once are each one's."""

import json
import sys

import numpy as np
import pytest
from demitasse import netspec
from demitasse.data import synthetic
from demitasse.imaging import tiff
from demitasse.net import Net

FILE = "models/ciresan2012.prototxt"


@pytest.fixture
def data(tmp_path):
    """24 drawn slices of 20 x 28 pixels."""
    pixels, instances = synthetic.volume(3, 24, (20, 28))
    tiff.write(tmp_path / "train-volume.tif", pixels)
    tiff.write(tmp_path / "train-labels.tif", (instances > 0).astype(np.uint8) * 255)
    return tmp_path


def test_windows_are_half_membrane_and_the_same_again_from_their_number(data):
    from _sliding import HALF, Patches
    from demitasse.layers.scripted import PythonBlob

    def begun(count):
        layer, top = Patches(None), [PythonBlob((), np.float32) for _ in range(2)]
        paths = {
            n: str(data / f"train-{w}.tif") for n, w in (("images", "volume"), ("labels", "labels"))
        }
        layer.param_str = json.dumps(paths | {"slices": [1, 2], "batch": 40, "seed": 5})
        layer.setup([], top)
        layer.load_state({"count": count})
        layer.reshape([], top)
        layer.forward([], top)
        return layer, [blob.data.copy() for blob in top]

    layer, (windows, labels) = begun(7)
    assert labels.sum() == 20 and windows.shape == (40, 1, 95, 95)
    assert layer.state() == {"count": 8}
    np.testing.assert_array_equal(begun(7)[1][0], windows)
    assert not np.array_equal(begun(8)[1][0], windows)
    # the pixel in the middle stays there, however a window is turned
    middles = [
        {layer.images[z, y + HALF, x + HALF] for z, y, x in np.argwhere(places)}
        for places in (layer.interior == 0, layer.interior == 1)
    ]
    for window, label in zip(windows[:, 0], labels.ravel(), strict=True):
        assert window[HALF, HALF] in middles[int(label)]


def test_all_pixels_at_once_are_what_each_window_gives():
    import _sliding

    deployed = netspec.deploy(netspec.read_net(FILE), shape=(1, 1, 95, 95))
    one = Net(netspec.build(deployed, "TEST"), seed=1)
    whole = _sliding.whole(FILE, (1, 1, 16 + 94, 32 + 94))
    net = Net(netspec.build(whole, "TEST"), seed=1, allow_python=True, fill=False)
    net.share_with(one)
    image = np.random.default_rng(0).standard_normal((110, 126), np.float32)
    net.blobs["data"].data[...] = image
    net.forward()
    found = _sliding.assembled(net.blobs["prob"].data)
    assert found.shape == (2, 16, 32) and found.std() > 0.01
    for y, x in [(0, 0), (0, 1), (1, 0), (3, 6), (9, 25), (15, 31)]:
        one.blobs["data"].data[...] = image[y : y + 95, x : x + 95]
        one.forward()
        np.testing.assert_allclose(found[:, y, x], one.blobs["prob"].data.ravel(), atol=1e-5)


def test_from_slices_to_scores_and_seconds_beside_a_unet(monkeypatch, data, capsys):
    import ciresan2012
    import isbi2012
    from _experiment import train

    def given(name, *options):
        argv = [f"{name}.py", "--data", data, "--folder", data / name, *options]
        monkeypatch.setattr(sys, "argv", [*map(str, argv)])

    monkeypatch.setattr(isbi2012, "INPUT", 188)
    monkeypatch.setattr(isbi2012, "OUTPUT", 4)
    given("isbi2012", "--base", "4", "--tiles", "2", "--max-iter", "1")
    args = isbi2012.arguments()
    isbi2012.prepare(args, args.folder)
    train(args, args.folder)
    capsys.readouterr()

    monkeypatch.setattr(ciresan2012, "BATCH", 8)
    target = data / "found.json"
    small = ["--batch", "4", "--windows", "9", "--max-iter", "2", "--json", target]
    given("ciresan2012", "--unet", args.folder / "unet.h5", *small)
    assert ciresan2012.main() == 0
    found = json.loads(target.read_text())
    assert found["training"]["windows"] == 8 and found["training"]["momentum"] == 0.9
    assert 0 < found["interior"] < 1
    assert list(found["results"]) == ["ciresan2012", "U-Net", "U-Net, mean of seven rotations"]
    ours = found["results"]["ciresan2012"]
    assert ours["windows_timed"] == 16 and ours["greatest_difference"] < 1e-5
    seconds = ours["seconds_per_image"]
    assert seconds["window_by_window_extrapolated"] > seconds["whole"] > 0
    assert 0 <= ours["scores"]["pixel_error"]["value"] <= 1
    assert "(extrapolated)" in capsys.readouterr().out


def test_training_goes_on_with_the_next_windows(monkeypatch, data):
    """Three iterations are one and two more."""
    import ciresan2012
    from demitasse import weights
    from demitasse.tools import solve

    monkeypatch.setattr(sys, "argv", ["ciresan2012.py", "--data", str(data), "--batch", "4"])
    ciresan2012.write_net(data, ciresan2012.arguments())
    solver = data / "solver.prototxt"
    solver.write_text(
        f'net: "{data}/ciresan2012.prototxt" base_lr: 0.01 lr_policy: "fixed" max_iter: 3 '
        f'snapshot: 1 snapshot_format: HDF5 snapshot_prefix: "{data}/whole" random_seed: 1'
    )
    allowed = [str(solver), "--allow-python-layers"]
    assert solve.main(allowed) == 0
    state = ["-snapshot", f"{data}/whole_iter_1.solverstate.h5"]
    assert solve.main([*allowed, *state, "--prefix", f"{data}/parts"]) == 0
    whole, parts = (weights.read(data / f"{name}.h5").layers for name in ("whole", "parts"))
    for name, arrays in whole.items():
        for one, other in zip(arrays, parts[name], strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)
