"""Make a model of the Fiji plugin: `python tools/modeldef.py net.prototxt solver.prototxt ...`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("modeldef")

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import netspec, weights
from ..errors import OutputError, ShapeError
from ..files import check_writable
from ..texts import utf8
from ..weights import ModelDef
from ..weights.base import PADDINGS
from ..weights.modeldef import NORMALIZATIONS, SUFFIX
from . import _options

EPILOG = """\
examples:
  python tools/modeldef.py cells.prototxt solver.prototxt --element-size 0.5x0.5
        --normalization minmax --classes background,cell -o cells.modeldef.h5
        a model that the plugin takes; downsampleFactor, padInput and padOutput are those of the net
  python tools/modeldef.py volumes.prototxt solver.prototxt --element-size 1x0.5x0.5
        -weights net_iter_9000.caffemodel.h5 -o volumes.modeldef.h5
        the weights are only tried: they stay a file of their own, for the plugin too
  python tools/modeldef.py --show 2d_cell_net.modeldef.h5
        what a model says

In the TEST phase the net starts at the blob --input (data3), which no layer of that phase makes.
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="modeldef.py",
        description="Make a .modeldef.h5, with which the Fiji plugin knows a net, or show one.",
        epilog=EPILOG,
    )
    p.add_argument("net", nargs="?", metavar="NET", help="the net's prototxt, for training too")
    p.add_argument("solver", nargs="?", metavar="SOLVER", help="the solver's prototxt")
    p.add_argument("--show", metavar="FILE", help="show a .modeldef.h5 instead")
    p.add_argument("-o", "--output", metavar="FILE", help=f"what to write: *{SUFFIX}")
    p.add_argument("-weights", "--weights", metavar="FILE", help="parameters to try with the model")
    p.add_argument("--element-size", type=lengths, metavar="[ZxY]xX", help="micrometres of a pixel")
    p.add_argument("--id", default="", help="what it is called by programs (default: net's name)")
    p.add_argument("--name", default="", help="what it is called by people (default: the id)")
    p.add_argument("--description", default="", help="what people read about it, in a sentence")
    p.add_argument("--input", default="data3", metavar="BLOB", help="the image (default data3)")
    p.add_argument("--dataset", default="data", help="of the images in HDF5 (default data)")
    p.add_argument(
        "--normalization",
        choices=NORMALIZATIONS,
        default="none",
        help="of the grey values, which the plugin does first (default none)",
    )
    p.add_argument(
        "--padding",
        choices=PADDINGS,
        default="mirror",
        help="what the net sees beyond the image's edges (default mirror)",
    )
    p.add_argument(
        "--classes", type=utf8, default="", metavar="NAME,NAME", help="the background first"
    )
    p.add_argument("--channels", type=_options.positive_int, default=1, help="of the images")
    _options.add_python(p)
    p.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    return p


def lengths(text: str) -> tuple[float, ...]:
    """ "0.5x0.5" or "1x0.5x0.5"."""
    found = tuple(_options.positive_float(part) for part in text.split("x"))
    if len(found) not in (2, 3):
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 0.5x0.5 or 1x0.5x0.5")
    return found


def main(argv: Sequence[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    if args.show:
        show(weights.read_modeldef(args.show))
        return 0
    if not argv:
        p.print_help()
        return 0
    for name in ("net", "solver", "output", "element_size"):
        if getattr(args, name) is None:
            p.error(f"needs {name}")
    if not args.output.endswith(".h5"):
        raise OutputError("is no name for a model", where=args.output, expected=f"*{SUFFIX}")
    check_writable(args.output, overwrite=args.overwrite)
    modeldef = make(args)
    if args.weights:
        try_weights(modeldef, args)
    weights.write_modeldef(args.output, modeldef, overwrite=args.overwrite)
    show(modeldef)
    command = _options.spoken("tools/deploy.py --model")
    print(f"{args.output}: the model, for the Fiji plugin and {command}")
    return 0


def make(args: Any) -> ModelDef:
    """The model, its sizes measured on the net."""
    from ..imaging.modeldef import source_of
    from ..layers.base import Context
    from ..net.inference import build_layers
    from ..net.one_axis import deepest, geometries

    axes = len(args.element_size)
    source = netspec.read_net(args.net)
    netspec.read_solver(args.solver)  # refused now if it is none
    ident = args.id or source.message.name or Path(args.net).stem
    blank = ModelDef(
        ident=ident,
        name=args.name or ident,
        description=args.description,
        model_prototxt=text(args.net, source.message),
        solver_prototxt=Path(args.solver).read_text("utf-8", "surrogateescape"),
        element_size_um=args.element_size,
        downsample_factor=(1,) * axes,
        pad_input=(0,) * axes,
        pad_output=(0,) * axes,
        input_blob_name=args.input,
        input_dataset_name=args.dataset,
        normalization_type=NORMALIZATIONS.index(args.normalization),
        padding=args.padding,
        class_names=tuple(filter(None, args.classes.split(","))),
        input_channels=args.channels,
        path=args.net,
    )
    deployed = source_of(blank, (args.channels, *(1,) * axes))
    graph = netspec.build(deployed, "TEST")
    if not graph.outputs:
        raise ShapeError("the net has no output", where=args.net)
    layers = build_layers(graph, Context(allow_python=args.allow_python_layers))
    found = geometries(graph, layers, graph.outputs[-1].blob)
    deep = deepest(graph, layers, [size.smallest for size in found])
    pads = [size.smallest - size.step * n for size, n in zip(found, deep, strict=True)]
    return replace(
        blank,
        downsample_factor=tuple(size.step for size in found),
        pad_input=tuple(pads),
        pad_output=tuple(p - s.before - s.after for p, s in zip(pads, found, strict=True)),
    )


def text(path: str, message: Any) -> str:
    """The prototxt as it is written; of binary files and old prototxt, which the plugin would not
    read, today's words."""
    try:
        written = Path(path).read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        return netspec.to_text(message)
    return written if re.search(r"\blayer\s*:?\s*{", written) else netspec.to_text(message)


def try_weights(modeldef: ModelDef, args: Any) -> None:
    """Refuse weights that do not fit the model."""
    from ..imaging.modeldef import build, read_weights
    from .caffe_unet import check_outputs, pads_of

    pads = pads_of(modeldef)
    net = build(modeldef, read_weights(args.weights), (args.channels, *pads.least))
    check_outputs(net, modeldef, pads.tile((1,) * modeldef.axes))


def show(modeldef: ModelDef) -> None:
    """What it says, a line each."""
    by = "x".join
    rows = {
        "model": f"{modeldef.ident} ({modeldef.name})",
        "images": f"{modeldef.axes}-D, {by(f'{v:g}' for v in modeldef.element_size_um)} um, "
        f"blob {modeldef.input_blob_name}, dataset {modeldef.input_dataset_name}",
        "normalised": f"{modeldef.normalization}, padded: {modeldef.padding}",
        "sizes": f"{modeldef.downsample_factor} d + {modeldef.pad_input} pixels give "
        f"{modeldef.downsample_factor} d + {modeldef.pad_output}",
        "classes": ", ".join(modeldef.class_names) or "not named",
    }
    for title, entry in rows.items():
        print(f"{title:12}{entry}")
    for note in modeldef.notes:
        print(f"{'note':12}{note}")
