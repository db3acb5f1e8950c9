"""Rewrite an old net's prototxt: `python tools/upgrade_net_proto_text.py old.prototxt new.prototxt`."""  # noqa: E501

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("upgrade_net_proto_text")

from collections.abc import Sequence

from .. import netspec
from ..netspec import text
from . import _options, _upgrade

EPILOG = """\
Old are nets of the first generation (`layers { layer { type: "conv" } }`), of the second (`layers {
type: CONVOLUTION blobs_lr: 1 }`), `input` with `input_dim`, and data layers with their own scale,
mean_file, crop_size and mirror.  Comments and layout are not kept.

example:
  python tools/upgrade_net_proto_text.py train_2014.prototxt train.prototxt
"""


def parser() -> _options.Parser:
    return _upgrade.parser(
        "upgrade_net_proto_text.py", "Rewrite an old net's prototxt in today's syntax.", EPILOG
    )


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    content = _upgrade.read_text(args.old, "For a .caffemodel take upgrade_net_proto_binary.py")
    before = netspec.schema.NetParameter()
    text.read_text(content, before, args.old)
    after = netspec.parse_net(content, args.old).message
    written = netspec.to_text(after).encode("utf-8", "surrogateescape")
    return _upgrade.write(args, before, after, written)
