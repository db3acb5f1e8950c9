"""A net as an ONNX model: the TEST phase with its parameters inside.

The batch is an axis of any length ("n"), unless a layer says otherwise; with dynamic=True the axes
of the image are free too ("z", "y", "x"), for the sizes that fit the net, and nothing in the graph
depends on them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import ShapeError
from ..layers.base import Shape
from ..net import Net
from ..net.one_axis import geometries
from ..net.sizes import Geometry, legal, trunk
from .onnx_layers import WRITE
from .onnx_writer import IR, OPSET, Writer
from .pieces import Pieces, take_apart

AXES = {1: "x", 2: "yx", 3: "zyx"}
LIMIT = 2**31 - 1  # bytes of a protobuf message


def to_onnx(net: Net, *, dynamic: bool = False, metadata: Mapping[str, str] | None = None) -> Any:
    """The onnx.ModelProto of a net with its parameters loaded; checked by onnx.checker.

    dynamic: see above; the net must stand at a size that fits (`measured`).  metadata: words that
    the file carries along.  Raises GraphError naming the first layer that ONNX cannot say.
    """
    pieces = take_apart(net)
    writer = Writer(dynamic=dynamic)
    for piece in pieces.pieces:
        if piece.type not in WRITE:
            raise piece.refuse(
                "there is no operator for it",
                "ONNX",
                f"Exported are {', '.join(sorted(WRITE))}, Dropout and Split",
            )
        WRITE[piece.type](writer, piece)
    for blob, name, _ in pieces.outputs:
        if blob != name:
            writer.emit("Identity", [name], blob)
    return _model(net, pieces, writer, dict(metadata or {}))


def _model(net: Net, pieces: Pieces, writer: Writer, metadata: dict[str, str]) -> Any:
    from .. import __version__

    onnx = writer.onnx
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    free = free_batch(pieces)

    def described(name: str, shape: Shape, *, output: bool = False) -> Any:
        dims: list[Any] = list(shape)
        if free and dims:
            dims[0] = "n"
        if writer.dynamic and len(dims) > 2:
            letters = AXES.get(len(dims) - 2, "")
            dims[2:] = [f"{letter}_out" if output else letter for letter in letters]
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, dims)

    graph = helper.make_graph(
        writer.nodes,
        net.name or "net",
        [described(name, shape) for name, shape in pieces.inputs],
        [described(blob, shape, output=True) for blob, _, shape in pieces.outputs],
        [numpy_helper.from_array(array, name) for name, array in writer.arrays.items()],
    )
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], producer_name="demitasse")
    model.producer_version, model.ir_version = __version__, IR
    helper.set_model_props(model, metadata)
    if model.ByteSize() > LIMIT:
        raise ShapeError("is larger than the 2 GiB that an ONNX file can be", where=net.graph.path)
    onnx.checker.check_model(model, full_check=True)
    return model


def free_batch(pieces: Pieces) -> bool:
    """Whether every input and output has the batch on its first axis, and no layer fixes it."""
    batch = {shape[0] if shape else None for _, shape in pieces.inputs}
    if len(batch) != 1:
        return False
    (count,) = batch
    if any(not shape or shape[0] != count for _, _, shape in pieces.outputs):
        return False
    fixed = {"Parameter", "Reduction", "Tile", "Concat", "Slice"}
    for piece in pieces.pieces:
        shapes = (*piece.reads, *piece.makes)
        if piece.type in fixed and any(not s or s[0] != count for s in shapes):
            return False
        if piece.type in ("Reshape", "Flatten") and piece.reads[0][0] != piece.makes[0][0]:
            return False
    return True


def measured(net: Net) -> tuple[Geometry, ...] | None:
    """Which sizes fit a net along each axis of its image, if it takes images of many sizes; None
    for a net of a fixed size, and for one that stands at a size with a rest."""
    found = trunk(net.graph)
    if found is None or len(net.graph.outputs) != 1:
        return None
    image, nodes = found
    shape, cuts = net.planned.inferred.values[image], []
    if legal(net.layers, image, nodes, shape) is None:
        return None
    try:
        rules = geometries(net.graph, net.layers, net.graph.outputs[0].blob)
    except ShapeError:
        return None
    for k in range(2):
        size = (rule.smallest + k * rule.step for rule in rules)
        shapes = legal(net.layers, image, nodes, (*shape[:2], *size))
        cuts.append(shapes and _cuts(nodes, shapes))
    return rules if cuts[0] is not None and cuts[0] == cuts[1] else None


def _cuts(nodes: Sequence[Any], shapes: Mapping[Any, Shape]) -> list[tuple[int, ...]]:
    """How much every Crop and Concat cuts off each bottom."""
    found = []
    for node in nodes:
        if node.type in ("Crop", "Concat"):
            kept = shapes[node.tops[0]][2:]
            found += [
                tuple(a - b for a, b in zip(shapes[v][2:], kept, strict=True)) for v in node.bottoms
            ]
    return found
