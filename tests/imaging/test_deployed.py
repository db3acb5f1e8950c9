"""A model file becomes a net that segments arrays; the compiled kernels are imported meanwhile."""

import threading
from pathlib import Path

import numpy as np
import pytest
from demitasse import netspec, weights
from demitasse.data.normalize import Normalization
from demitasse.errors import ImageError, MemoryBudgetError, ShapeError, WeightsError
from demitasse.imaging import deployed
from demitasse.imaging.deployed import UNTOLD, load_deployed
from demitasse.imaging.predict import largest
from demitasse.kernels import convolution
from demitasse.net import Net
from devices import EMULATOR, device
from own import Mine

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 9 dim: 9 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "c"
        convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "r" type: "ReLU" bottom: "c" top: "r" }
layer { name: "score" type: "Convolution" bottom: "r" top: "score"
        convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "prob" type: "Softmax" bottom: "score" top: "prob" }
"""  # noqa: E501
IMAGE = np.random.default_rng(0).integers(0, 255, (30, 40)).astype(np.uint8)


def write(text=NET, *, normalization="zscore", origin=(), **options):
    """tiny.h5, and its net."""
    net = Net(netspec.build(netspec.parse_net(text), "TEST"), seed=1, **options)
    model = weights.Model(
        deploy=text,
        normalization={"name": normalization, "parameters": {}},
        class_names=("border", "interior"),
        input_channels=1,
        origin=dict(origin),
    )
    weights.write_model("tiny.h5", net.parameters(), model)
    return net


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write()


def test_an_array_is_segmented_in_three_lines():
    model = load_deployed("tiny.h5")
    scores = model.scores(IMAGE)
    assert scores.shape == (2, 30, 40) and model.class_names == ("border", "interior")
    np.testing.assert_array_equal(scores, model.scores(IMAGE[np.newaxis]))
    predictor, seen = model.predictor, Normalization("zscore")(IMAGE)[np.newaxis]
    wanted = predictor.predict(seen, predictor.choose((30, 40)))
    np.testing.assert_array_equal(scores, wanted)
    assert set(np.unique(largest(scores))) == {0, 1}


def test_a_tile_keeps_to_the_budget():
    model = load_deployed("tiny.h5")
    whole = model.predictor.choose((30, 40)).memory
    np.testing.assert_allclose(model.scores(IMAGE, budget=whole // 2), model.scores(IMAGE), 1e-4)
    with pytest.raises(MemoryBudgetError):
        model.scores(IMAGE, budget=10)


def test_what_cannot_be_segmented_is_refused():
    model = load_deployed("tiny.h5")
    with pytest.raises(ShapeError, match="number of channels"):
        model.scores(np.zeros((3, 30, 40)))
    with pytest.raises(ShapeError, match="number of axes"):
        model.scores(np.zeros((1, 3, 30, 40)))
    with pytest.raises(ImageError, match="not finite"):
        model.scores(np.full((30, 40), np.nan))


def test_the_last_softmax_goes_and_probabilities_are_made_of_scores():
    assert load_deployed("tiny.h5").predictor.output == "score"


@pytest.mark.parametrize(
    ("settings", "origin", "told", "name"),
    [
        ({}, {}, "the model", "zscore"),
        ({}, {UNTOLD: True}, "", "zscore"),
        ({"normalization": Normalization("minmax")}, {UNTOLD: True}, "the caller", "minmax"),
    ],
)
def test_who_says_how_images_are_normalised(settings, origin, told, name):
    write(origin=origin)
    model = load_deployed("tiny.h5", **settings)
    assert (model.told, model.normalization.name) == (told, name)


def test_a_net_of_own_types_is_read_where_they_are_given():
    write(NET.replace("ReLU", "Mine"), types=[Mine])
    model = load_deployed("tiny.h5", types=[Mine])
    assert isinstance(model.predictor.net.layers[2], Mine)
    assert model.scores(IMAGE).shape == (2, 30, 40)


def test_parameters_alone_need_a_net():
    weights.write_hdf5("bare.h5", write().parameters())
    Path("net.prototxt").write_text(NET)
    with pytest.raises(WeightsError, match=r"not the net.*--model deploy.prototxt, or model="):
        load_deployed("bare.h5")
    assert load_deployed("bare.h5", "net.prototxt").told == ""


# ---- the import beside the reading -----------------------------------------------------------


@pytest.fixture
def imports(monkeypatch):
    """The threads that imported compiled kernels; every file counts as large."""
    found = []
    monkeypatch.setattr(convolution, "prepare", lambda: found.append(threading.current_thread()))
    monkeypatch.setattr(deployed, "LARGE", 1)
    return found


def load(**options):
    return load_deployed("tiny.h5", **({"threads": 2} | options))


def test_a_thread_imports_the_kernels_and_ends(imports):
    load()
    [thread] = imports
    assert thread is not threading.main_thread() and not thread.is_alive()


def test_it_ends_where_the_file_is_refused_too(imports):
    content = bytearray(Path("tiny.h5").read_bytes())
    at = content.index(weights.read("tiny.h5").layers["score"][0].tobytes())
    content[at] ^= 1
    Path("tiny.h5").write_bytes(content)
    with pytest.raises(WeightsError, match="checksum mismatch in score/0"):
        load()
    assert len(imports) == 1 and not imports[0].is_alive()


@pytest.mark.filterwarnings("error")
def test_why_they_cannot_be_imported_is_for_others_to_say(imports, monkeypatch, capfd):
    def broken():
        imports.append(threading.current_thread())
        raise OSError("no locator")

    monkeypatch.setattr(convolution, "prepare", broken)
    assert load().predictor.net.params
    assert imports and capfd.readouterr().err == ""


@pytest.mark.parametrize("options", [{"threads": 1}, {"device": device(EMULATOR)}])
def test_no_thread_where_there_is_to_be_one_only_or_another_device_computes(imports, options):
    load(**options)
    assert not imports


def test_no_thread_for_a_small_file(imports, monkeypatch):
    monkeypatch.setattr(deployed, "LARGE", 1 + Path("tiny.h5").stat().st_size)
    load()
    assert not imports


def test_a_file_that_is_not_there_is_refused_as_ever(imports):
    Path("tiny.h5").unlink()
    with pytest.raises(WeightsError, match="does not exist"):
        load()
    assert not imports
