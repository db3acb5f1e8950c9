"""Shapes of a net, or a refusal that names the nearest sizes it would take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import ShapeError
from ..layers.base import Layer, Shape
from ..netspec.graph import Graph, Node, Value
from .inference import Above, Inferred, infer, rebuilt
from .one_axis import alike, along, made
from .sizes import legal, misfit, trunk

REACH = 128  # how far below and above a refused size legal ones are looked for, in pixels


def infer_or_suggest(
    graph: Graph,
    layers: Sequence[Layer],
    inputs: Mapping[str, Shape] | None = None,
    outside: Mapping[Value, Shape] | None = None,
    above: Above = None,
) -> Inferred:
    """`infer`, but a size that does not fit is refused with the nearest legal sizes."""
    try:
        inferred = infer(graph, layers, inputs, outside, above)
        shapes = inferred.values
        problem = misfit(graph, layers, shapes)
    except ShapeError as error:
        shapes, inferred, problem = {}, None, error
    if problem is None:
        assert inferred is not None
        return inferred
    found = suggestion(graph, layers, inputs)
    if found is None and inferred is not None:
        return inferred  # no size makes this net's crops centred: it is meant so (FCN)
    if found is not None:
        problem.remedy = found
    raise problem


def suggestion(
    graph: Graph, layers: Sequence[Layer], inputs: Mapping[str, Shape] | None
) -> str | None:
    """The nearest legal sizes below and above the image's, as a remedy; None without any."""
    found = trunk(graph)
    if found is None:
        return None
    image, nodes = found
    shape = (inputs or {}).get(image.blob) or made(graph, layers, image)
    axes = len(shape) - 2
    near: dict[tuple[int, str], list[int]] = {}
    if alike(graph, axes):
        for size in sorted(set(shape[2:])):
            near[size, ""] = both_sides(layers, image, nodes, shape, size)
    else:
        for axis, size in enumerate(shape[2:]):
            one = along(graph, axis, axes)
            cut = [one.nodes[node.index] for node in nodes]
            where = f" along {'zyx'[-axes:][axis]}" if axes <= 3 else f" along axis {axis + 2}"
            near[size, where] = both_sides(
                rebuilt(one, layers), image, cut, (*shape[:2], size), size
            )
    if not any(near.values()) or all(sizes == [size] for (size, _), sizes in near.items()):
        return None
    parts = [
        f"instead of {size}{where}: {' or '.join(map(str, sizes))}"
        for (size, where), sizes in near.items()
        if sizes and sizes != [size]
    ]
    return "Nearest legal sizes " + "; ".join(parts)


def both_sides(
    layers: Sequence[Layer], image: Value, nodes: Sequence[Node], shape: Shape, size: int
) -> list[int]:
    """The nearest legal sizes below and above `size`; itself alone where it is legal."""
    below = nearest(layers, image, nodes, shape, range(size, max(size - REACH, 0), -1))
    above = nearest(layers, image, nodes, shape, range(size, size + REACH))
    return sorted({s for s in (below, above) if s is not None})


def nearest(
    layers: Sequence[Layer], image: Value, nodes: Sequence[Node], shape: Shape, sizes: range
) -> int | None:
    """The first of `sizes` that is legal when every spatial axis has it."""
    for size in sizes:
        if legal(layers, image, nodes, shape[:2] + (size,) * len(shape[2:])):
            return size
    return None
