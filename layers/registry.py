"""Which class stands for which layer type: one visible table.

A layer lives in the module named here, in a class named like its type.  The module is imported
when a net first asks for the type, so that `import demitasse` stays fast.  Whoever builds a net may
bring types of their own, `Net(types=[Softsign])`; they do not enter the table.

Source: Caffe's src/caffe/layer_factory.cpp, where registration is hidden in a macro.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def check_own(own: Sequence[type[Layer]]) -> None:
    """Raise SpecError where types of the caller's own are no layers, or have a taken name."""
    taken = set(MODULES)
    for cls in own:
        if not (isinstance(cls, type) and issubclass(cls, Layer) and hasattr(cls, "type")):
            raise SpecError(
                "this is no layer type",
                expected="a class derived from demitasse.layers.base.Layer, its name as `type`",
                found=repr(cls),
            )
        if cls.type in taken:
            raise SpecError(
                f"there is a layer type '{cls.type}' already",
                found=repr(cls),
                remedy="Give yours another name",
            )
        taken.add(cls.type)


def layer_class(
    type_name: str, *, name: str = "", where: str = "", own: Sequence[type[Layer]] = ()
) -> type[Layer]:
    """The class of a type, of the table or of the caller's own; SpecError names the nearest types
    where there is none.

    name and where belong to the layer that asks, for the message.
    """
    for cls in own:
        if cls.type == type_name:
            return cls
    if type_name in MODULES:
        module = import_module(f".{MODULES[type_name]}", __package__)
        found: type[Layer] = getattr(module, type_name)
        return found
    layer, near = f"layer '{name}'" if name else "a layer", ""
    types = [*MODULES, *(cls.type for cls in own)]
    if not type_name:
        what = f"{layer} has no type"
    elif type_name in FORK_ONLY:
        what = (
            f"{layer} is of type '{type_name}', which only Freiburg's caffe_unet has; "
            "demitasse does not have it yet"
        )
    else:
        what = f"{layer} is of an unknown type '{type_name}'"
        near = did_you_mean(type_name, [*types, *FORK_ONLY])
    known = f"Known types: {', '.join(types)}"
    raise SpecError(what, where=where, remedy=f"{near} {known}".strip())


def create(spec: Any, context: Context, own: Sequence[type[Layer]] = ()) -> Layer:
    """The layer that a LayerParameter message describes."""
    return layer_class(spec.type, name=spec.name, where=context.where, own=own)(spec, context)
