"""The self-describing model file."""

from __future__ import annotations

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from demitasse.errors import OutputError, WeightsError
from demitasse.weights import Model, check, read, write_model
from demitasse.weights.model import FORMAT, VERSION, digest, stored

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


def renew_digest(file):
    file.attrs["description_sha256"] = digest(stored(file))


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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[(name, text) for name in ("normalization", "class_names", "pixel_size", "origin")
          for text in ("{", "[" * 60_000, "5", "null", "NaN", '"ab"')],
        ("normalization", "[]"),
        ("class_names", '["a", 5]'),
        ("class_names", r'["\u001b[31m"]'),
        ("pixel_size", '["x"]'),
        ("pixel_size", "[-1, 1]"),
        ("pixel_size", "[0, 1]"),
        ("pixel_size", f"[1{'0' * 400}, 1]"),
        ("pixel_size", "[1e999, 1]"),
        ("origin", '["a"]'),
        ("padding", "nonsense"),
        ("input_channels", 0),
        ("input_channels", -3),
    ],
)  # fmt: skip
def test_a_right_digest_of_a_wrong_description(path, name, value):
    """The digest has no key, so whoever wants a file to be taken for ours can make it."""
    with h5py.File(path, "r+") as file:
        file.attrs[name] = value
        renew_digest(file)
    with pytest.raises(WeightsError) as caught:
        read(path)
    said = str(caught.value)
    assert f"{path}: is a damaged model: " in said and name in said and len(said) < 500


def test_a_digest_that_is_no_text(path):
    with h5py.File(path, "r+") as file:
        file.attrs["description_sha256"] = ["a", "b"]
    with pytest.raises(WeightsError, match="checksum mismatch in its description"):
        read(path)
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = [FORMAT, FORMAT]
    assert read(path).model is None


def test_class_names_can_be_written_anywhere(path):
    with h5py.File(path, "r+") as file:
        file.attrs["class_names"] = r'["m\udce4"]'
        renew_digest(file)
    assert read(path).model.class_names == ("m\ufffd",)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("padding", 5, "padding is 5, not mirror or zero"),
        ("class_names", ("a", 2), r"class_names is ('a', 2), not a list of names without control"),
        ("pixel_size", (1.0, float("nan")), "pixel_size is (1.0, nan), not a list of sizes above"),
        ("normalization", [], "normalization is [], not a name and parameters"),
        ("input_channels", 0, "input_channels is 0, not a whole number above 0"),
        ("deploy", None, "deploy is None, not a text"),
    ],
)
def test_what_no_model_says_is_not_written(tmp_path, name, value, words):
    with pytest.raises(WeightsError, match=r"a\.h5: cannot be written") as caught:
        write_model(tmp_path / "a.h5", LAYERS, replace(MODEL, **{name: value}))
    assert words in str(caught.value)
    assert list(tmp_path.iterdir()) == []


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
