"""What a training saw and says now: nets built again from its log, with its last parameters.

    tiles           test data through the net: image, prediction, truth, pixel error of each
    deformations    the recipe's deformation fields, drawn anew, and what they do to an image; of
                    tiles that pack.py has bent, these and fields of its recipe
    weighted        training data with their weight map

Only what is asked for is run: for the last two the layers that make those blobs, one by one, never
the whole training net.  DemitasseError where the log does not say enough, or files have gone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import netspec, weights
from ..data import augment
from ..errors import DataError
from ..imaging.preview import Sample
from ..layers.base import Blob, Context, Layer
from ..net import Net
from ..net.inference import build_layers
from ..net.sizes import trunk
from ..netspec.graph import Graph, Node, Value
from ..solvers.build import state, test_sources, train_source
from ._model import packing
from ._runs import Run, text
from ._tests import SCORED, Classes, ignored_label

MOST_TILES = 200  # that are run through the net


@dataclass(frozen=True)
class Tile:
    """number: its place in the test data; error: part of the pixels with a label that are wrong;
    image (C, h, w), cut to the score; predicted, truth: classes (h, w), 0 where ignored."""

    number: int
    error: float
    image: np.ndarray
    predicted: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class Deformed:
    """image (C, H, W) and what the field (h, w, 2) makes of it and of anything else of its size.

    packed: the image was bent when it was packed, by another field of the same recipe."""

    image: np.ndarray
    field: np.ndarray
    mirror: bool
    packed: bool = False

    def applied(self, source: np.ndarray) -> np.ndarray:
        """source (C, H, W) float32, seen through the field: (C, h, w)."""
        from ..kernels import deformation as kernel

        out = np.zeros((len(source), *self.field.shape[:-1]), np.float32)
        kernel.apply(source, self.field, (0, 0), out, linear=True, mirror=self.mirror)
        return out


# ---------------------------------------------------------------------- the nets of a log


def solver_of(run: Run) -> Any:
    """The solver's message with its nets in it, as they were when the training began."""
    given = run.start.get("solver")
    words = text(given.get("text")) if isinstance(given, Mapping) else ""
    nets = run.start.get("nets")
    if not words or not isinstance(nets, Mapping):
        raise DataError("does not hold the nets that were trained", where=str(run.path))
    param = netspec.parse_solver(words, f"{run.path} (its solver)").message

    def parsed(path: str) -> Any:
        if not text(nets.get(path)):
            raise DataError(f"does not hold the net '{path}'", where=str(run.path))
        return netspec.parse_net(nets[path], f"{run.path} ({path})").message

    for name in ("net", "train_net"):
        if param.HasField(name):
            getattr(param, f"{name}_param").CopyFrom(parsed(getattr(param, name)))
            param.ClearField(name)
    for path in param.test_net:
        param.test_net_param.add().CopyFrom(parsed(path))
    del param.test_net[:]
    return param


def training_graph(run: Run) -> Graph:
    param = solver_of(run)
    source = train_source(param, str(run.path), "")
    return netspec.build_in_state(source, state(netspec.schema.TRAIN, source, param.train_state))


def test_graph(run: Run) -> tuple[Graph, bool]:
    """The first test net, or where there is none the training net as in a test; whether it is the
    first."""
    param = solver_of(run)
    training = train_source(param, str(run.path), "")
    tests = test_sources(param, str(run.path), "", training)
    own = [param.test_state[0]] if tests and len(param.test_state) else []
    source = tests[0] if tests else training
    graph = netspec.build_in_state(source, state(netspec.schema.TEST, source, *own))
    return graph, bool(tests)


def parameters(run: Run) -> Path:
    """The file with the last parameters that are still there."""
    states = [path for _, path in reversed(run.states)]
    named = [run.model, *(path.replace(".solverstate", ".caffemodel") for path in states)]
    for path in filter(None, named):
        found = run.near(path)
        if found is not None:
            return found
    raise DataError(
        "names no parameters that are still there",
        where=str(run.path),
        found=", ".join(filter(None, named)) or "no snapshot",
    )


# ---------------------------------------------------------------------- tiles


