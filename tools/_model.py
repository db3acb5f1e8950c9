"""Between training and deployment: what `PREFIX.h5` says, and what a deployment needs to know."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, netspec, weights
from ..data.normalize import Normalization
from ..errors import GraphError, WeightsError
from ..h5 import open_h5
from ..imaging.predict import Predictor
from ..layers.base import Context
from ..net import Net
from ..net.inference import build_layers
from ..net.sizes import geometry, trunk
from ..solvers import Solver


@dataclass(frozen=True)
class Trained:
    """Parameters and description of a trained net, to be written as one file."""

    layers: Mapping[str, list[np.ndarray]]
    model: weights.Model

    def write(self, path: Path) -> None:
        weights.write_model(path, self.layers, self.model)


def describe(solver: Solver, source: netspec.Source) -> Trained:
    """The deployable model of a solver's net, which was read from `source`: the net less data and
    loss, the packing's normalisation and classes, and where it comes from."""
    net = solver.net
    packed = packing(net)
    channels = int(packed.get("input_channels", 1))
    message = netspec.deploy(source, shape=image_shape(net), softmax=False)
    names = {layer.name for layer in message.layer}
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    origin = {
        "program": f"demitasse {__version__}",
        "date": now.isoformat(),
        "iterations": solver.iter,
        "seed": net.seed,
        "solver": netspec.to_text(solver.param),
        "net": net.graph.path,
        "data": json.loads(packed["origin"]) if "origin" in packed else {},
    }
    size = packed.get("pixel_size")
    model = weights.Model(
        deploy=netspec.to_text(message),
        normalization=json.loads(packed.get("normalization") or Normalization("none").to_json()),
        class_names=tuple(packed.get("class_names", ())),
        input_channels=channels,
        padding=packed.get("padding", "mirror"),
        pixel_size=tuple(float(s) for s in size) if size is not None else (),
        origin=origin,
    )
    return Trained({n: a for n, a in net.parameters().items() if n in names}, model)


def image_shape(net: Net) -> tuple[int, ...]:
    """The shape of the image blob of a training net."""
    found = trunk(net.graph)
    if found is None:
        raise GraphError(
            "no layer with filters reads an image, so there is nothing to deploy",
            where=net.graph.path,
        )
    return net.values[found[0]].shape


def packing(net: Net) -> dict[str, Any]:
    """The attributes that tools/pack.py left in the training data; empty for foreign files."""
    for node in net.graph.nodes:
        if node.type == "HDF5Data":
            listed = Path(node.layer.hdf5_data_param.source).read_text(encoding="utf-8").split()
            with open_h5(listed[0]) as file:
                return {
                    name: value.tolist() if isinstance(value, np.ndarray) else value
                    for name, value in file.attrs.items()
                }
    return {}


@dataclass(frozen=True)
class Deployed:
    """A net ready to segment, and how its images are normalised."""

    predictor: Predictor
    normalization: Normalization
    class_names: tuple[str, ...]
    name: str


def load_deployed(path: str, model: str | None, normalization: str | None) -> Deployed:
    """Read a parameter file and build its net.

    model: the prototxt a bare Caffe file needs; normalization: instead of what the file says.
    Raises WeightsError where parameters are missing, foreign, not finite or of other shapes.
    """
    found = weights.read(path)
    described = found.model
    if model is not None:
        message = netspec.deploy(netspec.read_net(model), softmax=False)
    elif described is not None:
        message = netspec.parse_net(described.deploy, f"{path} (its deploy net)").message
    else:
        raise WeightsError(
            "holds parameters but not the net they belong to",
            where=path,
            remedy="Give the net as well: --model deploy.prototxt",
        )
    bad = found.nonfinite()
    if bad:
        raise WeightsError(
            f"holds values that are not finite, in {', '.join(bad[:3])}",
            where=path,
            remedy="The training diverged before it was written; take an earlier snapshot",
        )
    net = smallest(message, found)
    net.load(found, complete=True)
    if normalization is not None:
        rule = Normalization(normalization)
    elif described is not None:
        rule = Normalization.from_json(json.dumps(dict(described.normalization)))
    else:
        rule = Normalization("none")
    names = described.class_names if described else ()
    return Deployed(Predictor(net), rule, tuple(names), net.name)


def smallest(message: Any, found: weights.Weights) -> Net:
    """The deploy net at its smallest legal size, so that building it allocates little.

    An Input layer without a shape gets the channels that the filters reading it were trained on.
    """
    for layer in message.layer:
        if layer.type == "Input" and not len(layer.input_param.shape):
            dims = (1, channels(message, layer.top[0], found), 1, 1)
            layer.input_param.shape.add(dim=dims)
    graph = netspec.build(message, "TEST")
    layers = build_layers(graph, Context())
    size = geometry(graph, layers, graph.outputs[0].blob).smallest
    inputs = {
        value.blob: (1, layers[i].shapes().tops[0][1], size, size)
        for i, node in enumerate(graph.nodes)
        if node.type == "Input"
        for value in node.tops
    }
    return Net(graph, fill=False, inputs=inputs)


def channels(message: Any, blob: str, found: weights.Weights) -> int:
    """How many channels the filters that read `blob` have in the file; 1 if none of them does."""
    for layer in message.layer:
        if blob in layer.bottom and layer.type == "Convolution":
            filters = found.layers.get(layer.name, [None])[:1]
            if filters and filters[0] is not None and filters[0].ndim > 2:
                return int(filters[0].shape[1]) * layer.convolution_param.group
    return 1
