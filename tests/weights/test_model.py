"""The self-describing model file."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from demitasse.errors import OutputError, WeightsError
from demitasse.weights import Model, check, read, write_model
from demitasse.weights.model import FORMAT, VERSION

LAYERS = {"conv": [np.arange(4, dtype="f4"), np.ones(1, "f4")], "relu": []}
MODEL = Model(
    deploy="name: 'u-net'\nlayer { name: 'data' type: 'Input' }\n",
    normalization={"name": "percentile", "low": 0.2, "high": 99.8},
    class_names=("background", "Zelle, geteilt ÄÖ"),
    input_channels=1,
    padding="mirror",
    pixel_size=(0.5, 0.25),
    origin={"iteration": 4000, "solver": "base_lr: 0.1", "config": {"a": [1, None, True]}},
)


@pytest.fixture
def path(tmp_path):
    write_model(tmp_path / "unet.h5", LAYERS, MODEL)
    return tmp_path / "unet.h5"


def test_what_was_written_is_read(path):
    weights = read(path)
    assert weights.model == MODEL
    assert (weights.kind, weights.verified, list(weights.layers)) == ("model", True, [*LAYERS])
    np.testing.assert_array_equal(weights.layers["conv"][0], LAYERS["conv"][0])
    with pytest.raises(OutputError, match="exists already"):
        write_model(path, LAYERS, MODEL, overwrite=False)


def test_names_with_slashes(tmp_path):
    """As GoogLeNet's: HDF5 takes them for groups in groups."""
    rng = np.random.default_rng(0)
    names = ("db1/3x3", "db1", "db1/3x3/bn", "up/2/conv", "z/7")
    layers = {name: [rng.random(2).astype("f4")] for name in names} | {"db1/": [], "db1/relu": []}
    write_model(tmp_path / "a.h5", layers, MODEL)
    found = read(tmp_path / "a.h5")
    assert found.verified and sorted(found.layers) == sorted(names)
    for name in names:
        np.testing.assert_array_equal(found.layers[name][0], layers[name][0])
    assert {blob.name for blob in check(tmp_path / "a.h5").blobs} == {f"{n}/0" for n in names}
    array = np.ones(1, "f4")
    for bad in ("a//b", "/a", "a/", "a/./b", "db1/0"):
        with pytest.raises(WeightsError, match=f"layer name '{bad}' cannot be used in HDF5"):
            write_model(tmp_path / "b.h5", {"db1": [array], bad: [array]}, MODEL)


def test_the_attributes_can_be_read_by_anyone(path):
    with h5py.File(path) as file:
        attributes = dict(file.attrs)
        assert list(file) == ["data"]  # Caffe's layout beside them
    assert attributes["format"] == FORMAT and attributes["version"] == VERSION
    assert attributes["deploy"] == MODEL.deploy and attributes["padding"] == "mirror"
    assert attributes["input_channels"] == 1
    assert json.loads(attributes["normalization"]) == MODEL.normalization
    assert json.loads(attributes["class_names"]) == list(MODEL.class_names)
    assert json.loads(attributes["pixel_size"]) == [0.5, 0.25]
    assert json.loads(attributes["origin"]) == MODEL.origin


def test_defaults_and_long_texts(tmp_path):
    model = Model("layer { }\n" * 100_000, {"name": "none"}, (), 3)
    write_model(tmp_path / "a.h5", LAYERS, model)
    found = read(tmp_path / "a.h5").model
    assert found == model and found.pixel_size == () and found.origin == {}


def test_the_same_model_gives_the_same_bytes(path, tmp_path):
    write_model(tmp_path / "again.h5", LAYERS, read(path).model)
    assert (tmp_path / "again.h5").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("version", [0, 2, 99, "1", None])
def test_another_version(path, version):
    with h5py.File(path, "r+") as file:
        if version is None:
            del file.attrs["version"]
        else:
            file.attrs["version"] = version
    with pytest.raises(WeightsError, match=r"version this demitasse does not know; expected.* 1"):
        read(path)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("deploy", "name: 'another'", "checksum mismatch in its description"),
        ("normalization", '{"name": "none"}', "checksum mismatch"),
        ("input_channels", 3, "checksum mismatch"),
        ("input_channels", "1", "the attribute 'input_channels' is missing or of another type"),
        ("class_names", 7, "'class_names' is missing or of another type"),
        ("origin", None, "'origin' is missing"),
        ("description_sha256", None, "checksum mismatch"),
    ],
)
def test_a_changed_description(path, name, value, words):
    with h5py.File(path, "r+") as file:
        del file.attrs[name]
        if value is not None:
            file.attrs[name] = value
    with pytest.raises(WeightsError) as caught:
        read(path)
    assert f"{path}: is a damaged model: " in str(caught.value) and words in str(caught.value)


def test_what_json_cannot_say_is_refused(tmp_path):
    for origin in ({"loss": float("nan")}, {"path": tmp_path}):
        with pytest.raises(WeightsError, match="cannot be written as JSON"):
            write_model(tmp_path / "a.h5", LAYERS, Model("", {}, (), 1, origin=origin))
    assert list(tmp_path.iterdir()) == []


def test_caffes_files_have_no_model(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data/conv/0"] = np.zeros(3, "f4")
        file.attrs["format"] = "something else"
    assert read(tmp_path / "a.h5").model is None
