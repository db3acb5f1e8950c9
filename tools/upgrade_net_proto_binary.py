"""Rewrite an old binary net: `python tools/upgrade_net_proto_binary.py old.caffemodel new.caffemodel`."""  # noqa: E501

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("upgrade_net_proto_binary")

from collections.abc import Sequence

from .. import netspec
from ..netspec.binary import looks_binary, read_bytes
from . import _options, _upgrade

EPILOG = """\
The layers get today's form; their parameters stay as they are, bit by bit.  Files of Freiburg's
caffe_unet, whose layer settings mean something else under the same numbers, are converted with
tools/port.py.

example:
  python tools/upgrade_net_proto_binary.py lenet_2014.caffemodel lenet.caffemodel
"""


def parser() -> _options.Parser:
    return _upgrade.parser(
        "upgrade_net_proto_binary.py", "Rewrite an old binary net in today's form.", EPILOG
    )


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    content = read_bytes(args.old)
    if content.strip() and not looks_binary(content):
        raise netspec.binary.not_that("a binary net", content, args.old)
    after = netspec.read_net_binary(content, args.old).message
    before = netspec.schema.NetParameter.FromString(content)
    return _upgrade.write(args, before, after, after.SerializeToString())
