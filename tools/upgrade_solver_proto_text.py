"""Rewrite an old solver: `python tools/upgrade_solver_proto_text.py old.prototxt new.prototxt`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run(
        "upgrade_solver_proto_text"
    )

from collections.abc import Sequence

from .. import netspec
from ..netspec import text
from . import _options, _upgrade

EPILOG = """\
Old is `solver_type: SGD`; today it is `type: "SGD"`.  Comments and layout are not kept.

example:
  python tools/upgrade_solver_proto_text.py solver_2014.prototxt solver.prototxt
"""


def parser() -> _options.Parser:
    return _upgrade.parser(
        "upgrade_solver_proto_text.py", "Rewrite an old solver's prototxt.", EPILOG
    )


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    content = _upgrade.read_text(args.old)
    before = netspec.schema.SolverParameter()
    text.read_text(content, before, args.old)
    after = netspec.parse_solver(content, args.old).message
    written = netspec.to_text(after).encode("utf-8", "surrogateescape")
    return _upgrade.write(args, before, after, written)
