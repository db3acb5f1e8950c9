"""The geometry of a net along each spatial axis, which may differ (kernels 1x3x3, pooling 1x2x2).

Layers treat the axes apart.  So where they do not treat all alike, the net is cut down to one axis,
with that axis's entries of every kernel, stride, pad, dilation and offset, and measured as
`sizes.geometry` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..layers.base import Layer, Shape
from ..netspec.graph import Graph, Value
from .inference import rebuilt
from .sizes import Geometry, geometry, trunk, try_size

_REPEATED = ("kernel_size", "stride", "pad", "dilation")


def geometries(graph: Graph, layers: Sequence[Layer], output: str) -> tuple[Geometry, ...]:
    """The geometry along each spatial axis of a net with one image input; ShapeError as in
    `geometry`."""
    axes = len(image_shape(graph, layers)) - 2
    if alike(graph, axes):
        return (geometry(graph, layers, output),) * axes
    cut = [along(graph, axis, axes) for axis in range(axes)]
    return tuple(geometry(one, rebuilt(one, layers), output) for one in cut)


def image_shape(graph: Graph, layers: Sequence[Layer]) -> Shape:
    """The shape of the image as the net's text gives it; two spatial axes where nothing reads
    an image."""
    found = trunk(graph)
    if found is None:
        return (1, 1, 1, 1)
    return made(graph, layers, found[0])


def made(graph: Graph, layers: Sequence[Layer], value: Value) -> Shape:
    """The shape of a value that a layer without bottoms makes."""
    node = next(node for node in graph.nodes if value in node.tops)
    return layers[node.index].shapes().tops[node.tops.index(value)]


def deepest(graph: Graph, layers: Sequence[Layer], sizes: Sequence[int]) -> tuple[int, ...]:
    """Pixels behind the last pooling of a legal input of `sizes`; all of them where the net has
    none."""
    found = trunk(graph)
    assert found is not None  # or there were no geometry
    image, nodes = found
    channels = made(graph, layers, image)[1]
    shapes = try_size(layers, image, nodes, (1, channels, *sizes)) or {}
    pools = [node for node in nodes if node.type == "Pooling"]
    return shapes[pools[-1].tops[0]][2:] if pools else tuple(sizes)


def alike(graph: Graph, axes: int) -> bool:
    """Whether every layer treats all of its spatial axes in the same way."""
    layers = [node.layer for node in graph.nodes if node.type != "Input"]
    first = [one_axis(layer, 0, axes) for layer in layers]
    return all([one_axis(layer, i, axes) for layer in layers] == first for i in range(1, axes))


def along(graph: Graph, axis: int, axes: int) -> Graph:
    """The graph with one of its spatial axes only."""
    cut = (replace(node, layer=one_axis(node.layer, axis, axes)) for node in graph.nodes)
    return replace(graph, nodes=tuple(cut))


def one_axis(layer: Any, axis: int, axes: int) -> Any:
    """A layer (LayerParameter) that does along one axis what it did along that one of several."""
    one = type(layer)()
    one.CopyFrom(layer)
    for shape in one.input_param.shape:
        del shape.dim[2:]
        shape.dim.append(1)
    for name in ("convolution_param", "pooling_param"):
        if one.HasField(name):
            _cut(getattr(one, name), axis, axes)
    if one.type == "Crop" and len(one.crop_param.offset) > 1:
        offsets = list(one.crop_param.offset)
        spatial = len(offsets) - axes
        one.crop_param.offset[:] = [*offsets[:spatial], offsets[spatial + axis]]
    return one


def _cut(param: Any, axis: int, axes: int) -> None:
    """One entry of each list; kernel_h and kernel_w become kernel_size."""
    for name in _REPEATED:
        if name not in param.DESCRIPTOR.fields_by_name:
            continue
        values = list(getattr(param, name))
        if len(values) == axes > 1:
            getattr(param, name)[:] = [values[axis]]
        stem = name.removesuffix("_size")
        sides = [f"{stem}_{side}" for side in "hw"]
        if axes == 2 and sides[0] in param.DESCRIPTOR.fields_by_name:
            if any(param.HasField(side) for side in sides):
                getattr(param, name)[:] = [getattr(param, sides[axis])]
            for side in sides:
                param.ClearField(side)
