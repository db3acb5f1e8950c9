"""The experiments run from data to scores, go on where they stopped, and keep what they did."""

import importlib
import json
import sys

import numpy as np
import pytest
from demitasse import netspec
from demitasse.data import synthetic
from demitasse.imaging import tiff

SMALL = ["--base", "4", "--tiles", "2"]


@pytest.fixture
def experiment(monkeypatch, tmp_path, capsys):
    """Run one on tiny tiles; its result, and what it printed."""

    def run(name, *options):
        module = importlib.import_module(name)
        monkeypatch.setattr(module, "INPUT", 204)
        monkeypatch.setattr(module, "OUTPUT", 20)
        target = tmp_path / "result.json"
        argv = [f"{name}.py", "--data", tmp_path, "--folder", tmp_path / "run", *SMALL, *options]
        monkeypatch.setattr(sys, "argv", [*map(str, argv), "--json", str(target)])
        assert module.main() == 0
        return json.loads(target.read_text()), capsys.readouterr().out

    return run


def test_isbi_and_going_on(experiment, tmp_path):
    pixels, instances = synthetic.volume(0, 24, (24, 24))
    tiff.write(tmp_path / "train-volume.tif", pixels)
    tiff.write(tmp_path / "train-labels.tif", (instances > 0).astype(np.uint8))
    first, said = experiment("isbi2012", "--max-iter", "3")
    assert first["training"]["iterations"] == 3 and first["training"]["seed"] == 2015
    assert first["slices"] == {"trained": "0-17", "scored": "20-23"}
    assert "pixel_error" in json.dumps(first["scores"])
    assert len(first["training"]["weights_sha256"]) == 64
    assert [point[0] for point in first["training"]["curve"]] == [0]
    assert first["training"]["curve"][0][1] == pytest.approx(np.log(2), abs=0.03)
    assert "--slices 0-17" in said and "--pages 20-23" in said
    opened = first["opened"]
    assert opened["size"] in map(int, opened["v_rand_where_trained"])
    assert "v_rand" in opened["scores"] and f"--area-opening {opened['size']}" in said

    again, said = experiment("isbi2012", "--max-iter", "3")
    assert "solve.py" not in said and again["scores"] == first["scores"]
    assert again["training"]["weights_sha256"] == first["training"]["weights_sha256"]
    with pytest.raises(SystemExit, match="was made with other settings"):
        experiment("isbi2012", "--seed", "1")


def test_dic_hela(experiment, tmp_path):
    dic_hela = importlib.import_module("dic_hela")
    frames = np.random.default_rng(0).integers(90, 160, (42, 48, 48)).astype(np.uint8)
    cells = np.zeros((42, 48, 48), np.uint16)
    cells[:, 4:40, 4:20], cells[:, 4:40, 20:40] = 3, 8
    for kind, count in (("silver", 42), ("gold", 9)):
        name = "frames.tif" if kind == "silver" else "gold-frames.tif"
        tiff.write(tmp_path / name, frames[:count])
        tiff.write(tmp_path / f"{kind}-instances.tif", cells[:count])
    found, said = experiment("dic_hela", "--hours", "0.0001")
    assert found["frames"]["blocks"] == "10-16, 26, 44-50, 58-62, 72-82"
    assert all(abs(t - g) >= 4 for t in found["frames"]["trained"] for g in dic_hela.GOLD)
    assert 0 <= found["SEG"] <= 1 and len(found["SEG_of_frame"]) == 9
    assert found["training"]["max_iter"] >= 15 and "--border-term background" in said


def test_the_net_at_another_width(tmp_path):
    experiments = importlib.import_module("_experiment")
    experiments.write_net(tmp_path, 16)
    layers = {la.name: la for la in netspec.read_net(str(tmp_path / "unet.prototxt")).message.layer}
    assert layers["conv_d4a-b"].convolution_param.num_output == 256
    score = layers["conv_u0d-score"].convolution_param
    assert (score.num_output, score.weight_filler.type) == (2, "gaussian")
    assert layers["conv_d0a-b"].convolution_param.weight_filler.type == "msra"


def test_a_curve_after_an_interruption(tmp_path):
    experiments = importlib.import_module("_experiment")
    line = "Iteration {0} (1 iter/s, 1s/20 iters), loss = {1}\n    Train net output #0: loss = 9\n"
    line += "Iteration {0}, lr = 0.1, gradient norm = {2}\n"
    log = tmp_path / "train.log"
    log.write_text("".join(line.format(*p) for p in [(0, 0.7, 1), (20, 0.6, 2), (20, 0.5, 3)]))
    assert experiments.curve(log) == [[0, 0.7, 1], [20, 0.5, 3]]
    assert experiments.curve(tmp_path / "none.log") == []
