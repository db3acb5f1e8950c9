"""Print what a net needs before it runs: `python tools/plan.py models/unet.prototxt`."""

from __future__ import annotations

if not __package__:  # run as a script
    import _root  # type: ignore[import-not-found]

    _root.run("plan")

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .. import netspec
from ..errors import ShapeError
from ..kernels.workers import Workers, usable_cpus
from ..layers.base import Context, Layer
from ..layers.filtering import Filtering
from ..net import params
from ..net.inference import build_layers
from ..net.planning import Planned, plan_net
from . import _options
from ._model import net_in
from ._training import mib

EPILOG = """\
examples:
  python tools/plan.py models/unet.prototxt
        memory to segment a 572 x 572 tile, and to train on it
  python tools/plan.py models/unet.prototxt --recompute
        how little memory it can be trained in
  python tools/plan.py models/unet.prototxt --input 1084 --layers
        another tile size, with a line for each layer
  python tools/plan.py models/unet3d.prototxt --input 116x132x132
        a volume, z first
No array is allocated and no data file is opened.
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="plan.py",
        description="Print sizes, parameters and memory of a net without allocating anything.",
        epilog=EPILOG,
    )
    p.add_argument(
        "net",
        metavar="NET",
        help="the net's prototxt, for training or deployment, or a model such as unet.h5",
    )
    p.add_argument(
        "--input",
        type=_options.lengths,
        metavar="HxW",
        help="size of the image tile in pixels, of a volume DxHxW (default: what the net says of "
        "its input, or of the tiles it cuts in training, or else 572)",
    )
    p.add_argument(
        "--channels",
        type=_options.positive_int,
        metavar="N",
        help="of the image (default: what the net says of its input, or else 1)",
    )
    p.add_argument(
        "--layers", action="store_true", help="a line for each layer, and who computes convolutions"
    )
    p.add_argument(
        "--threads",
        type=_options.positive_int,
        metavar="N",
        help="to compute with: each has scratch of its own (default: all CPUs)",
    )
    _options.add_python(p)
    _options.add_recompute(p)
    p.add_argument("--float64", action="store_true", help="plan for double precision")
    return p


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    dtype = np.dtype(np.float64 if args.float64 else np.float32)
    source = net_in(args.net)
    shape = image_shape(source, args.channels, args.input)
    workers = Workers(args.threads or usable_cpus())
    context = Context(dtype=dtype, allow_python=args.allow_python_layers, workers=workers)
    deploy, planned = plan_deploy(source, shape, context)
    made = build_layers(deploy, context)
    table = params.table(deploy, made, planned.inferred.needs)
    count = params.flat_size(table)
    if args.layers:
        print_layers(deploy, made, planned)
    print(f"{deploy.name or args.net}: {count:,} parameters, {mib(count * dtype.itemsize)}")
    for value in (*deploy.inputs, *deploy.outputs):
        print(f"  {value.blob}: {' x '.join(map(str, planned.inferred.values[value]))}")
    print_memory("TEST", planned)
    training = training_graph(source, deploy, planned.inferred.values)
    if training is not None:
        layers = build_layers(training, context)
        try:
            trained = plan_net(
                training, layers, None, dtype=dtype, backward=True, recompute=args.recompute
            )
        except ShapeError as error:
            print(f"  TRAIN: not at this size: {error}")
            return 0
        print_memory("TRAIN", trained)
        if args.recompute:
            print_again(training, layers, trained)
        total = trained.arena_bytes + 3 * count * dtype.itemsize
        print(f"  with parameters, gradients and momentum: {mib(total)}")
    return 0


def image_shape(
    source: netspec.Source, channels: int | None = None, wanted: tuple[int, ...] | None = None
) -> tuple[int, ...]:
    """What is planned for, (1, channels, *spatial): what is given, or as the net says."""
    number, sizes = 1, tuple[int, ...]((572, 572))
    for layer in source.message.layer:
        cut = layer.create_deformation_param
        if layer.type == "CreateDeformation" and cut.ny and cut.nx:
            sizes = (cut.nz, cut.ny, cut.nx) if cut.nz else (cut.ny, cut.nx)
    for layer in netspec.deploy(source, softmax=False).layer:
        if layer.type == "Input" and len(layer.input_param.shape):
            _, number, *own = layer.input_param.shape[0].dim
            sizes = tuple(own) or sizes
    return (1, channels or number, *(wanted or sizes))


def plan_deploy(
    source: netspec.Source, shape: tuple[int, ...], context: Context | None = None
) -> Any:
    """The deployment graph for an image of this shape, and its plan."""
    context = context or Context()
    message = netspec.deploy(source, shape=shape, softmax=False)
    graph = netspec.build(netspec.Source(source.path, message), "TEST")
    layers = build_layers(graph, context)
    return graph, plan_net(graph, layers, None, dtype=context.dtype, backward=False)


def training_graph(
    source: netspec.Source,
    deploy: netspec.Graph,
    shapes: Mapping[netspec.Value, tuple[int, ...]],
    phase: str = "TRAIN",
) -> netspec.Graph | None:
    """The graph of a phase with its data layer replaced by Input layers of shapes that match the
    deployment net's; None where it has no loss."""
    graph = netspec.build(source, phase)
    data = [n for n in graph.nodes if not n.bottoms and n.tops]
    if not any("Loss" in n.type for n in graph.nodes):
        return None
    image = shapes[deploy.inputs[0]]
    scores = [shapes[v] for v in deploy.outputs]
    message = netspec.schema.NetParameter()
    message.CopyFrom(source.message)
    wanted = {n.name for n in data}
    kept = [layer for layer in message.layer if layer.name not in wanted]
    del message.layer[:]
    for node in data:
        for top in node.tops:
            layer = message.layer.add(name=top.blob, type="Input", top=[top.blob])
            same = top.blob == deploy.inputs[0].blob
            dims = image if same else (image[0], 1, *scores[0][2:])
            layer.input_param.shape.add(dim=dims)
    message.layer.extend(kept)
    return netspec.build(netspec.Source(source.path, message), phase)


