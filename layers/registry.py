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
    "AbsVal": "absval",
    "Accuracy": "accuracy",
    "ApplyDeformation": "apply_deformation",
    "ArgMax": "argmax",
    "BNLL": "bnll",
    "BatchNorm": "batch_norm",
    "BatchReindex": "batch_reindex",
    "Bias": "bias",
    "Clip": "clip",
    "Concat": "concat",
    "ContrastiveLoss": "contrastive_loss",
    "Convolution": "convolution",
    "CreateDeformation": "create_deformation",
    "Crop": "crop",
    "Data": "data",
    "Deconvolution": "deconvolution",
    "Dropout": "dropout",
    "DummyData": "dummy_data",
    "ELU": "elu",
    "Eltwise": "eltwise",
    "Embed": "embed",
    "EuclideanLoss": "euclidean_loss",
    "Exp": "exp",
    "F1": "f1",
    "Filter": "filter",
    "Flatten": "flatten",
    "HDF5Data": "hdf5_data",
    "HDF5Output": "hdf5_output",
    "HingeLoss": "hinge_loss",
    "Im2col": "im2col",
    "ImageData": "image_data",
    "InfogainLoss": "infogain_loss",
    "InnerProduct": "inner_product",
    "Input": "input",
    "IoU": "iou",
    "LRN": "lrn",
    "LSTM": "lstm",
    "LSTMUnit": "lstm_unit",
    "Log": "log",
    "MVN": "mvn",
    "MemoryData": "memory_data",
    "MultinomialLogisticLoss": "multinomial_logistic_loss",
    "PReLU": "prelu",
    "Parameter": "parameter",
    "Pooling": "pooling",
    "Power": "power",
    "Python": "python",
    "RNN": "rnn",
    "ReLU": "relu",
    "Reduction": "reduction",
    "Reshape": "reshape",
    "SPP": "spp",
    "Scale": "scale",
    "Sigmoid": "sigmoid",
    "SigmoidCrossEntropyLoss": "sigmoid_cross_entropy_loss",
    "Silence": "silence",
    "Slice": "slice",
    "Softmax": "softmax",
    "SoftmaxWithLoss": "softmax_with_loss",
    "Split": "split",
    "Swish": "swish",
    "TanH": "tanh",
    "Threshold": "threshold",
    "Tile": "tile",
    "ValueAugmentation": "value_augmentation",
    "ValueTransformation": "value_transformation",
    "WindowData": "window_data",
}

# what Freiburg's caffe_unet added to Caffe
FORK_ONLY = frozenset({"GradientReversal"})


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
    elif type_name in FORK_ONLY:
        what = (
            f"{layer} is of type '{type_name}', which only Freiburg's caffe_unet has; "
            "demitasse does not have it yet"
        )
    else:
        what = f"{layer} is of an unknown type '{type_name}'"
    near = did_you_mean(type_name, [*MODULES, *FORK_ONLY]) if type_name else ""
    known = f"Known types: {', '.join(MODULES)}"
    if type_name in FORK_ONLY:
        near = ""  # it would only repeat the name
    raise SpecError(what, where=where, remedy=f"{near} {known}".strip())


def create(spec: Any, context: Context) -> Layer:
    """The layer that a LayerParameter message describes."""
    return layer_class(spec.type, name=spec.name, where=context.where)(spec, context)