def tiles(
    run: Run, count: int, allow_python: bool = False
) -> tuple[list[Tile], int, str, bool, int | None]:
    """The `count` worst and the `count` best tiles, worst first; of how many; the file of the
    parameters; whether they are test data; the class that is predicted everywhere, if one is."""
    graph, tests = test_graph(run)
    path = parameters(run)
    net = Net(graph, backward=False, fill=False, folder=str(run.folder), allow_python=allow_python)
    net.load(weights.read(path), complete=True)
    node = next((node for node in graph.nodes if node.type in SCORED), None)
    image = trunk(graph)
    if node is None or image is None:
        raise DataError("the test net compares no score with labels", where=str(run.path))
    kept: list[Tile] = []
    said = Classes()
    seen = 0
    for found in _scored(net, node, image[0], said):
        kept.append(found)
        seen += 1
        kept.sort(key=lambda tile: -tile.error)
        if len(kept) > 2 * count:
            del kept[count]  # neither among the worst nor among the best
        if seen == MOST_TILES:
            break
    return kept, seen, path.name, tests, said.only


def _scored(net: Net, node: Node, image: Value, said: Classes) -> Iterator[Tile]:
    """Every item of the data once; adds to the classes that are predicted."""
    ignored = ignored_label(node)
    first = next(n.index for n in net.graph.nodes if image in n.bottoms)
    seen: dict[Value, np.ndarray] = {}

    def look(i: int) -> None:  # when a layer is about to read: later its bottoms may be gone
        wanted = [image] * (i == first) + [*node.bottoms[:2]] * (i == node.index)
        seen.update({value: net.values[value].data.copy() for value in wanted})

    net.callbacks.before_forward.append(look)
    number = 0
    while True:
        net.forward()
        score, label = (seen[value] for value in node.bottoms[:2])
        said.add(score, label, ignored)
        for n in range(len(score)):
            number += 1
            truth = label[n].reshape(score.shape[2:])
            known = np.ones(truth.shape, bool) if ignored is None else truth != ignored
            predicted = score[n].argmax(axis=0)
            wrong = (predicted != truth) & known
            error = float(wrong.sum() / max(1, known.sum()))
            objects = known & (truth > 0)
            shown = _plane(seen[image][n], objects)
            cut = (_plane(a[None] * known, objects)[0] for a in (predicted, truth))
            classes = [a.astype(np.intp) for a in cut]
            yield Tile(number, error, _middle(shown, classes[0].shape).copy(), *classes)
        if not _more(net.state()):
            return


