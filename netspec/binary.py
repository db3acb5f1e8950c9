"""Files' bytes, and binary nets (.caffemodel): bytes -> an upgraded Source, or what they seem.

Protobuf reads a lot of junk without complaint, because it skips what it does not know; so a net
that holds no layer is refused.  Freiburg's U-Net fork gave BVLC's field numbers to other settings:
its binaries are recognised and refused where layer settings are wanted; names and blobs are right.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from ..errors import SpecError
from ..texts import control
from . import schema
from .source import Source
from .upgrade import upgrade_net

PathLike = str | os.PathLike[str]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_TEXT = frozenset(b"\t\n\v\f\r") | frozenset(range(0x20, 0x7F)) | frozenset(range(0x80, 0x100))
_LOOK_AT = 4096


def read_bytes(path: PathLike) -> bytes:
    """A file's content, or SpecError that names the nearest files."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        folder = Path(path).parent
        names = [p.name for p in folder.iterdir()] if folder.is_dir() else []
        near = difflib.get_close_matches(Path(path).name, names, n=3, cutoff=0.5)
        remedy = f"Did you mean {' or '.join(near)}?" if near else ""
        if not folder.is_dir():
            remedy = f"There is no folder '{folder}' either."
        if not os.path.isabs(path):
            remedy = f"{remedy} The path is relative to {os.getcwd()}".strip()
        what = "there is no such file"
        raise SpecError(what, where=str(path), remedy=remedy, absent=True) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SpecError(f"cannot be read ({reason})", where=str(path)) from None


def looks_binary(content: bytes) -> bool:
    """Whether bytes hold what no text holds: control characters."""
    return not _TEXT.issuperset(content[:_LOOK_AT])


def read_net_binary(
    content: bytes | PathLike, path: str = "<bytes>", *, crop_offsets: bool = True
) -> Source:
    """A net from a serialized NetParameter: its bytes (and a name for messages), or its path.

    crop_offsets: False where only names and blobs are wanted; old CROP layers then keep none.
    """
    if not isinstance(content, bytes):
        path = str(content)
        content = read_bytes(content)
    net = schema.NetParameter()
    if not _parses(net, content) or not (len(net.layer) or len(net.layers)):
        raise not_that("a net", content, path)
    _refuse_controls(net, path)
    if crop_offsets:
        _refuse_fork(net, path)
    before = Source(path, net)
    return Source(path, upgrade_net(net, before.where, crop_offsets=crop_offsets))


def _refuse_controls(net: Any, path: str) -> None:
    """SpecError where a name, which will be shown, holds what a terminal obeys; text.py refuses it
    in a prototxt."""
    layers = (*net.layer, *net.layers)
    names = (text for la in layers for text in (la.name, *la.bottom, *la.top))
    for name in (net.name, *net.input, *names):
        if bad := control(name):
            raise SpecError(f"a name in it holds a control character, {bad}", where=path)


def _refuse_fork(net: Any, path: str) -> None:
    """Raise SpecError for a binary of Freiburg's fork, by what only it can have written."""
    for layer in net.layer:
        pool = {field.name for field, _ in layer.pooling_param.ListFields()}
        sized = {"kernel_size", "kernel_h", "kernel_w", "global_pooling"}
        if (
            # its PoolingParameter: kernel_size 3, stride 4; BVLC's: stride 3, pad 4
            ("stride" in pool and not pool & sized)
            or (layer.type == "CreateDeformation" and layer.HasField("parameter_param"))
            or (layer.type == "ApplyDeformation" and layer.HasField("recurrent_param"))
            or _unknown(layer) & set(range(149, 155))
        ):
            raise SpecError(
                f"is a binary of Freiburg's Caffe (layer '{layer.name}'), which numbers the"
                " settings of layers otherwise",
                where=path,
                expected="a net as prototxt",
                remedy="Its parameters can be read: name the file as weights, and the net's"
                " prototxt as the net",
            )


def _unknown(message: Any) -> set[int]:
    """The numbers of the fields that the message has beyond those of its type."""
    from google.protobuf.unknown_fields import UnknownFieldSet

    return {field.field_number for field in UnknownFieldSet(message)}


def not_that(wanted: str, content: bytes, path: str) -> SpecError:
    """The refusal of a file that is not what was wanted, saying what it seems to be."""
    return SpecError(f"is not {wanted}", where=path, found=_what_it_is(content))


def _parses(message: Any, content: bytes) -> bool:
    from google.protobuf.message import DecodeError

    try:
        message.ParseFromString(content)
    except DecodeError:
        return False
    return True


def _what_it_is(content: bytes) -> str:
    """What bytes that are not a net seem to be."""
    if not content:
        return "an empty file"
    if content.startswith(_HDF5):
        return "an HDF5 file (weights, solver state or data)"
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "text in UTF-16 (save it as UTF-8)"
    if not looks_binary(content):
        return "text"
    state, blob = schema.SolverState(), schema.BlobProto()
    if _parses(state, content) and state.HasField("iter") and len(state.history):
        return "a solver state"
    if _parses(blob, content) and (len(blob.data) or len(blob.double_data)):
        return "a single array, such as a mean image"
    if _parses(schema.NetParameter(), content):
        return "a net without any layer, or another kind of file"
    return "something else, or a net that was cut off"
