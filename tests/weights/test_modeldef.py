"""The plugin's model definitions: written, read back, and read with the names it does not know."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from demitasse import weights
from demitasse.errors import WeightsError
from demitasse.weights import LossWeights, ModelDef, is_modeldef, read_modeldef, write_modeldef

FULL = ModelDef(
    ident="cells",
    name="Cells, 2-D",
    description="µm matter",
    model_prototxt="layer { name: 'a' type: 'ReLU' }",
    solver_prototxt="base_lr: 1e-5",
    element_size_um=(0.5, 0.25),
    downsample_factor=(16, 8),
    pad_input=(60, 28),
    pad_output=(-124, -60),
    normalization_type=2,
    padding="zero",
    class_names=("background", "cell"),
    loss_weights=LossWeights(40.0, 5.0, 0.25, 8.0),
    memory_map=((1000, 300), (2000, 500), (3000, 900)),
    input_channels=3,
)


@pytest.fixture
def path(tmp_path):
    target = tmp_path / "cells.modeldef.h5"
    write_modeldef(target, FULL)
    return target


def edit(path, name, value=None):
    with h5py.File(path, "r+") as file:
        if name in file:
            del file[name]
        if value is not None:
            file[name] = value


def test_what_was_written_is_read(path):
    got = read_modeldef(path)
    assert got == replace(FULL, path=str(path))
    assert (got.axes, got.normalization) == (2, "zscore") and is_modeldef(path)


def test_the_layout_is_the_one_of_the_makers_script(path):
    with h5py.File(path) as file:
        kinds = {name: file[name].dtype.str[1:] for name in ("/.unet-ident", "model_prototxt")}
        assert all(kind[0] == "S" for kind in kinds.values())
        group = file["unet_param"]
        assert group["name"][()] == b"Cells, 2-D"
        assert group["element_size_um"].dtype == np.float64
        for name in ("normalization_type", "downsampleFactor", "padInput", "padOutput"):
            assert group[name].dtype == np.int32
        assert group["mapInputNumPxGPUMemMB"].shape == (2, 3)
        assert group["pixelwise_loss_weights/sigma1Px"].dtype == np.float32


def test_one_number_counts_for_all_axes(path):
    edit(path, "unet_param/padInput", np.int32(60))
    edit(path, "unet_param/element_size_um", np.array([1.0, 0.5, 0.5], np.float32))
    edit(path, "unet_param/downsampleFactor", np.array([16], np.int32))
    edit(path, "unet_param/padOutput", np.array([[-124]], np.int32))
    got = read_modeldef(path)
    assert (got.axes, got.pad_input, got.pad_output) == (3, (60,) * 3, (-124,) * 3)


def test_lengths_in_micrometres_are_converted_and_said(path):
    """As MATLAB writes them; the plugin misses them and takes its defaults for all four."""
    under = "unet_param/pixelwise_loss_weights/"
    edit(path, under + "sigma1Px")
    edit(path, under + "borderWeightSigmaPx")
    edit(path, under + "sigma1_um", 2.5)
    edit(path, under + "borderWeightSigma_um", 1.5)
    got = read_modeldef(path)
    assert got.loss_weights == LossWeights(40.0, 6.0, 0.25, 10.0)
    said = "\n".join(got.notes)
    assert "sigma1_um 2.5 was read as sigma1Px 10 (element size 0.25 um)" in said
    assert "borderWeightSigma_um 1.5 was read as borderWeightSigmaPx 6" in said
    assert "plugin takes 50, 6, 0.1, 10 for all four" in said


def test_what_is_missing_is_assumed_and_said(path):
    for name in ("pixelwise_loss_weights", "name", "input_dataset_name", "classNames"):
        edit(path, f"unet_param/{name}")
    got = read_modeldef(path)
    assert got.loss_weights == LossWeights(50, 6, 0.1, 10)
    assert (got.name, got.input_dataset_name, got.class_names) == ("cells", "data", ())
    assert "sigma1Px is not in the file: 10 was assumed" in got.notes


def test_the_memory_map_gives_the_largest_tile_that_fits(path):
    got = read_modeldef(path)
    assert [got.pixels_for(mb) for mb in (1, 300, 499, 500, 9000)] == [1000, 1000, 1000, 2000, 3000]


@pytest.mark.parametrize("pairs", [((9, 5), (3, 6)), ((3, 6), (9, 5)), ((-1, 5),), ((5, 0),)])
def test_a_memory_map_of_nonsense_is_refused_where_it_is_used(pairs):
    with pytest.raises(WeightsError, match=r"nonsense; expected pixels and MB.*-n_tiles"):
        replace(FULL, memory_map=pairs).pixels_for(100)


def test_a_memory_map_of_another_shape_is_left_aside(path):
    edit(path, "unet_param/mapInputNumPxGPUMemMB", np.ones((79, 3)))
    got = read_modeldef(path)
    assert not got.memory_map and "79x3" in got.notes[0]
    with pytest.raises(WeightsError, match="no memory map"):
        got.pixels_for(100)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("model_prototxt", None, "no model definition: it has no /model_prototxt"),
        ("unet_param", None, "it has no /unet_param"),
        (".unet-ident", None, "it has no /.unet-ident"),
        ("unet_param/padInput", None, "has no 'unet_param/padInput'"),
        ("unet_param/padInput", np.array([1, 2, 3]), "expected 1 or 2 whole numbers"),
        ("unet_param/padOutput", 0.5, "whole numbers"),
        ("unet_param/downsampleFactor", 0, "at least 1"),
        ("unet_param/padding", np.bytes_("wrap"), "expected mirror or zero, found 'wrap'"),
        ("unet_param/padding", 3, "expected strings, found numbers"),
        ("unet_param/normalization_type", 4, "expected 0, 1, 2 or 3, found 4"),
        ("unet_param/element_size_um", np.array([0.5]), "2 or 3 sizes above 0"),
        ("unet_param/element_size_um", np.array([0.5, -1]), "2 or 3 sizes above 0"),
        ("unet_param/pixelwise_loss_weights/sigma1Px", np.nan, "one number"),
        ("model_prototxt", h5py.SoftLink("/solver_prototxt"), "is a link"),
    ],
)
def test_parts_that_are_missing_or_senseless_are_named(path, name, value, words):
    edit(path, name, value)
    with pytest.raises(WeightsError) as refused:
        read_modeldef(path)
    assert words in str(refused.value) and str(path) in str(refused.value)


def test_weights_and_models_are_told_apart(path, tmp_path):
    other = tmp_path / "cells.caffemodel.h5"
    weights.write_hdf5(other, {"a": [np.ones(3, np.float32)]})
    with pytest.raises(WeightsError, match=r"no model definition.*give it to -weights"):
        read_modeldef(other)
    with pytest.raises(WeightsError, match="is a model definition"):
        weights.read(path)
    assert not is_modeldef(other) and not is_modeldef(tmp_path / "absent.h5")
