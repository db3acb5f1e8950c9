"""Old nets made new, message to message, in Caffe's order, in every text and binary read:

    V0 -> V1        upgrade_v0.py
    V1 data layers  scale, mean_file, crop_size, mirror move into transform_param
    V1 -> V2        `layers { type: CONVOLUTION blobs_lr: 1 }` -> `layer { type: "Convolution"
                    param { lr_mult: 1 } }`; CROP gets its offsets (coordinates.py)
    input fields    -> one Input layer named "input", first in the net
    BatchNorm       three `param` blocks -> all multipliers 0

Solvers: the enum `solver_type` -> the string `type`.  The argument is never changed.

Source: the rules of Caffe 1.0's src/caffe/util/upgrade_proto.cpp.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import SpecError
from . import schema
from .coordinates import with_crop_offsets
from .upgrade_v0 import is_v0, upgrade_v0

_TYPES = {
    "NONE": "",
    "ABSVAL": "AbsVal",
    "ACCURACY": "Accuracy",
    "ARGMAX": "ArgMax",
    "BNLL": "BNLL",
    "CONCAT": "Concat",
    "CONTRASTIVE_LOSS": "ContrastiveLoss",
    "CONVOLUTION": "Convolution",
    "CROP": "Crop",
    "DATA": "Data",
    "DECONVOLUTION": "Deconvolution",
    "DROPOUT": "Dropout",
    "DUMMY_DATA": "DummyData",
    "ELTWISE": "Eltwise",
    "EUCLIDEAN_LOSS": "EuclideanLoss",
    "EXP": "Exp",
    "FLATTEN": "Flatten",
    "HDF5_DATA": "HDF5Data",
    "HDF5_OUTPUT": "HDF5Output",
    "HINGE_LOSS": "HingeLoss",
    "IM2COL": "Im2col",
    "IMAGE_DATA": "ImageData",
    "INFOGAIN_LOSS": "InfogainLoss",
    "INNER_PRODUCT": "InnerProduct",
    "LRN": "LRN",
    "MEMORY_DATA": "MemoryData",
    "MULTINOMIAL_LOGISTIC_LOSS": "MultinomialLogisticLoss",
    "MVN": "MVN",
    "POOLING": "Pooling",
    "POWER": "Power",
    "RELU": "ReLU",
    "SIGMOID": "Sigmoid",
    "SIGMOID_CROSS_ENTROPY_LOSS": "SigmoidCrossEntropyLoss",
    "SILENCE": "Silence",
    "SLICE": "Slice",
    "SOFTMAX": "Softmax",
    "SOFTMAX_LOSS": "SoftmaxWithLoss",
    "SPLIT": "Split",
    "TANH": "TanH",
    "THRESHOLD": "Threshold",
    "WINDOW_DATA": "WindowData",
}
_READING = {"DATA": "data_param", "IMAGE_DATA": "image_data_param"}
_READING["WINDOW_DATA"] = "window_data_param"
_TRANSFORM = ("scale", "mean_file", "crop_size", "mirror")
# V1 fields that become entries of `param`, and the entry's field
_PARAM = {
    "param": "name",
    "blob_share_mode": "share_mode",
    "blobs_lr": "lr_mult",
    "weight_decay": "decay_mult",
}
_SOLVERS = {
    "SGD": "SGD",
    "NESTEROV": "Nesterov",
    "ADAGRAD": "AdaGrad",
    "RMSPROP": "RMSProp",
    "ADADELTA": "AdaDelta",
    "ADAM": "Adam",
}

Where = Callable[..., str]


def upgrade_net(net: Any, where: Where, *, crop_offsets: bool = True) -> Any:
    """The net in today's form.

    where: (layer name or None, field names...) -> "path:line:column".  crop_offsets: False leaves
    V1 CROP layers without offsets, for files that are read for their weights alone.
    """
    if len(net.layers) and len(net.layer):
        raise SpecError(
            "the net has old `layers { }` beside new `layer { }`",
            where=where(None, "layers"),
            remedy='Write all of them as `layer { type: "Convolution" ... }`',
        )
    if is_v0(net):
        net = upgrade_v0(net, where)
    if len(net.layers):
        net = _upgrade_v1(_move_transform(net))
        if crop_offsets:
            net = with_crop_offsets(net, lambda i: where(net.layer[i].name))
    if len(net.input):
        net = _upgrade_input(net, where)
    return _upgrade_batch_norm(net)


def upgrade_solver(solver: Any, where: Where) -> Any:
    """The solver with the string `type` in place of the enum `solver_type`."""
    if not solver.HasField("solver_type"):
        return solver
    if solver.HasField("type"):
        raise SpecError(
            "both `type` and the older `solver_type` are given",
            where=where(None, "solver_type"),
            remedy="Keep `type`",
        )
    new = _copy(solver)
    new.type = _SOLVERS[schema.enum_name(solver, "solver_type")]
    new.ClearField("solver_type")
    return new


def _copy(message: Any) -> Any:
    new = type(message)()
    new.CopyFrom(message)
    return new


def _move_transform(net: Any) -> Any:
    """V1 data layers with their transformations in transform_param.

    As in Caffe, one such setting makes every data layer of these types get both messages.
    """
    found = [
        (i, _READING[kind])
        for i, layer in enumerate(net.layers)
        if layer.HasField("type") and (kind := schema.enum_name(layer, "type")) in _READING
    ]
    if not any(getattr(net.layers[i], p).HasField(f) for i, p in found for f in _TRANSFORM):
        return net
    net = _copy(net)
    for i, param in found:
        old, new = getattr(net.layers[i], param), net.layers[i].transform_param
        old.SetInParent()
        new.SetInParent()
        for name in _TRANSFORM:
            if old.HasField(name):
                setattr(new, name, getattr(old, name))
                old.ClearField(name)
    return net


def _upgrade_v1(net: Any) -> Any:
    new = schema.NetParameter()
    for field, value in net.ListFields():
        if field.name == "layers":
            new.layer.extend(_upgrade_v1_layer(layer) for layer in value)
        else:
            _take(new, field, value)
    return new


def _upgrade_v1_layer(old: Any) -> Any:
    new = schema.LayerParameter()
    for field, value in old.ListFields():
        if field.name == "type":
            new.type = _TYPES[schema.enum_name(old, "type")]
        elif field.name in _PARAM:
            for i, each in enumerate(value):
                while len(new.param) <= i:
                    new.param.add()
                setattr(new.param[i], _PARAM[field.name], each)
        else:
            _take(new, field, value)
    return new


def _take(message: Any, field: Any, value: Any) -> None:
    """Give the message the field of the same name."""
    if schema.is_repeated(field):
        getattr(message, field.name).extend(value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
    else:
        setattr(message, field.name, value)


def _upgrade_input(net: Any, where: Where) -> Any:
    """`input`, with `input_shape` or four `input_dim` each, as an Input layer.

    Inputs without any shape are what old weight files hold; they are dropped, as in Caffe.
    """
    count, shapes, dims = len(net.input), len(net.input_shape), len(net.input_dim)
    if (shapes and shapes != count) or (not shapes and dims and dims != 4 * count):
        raise SpecError(
            "the inputs and their sizes do not match",
            where=where(None, "input"),
            expected=f"{count} input_shape or {4 * count} input_dim for {count} input",
            found=f"{shapes} input_shape" if shapes else f"{dims} input_dim",
        )
    new = _copy(net)
    new.ClearField("layer")
    for name in ("input", "input_shape", "input_dim"):
        new.ClearField(name)
    if shapes or dims:
        layer = new.layer.add(name="input", type="Input", top=net.input)
        if shapes:
            layer.input_param.shape.extend(net.input_shape)
        else:
            for i in range(count):
                layer.input_param.shape.add(dim=net.input_dim[4 * i : 4 * i + 4])
    new.layer.extend(net.layer)
    return new


def _upgrade_batch_norm(net: Any) -> Any:
    """BatchNorm with three `param` blocks: its statistics are not learnt, so both factors are 0."""
    found = [i for i, n in enumerate(net.layer) if n.type == "BatchNorm" and len(n.param) == 3]
    if not found:
        return net
    net = _copy(net)
    for i in found:
        for param in net.layer[i].param:
            param.lr_mult = param.decay_mult = 0.0
    return net
