"""What the tests of the shipped nets share: a net planned for a tile, without an array."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from demitasse import netspec
from demitasse.layers.base import Context, Shape
from demitasse.net import params
from demitasse.net.inference import build_layers
from demitasse.net.planning import Planned, plan_net

MODELS = Path(__file__).resolve().parent.parent.parent / "models"


class Deployed(NamedTuple):
    """A net less data, labels and losses; sizes: of each blob; counts: parameters by layer."""

    source: Any
    message: Any
    graph: Any
    layers: Any
    planned: Planned

    @property
    def sizes(self) -> dict[str, Shape]:
        return {value.blob: shape for value, shape in self.planned.inferred.values.items()}

    @property
    def table(self) -> Any:
        return params.table(self.graph, self.layers, self.planned.inferred.needs)

    @property
    def counts(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for param in self.table:
            found[param.layer] = found.get(param.layer, 0) + param.count
        return found

    @property
    def count(self) -> int:
        return params.flat_size(self.table)


def deployed(name: str, *size: int, channels: int = 1) -> Deployed:
    """The net of a file in models/ for an image of this size."""
    source = netspec.read_net(str(MODELS / name))
    message = netspec.deploy(source, shape=(1, channels, *size), softmax=False)
    graph = netspec.build(message, "TEST")
    layers = build_layers(graph, Context())
    planned = plan_net(graph, layers, None, dtype=np.dtype(np.float32), backward=False)
    return Deployed(source, message, graph, layers, planned)


def trainable(name: str, size: Shape, source: str, thinner: int = 1) -> netspec.Source:
    """The net of a file without augmentation: HDF5 files that `source` lists hold tiles of `size`.

    thinner: by what the channels are divided, apart from those of the score.
    """
    whole = deployed(name, *size)
    message = netspec.schema.NetParameter(name=name)
    rows = message.layer.add(name="rows", type="HDF5Data", top=["image", "label", "weight"])
    rows.hdf5_data_param.source, rows.hdf5_data_param.batch_size = source, 1
    (given,) = (value.blob for value in whole.graph.inputs)
    for layer in whole.message.layer:
        if layer.type == "Input":
            continue
        new = message.layer.add()
        new.CopyFrom(layer)
        if given in new.bottom:
            new.bottom[0] = "image"
        if new.type in ("Convolution", "Deconvolution") and new.top[0] != "score":
            new.convolution_param.num_output //= thinner
    loss = message.layer.add(name="loss", type="SoftmaxWithLoss", top=["loss"])
    loss.bottom.extend(["score", "label", "weight"])
    loss.loss_param.ignore_label = 255
    return netspec.Source(name, message)
