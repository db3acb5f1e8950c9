"""Between training and deployment: what `PREFIX.h5` says, and what a deployment needs to know."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__, netspec, weights
from ..data.hdf5 import read_list
from ..data.normalize import DEFAULT, Normalization
from ..errors import DemitasseError, GraphError, WeightsError
from ..h5 import attributes, file_size, open_h5
from ..imaging.pixel_size import micrometres
from ..imaging.predict import Predictor, only_output
from ..kernels import convolution
from ..kernels.device import CPU
from ..kernels.workers import usable_cpus
from ..layers.base import Context
from ..net import Net
from ..net.inference import build_layers, infer
from ..net.one_axis import geometries
from ..net.sizes import Geometry, trunk
from ..netspec.graph import Graph
from ._options import spoken

if TYPE_CHECKING:
    from ..solvers import Solver

UNTOLD = "normalization unknown"  # in the origin of a model whose maker was not told it
LARGE = 16 << 20  # bytes of a parameter file that take as long to read as a part of Numba to import


@dataclass(frozen=True)
class Description:
    """All of a deployable model but its parameters, known before the training begins."""

    model: weights.Model
    layers: frozenset[str]

    def write(self, path: Path, solver: Solver) -> None:
        """Write the model with the solver's parameters as they are now."""
        now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
        origin = {**self.model.origin, "iterations": solver.iter, "date": now.isoformat()}
        layers = {n: a for n, a in solver.net.parameters().items() if n in self.layers}
        weights.write_model(path, layers, replace(self.model, origin=origin))


def describe(solver: Solver, source: netspec.Source) -> Description:
    """The deployable model of a solver's net, which was read from `source`: the net less data and
    loss, the packing's normalisation and classes, and where it comes from.

    Raises GraphError where nothing is left to deploy, or a part of it was not trained.
    """
    net, state = solver.net, solver.param.train_state
    packed = packing(net.graph)
    same = {"level": state.level, "stages": state.stage}
    shape = image_shape(net, source, same)
    message = netspec.deploy(source, shape=(1, *shape[1:]), softmax=False, **same)
    refuse_untrained(netspec.Source(source.path, message), net)
    size = micrometres(packed.get("pixel_size"), packed.get("pixel_unit", "um"))
    model = weights.Model(
        deploy=netspec.to_text(message),
        normalization=packed.get("normalization", {"name": "none", "parameters": {}}),
        class_names=tuple(packed.get("class_names", ())),
        input_channels=int(shape[1]),
        padding=packed.get("padding", "mirror"),
        pixel_size=size or (),
        origin={
            "program": f"demitasse {__version__}",
            "seed": net.seed,
            "solver": netspec.to_text(solver.param),
            "net": net.graph.path,
            "data": packed.get("origin", {}),
            **({} if "normalization" in packed else {UNTOLD: True}),
        },
    )
    names = netspec.unique_names(layer.name for layer in message.layer)
    return Description(model, frozenset(names))


def refuse_untrained(deployed: netspec.Source, net: Net) -> None:
    """GraphError where a deployment net has parameters that the training net has not."""
    graph = netspec.build(deployed, "TEST")
    layers = build_layers(graph, net.layers[0].context)
    needs = infer(graph, layers).needs
    for node, need in zip(graph.nodes, needs, strict=True):
        if need.params and node.name not in net.params:
            raise GraphError(
                f"layer '{node.name}' is in the net that segments, but not in the one that learns",
                where=node.where,
                remedy="Give both the same layers: look at include and exclude",
            )


def image_shape(net: Net, source: netspec.Source, state: Mapping[str, Any]) -> tuple[int, ...]:
    """The shape of the image blob of a training net, which was read from `source` in a state (of
    netspec.deploy): what its filters read, or, where layers of the net augment that, what the
    deployment net reads."""
    found, shapes = trunk(net.graph), net.planned.inferred.values
    if found is None:
        deployed = trunk(netspec.build(netspec.deploy(source, **state), "TEST"))
        by_blob = {value.blob: shape for value, shape in shapes.items()}
        if deployed is not None and deployed[0].blob in by_blob:
            return by_blob[deployed[0].blob]
        raise GraphError(
            "no layer with filters reads an image, so there is nothing to deploy",
            where=net.graph.path,
        )
    return shapes[found[0]]


