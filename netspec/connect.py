"""Do the blobs of a filtered net connect?  Every refusal here is Caffe's, in the user's words.

a bottom nobody made        unknown, made later, or made by a layer that this state leaves out
a shape from nobody         the same, of a blob that is named for its shape alone
a top made twice            unless in place: top k has the name of bottom k
in place on a shared blob   the layer overwrites what another layer reads as well
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import GraphError, LeftOutError, did_you_mean
from . import schema
from .source import Source
from .split import versions_read, weighted_tops


def shape_sources(layer: Any) -> list[str]:
    """The blobs a layer names for their shape alone."""
    name = layer.apply_deformation_param.output_shape_from
    return [name] if layer.type == "ApplyDeformation" and name else []


def check_connections(source: Source, kept: Sequence[int], state: Any) -> None:
    """Raise GraphError for the first layer that cannot be connected."""
    layers = [source.message.layer[i] for i in kept]
    maker: dict[str, int] = {}  # blob -> the kept layer that made it first
    for i, layer in enumerate(layers):
        for j, blob in enumerate(layer.bottom):
            if blob not in maker:
                raise _unknown(source, kept, i, blob, ("bottom", j), maker, state)
        for blob in shape_sources(layer):
            if blob not in maker:
                fields = ("apply_deformation_param", "output_shape_from")
                raise _unknown(source, kept, i, blob, fields, maker, state)
        for j, blob in enumerate(layer.top):
            in_place = j < len(layer.bottom) and layer.bottom[j] == blob
            if blob in maker and not in_place:
                raise _made_twice(source, kept, i, j, maker[blob])
            maker.setdefault(blob, i)
    _check_in_place(source, kept, layers)


def _unknown(
    source: Source,
    kept: Sequence[int],
    i: int,
    blob: str,
    fields: tuple[str | int, ...],
    known: dict[str, int],
    state: Any,
) -> GraphError:
    """fields: where in the layer's message the blob is named."""
    net = source.message
    layer = net.layer[kept[i]]
    later = next((net.layer[k] for k in kept[i:] if blob in net.layer[k].top), None)
    absent = next((n for n in net.layer if blob in n.top), None)
    phase = schema.phase_name(state.phase)
    reads = "reads" if fields[0] == "bottom" else "takes its output's shape from"
    reason, remedy = "which no layer makes", did_you_mean(blob, known)
    if later is layer:
        reason, remedy = "which it makes itself", "Name the blob it is to read"
    elif later is not None:
        reason = f"which is made later, by layer '{later.name}'"
        remedy = f"Put layer '{later.name}' before it"
    elif absent is not None:
        reason = f"which is made by layer '{absent.name}' only, and that is left out in {phase}"
        remedy = (
            f"Add an Input layer with top '{blob}', or change the include and exclude rules of "
            f"'{layer.name}' or '{absent.name}'"
        )
    kind = GraphError if later is not None or absent is None else LeftOutError
    return kind(
        f"layer '{layer.name}' {reads} the blob '{blob}', {reason}",
        where=source.where_nth(kept[i], *fields),
        remedy=remedy,
    )


def _made_twice(source: Source, kept: Sequence[int], i: int, j: int, first: int) -> GraphError:
    net = source.message
    layer, other = net.layer[kept[i]], net.layer[kept[first]]
    blob = layer.top[j]
    reads = blob in layer.bottom
    return GraphError(
        f"the blob '{blob}' is made twice, by layer '{other.name}' and by layer '{layer.name}'"
        if first != i
        else f"layer '{layer.name}' makes the blob '{blob}' twice",
        where=source.where_nth(kept[i], "top", j),
        remedy=f"To work in place, bottom {list(layer.bottom).index(blob)} and top {j} have to "
        "stand at the same place in their lists"
        if reads
        else "Give one of them another name"
        + ("" if first == i else " or let include rules keep one of the layers out"),
    )


def _check_in_place(source: Source, kept: Sequence[int], layers: Sequence[Any]) -> None:
    """An in-place layer must be the only reader of the version that it overwrites."""
    read = versions_read(layers)
    readers: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for reader, version in read.items():
        readers.setdefault(version, []).append(reader)
    for (i, j), version in read.items():
        layer, maker = layers[i], layers[version[0]]
        blob = layer.bottom[j]
        if j >= len(layer.top) or layer.top[j] != blob:
            continue
        others = [r for r in readers[version] if r != (i, j)]
        if others:
            other = layers[others[0][0]]
            itself = others[0][0] == i
            reason = (
                "which it reads a second time"
                if itself
                else f"which layer '{other.name}' reads before it"
            )
            remedy = f"Put '{layer.name}' right behind '{maker.name}', before every other reader, "
            remedy = "Give" if itself else remedy + "or give"
            remedy += " its top another name"
        elif version[1] in weighted_tops(maker):
            reason = f"which is a loss of layer '{maker.name}' (loss_weight)"
            remedy = "Give its top another name"
        else:
            continue
        raise GraphError(
            f"layer '{layer.name}' works in place on the blob '{blob}', {reason}",
            where=source.where_nth(kept[i], "top", j),
            remedy=remedy,
        )
