"""Score a net on its test data: `python tools/score_net.py net.prototxt -weights unet.h5`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("score_net")

import sys
from collections.abc import Sequence

from . import _device, _options
from ._glog import Spoken
from ._progress import follow
from ._table import Table, show

EPILOG = """\
The net, in its TEST phase, reads its own data layer, N batches of it; printed is a table of
the means, one line for each output.  tools/caffe.py test prints Caffe's log instead.

examples:
  python tools/score_net.py models/unet.prototxt -weights unet.h5 -iterations 2
  python tools/score_net.py -model models/unet.prototxt -weights unet_iter_4.caffemodel.h5 \\
      -iterations 2
        the same, as Caffe spells it
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="score_net.py",
        description="Score a net with trained parameters on its test data.",
        epilog=EPILOG,
    )
    p.add_argument("net", nargs="?", metavar="NET", help="the net's prototxt")
    p.add_argument("-model", "--model", metavar="NET", help="the same, as Caffe spells it")
    p.add_argument("-weights", "--weights", required=True, metavar="FILE", help="its parameters")
    _options.add_passes(p, "batches")
    _options.add_gpu(p)
    _options.add_python(p)
    _options.add_engine(p)
    return p


def main(argv: Sequence[str]) -> int:
    from . import caffe

    p = parser()
    args = p.parse_args(argv)
    _device.started(args)
    args.model = _options.net_of(p, args)
    passes = follow(range(args.iterations), args.iterations, "batches")
    means = caffe.test(args, Spoken(sys.stderr), passes)
    rows = [(name, f"{value:g}") for name, values in means.items() for value in values.ravel()]
    show(Table(("output", "mean"), rows))
    return 0
