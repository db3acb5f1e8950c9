"""Between a model definition of the Fiji plugin and a net that runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import __version__, netspec, weights
from ..errors import DemitasseError, GraphError
from ..net import Net
from ..netspec.filter import kept_layers
from ..texts import utf8
from ..weights import ModelDef, Weights
from .caffe_tiles import Pads
from .deployed import refuse_nonfinite, seen


def source_of(modeldef: ModelDef, image: Sequence[int]) -> netspec.Source:
    """The net that caffe_unet runs: an Input layer of shape (1, *image), and what of the model's
    prototxt is in the TEST phase."""
    where = f"{modeldef.path} (its model_prototxt)"
    source = netspec.parse_net(modeldef.model_prototxt, where)
    net = netspec.schema.NetParameter(name=source.message.name)
    first = net.layer.add(name=modeldef.input_blob_name, type="Input")
    first.top.append(modeldef.input_blob_name)
    first.input_param.shape.add(dim=(1, *image))
    state = netspec.net_state(source.message, netspec.schema.TEST)
    kept = [source.message.layer[i] for i in kept_layers(source, state)]
    if any(modeldef.input_blob_name in la.top and not la.bottom for la in kept):
        # saved with the validation that the plugin adds
        kept = list(netspec.deploy(source, softmax=False).layer)
        kept = [layer for layer in kept if modeldef.input_blob_name not in layer.top]
    if not any(modeldef.input_blob_name in layer.bottom for layer in kept):
        raise GraphError(
            f"no layer reads the input blob '{modeldef.input_blob_name}'",
            where=where,
            remedy="unet_param/input_blob_name and the prototxt do not belong together",
        )
    net.layer.extend(kept)
    return netspec.Source(where, net, source.root, source.layers)


def channels_of(modeldef: ModelDef, found: Weights) -> int:
    """How many channels its images have: as it says, or as the weights of its first filters do."""
    if modeldef.input_channels is not None:
        return modeldef.input_channels
    message = source_of(modeldef, (1, *(1,) * modeldef.axes)).message
    blob = modeldef.input_blob_name
    for layer in message.layer:  # layers without parameters may come before the first filters
        if blob in layer.bottom and layer.type != "Convolution" and len(layer.top) == 1:
            blob = layer.top[0]
    return seen(message, blob, found)[0]


def read_weights(path: str) -> Weights:
    """Parameters to predict with; WeightsError where they are not finite."""
    found = weights.read(path)
    refuse_nonfinite(found)
    return found


def build(modeldef: ModelDef, found: Weights, image: Sequence[int], **options: Any) -> Net:
    """The net for images (channels, *spatial), with its parameters."""
    graph = netspec.build(source_of(modeldef, image), "TEST")
    try:
        net = Net(graph, fill=False, backward=False, **options)
    except DemitasseError as error:
        error.where = error.where or modeldef.path
        raise
    net.load(found, complete=True)
    return net


def as_model(modeldef: ModelDef, found: Weights) -> weights.Model:
    """The same as our own model file describes a net, so that deploy and port can go on as with
    one of these."""
    pads = Pads(modeldef.downsample_factor, modeldef.pad_input, modeldef.pad_output)
    number = channels_of(modeldef, found)
    message = source_of(modeldef, (number, *pads.least)).message
    for layer in message.layer:
        layer.ClearField("include")
        layer.ClearField("exclude")
    return weights.Model(
        deploy=netspec.to_text(message),
        normalization={"name": modeldef.normalization, "parameters": {}},
        class_names=tuple(map(utf8, modeldef.class_names)),
        input_channels=number,
        padding=modeldef.padding,
        pixel_size=modeldef.element_size_um,
        origin={
            "program": f"demitasse {__version__}",
            "model": modeldef.ident,
            "weights": found.path,
            "notes": list(modeldef.notes),
        },
    )
