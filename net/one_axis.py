"""The geometry of a net along each spatial axis, which may differ (kernels 1x3x3, pooling 1x2x2).

Layers treat the axes apart.  So the net is cut down to one axis, with that axis's entries of every
kernel, stride, pad, dilation and offset, and measured as `sizes.geometry` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..layers.base import Context, Layer
from ..netspec import Graph, Source, build, schema
from .inference import build_layers
from .sizes import Geometry, geometry, trunk, try_size

_REPEATED = ("kernel_size", "stride", "pad", "dilation")


def geometries(source: Source, output: str, axes: int) -> tuple[tuple[Geometry, int], ...]:
    """Along each axis of a deployment net with one Input: the geometry, and how many pixels a legal
    input has above geometry.step times those of the deepest level (behind the last pooling), as the
    layers on the way down lose them.  Raises ShapeError as `geometry` does.
    """
    found = []
    for axis in range(axes):
        graph = build(Source(source.path, along(source.message, axis, axes), None), "TEST")
        layers = build_layers(graph, Context())
        size = geometry(graph, layers, output)
        found.append((size, size.smallest - size.step * deepest(graph, layers, size.smallest)))
    return tuple(found)


def deepest(graph: Graph, layers: Sequence[Layer], size: int) -> int:
    """Pixels behind the last pooling of a legal input; all of them where the net has none."""
    path = trunk(graph)
    assert path is not None  # or there were no geometry
    image, nodes = path
    channels = next(layers[n.index].shapes().tops[0][1] for n in graph.nodes if image in n.tops)
    shapes = try_size(layers, image, nodes, (1, channels, size)) or {}
    pools = [node for node in nodes if node.type == "Pooling"]
    return shapes[pools[-1].tops[0]][2] if pools else size


def along(net: Any, axis: int, axes: int) -> Any:
    """The net (NetParameter) with one of its spatial axes only."""
    one = schema.NetParameter()
    one.CopyFrom(net)
    for layer in one.layer:
        for shape in layer.input_param.shape:
            del shape.dim[2:]
            shape.dim.append(1)
        for param in (layer.convolution_param, layer.pooling_param):
            _cut(param, axis, axes)
        if layer.type == "Crop" and len(layer.crop_param.offset) > 1:
            offsets = list(layer.crop_param.offset)
            spatial = len(offsets) - axes
            layer.crop_param.offset[:] = [*offsets[:spatial], offsets[spatial + axis]]
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
