"""A model made ready to segment: its net, its parameters, and how its images are normalised.

deployed = load_deployed("unet.h5")
scores = deployed.scores(image)             (classes, height, width)
labels = predict.largest(scores)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import netspec, weights
from ..data.normalize import Normalization
from ..errors import WeightsError
from ..h5 import file_size
from ..kernels import convolution
from ..kernels.device import CPU
from ..kernels.workers import usable_cpus
from ..layers.base import Context
from ..net import Net
from ..net.inference import build_layers
from ..net.one_axis import geometries
from ..net.sizes import Geometry
from .predict import Predictor, default_budget, only_output

UNTOLD = "normalization unknown"  # in the origin of a model whose maker was not told it
CALLER, MODEL = "the caller", "the model"  # who says how images are normalised, or a file
LARGE = 16 << 20  # bytes of a parameter file that take as long to read as a part of Numba to import


@dataclass(frozen=True)
class Deployed:
    """A net ready to segment, and how its images are normalised; weights: its file; told: who says
    how they are normalised, "" where nobody does."""

    predictor: Predictor
    normalization: Normalization
    class_names: tuple[str, ...]
    weights: str
    pixel_size: tuple[float, ...] = ()  # micrometres
    told: str = ""

    def scores(self, image: np.ndarray, *, budget: int | None = None) -> np.ndarray:
        """Scores (classes, *spatial) of an image (channels, *spatial) as it was taken; of one
        channel its axis may be missing.

        budget: bytes of activations that a tile may use (default: what suits the machine).
        Raises ImageError for pixels that are not finite, ShapeError where the net takes other
        images, MemoryBudgetError.
        """
        predictor, image = self.predictor, np.asarray(image)
        if predictor.channels == 1 and image.ndim == predictor.axes:
            image = image[np.newaxis]
        predictor.check(image.shape)
        most = default_budget(predictor.net) if budget is None else budget
        tiling = predictor.choose(image.shape[1:], budget=most)
        return predictor.predict(self.normalization(image), tiling)


def load_deployed(
    path: str,
    model: str | None = None,
    normalization: Normalization | str | None = None,
    *,
    said: Callable[[str], None] = lambda line: None,
    **options: Any,
) -> Deployed:
    """Read a parameter file and build its net.

    model: the prototxt a bare Caffe file needs, or a model definition of the Fiji plugin;
    normalization: instead of what the file says, or its name; said: told what a user should know;
    options: further arguments of `Net`.
    Raises WeightsError where parameters are missing, foreign, not finite or of other shapes.
    """
    if isinstance(normalization, str):
        normalization = Normalization(normalization)
    found = read_beside(path, **options)
    described = found.model
    if model is not None and weights.is_modeldef(model):
        from .modeldef import as_model

        described = as_model(weights.read_modeldef(model), found)
        where = f"{model} (its model_prototxt)"
        message = netspec.parse_net(described.deploy, where).message
    elif model is not None:
        message, where = netspec.deploy(netspec.read_net(model), softmax=False), model
    elif described is not None:
        where = f"{path} (its deploy net)"
        message = netspec.parse_net(described.deploy, where).message
    else:
        raise WeightsError(
            "holds parameters but not the net they belong to",
            where=path,
            remedy="Give the net as well: --model deploy.prototxt, or model= in Python",
        )
    refuse_nonfinite(found)
    drop_last_softmax(message)
    net, axes = smallest(netspec.Source(where, message), found, **options)
    net.load(found, complete=True, adopt=True)
    told = ""
    if normalization is not None:
        rule, told = normalization, CALLER
    elif described is not None:
        rule = Normalization.from_json(json.dumps(dict(described.normalization)), path)
        if not described.origin.get(UNTOLD):
            told = MODEL if described is found.model else str(model)
    else:
        rule = Normalization("none")
    names = described.class_names if described else ()
    size = described.pixel_size if described else ()
    padding = described.padding if described else "mirror"
    predictor = Predictor(net, where=where, padding=padding, along=axes, said=said)
    return Deployed(predictor, rule, tuple(names), path, tuple(size), told)


def read_beside(path: str, **options: Any) -> weights.Weights:
    """The content of a parameter file; options: of the net to come.

    Reading much lets other threads run: one imports the compiled kernels meanwhile, where the net
    will want them.  Why they cannot be imported is found again by whoever needs them."""
    device, threads = options.get("device", CPU), options.get("threads") or usable_cpus()
    if not device.on_host or threads == 1 or file_size(path, error=WeightsError) < LARGE:
        return weights.read(path)
    with ThreadPoolExecutor(1, "demitasse") as beside:
        beside.submit(convolution.prepare)
        return weights.read(path)


def refuse_nonfinite(found: weights.Weights) -> None:
    """Raise WeightsError where parameters to predict with are not finite."""
    if bad := found.nonfinite():
        raise WeightsError(
            f"holds values that are not finite, in {', '.join(bad[:3])}",
            where=found.path,
            remedy="The training diverged before it was written; take an earlier snapshot",
        )


def drop_last_softmax(message: Any) -> None:
    """Remove Softmax layers over the classes, axis 1, that nobody reads behind, so that their
    bottom, the score, is the output: whoever predicts wants the score, and makes probabilities of
    it once."""
    shapes = [shape for layer in message.layer for shape in layer.input_param.shape]
    axes = len(shapes[0].dim) if shapes else 4
    read: set[str] = set()
    for i in reversed(range(len(message.layer))):
        layer = message.layer[i]
        over_classes = layer.type == "Softmax" and layer.softmax_param.axis in (1, 1 - axes)
        if over_classes and not read & set(layer.top):
            del message.layer[i]
        else:
            read.update(layer.bottom)


def smallest(
    source: netspec.Source, found: weights.Weights, **options: Any
) -> tuple[Net, tuple[Geometry, ...]]:
    """The deploy net at its smallest legal size, so that building it allocates little, and its
    geometries.

    An Input layer without a shape gets the channels and the spatial axes that the filters reading
    it were trained on.
    """
    message = source.message
    for layer in message.layer:
        if layer.type == "Input" and not len(layer.input_param.shape):
            number, spatial = seen(message, layer.top[0], found)
            layer.input_param.shape.add(dim=(1, number, *(1,) * spatial))
    graph = netspec.build(source, "TEST")
    context = Context(allow_python=options.get("allow_python", False))
    layers = build_layers(graph, context, options.get("types", ()))
    axes = geometries(graph, layers, only_output(graph, source.path))
    inputs = {
        value.blob: (1, layers[i].shapes().tops[0][1], *(along.smallest for along in axes))
        for i, node in enumerate(graph.nodes)
        if node.type == "Input"
        for value in node.tops
    }
    return Net(graph, fill=False, inputs=inputs, **options), axes


def seen(message: Any, blob: str, found: weights.Weights) -> tuple[int, int]:
    """How many channels and spatial axes the filters that read `blob` have in the file; 1 and 2 if
    none of them does."""
    for layer in message.layer:
        if blob in layer.bottom and layer.type == "Convolution":
            filters = found.layers.get(layer.name, [None])[:1]
            if filters and filters[0] is not None and filters[0].ndim > 2:
                number = int(filters[0].shape[1]) * layer.convolution_param.group
                return number, filters[0].ndim - 2
    return 1, 2
