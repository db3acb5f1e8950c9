"""What to do about a field that a message does not have: the likeliest reason, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import did_you_mean
from . import schema
from .tokens import shorten

FILES = {"NetParameter": "net", "SolverParameter": "solver"}
_OTHER_FILE = {"NetParameter": "SolverParameter", "SolverParameter": "NetParameter"}
# fields of well-known forks, and what stands for them here
_OF_FORKS = {
    ("PoolingParameter", "ceil_mode"): "For ceil_mode: false write round_mode: FLOOR; true is what "
    "BVLC's Caffe does anyway: leave it out",
    ("TransformationParameter", "resize_param"): "It is of a fork. Resize the images before, or by "
    "new_height and new_width in image_data_param",
    ("LayerParameter", "bn_param"): "It is of a fork. BVLC's Caffe has a layer of type BatchNorm "
    "(batch_norm_param), and one of type Scale behind it",
    ("LayerParameter", "lstm_param"): "It is of a fork. BVLC's Caffe has a layer of type LSTM with "
    "recurrent_param",
}


def remedy(message: Any, name: str, around: Sequence[tuple[Any, str]]) -> str:
    """What to do about a field `name` in a message; the empty string where nothing is likely.

    around: the blocks that the field stands in, from the outermost on to the message's own:
    descriptor and name of each.
    """
    descriptor = message.DESCRIPTOR
    other = _OTHER_FILE.get(descriptor.name)
    if (descriptor.name, name) in _OF_FORKS:
        return _OF_FORKS[descriptor.name, name]
    if name in ("layer", "layers") and around:
        return f"A '}}' seems to be missing before it, for '{around[0][1]}'"
    if other and name in schema.message(other).DESCRIPTOR.fields_by_name:
        return f"It is a field of a {FILES[other]}: is this the wrong file?"
    inner = [f.name for f in descriptor.fields if f.message_type and name in _names(f)]
    if 0 < len(inner) <= 4:
        return f"It belongs into {' or '.join(inner)}"
    outer = [block for kind, block in around[:-1] if name in kind.fields_by_name]
    if outer:
        return f"It belongs into '{outer[-1]}': a '}}' may be missing before it"
    if descriptor.name == "LayerParameter" and name.endswith("_param"):
        return _other_layer(message, name)
    return did_you_mean(name, descriptor.fields_by_name)


def _other_layer(layer: Any, name: str) -> str:
    """A remedy for a message that no layer has: those spelt nearly so, or else that it is of a
    fork.  (Names that only sound alike belong to layers that do something else.)"""
    known = [field for field in layer.DESCRIPTOR.fields_by_name if field.endswith("_param")]
    stem = name.removesuffix("_param")
    near = [field for field in known if _edits(name, field) <= min(2, len(stem) // 3)]
    if near:
        return f"Did you mean {' or '.join(near)}?"
    own = layer.type.lower() == stem.replace("_", "")
    kind = f" Is the type {shorten(layer.type)} of a fork?" if own else ""
    return f"BVLC's Caffe 1.0 has no such field.{kind}"


def _edits(a: str, b: str) -> int:
    """How many letters must be put in, taken out or changed to make one word of another."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        above, row = row, [i]
        for j, other in enumerate(b, 1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (letter != other)))
    return row[-1]


def _names(field: Any) -> Any:
    return field.message_type.fields_by_name
