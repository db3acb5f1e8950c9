"""Files and texts read: prototxt or binary, a net or a solver -> an upgraded Source.

Caffe's defaults for `snapshot_prefix` need the solver's file name, so they are filled in here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..errors import SpecError
from ..texts import utf8
from . import schema
from .binary import PathLike, looks_binary, not_that, read_bytes, read_net_binary
from .source import Place, Source
from .text import outer_fields, read_text
from .upgrade import upgrade_net, upgrade_solver


def parse_net(text: str, path: str = "<text>") -> Source:
    """A net from prototxt, upgraded.  path: how messages name the text."""
    raw = schema.NetParameter()
    root = read_text(text, raw, path)
    before = Source(path, raw, root, _layer_places(raw, root))
    return Source(path, upgrade_net(raw, before.where), root, before.layers)


def parse_solver(text: str, path: str = "<text>") -> Source:
    """A solver from prototxt, upgraded; nets written inside it are left as they are."""
    raw = schema.SolverParameter()
    root = read_text(text, raw, path)
    return Source(path, upgrade_solver(raw, Source(path, raw, root).where), root)


def read_net(path: PathLike) -> Source:
    """A net from a file, prototxt or binary, upgraded."""
    content = read_bytes(path)
    if looks_binary(content):
        return read_net_binary(content, str(path))
    if not content.strip():
        raise not_that("a net", b"", str(path))
    text = _decode(content)
    try:
        return parse_net(text, str(path))
    except SpecError:
        if _is_solver(text):
            raise _that_names_a_net(text, str(path)) from None
        raise


def is_solver(path: PathLike) -> bool:
    """Whether a file is a solver's prototxt rather than a net's, be it right or wrong."""
    content = read_bytes(path)
    return not looks_binary(content) and _is_solver(_decode(content))


def _is_solver(text: str) -> bool:
    """Whether more of the outermost fields are a solver's alone than a net's alone."""
    net, solver = schema.NetParameter.DESCRIPTOR, schema.SolverParameter.DESCRIPTOR
    names = outer_fields(text)
    known = [sum(n in d.fields_by_name for n in names) for d in (net, solver)]
    return known[1] > known[0]


def _that_names_a_net(text: str, path: str) -> SpecError:
    """The refusal of a solver where a net is wanted."""
    try:
        solver = parse_solver(text, path).message
        net = solver.net or solver.train_net
        net = "" if net == path else net  # a solver that names itself
    except SpecError:
        net = ""
    return SpecError(
        "is a solver, not a net",
        where=path,
        remedy=f"The net that it trains is {net}" if net else "Give the net that it trains",
    )


def read_solver(path: PathLike) -> Source:
    """A solver from a prototxt file, upgraded, with its snapshot_prefix filled in.

    None given: the file's own path without extension; a folder given: a name in that folder.
    """
    content = read_bytes(path)
    if looks_binary(content) or not content.strip():
        raise not_that("a solver's prototxt", content.strip(), str(path))
    source = parse_solver(_decode(content), str(path))
    solver, own = source.message, Path(path)
    if not solver.HasField("snapshot_prefix"):
        solver.snapshot_prefix = in_prototxt(str(own.with_suffix("")))
    elif os.path.isdir(solver.snapshot_prefix):
        solver.snapshot_prefix = in_prototxt(str(Path(solver.snapshot_prefix) / own.stem))
    return source


def in_prototxt(path: str) -> str:
    """A path that a message is to hold; SpecError where it is not UTF-8, as its strings are."""
    if utf8(path) != path:
        raise SpecError(
            "a prototxt cannot hold this path: it is not UTF-8",
            where=path,
            remedy="Rename the file or the folder, or give a path without that part of it",
        )
    return path


def _decode(content: bytes) -> str:
    """Text; stray bytes (old comments are often Latin-1) matter only inside strings."""
    return content.decode("utf-8", "surrogateescape")


def _layer_places(net: Any, root: Place) -> tuple[tuple[str, Place], ...]:
    """Name and place of each layer, of whichever generation."""
    named = [(layer.name, place) for layer, place in _pairs(net, root, "layer")]
    for layer, place in _pairs(net, root, "layers"):
        old = layer.HasField("layer")
        named.append((layer.layer.name if old else layer.name, place))
    return tuple(named)


def _pairs(net: Any, root: Place, field: str) -> Any:
    return zip(getattr(net, field), root.fields.get(field, ()), strict=True)