def packing(graph: Graph, folder: str = "") -> dict[str, Any]:
    """The attributes that tools/pack.py left in the training data; empty for foreign files."""
    for node in graph.nodes:
        if node.type == "HDF5Data":
            listed = read_list(node.layer.hdf5_data_param.source, folder)
            with open_h5(listed[0]) as file:
                found = {
                    name: value.tolist() if isinstance(value, np.ndarray) else value
                    for name, value in attributes(file).items()
                }
            try:
                parsed = {name: json.loads(found[name]) for name in ("normalization", "origin")}
            except (KeyError, TypeError, ValueError):
                return {}  # not packed by us
            return {**found, **parsed}
    return {}


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

    def grey_values(self) -> str:
        """A line on how images are normalised, and who says so."""
        if not self.told:
            return untold(self.weights)
        name = self.normalization.name
        return f"grey values: {'as they are' if name == 'none' else name} ({self.told})"


def untold(path: str) -> str:
    """The same, where the file of the parameters does not say it."""
    return (
        f"grey values: as they are: {path} does not say how the net's images were normalised; "
        f"--normalization {DEFAULT} is what {spoken('tools/pack.py')} uses"
    )


def load_deployed(
    path: str, model: str | None, normalization: Normalization | None, **options: Any
) -> Deployed:
    """Read a parameter file and build its net.

    model: the prototxt a bare Caffe file needs, or a model definition of the Fiji plugin;
    normalization: instead of what the file says; options: further arguments of `Net`.
    Raises WeightsError where parameters are missing, foreign, not finite or of other shapes.
    """
    found = read_beside(path, **options)
    described = found.model
    if model is not None and weights.is_modeldef(model):
        from ._modeldef import as_model

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
            remedy="Give the net as well: --model deploy.prototxt",
        )
    bad = found.nonfinite()
    if bad:
        raise WeightsError(
            f"holds values that are not finite, in {', '.join(bad[:3])}",
            where=path,
            remedy="The training diverged before it was written; take an earlier snapshot",
        )
    drop_last_softmax(message)
    net, axes = smallest(netspec.Source(where, message), found, **options)
    net.load(found, complete=True, adopt=True)
    told = ""
    if normalization is not None:
        rule, told = normalization, "from --normalization"
    elif described is not None:
        rule = Normalization.from_json(json.dumps(dict(described.normalization)))
        if not described.origin.get(UNTOLD):
            told = "from the model" if described is found.model else f"from {model}"
    else:
        rule = Normalization("none")
    names = described.class_names if described else ()
    size = described.pixel_size if described else ()
    padding = described.padding if described else "mirror"
    predictor = Predictor(net, where=where, padding=padding, along=axes, said=_note)
    return Deployed(predictor, rule, tuple(names), path, tuple(size), told)


def _note(line: str) -> None:
    print(f"note: {line}", file=sys.stderr)


def net_in(path: str) -> netspec.Source:
    """The net of a prototxt, or the one that a model holds."""
    described = weights.read_description(path)
    if described is None:
        return netspec.read_net(path)
    return netspec.parse_net(described.deploy, f"{path} (its deploy net)")


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


def unfit(message: Any, found: weights.Weights, where: str) -> str:
    """Why a net cannot segment images, in words; empty where it can."""
    own = type(message)()
    own.CopyFrom(message)
    drop_last_softmax(own)
    try:
        net, axes = smallest(netspec.Source(where, own), found)
        Predictor(net, where=where, along=axes)
    except DemitasseError as error:
        return error.what + (f", {error.found}" if error.found is not None else "")
    return ""


def drop_last_softmax(message: Any) -> None:
    """Remove Softmax layers that nobody reads behind, so that their bottom, the score, is the
    output: whoever predicts wants the score, and makes probabilities of it once."""
    read: set[str] = set()
    for i in reversed(range(len(message.layer))):
        layer = message.layer[i]
        if layer.type == "Softmax" and not read & set(layer.top):
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
    layers = build_layers(graph, Context(allow_python=options.get("allow_python", False)))
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
