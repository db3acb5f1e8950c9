"""Between training and deployment: what `PREFIX.h5` says, and what a deployment needs to know."""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__, netspec, weights
from ..data.hdf5 import read_list
from ..data.normalize import DEFAULT, Normalization
from ..errors import DataError, DemitasseError, GraphError
from ..h5 import attributes, open_h5
from ..imaging.deployed import CALLER, UNTOLD, Deployed, drop_last_softmax, smallest
from ..imaging.pixel_size import micrometres
from ..imaging.predict import Predictor
from ..net import Net
from ..net.inference import build_layers, infer
from ..net.sizes import trunk
from ..netspec.graph import Graph
from ..texts import parsed
from ._options import spoken

if TYPE_CHECKING:
    from ..solvers import Solver


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

    Raises GraphError where nothing is left to deploy, or a part of it was not trained; DataError or
    WeightsError where what the training data say cannot be what a model says.
    """
    net, state = solver.net, solver.param.train_state
    packed = packing(net.graph)
    same = {"level": state.level, "stages": state.stage}
    shape = image_shape(net, source, same)
    message = netspec.deploy(source, shape=(1, *shape[1:]), softmax=False, **same)
    refuse_untrained(netspec.Source(source.path, message), net)
    size = micrometres(packed.get("pixel_size"), str(packed.get("pixel_unit", "um")))
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
    weights.check_model(f"{solver.param.snapshot_prefix}.h5", model)
    names = netspec.unique_names(layer.name for layer in message.layer)
    return Description(model, frozenset(names))


def refuse_untrained(deployed: netspec.Source, net: Net) -> None:
    """GraphError where a deployment net has parameters that the training net has not."""
    graph = netspec.build(deployed, "TEST")
    layers = build_layers(graph, net.layers[0].context, net.types)
    needs = infer(graph, layers).needs
    shared = {param.name for node in net.graph.nodes for param in node.layer.param}
    for node, need in zip(graph.nodes, needs, strict=True):
        names = {param.name for param in node.layer.param[: len(need.params)]}
        learns = node.name in net.params or (names and names <= shared - {""})
        if need.params and not learns:
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
    """The attributes that tools/pack.py left in the training data; empty for foreign files.

    Raises DataError where one of them does not say what it should.
    """
    for node in graph.nodes:
        if node.type == "HDF5Data":
            listed = read_list(node.layer.hdf5_data_param.source, folder)
            with open_h5(listed[0]) as file:
                return _packed(attributes(file), listed[0])
    return {}


def _packed(found: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The attributes of a file of training data, as JSON would have them; empty if not packed by
    us: then neither normalization nor origin is an object of JSON."""
    said = {name: _plain(value) for name, value in found.items()}
    parts, unread = dict[str, Any](), dict[str, ValueError]()
    for name in ("normalization", "origin"):
        try:
            parts[name] = parsed(str(said[name]))
        except KeyError:
            return {}
        except ValueError as error:
            unread[name] = error
    if not any(isinstance(value, dict) for value in parts.values()):
        return {}
    place = f"{path}, attribute 'normalization'"
    rule = Normalization.from_json(str(said["normalization"]), place)
    parts["normalization"] = json.loads(rule.to_json())
    if "origin" in unread:
        raise _wrong(path, f"its origin is no JSON of ours ({unread['origin']})")
    said |= parts
    if why := weights.wrong_in(said):
        raise _wrong(path, f"its {why}")
    return said


def _plain(value: Any) -> Any:
    """An attribute without NumPy."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _wrong(path: str, why: str) -> DataError:
    return DataError(
        f"holds packed data, but {why}", where=path, remedy="Pack the data again, or mend that"
    )


def grey_values(deployed: Deployed) -> str:
    """A line on how images are normalised, and who says so."""
    if not deployed.told:
        return untold(deployed.weights)
    name = deployed.normalization.name
    told = "--normalization" if deployed.told == CALLER else deployed.told
    return f"grey values: {'as they are' if name == 'none' else name} (from {told})"


def untold(path: str) -> str:
    """The same, where the file of the parameters does not say it."""
    return (
        f"grey values: as they are: {path} does not say how the net's images were normalised; "
        f"--normalization {DEFAULT} is what {spoken('tools/pack.py')} uses"
    )


def print_note(line: str) -> None:
    """What a net says that a user should know."""
    print(f"note: {line}", file=sys.stderr)


def net_in(path: str) -> netspec.Source:
    """The net of a prototxt, or the one that a model holds."""
    described = weights.read_description(path)
    if described is None:
        return netspec.read_net(path)
    return netspec.parse_net(described.deploy, f"{path} (its deploy net)")


def unfit(message: Any, found: weights.Weights, where: str, **options: Any) -> str:
    """Why a net cannot segment images, in words; empty where it can; options: of `Net`."""
    own = type(message)()
    own.CopyFrom(message)
    drop_last_softmax(own)
    try:
        net, axes = smallest(netspec.Source(where, own), found, **options)
        Predictor(net, where=where, along=axes)
    except DemitasseError as error:
        return error.what + (f", {error.found}" if error.found is not None else "")
    return ""