def _more(positions: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the data have not begun again; data that do not say so go on."""
    return not any(position.get("epoch") for position in positions.values())


def _plane(array: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """(C, h, w) of itself, or of a volume the slice with most objects; objects (z, h, w)."""
    if objects.ndim == 2:
        return array
    best = int(objects.sum(axis=(1, 2)).argmax())
    return array[:, best + (array.shape[1] - len(objects)) // 2]


def _middle(array: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """The middle of (C, H, W)."""
    y, x = ((a - b) // 2 for a, b in zip(array.shape[1:], size, strict=True))
    return array[:, y : y + size[0], x : x + size[1]]


# ---------------------------------------------------------------------- a part of a net


class Part:
    """The layers of a graph that make some values, run one by one in arrays of their own."""

    def __init__(self, graph: Graph, wanted: Sequence[Value], run: Run, allow_python: bool) -> None:
        dtype = np.dtype(np.float32)
        context = Context(
            phase=graph.phase,
            dtype=dtype,
            seed=seed_of(run),
            folder=str(run.folder),
            allow_python=allow_python,
        )
        needed, self._nodes = set(wanted), list[Node]()
        for node in reversed(graph.nodes):
            if needed & set(node.tops):
                needed |= set(node.bottoms)
                self._nodes.insert(0, node)
        kept = tuple(self._nodes)
        built = build_layers(Graph(**{**vars(graph), "nodes": kept}), context)
        self._layers: list[tuple[Node, Layer]] = list(zip(kept, built, strict=True))

    def forward(self) -> dict[Value, np.ndarray]:
        """One pass."""
        blobs: dict[Value, Blob] = {}
        for node, layer in self._layers:
            bottom = [blobs[value] for value in node.bottoms]
            need = layer.reshape(bottom)
            top = bottom * len(node.tops) if layer.shares_data else []
            top = top or [Blob(np.zeros(shape, np.float32)) for shape in need.tops]
            layer.scratch = np.zeros(need.scratch, np.float32)
            layer.forward(bottom, top)
            blobs.update(zip(node.tops, top, strict=True))
        return {value: blob.data for value, blob in blobs.items()}


def source_of(graph: Graph, value: Value) -> Value:
    """The data that a blob is made of: upward along first bottoms."""
    made = {top: node for node in graph.nodes for top in node.tops}
    while value in made and made[value].bottoms:
        value = made[value].bottoms[0]
    return value


def seed_of(run: Run) -> int:
    seed = run.start.get("seed")
    return seed if isinstance(seed, int) and seed >= 0 else 0


def deformations(run: Run, count: int, allow_python: bool = False) -> list[Deformed]:
    """Draws of the first deformation that an image goes through, in the net or when it was packed;
    none where the recipe has none."""
    graph = training_graph(run)
    bent = [n for n in graph.nodes if n.type == "ApplyDeformation"]
    if not bent:
        return _packed(run, graph, count, allow_python)
    node = min(bent, key=for_labels)
    image, field = node.bottoms
    part = Part(graph, node.bottoms, run, allow_python)
    mirror = node.layer.apply_deformation_param.extrapolation == "mirror"
    return [_deformed(part.forward(), image, field, mirror) for _ in range(count)]


def _packed(run: Run, graph: Graph, count: int, allow_python: bool) -> list[Deformed]:
    """Tiles that pack.py has bent, each with a field of its recipe."""
    image, origin = trunk(graph), packing(graph, str(run.folder)).get("origin")
    if image is None or not isinstance(origin, Mapping):
        return []
    bent, seed = origin.get("augment"), origin.get("seed")
    if not isinstance(bent, list) or "elastic" not in bent:
        return []
    if not isinstance(seed, int) or seed < 0:
        return []
    data = source_of(graph, image[0])
    part = Part(graph, (data,), run, allow_python)
    found = []
    for k in range(count):
        tile = part.forward()[data][0]
        rng = augment.generator(seed, k)
        where = np.indices(tile.shape[1:]) + augment.elastic(rng, tile.shape[1:])
        field = np.ascontiguousarray(where.transpose(1, 2, 0), np.float32)
        found.append(Deformed(tile, field, mirror=True, packed=True))
    return found


def for_labels(node: Node) -> int:
    """Signs that what a layer deforms is no image."""
    param = node.layer.apply_deformation_param
    return (param.interpolation != "linear") + bool(param.output_shape_from)


def _deformed(
    made: Mapping[Value, np.ndarray], image: Value, field: Value, mirror: bool
) -> Deformed:
    """The first item; of a volume its middle slice, moved within its plane."""
    source, where = made[image][0], made[field][0]
    if where.ndim == 4:
        middle = len(where) // 2
        source, where = source[:, source.shape[1] // 2], where[middle, ..., -2:]
    return Deformed(np.ascontiguousarray(source), np.ascontiguousarray(where), mirror)


def weighted(run: Run, count: int, allow_python: bool = False) -> list[Sample]:
    """Training samples with the weights of their loss; none where the loss has no weights."""
    graph = training_graph(run)
    losses = [n for n in graph.nodes if n.type in ("SoftmaxWithLoss", "EuclideanLoss")]
    image = trunk(graph)
    node = next((n for n in losses if len(n.bottoms) == 3), None)
    if node is None:
        return []
    score, label, weight = (source_of(graph, value) for value in node.bottoms)
    data = image[0] if image else score
    part = Part(graph, (data, label, weight), run, allow_python)
    found = []
    for k in range(count):
        made = part.forward()
        planes = [made[value][0] for value in (data, label, weight)]
        labels = np.where(planes[1] == 255, 0, planes[1])[0]  # what is ignored weighs nothing
        where = labels > 0
        shown = _plane(planes[0], where)
        labels, worth = _plane(labels[None], where)[0], _plane(planes[2], where)[0]
        found.append(Sample(shown, labels, (("weights", worth),), f"sample {k + 1}"))
    return found
