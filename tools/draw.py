"""Draw a net as SVG, a U-Net as a U: `python tools/draw.py models/unet.prototxt -o unet.svg`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("draw")

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import drawing, netspec
from ..errors import GraphError, OutputError, ShapeError, SpecError
from ..files import check_writable, replacing
from ..layers.base import Context
from ..net.inference import build_layers
from ..net.one_axis import geometries
from ..net.planning import plan_net
from . import _options
from ._model import net_in
from ._training import mib

EPILOG = """\
A net whose skips and up-convolutions make a U is drawn as one, whatever its layers are called: boxes as
tall as the maps are large and as wide as they have channels, with what every level sees and takes.
Any other net is drawn as a graph, from what is given to what comes out.  Drawn is the net that
segments, without data, labels and losses, unless --phase asks for all layers of a phase.

examples:
  python tools/draw.py models/unet.prototxt -o unet.svg
        figure 1 of the paper
  python tools/draw.py models/unet3d.prototxt -o unet3d.svg --input 132x148x148
  python tools/draw.py models/unet.prototxt -o train.svg --phase TRAIN
        every layer that training runs
tools/draw_net.py draws as Caffe's script of that name does, through Graphviz.
"""  # noqa: E501


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="draw.py", description="Draw a net as SVG, a U-Net as a U.", epilog=EPILOG
    )
    p.add_argument(
        "net",
        metavar="NET",
        help="the net's prototxt, for training or deployment, or a model such as unet.h5",
    )
    p.add_argument(
        "-o", "--output", type=Path, required=True, metavar="FILE", help="where to draw: net.svg"
    )
    p.add_argument(
        "--input",
        type=extent,
        metavar="[Zx]HxW",
        help="size of the image (default: what the net says of it or of its data, or about 572)",
    )
    p.add_argument(
        "--channels",
        type=_options.positive_int,
        metavar="N",
        help="of the image (default: what the net says of it or of its data, or else 1; 3 where a "
        "mean file is subtracted)",
    )
    p.add_argument(
        "--phase", choices=("TRAIN", "TEST"), help="draw all layers of this phase, as a graph"
    )
    p.add_argument("--graph", action="store_true", help="draw a U-Net as a graph, too")
    return p


def extent(text: str) -> tuple[int, ...]:
    """ "572", "444x892" or "116x132x132"."""
    parts = text.lower().replace("*", "x").split("x")
    try:
        sizes = tuple(_options.positive_int(part) for part in parts)
    except argparse.ArgumentTypeError:
        sizes = ()
    if not 1 <= len(sizes) <= 3:
        raise argparse.ArgumentTypeError(f"'{text}' is not a size such as 572x572 or 116x132x132")
    return sizes * 2 if len(sizes) == 1 else sizes


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    if args.output.suffix.lower() != ".svg":
        raise OutputError(
            "pictures of nets are drawn as SVG",
            where=str(args.output),
            remedy=f"Name it {args.output.with_suffix('.svg')}; browsers and Inkscape open it",
        )
    check_writable(args.output)
    source = net_in(args.net)
    text, said = picture(source, args.input, args.channels, args.phase, graph=args.graph)
    with replacing(args.output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(f"{args.output}: {said}")
    return 0


def picture(
    source: netspec.Source,
    size: Sequence[int] | None = None,
    channels: int | None = None,
    phase: str | None = None,
    *,
    graph: bool = False,
) -> tuple[str, str]:
    """The SVG text of a net, and a line on what it shows."""
    segments, image = segmenting(source, size, channels) or (None, None)
    if phase is None and segments is not None:
        facts = drawing.look(segments)
    else:  # the image's shape is what a data layer's file would tell
        known = {image.blob: image.shape} if image else {}
        facts = drawing.look(netspec.build(source, phase or "TEST"), known)
    guess = f"; a guess: {image.guess}" if image and image.guess else ""
    u = None if graph or phase else drawing.find_u(facts)
    if u is None:
        return drawing.to_svg(
            drawing.draw_flow(facts)
        ), f"a graph of {len(facts.steps)} steps{guess}"
    layers = [facts.layers[node.index] for node in facts.graph.nodes]
    planned = plan_net(facts.graph, layers, None, dtype=np.dtype(np.float32), backward=False)
    note = f"maps in float32, one array each; planned, all of them take {mib(planned.arena_bytes)}"
    scene = drawing.draw_u(facts, u, note=note)
    return drawing.to_svg(scene), f"a U of {len(u.levels)} levels{guess}"


def segmenting(
    source: netspec.Source, size: Sequence[int] | None, channels: int | None
) -> tuple[netspec.Graph, netspec.Image] | None:
    """The net that segments, and the image of this size that it reads; None where it cannot be told
    what that net would be, or it reads more than an image."""
    try:
        net = netspec.deployed(source, softmax=False)
    except GraphError:
        return None
    inputs = [layer for layer in net.message.layer if layer.type == "Input"]
    image = netspec.image_of(source)
    if len(inputs) != 1 or image is None:
        return None
    image = image.having(channels, size)
    shapes = inputs[0].input_param.shape
    del shapes[:]
    shapes.add(dim=image.shape)
    if not image.size_told:
        fit(net, shapes[0])
    return netspec.build(net, "TEST"), replace(image, shape=tuple(shapes[0].dim))


def fit(net: netspec.Source, shape: Any) -> None:
    """Change a size that was only guessed to the nearest that fits the net."""
    graph = netspec.build(net, "TEST")
    try:
        rules = geometries(graph, build_layers(graph, Context()), graph.outputs[0].blob)
    except (ShapeError, SpecError):  # SpecError: a Python layer, whose code a drawing does not run
        return
    shape.dim[2:] = [rule.nearest(n)[0] for rule, n in zip(rules, shape.dim[2:], strict=True)]
