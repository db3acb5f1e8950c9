from __future__ import annotations

import subprocess
import sys

import pytest
from demitasse.errors import SpecError
from demitasse.layers.base import Context, Layer
from demitasse.layers.registry import FORK_ONLY, MODULES, check_own, create, layer_class
from own import Mine

from .driver import layer

CAFFE = frozenset(
    {"AbsVal", "Accuracy", "ArgMax", "BNLL", "BatchNorm", "BatchReindex", "Bias", "Clip"}
    | {"Concat", "ContrastiveLoss", "Convolution", "Crop", "Data", "Deconvolution", "Dropout"}
    | {"DummyData", "ELU", "Eltwise", "Embed", "EuclideanLoss", "Exp", "Filter", "Flatten"}
    | {"HDF5Data", "HDF5Output", "HingeLoss", "Im2col", "ImageData", "InfogainLoss", "InnerProduct"}
    | {"Input", "LRN", "LSTM", "LSTMUnit", "Log", "MVN", "MemoryData", "MultinomialLogisticLoss"}
    | {"PReLU", "Parameter", "Pooling", "Power", "Python", "RNN", "ReLU", "Reduction", "Reshape"}
    | {"SPP", "Scale", "Sigmoid", "SigmoidCrossEntropyLoss", "Silence", "Slice", "Softmax"}
    | {"SoftmaxWithLoss", "Split", "Swish", "TanH", "Threshold", "Tile", "WindowData"}
)
FORK = {"ApplyDeformation", "CreateDeformation", "ValueAugmentation", "ValueTransformation"}
FORK |= {"F1", "IoU"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_entry_names_a_class_of_that_type(name):
    cls = layer_class(name)
    assert issubclass(cls, Layer) and cls.type == name == cls.__name__
    assert cls.__doc__ is not None or sys.modules[cls.__module__].__doc__


def test_all_of_caffe_is_there():
    assert len(CAFFE) == 61 and set(MODULES) >= CAFFE | FORK and not set(MODULES) & FORK_ONLY


def test_a_type_of_the_callers_own():
    assert layer_class("Mine", own=[Mine]) is Mine
    assert isinstance(create(layer("type: 'Mine'"), Context(), [Mine]), Mine)
    with pytest.raises(SpecError, match=r"'Mein'\. Did you mean Mine\? Known.*, WindowData, Mine"):
        layer_class("Mein", own=[Mine])
    with pytest.raises(SpecError, match="unknown type 'Mine'"):
        layer_class("Mine")


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (["Mine"], "no layer type.*class derived.*found 'Mine'"),
        ([dict], "no layer type"),
        ([Layer], "no layer type.*its name as `type`"),
        (
            [type("Other", (Mine,), {"type": "ReLU"})],
            "layer type 'ReLU' already.*another name",
        ),
        ([Mine, type("Other", (Mine,), {})], "layer type 'Mine' already"),
    ],
)
def test_what_can_be_no_type_of_ones_own(own, words):
    with pytest.raises(SpecError, match=words):
        check_own(own)


def test_create():
    made = create(layer("type: 'TanH'"), Context(where="a.prototxt:1:2"))
    assert made.label == "layer 'test' (TanH)" and made.context.where == "a.prototxt:1:2"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ReLu", "is of an unknown type 'ReLu'. Did you mean ReLU or "),
        ("Convolutoin", "Did you mean Convolution or Deconvolution?"),
        ("", "layer 'c' has no type. Known types: AbsVal, Accuracy, "),
        ("GradientReversal", "'GradientReversal', which only Freiburg's caffe_unet has"),
    ],
)
def test_unknown_types(name, words):
    with pytest.raises(SpecError) as caught:
        layer_class(name, name="c", where="a.prototxt:7:1")
    assert str(caught.value).startswith("a.prototxt:7:1: layer 'c' ")
    assert words in str(caught.value)


def test_layers_are_imported_when_asked_for():
    code = (
        "import sys, demitasse.layers.registry as r\n"
        "before = [m for m in sys.modules if m.endswith(('layers.relu', 'h5py'))]\n"
        "r.layer_class('Power')\n"
        "print(before, 'demitasse.layers.power' in sys.modules, 'h5py' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[] True False\n"
