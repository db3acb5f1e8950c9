"""Several trainings of one length: seeds, and the recipe with a part left out."""

import importlib
import json
import math
import sys

import numpy as np
import pytest
from demitasse import netspec
from demitasse.data import synthetic
from demitasse.errors import NonFiniteError
from demitasse.imaging import tiff


@pytest.fixture
def experiment(monkeypatch, tmp_path, capsys):
    """Run one on tiny tiles of drawn slices; its result, and what it printed."""
    isbi2012 = importlib.import_module("isbi2012")
    monkeypatch.setattr(isbi2012, "INPUT", 188)
    monkeypatch.setattr(isbi2012, "OUTPUT", 4)
    pixels, instances = synthetic.volume(0, 24, (16, 16))
    tiff.write(tmp_path / "train-volume.tif", pixels)
    tiff.write(tmp_path / "train-labels.tif", (instances > 0).astype(np.uint8) * 255)

    def run(name, *options):
        target = tmp_path / "result.json"
        argv = [f"{name}.py", "--data", tmp_path, "--folder", tmp_path / name, "--base", "4"]
        argv = [*argv, "--tiles", "2", *options, "--json", target]
        monkeypatch.setattr(sys, "argv", [*map(str, argv)])
        assert importlib.import_module(name).main() == 0
        return json.loads(target.read_text()), capsys.readouterr().out

    return run


def test_seeds_of_which_one_diverges_and_going_on(experiment, monkeypatch):
    series = importlib.import_module("_series")
    really = series.train

    def train(args, folder, recipe):
        if args.seed == 2016:
            raise NonFiniteError("the loss is not finite")
        return really(args, folder, recipe)

    monkeypatch.setattr(series, "train", train)
    found, said = experiment("seeds", "--seeds", "3", "--max-iter", "1")
    assert list(found["runs"]) == ["seed-2015", "seed-2016", "seed-2017"]
    assert found["complete"] and found["diverged"] == ["seed-2016"]
    first, failed, third = found["runs"].values()
    assert failed["failed"].startswith("the loss is not finite") and failed["complete"]
    assert first["iterations"] == third["iterations"] == 1
    assert first["weights_sha256"] != third["weights_sha256"]
    assert first["loss"]["first"] == pytest.approx(np.log(2), abs=0.05)
    assert first["gradient_norm"]["median"] > 0 and len(first["curve"][0]) == 3
    assert 0 < first["scores"]["pixel_error"]["value"] < 1 and "scores" not in failed
    assert "1 of 3 diverged" in said and "steady" in said

    monkeypatch.setattr(series, "train", really)  # what has failed is not tried again
    again, said = experiment("seeds", "--seeds", "3", "--max-iter", "1", "--hours", "0")
    assert "solve.py" not in said and again["diverged"] == ["seed-2016"]


def test_after_a_training_that_was_stopped_nothing_begins(experiment, monkeypatch):
    series = importlib.import_module("_series")
    stopped = {"iterations": 0, "curve": [[0, 0.7, 1.0]]}
    monkeypatch.setattr(series, "train", lambda args, folder, recipe: stopped)
    found, said = experiment("seeds", "--seeds", "2", "--max-iter", "1")
    assert list(found["runs"]) == ["seed-2015"] and not found["complete"]
    assert "0 of 1 diverged; not finished yet" in said


def test_without_time_nothing_begins(experiment):
    found, said = experiment("seeds", "--seeds", "2", "--max-iter", "1", "--hours", "0")
    assert found["runs"] == {} and not found["complete"]
    assert "0 of 0 diverged; not finished yet" in said


def test_the_recipe_with_parts_left_out(experiment, monkeypatch):
    ablations = importlib.import_module("ablations")
    some = ("recipe", "without deformation", "momentum 0.9, rate x 10")
    monkeypatch.setattr(ablations, "VARIANTS", {name: ablations.VARIANTS[name] for name in some})
    monkeypatch.setattr(ablations, "AVERAGE", "mirror")
    found, said = experiment("ablations", "--max-iter", "1")
    assert list(found["variants"]) == [*ablations.VARIANTS, "without averaging"]
    assert found["complete"]
    of = found["variants"]
    assert all("pixel_error" in record["scores"] for record in of.values())
    rates = {name: (record["momentum"], record["base_lr"]) for name, record in of.items()}
    assert rates["recipe"] == rates["without deformation"] == (0.99, 0.002)
    assert rates["momentum 0.9, rate x 10"] == (0.9, pytest.approx(0.02))
    trained = [record["weights_sha256"] for name, record in of.items() if "averaging" not in name]
    assert len(set(trained)) == len(ablations.VARIANTS)
    assert of["without averaging"]["weights_sha256"] == of["recipe"]["weights_sha256"]
    assert said.count("--augment flips,grey ") == 1 and said.count("--average none") == 1
    assert said.count("without averaging") == 1 and "not finished" not in said


def test_what_the_edits_change(tmp_path):
    ablations = importlib.import_module("ablations")
    experiment = importlib.import_module("_experiment")

    def layers(edit):
        experiment.write_net(tmp_path, 4, edit, tmp_path / "tiles")
        source = netspec.read_net(str(tmp_path / "unet.prototxt"))
        netspec.build(source, "TRAIN")
        return {layer.name: layer for layer in source.message.layer}

    plain = layers(lambda message: None)
    assert plain["loaddata"].hdf5_data_param.source == str(tmp_path / "tiles" / "train.txt")
    light = layers(ablations.without_weights)
    assert list(light["loss"].bottom) == ["score", "label"]
    fillers = {
        layer.convolution_param.weight_filler.type
        for layer in layers(ablations.xavier).values()
        if layer.type in ("Convolution", "Deconvolution")
    }
    assert fillers == {"xavier", "gaussian"}
    narrow = layers(ablations.without_skips)
    assert not {layer.type for layer in narrow.values()} & {"Crop", "Concat"}
    assert [narrow[f"conv_u{i}b-c"].bottom[0] for i in range(4)] == ["u0a", "u1a", "u2a", "u3a"]
    assert len(plain) - len(narrow) == 8


def test_how_a_curve_is_summed_up():
    series = importlib.import_module("_series")
    steady = series.summary([(0, 0.7, 1), (20, 0.9, 9), (40, 0.6, 2), (60, 0.5, 3)])
    assert steady["loss"] == {"first": 0.7, "last": 0.5, "highest": 0.9}
    assert steady["gradient_norm"] == {"median": 2.5, "highest": 9}
    assert not steady["diverged"]
    assert series.summary([(0, 0.7, 1), (20, 0.8, 1)])["diverged"]
    assert series.summary([(0, 0.7, 1), (20, math.nan, 1)])["diverged"]
    assert series.summary([], "the loss is not finite") == {"diverged": True}
