"""Time every layer of a net: `python tools/time_net.py models/unet.prototxt`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("time_net")

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import _device, _options
from ._glog import Spoken
from ._progress import follow
from ._table import Table, show

if TYPE_CHECKING:
    import numpy as np

    from ..net import Net

EPILOG = """\
Every layer runs forward and backward N times; printed is a table of mean milliseconds and shares of
the whole.  tools/caffe.py time prints Caffe's log instead.

examples:
  python tools/time_net.py models/unet.prototxt -iterations 2
  python tools/time_net.py -model models/unet.prototxt -phase TEST -iterations 2 --engine caffe
        the net that tests, all convolutions by im2col
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="time_net.py",
        description="Measure how long every layer of a net takes.",
        epilog=EPILOG,
    )
    p.add_argument("net", nargs="?", metavar="NET", help="the net's prototxt")
    p.add_argument("-model", "--model", metavar="NET", help="the same, as Caffe spells it")
    p.add_argument(
        "-phase",
        "--phase",
        choices=("TRAIN", "TEST"),
        default="TRAIN",
        help="the net that trains or the one that tests (default TRAIN)",
    )
    _options.add_passes(p, "iterations")
    _options.add_gpu(p)
    _options.add_python(p)
    _options.add_engine(p)
    _options.add_memory(p)
    _options.add_recompute(p)
    return p


def main(argv: Sequence[str]) -> int:
    from . import caffe

    p = parser()
    args = p.parse_args(argv)
    _device.started(args)
    args.model = _options.net_of(p, args)
    passes = follow(range(args.iterations), args.iterations, "passes")
    show(table(*caffe.time(args, Spoken(sys.stderr), passes)))
    return 0


def table(net: Net, spent: np.ndarray) -> Table:
    """spent: milliseconds (layers, 2), forward and backward."""
    whole = max(float(spent.sum()), 1e-9)
    shapes = net.planned.inferred.values
    rows = [
        (
            node.name,
            node.type,
            ("x".join(map(str, shapes[node.tops[0]])) if node.tops else "") or "-",
            *(f"{ms:.2f}" for ms in times),
            f"{times.sum() / whole:.1%}",
        )
        for node, times in zip(net.graph.nodes, spent, strict=True)
    ]
    total = ("all layers", "", "", *(f"{ms:.2f}" for ms in spent.sum(axis=0)), "100.0%")
    head = ("layer", "type", "top", "forward ms", "backward ms", "share")
    return Table(head, rows, [total])
