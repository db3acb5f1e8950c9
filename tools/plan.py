"""Print what a net needs before it runs: `python tools/plan.py models/unet.prototxt`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("plan")

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import netspec
from ..errors import GraphError, ShapeError
from ..kernels.workers import Workers, usable_cpus
from ..layers.base import Context, Layer
from ..layers.filtering import Filtering
from ..net import params
from ..net.inference import build_layers
from ..net.planning import Planned, plan_net
from ..netspec.image import PICTURES, tile
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
        "its input, of the tiles it cuts in training or of its data, or else 572)",
    )
    p.add_argument(
        "--channels",
        type=_options.positive_int,
        metavar="N",
        help="of the image (default: what the net says of its input or of its data, or else 1; 3 "
        "where a mean file is subtracted)",
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
    image = image_in(source).having(args.channels, args.input)
    workers = Workers(args.threads or usable_cpus())
    context = Context(dtype=dtype, allow_python=args.allow_python_layers, workers=workers)
    with said_where_guessed(image):
        deploy, planned = plan_deploy(source, {image.blob: image.shape}, context)
    made = build_layers(deploy, context)
    table = params.table(deploy, made, planned.inferred.needs)
    count = params.flat_size(table)
    if args.layers:
        print_layers(deploy, made, planned)
    guess = f"; a guess: {image.guess} ({unsaid(image)})" if image.guess else ""
    print(f"{deploy.name or args.net}: {count:,} parameters, {mib(count * dtype.itemsize)}{guess}")
    for value in (*deploy.inputs, *deploy.outputs):
        print(f"  {value.blob}: {' x '.join(map(str, planned.inferred.values[value]))}")
    print_memory("TEST", planned)
    training = training_graph(source, deploy, planned.inferred.values, batch=image.batch)
    if training is not None:
        layers = build_layers(training, context)
        try:
            trained = plan_net(
                training, layers, None, dtype=dtype, backward=True, recompute=args.recompute
            )
        except ShapeError as error:
            print(f"  TRAIN: not at this size: {error}")
            return 0
        read = " x ".join(map(str, image.read))
        print_memory(f"TRAIN, with {read}" if image.read != image.shape else "TRAIN", trained)
        if args.recompute:
            print_again(training, layers, trained)
        total = trained.arena_bytes + 3 * count * dtype.itemsize
        print(f"  with parameters, gradients and momentum: {mib(total)}")
    return 0


def image_in(source: netspec.Source, state: Any = None) -> netspec.Image:
    """The image of a net, as `netspec.image_of`; GraphError where it reads none."""
    image = netspec.image_of(source, state)
    if image is None:
        raise GraphError("the deployment net has no input", where=source.path)
    return image


def unsaid(image: netspec.Image) -> str:
    """The options that would say what is guessed of an image."""
    told = {"--channels": image.channels_told, "--input": image.size_told}
    return ", ".join(option for option, known in told.items() if not known)


@contextmanager
def said_where_guessed(image: netspec.Image) -> Iterator[None]:
    """Let a refusal of sizes say that they were guessed."""
    try:
        yield
    except ShapeError as error:
        if image.guess and not (image.size_told and error.remedy):
            said = f"What the net reads, {image.guess}, is a guess: give {unsaid(image)}"
            error.remedy = ". ".join(p for p in (error.remedy.removesuffix("."), said) if p)
        raise


def plan_deploy(
    source: netspec.Source,
    shape: Mapping[str, tuple[int, ...]] | tuple[int, ...],
    context: Context | None = None,
) -> Any:
    """The deployment graph for an image of this shape, and its plan; of a net with several inputs,
    the shape is the one of a blob, and the others are as the net states."""
    context = context or Context()
    graph = netspec.build(netspec.deployed(source, shape=shape, softmax=False), "TEST")
    layers = build_layers(graph, context)
    return graph, plan_net(graph, layers, None, dtype=context.dtype, backward=False)


def training_graph(
    source: netspec.Source,
    deploy: netspec.Graph,
    shapes: Mapping[netspec.Value, tuple[int, ...]],
    *,
    state: Any = None,
    batch: int | None = None,
) -> netspec.Graph | None:
    """The graph of a state (default: that of training) with its data layers replaced by Input
    layers of shapes that match the deployment net's; None where it has no loss.

    batch: images of a pass (default: as many as the deployment net reads).  Where the image is as
    the net states it, layers that state their shapes stay, and where it is not, the tile that the
    net cuts becomes as large as the image.
    """
    state = state or netspec.net_state(source.message, netspec.schema.TRAIN)
    graph = netspec.build_in_state(source, state)
    if not any("Loss" in n.type for n in graph.nodes):
        return None
    image = shapes[deploy.inputs[0]]
    image = (batch or image[0], *image[1:])
    own = netspec.image_of(source, state)
    as_stated = own is not None and not own.guess and own.read == image
    score = next((shapes[v] for v in deploy.outputs), ())
    message = netspec.schema.NetParameter()
    message.CopyFrom(source.message)
    data = [
        n
        for n in graph.nodes
        if n.tops
        and netspec.is_data(n.layer)
        and not (as_stated and all(netspec.stated(n.layer, v.blob) for v in n.tops))
    ]
    replaced = {n.layer.name for n in data}
    kept = [layer for layer in message.layer if layer.name not in replaced]
    del message.layer[:]
    for node in data:
        for i, top in enumerate(node.tops):
            layer = message.layer.add(name=top.blob, type="Input", top=[top.blob])
            dims = image if top.blob == deploy.inputs[0].blob else (image[0], 1, *score[2:])
            if i == 1 and node.type in PICTURES:
                dims = image[:1]
            layer.input_param.shape.add(dim=dims)
    for layer in kept:
        cut = layer.create_deformation_param
        if own is not None and tile(layer) == own.shape[2:]:
            for name, n in zip(("nx", "ny", "nz"), reversed(image[2:]), strict=False):
                setattr(cut, name, n)
    message.layer.extend(kept)
    return netspec.build_in_state(netspec.Source(source.path, message, layers=source.layers), state)


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