def print_layers(graph: netspec.Graph, layers: Sequence[Layer], planned: Planned) -> None:
    """One line per layer: its tops' shapes, and which engine computes a convolution."""
    shapes = planned.inferred.values
    print(f"{'layer':<24} {'type':<16} {'top':<28} {'shape':<22} engine")
    for node, layer in zip(graph.nodes, layers, strict=True):
        if node.type == "Split":
            continue
        engine = layer.engine(shapes[node.bottoms[0]]) if isinstance(layer, Filtering) else ""
        for top in node.tops:
            shape = " x ".join(map(str, shapes[top]))
            print(f"{node.name:<24} {node.type:<16} {top.blob:<28} {shape:<22} {engine}".rstrip())


def print_again(graph: netspec.Graph, layers: Any, planned: Planned) -> None:
    """What runs forward twice, and how much work that is."""
    work = {
        node.index: layer.work(*(planned.inferred.values[v] for v in node.bottoms))
        for node, layer in zip(graph.nodes, layers, strict=True)
        if node.bottoms
    }
    again = planned.plan.order.again
    share = sum(work[i] for i in again) / max(1, sum(work.values()))
    print(f"    recompute: {share:.0%} of the forward pass again, {len(again)} layers")


def print_memory(phase: str, planned: Planned) -> None:
    share = planned.arena_bytes / planned.one_each_bytes
    print(
        f"  {phase}: {mib(planned.arena_bytes)} for activations and scratch"
        f" (lower bound {mib(planned.lower_bound)}; one array per blob"
        f" {mib(planned.one_each_bytes)}, {share:.1%})"
    )
    largest = sorted(planned.plan.buffers, key=lambda b: -b.size)[:5]
    print("    largest: " + ", ".join(f"{b.name} {mib(b.size)}" for b in largest))
