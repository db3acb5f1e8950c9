"""The fields that a prototxt may have, from netspec/caffe.proto, and who reads them.

Which messages a layer reads is found in its source, so that the page is what the code does.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from demitasse.layers import registry
from demitasse.layers.base import Layer
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
    "VectorFloat": "A number for each axis, or for each channel: `{ v: 10 v: 10 }`.",
    "VectorInt32": "A whole number for each axis.",
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


def messages(one: type[Layer]) -> list[str]:
    """The messages of a LayerParameter that a layer reads, and Caffe's for its type.

    Looked through are its class, its bases, and what of layers/ these call or make.  A message is
    read as an attribute, or its name handed on as a string (to a base, to getattr).
    """
    known = schema.message("LayerParameter").DESCRIPTOR.fields_by_name
    own = f"{registry.MODULES[one.type]}_param"  # sigmoid_param has nothing for us to read
    found = {own: None} if own in known else {}
    seen: set[Any] = set()
    waiting: list[Any] = list(one.__mro__)
    while waiting:
        part = waiting.pop(0)
        if part in seen or not part.__module__.startswith("demitasse.layers."):
            continue
        seen.add(part)
        tree = ast.parse(textwrap.dedent(inspect.getsource(part)))
        found |= dict.fromkeys(w for w in mentioned(tree) if w in known and w.endswith("_param"))
        scope = vars(importlib.import_module(part.__module__))
        named = [scope.get(node.id) for node in ast.walk(tree) if isinstance(node, ast.Name)]
        # another layer that is named here (Split asks who of its readers is a Crop) reads its own
        waiting += [x for x in named if inspect.isfunction(x) or is_helper(x)]
    return list(found)


def is_helper(thing: Any) -> bool:
    return inspect.isclass(thing) and not issubclass(thing, Layer)


def mentioned(tree: ast.AST) -> Iterator[str]:
    """Attributes and strings, without those that are only asked for: HasField("...")."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "HasField":
            node = node.func
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        yield from mentioned(node)


def count(allowed: int | tuple[int, int | None]) -> str:
    if isinstance(allowed, int):
        return str(allowed)
    least, most = allowed
    return f"{least} or more" if most is None else f"{least} to {most}"
