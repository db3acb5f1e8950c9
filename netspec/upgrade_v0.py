"""The first generation of nets (2013): `layers { layer { type: "conv" ... } }` made V1.

Message to message, by a table: which old field becomes which field of which parameter message, for
each layer type.  A `padding` layer becomes the `pad` of the convolution or pooling that reads it.
Where Caffe logs an error and drops a setting it cannot place, we refuse.

Source: the rules of Caffe 1.0's src/caffe/util/upgrade_proto.cpp.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import SpecError, did_you_mean
from . import schema

# the type in a V0 layer -> the V1 type, and the parameter message its settings go to
_TYPES = {
    "accuracy": ("ACCURACY", ""),
    "bnll": ("BNLL", ""),
    "concat": ("CONCAT", "concat_param"),
    "conv": ("CONVOLUTION", "convolution_param"),
    "data": ("DATA", "data_param"),
    "dropout": ("DROPOUT", "dropout_param"),
    "euclidean_loss": ("EUCLIDEAN_LOSS", ""),
    "flatten": ("FLATTEN", ""),
    "hdf5_data": ("HDF5_DATA", "hdf5_data_param"),
    "hdf5_output": ("HDF5_OUTPUT", "hdf5_output_param"),
    "im2col": ("IM2COL", ""),
    "images": ("IMAGE_DATA", "image_data_param"),
    "infogain_loss": ("INFOGAIN_LOSS", "infogain_loss_param"),
    "innerproduct": ("INNER_PRODUCT", "inner_product_param"),
    "lrn": ("LRN", "lrn_param"),
    "multinomial_logistic_loss": ("MULTINOMIAL_LOGISTIC_LOSS", ""),
    "pool": ("POOLING", "pooling_param"),
    "relu": ("RELU", ""),
    "sigmoid": ("SIGMOID", ""),
    "softmax": ("SOFTMAX", ""),
    "softmax_loss": ("SOFTMAX_LOSS", ""),
    "split": ("SPLIT", ""),
    "tanh": ("TANH", ""),
    "window_data": ("WINDOW_DATA", "window_data_param"),
}

_LEARNING = ("conv", "innerproduct")
_READING = ("data", "hdf5_data", "images", "window_data")

# V0 field -> its new name, and the types that have it
_FIELDS = {
    "num_output": ("num_output", _LEARNING),
    "biasterm": ("bias_term", _LEARNING),
    "weight_filler": ("weight_filler", _LEARNING),
    "bias_filler": ("bias_filler", _LEARNING),
    "pad": ("pad", ("conv", "pool")),
    "kernelsize": ("kernel_size", ("conv", "pool")),
    "group": ("group", ("conv",)),
    "stride": ("stride", ("conv", "pool")),
    "pool": ("pool", ("pool",)),
    "dropout_ratio": ("dropout_ratio", ("dropout",)),
    "local_size": ("local_size", ("lrn",)),
    "alpha": ("alpha", ("lrn",)),
    "beta": ("beta", ("lrn",)),
    "k": ("k", ("lrn",)),
    "source": ("source", (*_READING, "infogain_loss")),
    "batchsize": ("batch_size", _READING),
    "rand_skip": ("rand_skip", ("data", "images")),
    "shuffle_images": ("shuffle", ("images",)),
    "new_height": ("new_height", ("images",)),
    "new_width": ("new_width", ("images",)),
    "concat_dim": ("concat_dim", ("concat",)),
    "det_fg_threshold": ("fg_threshold", ("window_data",)),
    "det_bg_threshold": ("bg_threshold", ("window_data",)),
    "det_fg_fraction": ("fg_fraction", ("window_data",)),
    "det_context_pad": ("context_pad", ("window_data",)),
    "det_crop_mode": ("crop_mode", ("window_data",)),
    "hdf5_output_param": ("", ("hdf5_output",)),
}
# these go to transform_param, whatever the type
_TRANSFORM = {
    "scale": "scale",
    "meanfile": "mean_file",
    "cropsize": "crop_size",
    "mirror": "mirror",
}

Where = Callable[[str], str]


def is_v0(net: Any) -> bool:
    return any(layer.HasField("layer") for layer in net.layers)


def upgrade_v0(net: Any, where: Where) -> Any:
    """The V1 net of a V0 net.  where: a layer's name -> its place in the file."""
    new = schema.NetParameter()
    for field in ("name", "force_backward"):
        if net.HasField(field):
            setattr(new, field, getattr(net, field))
    new.input.extend(net.input)
    new.input_dim.extend(net.input_dim)
    for layer in _fold_padding(net, where):
        new.layers.append(_upgrade_layer(layer, where))
    return new


def _fold_padding(net: Any, where: Where) -> list[Any]:
    """The layers without `padding`; its readers pad for themselves and read what it read."""
    maker: dict[str, Any] = {}  # blob -> the layer that made it last
    kept = []
    for original in net.layers:
        layer = schema.V1LayerParameter()
        layer.CopyFrom(original)
        name, kind = layer.layer.name, layer.layer.type
        for i, blob in enumerate(original.bottom):
            padding = maker.get(blob)
            if padding is None or padding.layer.type != "padding":
                continue
            ends = (len(padding.bottom), len(padding.top), len(original.bottom))
            if kind not in ("conv", "pool") or ends != (1, 1, 1):
                raise SpecError(
                    f"the padding layer '{padding.layer.name}' feeds layer '{name}' ({kind})",
                    where=where(name),
                    expected="one conv or pool layer of one bottom behind it",
                    remedy="Give the pad to the layer itself",
                )
            layer.layer.pad = padding.layer.pad
            layer.bottom[i] = padding.bottom[0]
        maker.update(dict.fromkeys(original.top, original))
        if kind != "padding":
            kept.append(layer)
    return kept


def _upgrade_layer(old: Any, where: Where) -> Any:
    new = schema.V1LayerParameter(bottom=old.bottom, top=old.top)
    settings = old.layer
    name, kind = settings.name, settings.type
    if not old.HasField("layer") or kind not in _TYPES:
        raise SpecError(
            f"layer '{name or old.name}' has no 2013 layer type '{kind}'"
            if old.HasField("layer")
            else f"layer '{old.name}' is newer than others in the same net",
            where=where(name or old.name),
            remedy=did_you_mean(kind, _TYPES) or "Write all layers in the newest form: layer {...}",
        )
    v1_type, param = _TYPES[kind]
    new.type = schema.V1LayerParameter.LayerType.Value(v1_type)
    for field, value in settings.ListFields():
        if field.name == "type":
            continue
        if field.name in ("name", "blobs", "blobs_lr", "weight_decay"):
            _give(new, field.name, value)
        elif field.name in _TRANSFORM:
            _give(new.transform_param, _TRANSFORM[field.name], value)
        else:
            target, types = _FIELDS.get(field.name, ("", ()))
            if kind not in types:
                raise SpecError(
                    f"layer '{name}' of type '{kind}' has no setting '{field.name}'",
                    where=where(name),
                    remedy="Remove it",
                )
            owner = getattr(new, param) if target else new
            _give(owner, target or field.name, value)
    return new


def _give(message: Any, name: str, value: Any) -> None:
    """Set, append or copy, as the field wants it."""
    field = message.DESCRIPTOR.fields_by_name[name]
    if schema.is_repeated(field):
        many = hasattr(value, "__len__") and not isinstance(value, str)
        getattr(message, name).extend(value if many else [value])
    elif field.message_type is not None:
        getattr(message, name).CopyFrom(value)
    else:
        setattr(message, name, value)
