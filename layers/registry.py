"""Which class stands for which layer type: one visible table.

A layer lives in the module named here, in a class named like its type.  The module is imported
when a net first asks for the type, so that `import demitasse` stays fast.

Source: Caffe's src/caffe/layer_factory.cpp, where registration is hidden in a macro.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import SpecError, did_you_mean
from .base import Context, Layer

MODULES = {
    "Accuracy": "accuracy",
    "BatchNorm": "batch_norm",
    "Bias": "bias",
    "Concat": "concat",
    "Convolution": "convolution",
    "Crop": "crop",
    "Deconvolution": "deconvolution",
    "Dropout": "dropout",
    "DummyData": "dummy_data",
    "Eltwise": "eltwise",
    "EuclideanLoss": "euclidean_loss",
    "HDF5Data": "hdf5_data",
    "InnerProduct": "inner_product",
    "Input": "input",
    "Pooling": "pooling",
    "Power": "power",
    "ReLU": "relu",
    "Scale": "scale",
    "Sigmoid": "sigmoid",
    "SigmoidCrossEntropyLoss": "sigmoid_cross_entropy_loss",
    "Silence": "silence",
    "Softmax": "softmax",
    "SoftmaxWithLoss": "softmax_with_loss",
    "Split": "split",
    "TanH": "tanh",
}

# what real Caffe has and demitasse has not (yet)
_CAFFE = (
    "AbsVal ArgMax BNLL BatchReindex Clip ContrastiveLoss Data ELU Embed Exp Filter Flatten "
    "HDF5Output HingeLoss Im2col ImageData InfogainLoss LRN LSTM LSTMUnit Log MVN MemoryData "
    "MultinomialLogisticLoss PReLU Parameter Python RNN Reduction Reshape SPP Slice Swish "
    "Threshold Tile WindowData"
)

# what Freiburg's caffe_unet added to Caffe
_FORK = (
    "ApplyDeformation CreateDeformation F1 GradientReversal IoU ValueAugmentation "
    "ValueTransformation"
)
CAFFE_ONLY, FORK_ONLY = frozenset(_CAFFE.split()), frozenset(_FORK.split())


def layer_class(type_name: str, *, name: str = "", where: str = "") -> type[Layer]:
    """The class of a type; SpecError names the nearest types where there is none.

    name and where belong to the layer that asks, for the message.
    """
    if type_name in MODULES:
        module = import_module(f".{MODULES[type_name]}", __package__)
        found: type[Layer] = getattr(module, type_name)
        return found
    layer = f"layer '{name}'" if name else "a layer"
    if not type_name:
        what = f"{layer} has no type"
    elif type_name in CAFFE_ONLY:
        what = f"{layer} is of type '{type_name}', which Caffe has but demitasse does not have yet"
    elif type_name in FORK_ONLY:
        what = (
            f"{layer} is of type '{type_name}', which only Freiburg's caffe_unet has; "
            "demitasse does not have it yet"
        )
    else:
        what = f"{layer} is of an unknown type '{type_name}'"
    near = did_you_mean(type_name, [*MODULES, *CAFFE_ONLY, *FORK_ONLY]) if type_name else ""
    known = f"Known types: {', '.join(MODULES)}"
    if type_name in CAFFE_ONLY or type_name in FORK_ONLY:
        near = ""  # it would only repeat the name
    raise SpecError(what, where=where, remedy=f"{near} {known}".strip())


def create(spec: Any, context: Context) -> Layer:
    """The layer that a LayerParameter message describes."""
    return layer_class(spec.type, name=spec.name, where=context.where)(spec, context)
