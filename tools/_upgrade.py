"""What the three upgrade commands share: their arguments, and writing what was upgraded.

Source: Caffe's tools/upgrade_net_proto_text.cpp, upgrade_net_proto_binary.cpp and
upgrade_solver_proto_text.cpp.
"""

from __future__ import annotations

from typing import Any

from ..errors import SpecError
from ..files import replacing
from ..netspec.binary import looks_binary, read_bytes
from . import _options


def parser(prog: str, description: str, epilog: str) -> _options.Parser:
    """IN OUT."""
    p = _options.Parser(prog=prog, description=description, epilog=epilog)
    p.add_argument("old", metavar="IN", help="the file to upgrade")
    p.add_argument("new", metavar="OUT", help="where the upgraded one goes; it may be IN")
    return p


def read_text(path: str, remedy: str = "") -> str:
    """The content of a prototxt; SpecError where it is binary or empty."""
    content = read_bytes(path)
    if looks_binary(content) or not content.strip():
        found = "an empty file" if not content.strip() else "a binary file"
        raise SpecError("is not a prototxt", where=path, found=found, remedy=remedy)
    return content.decode("utf-8", "surrogateescape")


def write(args: Any, before: Any, after: Any, content: bytes) -> int:
    """Write OUT whole, and say whether IN was old."""
    with replacing(args.new) as temporary:
        temporary.write_bytes(content)
    print(f"{args.new}: {'as it was: in the latest form' if before == after else 'upgraded'}")
    return 0
