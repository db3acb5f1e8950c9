"""The parameters of a net: one flat array of data, one of diffs, and a view for every blob.

Layers that name a parameter alike (`param { name: "w" }`) share it: the first is the owner, the
others see the same arrays, so their gradients add up in one place.

Source: Caffe's Net::AppendParam (src/caffe/net.cpp).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import GraphError, ShapeError
from ..layers.base import Array, Blob, HeldBlob, Layer, Shape, Shapes
from ..netspec.graph import Graph, Node
from ..weights.match import fits_shape

PERMISSIVE = 1  # ParamSpec.DimCheckMode


@dataclass(frozen=True)
class Param:
    """One parameter blob of one layer.

    owner: index into the table of the parameter whose arrays it uses (itself, unless shared);
    offset: where its elements start in the flat arrays (the owner's, if shared).
    """

    layer: str
    node: int
    index: int
    shape: Shape
    owner: int
    offset: int
    lr_mult: float
    decay_mult: float

    @property
    def count(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


def given(node: Node, layer: Layer, param: Param) -> np.ndarray:
    """The values of a parameter that its layer's message holds (`blobs { ... }`), as Caffe takes
    them instead of the filler's.  ShapeError where they are of another number or shape."""
    blobs, count = node.layer.blobs, len(layer.blobs)
    shapes = [
        tuple(b.shape.dim) if b.HasField("shape") else (b.num, b.channels, b.height, b.width)
        for b in blobs
    ]
    if len(blobs) != count or not fits_shape(
        param.shape, shapes[param.index], legacy=not blobs[param.index].HasField("shape")
    ):
        raise ShapeError(
            f"{layer.label} brings blobs that are not its parameters",
            where=node.where,
            expected=f"{count} blobs, number {param.index} of shape {param.shape}",
            found=", ".join(map(str, shapes)),
        )
    blob = blobs[param.index]
    values = np.array(blob.double_data or blob.data, np.float64)
    if values.size != param.count:
        raise ShapeError(
            f"{layer.label} brings a blob whose numbers do not fill its shape",
            where=node.where,
            expected=f"{param.count} numbers",
            found=values.size,
        )
    return values.reshape(param.shape)


def table(graph: Graph, layers: Sequence[Layer], needs: Sequence[Shapes]) -> tuple[Param, ...]:
    """Every parameter of the net in layer order, sharing resolved.  Pure."""
    params: list[Param] = []
    owners: dict[str, int] = {}
    mults: dict[int, list[float | None]] = {}
    offset = 0
    for node, layer, need in zip(graph.nodes, layers, needs, strict=True):
        specs = node.layer.param
        if len(specs) > len(need.params):
            raise GraphError(
                f"{layer.label} has more 'param' entries than parameters",
                where=node.where,
                expected=f"at most {len(need.params)}",
                found=str(len(specs)),
            )
        for i, shape in enumerate(need.params):
            spec = specs[i] if i < len(specs) else None
            name = spec.name if spec is not None else ""
            me = len(params)
            owner = owners.setdefault(name, me) if name else me
            given: list[float | None] = [
                float(getattr(spec, key)) if spec is not None and spec.HasField(key) else None
                for key in ("lr_mult", "decay_mult")
            ]
            if not layer.learns:
                given = [0.0, 0.0]
            if owner == me:
                start = offset
                offset += int(np.prod(shape, dtype=np.int64))
                mults[me] = given
            else:
                start = params[owner].offset
                permissive = spec is not None and spec.share_mode == PERMISSIVE
                check_shared(name, params[owner], layer, shape, permissive, node.where)
                for k, key in enumerate(("lr_mult", "decay_mult")):
                    if mults[owner][k] is None:
                        mults[owner][k] = given[k]
                    elif given[k] is not None and given[k] != mults[owner][k]:
                        raise GraphError(
                            f"the shared parameter '{name}' is given two values of {key}",
                            where=node.where,
                            expected=f"{mults[owner][k]:g} (layer '{params[owner].layer}')",
                            found=f"{given[k]:g} ({layer.label})",
                        )
            params.append(Param(node.name, node.index, i, shape, owner, start, 1.0, 1.0))
    return tuple(
        Param(p.layer, p.node, p.index, p.shape, p.owner, p.offset, *settled(mults[p.owner]))
        for p in params
    )


def settled(mults: Sequence[float | None]) -> tuple[float, float]:
    """lr_mult and decay_mult, 1 where nobody gave them."""
    lr, decay = (1.0 if m is None else m for m in mults)
    return lr, decay


def check_shared(
    name: str, owner: Param, layer: Layer, shape: Shape, permissive: bool, where: str
) -> None:
    """Sharers need the owner's shape, or with share_mode PERMISSIVE its number of elements."""
    same = np.prod(shape) == owner.count if permissive else shape == owner.shape
    if not same:
        raise ShapeError(
            f"{layer.label} shares the parameter '{name}' with layer '{owner.layer}', but not its "
            + ("number of elements" if permissive else "shape"),
            where=where,
            expected=" x ".join(map(str, owner.shape)),
            found=" x ".join(map(str, shape)),
        )


def flat_size(params: Sequence[Param]) -> int:
    """Elements of the flat arrays: those of all owners."""
    return max((p.offset + p.count for p in params), default=0)


def views(params: Sequence[Param], data: Array, diff: Array) -> list[Blob]:
    """A blob for each parameter, in the flat arrays; without gradients where there are none."""
    blobs: list[Blob] = []
    for p in params:
        here = slice(p.offset, p.offset + p.count)
        gradient = diff[here].reshape(p.shape) if diff.size else None
        blobs.append(HeldBlob(data[here].reshape(p.shape), gradient))
    return blobs


def check_unchanged(graph: Graph, old: Sequence[Param], new: Sequence[Param]) -> None:
    """Raise ShapeError where a net's parameters would have other shapes than they have."""
    for was, wanted in zip(old, new, strict=True):
        if was.shape != wanted.shape:
            raise ShapeError(
                f"layer '{was.layer}' would need parameters of another shape",
                where=graph.nodes[was.node].where,
                expected=" x ".join(map(str, was.shape)),
                found=" x ".join(map(str, wanted.shape)),
                remedy="Only spatial sizes and the batch may change",
            )
