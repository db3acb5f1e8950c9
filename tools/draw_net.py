"""Draw a net as a graph: `python tools/draw_net.py net.prototxt net.dot`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("draw_net")

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from .. import netspec
from ..errors import OutputError
from ..files import check_writable, replacing
from ..netspec.filter import kept_layers
from . import _options

EPILOG = """\
Layers are boxes, blobs are octagons; a layer that works in place has an arrow to its blob and back.
The kind of file is told by its name: .dot (or .gv, .raw) is text that Graphviz and many others
read, and needs nothing; .png, .svg, .pdf, ... are drawn by Graphviz's program `dot`.

examples:
  python tools/draw_net.py models/unet.prototxt unet.svg
  python tools/draw_net.py models/unet.prototxt unet.dot --phase TEST --rankdir TB
"""
TEXT = (".dot", ".gv", ".raw")
COLOURS = {
    "Convolution": "#f4a6a0",
    "Deconvolution": "#f4a6a0",
    "InnerProduct": "#d9b3f0",
    "Pooling": "#fcd29f",
}
LAYER, IN_PLACE, BLOB = "#a9c7ef", "#b9e3b4", "#e6e6e6"


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="draw_net.py", description="Draw the graph of a net's layers and blobs.", epilog=EPILOG
    )
    p.add_argument("net", metavar="NET", help="the net's prototxt")
    p.add_argument("image", metavar="FILE", type=Path, help="net.dot, net.svg, net.png, ...")
    p.add_argument(
        "--rankdir",
        default="LR",
        choices=("LR", "RL", "TB", "BT"),
        help="left to right, top to bottom, ... (default LR)",
    )
    p.add_argument(
        "--phase",
        default="ALL",
        choices=("TRAIN", "TEST", "ALL"),
        help="draw the net of this phase, or all layers (default ALL)",
    )
    p.add_argument(
        "--display_lrm", action="store_true", help="show learning-rate multipliers of layers"
    )
    return p


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    kind = args.image.suffix.lower()
    program = None if kind in TEXT else renderer(args.image)
    check_writable(args.image)
    source = netspec.read_net(args.net)
    layers = source.message.layer
    if args.phase != "ALL":
        state = netspec.net_state(source.message, getattr(netspec.schema, args.phase))
        layers = [layers[i] for i in kept_layers(source, state)]
    text = dot(source.message.name, layers, args.rankdir, args.display_lrm)
    with replacing(args.image) as temporary:
        if program is None:
            temporary.write_text(text, encoding="utf-8")
        else:
            render(program, text, temporary, kind[1:], args.image)
    print(f"{args.image}: {len(layers)} layers")
    return 0


def renderer(image: Path) -> str:
    """Graphviz's program; OutputError where it is not installed."""
    program = shutil.which("dot")
    if program is None or not image.suffix:
        raise OutputError(
            "needs Graphviz's program `dot`, which is not installed"
            if image.suffix
            else "does not say what kind of file it is to be",
            where=str(image),
            remedy="Install graphviz, or draw into text: " + str(image.with_suffix(".dot")),
        )
    return program


def render(program: str, text: str, target: Path, kind: str, image: Path) -> None:
    """Let `dot` draw."""
    done = subprocess.run(
        [program, f"-T{kind}", "-o", str(target)], input=text.encode(), capture_output=True
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise OutputError(
            f"`dot` could not draw it: {said[0] if said else 'it failed'}",
            where=str(image),
            remedy="Take .svg, .png or .pdf, or .dot for the text itself",
        )


def dot(name: str, layers: Sequence[Any], rankdir: str, lr_mult: bool = False) -> str:
    """The graph in the DOT language."""
    lines = [f"digraph {quoted(name or 'Net')} {{", f"  rankdir={rankdir};"]
    lines.append('  node [fontname="Helvetica", style=filled];')
    blobs = dict.fromkeys(blob for n in layers for blob in (*n.bottom, *n.top))
    for blob in blobs:
        label = quoted(blob)
        lines.append(f"  {quoted(f'blob {blob}')} [label={label}, shape=octagon, {fill(BLOB)}];")
    between = " " if rankdir in ("TB", "BT") else "\\n"
    for i, layer in enumerate(layers):
        node = quoted(f"layer {i} {layer.name}")
        in_place = len(layer.top) == 1 and list(layer.bottom) == list(layer.top)
        colour = IN_PLACE if in_place else COLOURS.get(layer.type, LAYER)
        label = quoted(between.join(escaped(part) for part in parts(layer, lr_mult)), raw=True)
        lines.append(f"  {node} [label={label}, shape=box, {fill(colour)}];")
        lines += [f"  {quoted(f'blob {blob}')} -> {node};" for blob in layer.bottom]
        size = f" [label={quoted(made(layer))}]" if made(layer) else ""
        lines += [f"  {node} -> {quoted(f'blob {blob}')}{size};" for blob in layer.top]
    return "\n".join([*lines, "}", ""])


def parts(layer: Any, lr_mult: bool) -> Iterator[str]:
    """What a layer's box says: name, type, and the window it moves over the image."""
    yield layer.name
    if layer.type == "Pooling":
        param = layer.pooling_param
        yield f"({layer.type} {netspec.schema.enum_name(param, 'pool')})"
        if param.global_pooling:
            yield "global"
        else:
            yield from window(param, {"kernel": 0, "stride": 1, "pad": 0})
    else:
        yield f"({layer.type})"
    if layer.type in ("Convolution", "Deconvolution"):
        param = layer.convolution_param
        yield from window(param, {"kernel": 1, "stride": 1, "pad": 0})
        if any(d != 1 for d in param.dilation):
            yield f"dilation: {'x'.join(map(str, param.dilation))}"
        if param.group != 1:
            yield f"group: {param.group}"
    if lr_mult and layer.type in ("Convolution", "Deconvolution", "InnerProduct"):
        given = [p.lr_mult for p in layer.param][:2]
        yield "lr mult: " + ", ".join(f"{m:g}" for m in (*given, *[1.0] * (2 - len(given))))


def window(param: Any, defaults: dict[str, int]) -> Iterator[str]:
    """Kernel size, stride and padding, "3" or "3x5", of Convolution or Pooling."""
    for name, default in defaults.items():
        square = getattr(param, "kernel_size" if name == "kernel" else name)
        sizes = [square] if isinstance(square, int) else list(square)
        if param.HasField(f"{name}_h"):
            sizes = [getattr(param, f"{name}_h"), getattr(param, f"{name}_w")]
        sizes = sizes or [default]
        label = "kernel size" if name == "kernel" else name
        yield f"{label}: {'x'.join(map(str, sizes if len(set(sizes)) > 1 else sizes[:1]))}"


def made(layer: Any) -> str:
    """What an arrow out of a layer says: its batch size, or its number of channels."""
    if layer.type in ("Data", "HDF5Data", "ImageData", "WindowData", "MemoryData"):
        fields = {"Data": "data", "HDF5Data": "hdf5_data", "ImageData": "image_data"}
        fields |= {"WindowData": "window_data", "MemoryData": "memory_data"}
        return f"batch {getattr(layer, fields[layer.type] + '_param').batch_size}"
    if layer.type in ("Convolution", "Deconvolution"):
        return str(layer.convolution_param.num_output)
    return str(layer.inner_product_param.num_output) if layer.type == "InnerProduct" else ""


def fill(colour: str) -> str:
    return f'fillcolor="{colour}"'


def escaped(text: str) -> str:
    """Inside a DOT string: quotes and backslashes are marked."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


def quoted(text: str, *, raw: bool = False) -> str:
    return f'"{text if raw else escaped(text)}"'
