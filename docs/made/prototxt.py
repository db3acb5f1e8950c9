"""The fields that a prototxt may have, from netspec/caffe.proto, and who reads them.

Which messages a layer reads is found in its source, so that the page is what the code does.
"""

from __future__ import annotations

import importlib
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Any

from demitasse.layers import registry
from demitasse.netspec import schema

PROTO = Path(inspect.getfile(schema)).with_name("caffe.proto")
TYPES = {1: "double", 2: "float", 3: "int", 4: "int", 5: "int", 8: "bool", 9: "string", 12: "bytes"}
TYPES |= {13: "int", 18: "int"}
MESSAGE, ENUM = 11, 14


@cache
def remarks() -> dict[tuple[str, str], str]:
    """{(message, field): the comment behind it} of caffe.proto."""
    found, message = {}, ""
    for line in PROTO.read_text().splitlines():
        if opened := re.match(r"message (\w+)", line):
            message = opened[1]
        elif field := re.match(r"  \w+ [\w.]+ (\w+) = .*?;\s*// (.*)", line):
            found[message, field[1]] = field[2]
    return found


def table(name: str, skip: tuple[str, ...] = ()) -> str:
    """The fields of a message."""
    fields = [f for f in schema.message(name).DESCRIPTOR.fields if f.name not in skip]
    if not fields:
        return "No field."
    rows = [
        f"| `{f.name}` | {kind(f)} | {default(f)} | {remarks().get((name, f.name), '')} |"
        for f in fields
    ]
    return "\n".join(["| field | type | default | remark |", "|---|---|---|---|", *rows])


def kind(field: Any) -> str:
    if field.type == MESSAGE:
        words = f"[{field.message_type.name}](#{field.message_type.name.lower()})"
        words = words if field.message_type.name in SHARED else field.message_type.name
    elif field.type == ENUM:
        words = ", ".join(f"`{value.name}`" for value in field.enum_type.values)
    else:
        words = TYPES[field.type]
    return f"{words}, several" if schema.is_repeated(field) else words


def default(field: Any) -> str:
    if schema.is_repeated(field) or field.type == MESSAGE or not field.has_default_value:
        return ""
    if field.type == ENUM:
        return f"`{field.enum_type.values_by_number[field.default_value].name}`"
    value = field.default_value
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:.7g}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


SHARED = {
    "ParamSpec": "How a parameter learns, and what it is called where layers share it.",
    "FillerParameter": "What parameters begin with.",
    "LossParameter": "What a loss leaves out, and what it is divided by.",
    "TransformationParameter": "What data layers do to images.",
    "NetState": "Which layers of a net there are.",
    "NetStateRule": "In which states a layer is there: `include`, `exclude`.",
    "BlobShape": "Lengths of axes.",
}
# what a deployed net or an old file has, and what is not written by hand
NOT_BY_HAND = ("layers", "input", "input_dim", "input_shape", "blobs")


def net() -> str:
    """What stands around the layers, and what every layer has."""
    common = [f.name for f in schema.message("LayerParameter").DESCRIPTOR.fields]
    own = tuple(n for n in common if n.endswith("_param"))
    return "\n\n".join(
        [
            "### The net",
            table("NetParameter", NOT_BY_HAND),
            "### Every layer",
            table("LayerParameter", (*own, "blobs")),
        ]
    )


def shared() -> str:
    parts = [part for name, what in SHARED.items() for part in (f"### {name}", what, table(name))]
    return "\n\n".join(parts)


def solver() -> str:
    return table("SolverParameter")


def layers() -> str:
    """A section for each layer type: its formula, and the fields of the messages it reads."""
    return "\n\n".join(section(kind) for kind in sorted(registry.MODULES, key=str.lower))


def section(kind: str) -> str:
    one = registry.layer_class(kind)
    module = importlib.import_module(one.__module__)
    first = " ".join((module.__doc__ or "").strip().partition("\n\n")[0].split())
    parts = [
        f"### {kind}",
        first.replace("<", "&lt;"),
        f"Bottoms: {count(one.bottoms)}. Tops: {count(one.tops)}.",
    ]
    for name in messages(one):
        message = schema.message("LayerParameter").DESCRIPTOR.fields_by_name[name].message_type.name
        if message in SHARED:
            parts.append(f"`{name}`: [{message}](#{message.lower()}).")
        else:
            parts += [f"`{name}`:", table(message)]
    return "\n\n".join(parts)


def messages(one: type) -> list[str]:
    """The fields of LayerParameter that a layer's source names, its bases' included."""
    known = schema.message("LayerParameter").DESCRIPTOR.fields_by_name
    found: dict[str, None] = {}
    for base in one.__mro__:
        if base.__module__.startswith("demitasse.layers.") and base.__name__ != "Layer":
            source = inspect.getsource(importlib.import_module(base.__module__))
            found |= dict.fromkeys(w for w in re.findall(r"\.(\w+_param)\b", source) if w in known)
    return list(found)


def count(allowed: int | tuple[int, int | None]) -> str:
    if isinstance(allowed, int):
        return str(allowed)
    least, most = allowed
    return f"{least} or more" if most is None else f"{least} to {most}"
