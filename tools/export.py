"""Take a net out of Caffe: `python tools/export.py --to onnx --weights unet.h5 -o unet.onnx`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("export")

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import netspec, weights
from ..data.normalize import NAMES, Normalization
from ..errors import DemitasseError, OutputError, WeightsError
from ..export.check import onnx_difference
from ..export.tensors import named_parameters, write_tensors
from ..export.to_onnx import measured, to_onnx
from ..export.to_torch import to_torch
from ..export.words import normalised
from ..files import check_writable, replacing
from ..imaging.deployed import drop_last_softmax, refuse_nonfinite
from ..net import Net
from ..texts import utf8
from . import _options
from .draw import extent
from .port import deployed, modeldef

EPILOG = """\
  onnx          one file for onnxruntime, OpenCV, TensorRT, ...; onnxruntime's result is compared
                with the net's own in float64, and has to agree to 1e-5
  torch         NAME.py, a plain nn.Module to read and change, and NAME.safetensors beside it
  safetensors   the parameters alone, named LAYER/weight and LAYER/bias
  bioimageio    a package of the BioImage Model Zoo, for ilastik, deepImageJ, napari, ...

What comes out is the score, as of the net itself; --prob puts a softmax behind it.  Batches of any
length and images of all sizes that fit the net can be given to it; --size fixes the size.

examples:
  python tools/export.py --to onnx --weights unet.h5 -o unet.onnx
  python tools/export.py --to torch --weights old.caffemodel --model deploy.prototxt -o unet.py
  python tools/export.py --to bioimageio --weights unet.h5 -o unet.zip --license CC-BY-4.0 \\
      --author "A. Author"
"""
SUFFIXES = {"onnx": ".onnx", "torch": ".py", "safetensors": ".safetensors", "bioimageio": ".zip"}
TOLERANCE = 1e-5  # of the largest output
AMPLIFIED = 4  # times the net's own rounding, where that is more: some nets amplify theirs


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="export.py", description="Write a net in the format of others.", epilog=EPILOG
    )
    p.add_argument("--to", required=True, choices=tuple(SUFFIXES), help="the format")
    p.add_argument("--weights", required=True, metavar="FILE", help="the parameters, or a model")
    p.add_argument(
        "--model", metavar="NET", help="the net's prototxt, where FILE does not say it itself"
    )
    p.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="where to write")
    p.add_argument("--size", type=extent, metavar="[Zx]HxW", help="fix the size of the image")
    p.add_argument("--prob", action="store_true", help="probabilities instead of scores")
    _options.add_python(p)
    p.add_argument("--overwrite", action="store_true", help="replace what is there")
    zoo = p.add_argument_group("bioimageio")
    for name, metavar, said in (
        ("license", "ID", "of the parameters, such as CC-BY-4.0 (SPDX)"),
        ("name", "NAME", "of the model (default: the net's)"),
        ("description", "TEXT", "one sentence"),
    ):
        zoo.add_argument(f"--{name}", type=utf8, metavar=metavar, help=said)
    zoo.add_argument(
        "--author", type=utf8, action="append", default=[], metavar="NAME", help="one or more"
    )
    zoo.add_argument(
        "--normalization", choices=NAMES, help="of images (default: what the model says, or none)"
    )
    return p


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    suffix = SUFFIXES[args.to]
    if args.output.suffix != suffix:
        raise OutputError(
            f"--to {args.to} writes {suffix}",
            where=str(args.output),
            remedy=f"Name it {args.output.with_suffix(suffix)}",
        )
    if args.to == "bioimageio" and not (args.license and args.author):
        raise OutputError(
            "a package for the zoo says who made the model and under which licence",
            remedy='Give --license, such as CC-BY-4.0, and --author "NAME"',
        )
    targets = [args.output]
    if args.to == "torch":
        targets.append(args.output.with_suffix(".safetensors"))
        if utf8(args.output.name) != args.output.name:
            raise OutputError(
                "the code cannot name the file of its parameters: it is not UTF-8",
                where=str(args.output),
                remedy="Give -o another name",
            )
    for target in targets:
        check_writable(target, overwrite=args.overwrite)
    net, model = load(args)
    said = {
        "onnx": write_onnx,
        "torch": write_torch,
        "safetensors": write_safetensors,
        "bioimageio": write_bioimageio,
    }[args.to](net, model, args)
    print(f"{args.output}: {said}")
    return 0


def load(args: argparse.Namespace) -> tuple[Net, weights.Model | None]:
    """The net with its parameters, at the size asked for, and what the file says about it."""
    found = weights.read(args.weights)
    refuse_nonfinite(found)
    described = found.model
    if args.model is not None:
        described = modeldef(args.model, found)
    elif described is None:
        raise WeightsError(
            "holds parameters but not the net they belong to",
            where=args.weights,
            remedy="Give the net as well: --model deploy.prototxt",
        )
    where = args.model or f"{args.weights} (its deploy net)"
    code = args.allow_python_layers
    message, net = deployed(where, found, described, model=False, allow_python=code)
    drop_last_softmax(message)
    graph = netspec.build(netspec.Source(where, message), "TEST")
    if args.prob or args.to == "bioimageio":
        add_softmax(message, graph)
        graph = netspec.build(netspec.Source(where, message), "TEST")
    more = 4 if args.to == "bioimageio" else 0  # a test image with something to see
    inputs = shapes(net, args.size, more)
    net = Net(graph, fill=False, inputs=inputs, backward=False, allow_python=code)
    net.load(found, complete=True)
    return net, described or found.model


def shapes(net: Net, size: Sequence[int] | None, more: int) -> dict[str, tuple[int, ...]]:
    """Of the inputs: the size asked for, else the smallest that fits or (in two dimensions) one
    `more` steps larger, else what the net says."""
    given = {value.blob: net.planned.inferred.values[value] for value in net.graph.inputs}
    if len(given) != 1:
        return given
    ((blob, shape),) = given.items()
    rules = measured(net)
    if size is not None:
        shape = (*shape[:2], *size)
    elif rules is not None:
        steps = more if len(rules) == 2 else 0
        shape = (*shape[:2], *(rule.smallest + steps * rule.step for rule in rules))
    return {blob: (1, *shape[1:])}


def add_softmax(message: Any, graph: netspec.Graph) -> None:
    """Put a softmax behind the only output of a net, which is this graph."""
    outputs = [value.blob for value in graph.outputs]
    if len(outputs) != 1:
        raise OutputError(
            "probabilities are made of one score", where=graph.path, found=", ".join(outputs)
        )
    (score,) = outputs
    taken = {layer.name for layer in message.layer}
    name = "prob" if "prob" not in {*taken, *graph.blobs} else f"prob_{score}"
    message.layer.add(name=name, type="Softmax", bottom=[score], top=[name])


def origin(args: argparse.Namespace, model: weights.Model | None) -> dict[str, str]:
    """Where the parameters come from, for the file's metadata, in UTF-8."""
    from .. import __version__

    said = {"program": f"demitasse {__version__}", "weights": Path(args.weights).name}
    if args.model:
        said["net"] = Path(args.model).name
    if model is not None:
        said["normalization"] = json.dumps(dict(model.normalization), sort_keys=True)
        said["origin"] = json.dumps(dict(model.origin), sort_keys=True, default=str)
    return {name: utf8(value) for name, value in said.items()}


def fitting(net: Net, size: Sequence[int] | None) -> str:
    """Which images it takes, in words."""
    rules = measured(net)
    if size is not None or rules is None:
        shape = net.planned.inferred.values[net.graph.inputs[0]]
        return "images of " + " x ".join(map(str, shape[2:] or shape[1:]))
    sides = dict.fromkeys(
        f"{rule.smallest} + {rule.step} k pixels, {rule.before + rule.after} less out"
        for rule in rules
    )
    return "images of " + " x ".join(sides) + ("" if len(sides) > 1 else " along each axis")


def write_onnx(net: Net, model: weights.Model | None, args: argparse.Namespace) -> str:
    dynamic = args.size is None and measured(net) is not None
    proto = to_onnx(net, dynamic=dynamic, metadata=origin(args, model))
    content = proto.SerializeToString()
    checked = "not checked, as onnxruntime is not installed"
    differences = onnx_difference(content, net)
    if differences is not None:
        checked = agreement(*differences, args.output)
    with replacing(args.output, overwrite=args.overwrite) as temporary:
        temporary.write_bytes(content)
    return f"{fitting(net, args.size)}; {checked}"


def agreement(theirs: float, ours: float, output: Path) -> str:
    """How near onnxruntime is to the net, in words.  theirs, ours: how far it and the net itself in
    float32 are from the net in float64.  Raises DemitasseError where that is not rounding."""
    if not theirs <= max(TOLERANCE, AMPLIFIED * ours):
        raise DemitasseError(
            f"onnxruntime computes something else from it: {theirs:.1e} of the largest output",
            where=str(output),
        )
    own = "" if theirs <= TOLERANCE else f" (the net's own rounding: {ours:.0e})"
    return f"onnxruntime agrees with the net in float64 to {theirs:.0e} of the largest output{own}"


def write_torch(net: Net, model: weights.Model | None, args: argparse.Namespace) -> str:
    about = [f"It takes {fitting(net, args.size)}."]
    if model is not None:
        about.append(normalised(Normalization.from_json(rule(model))))
    text, tensors = to_torch(net, args.output.stem, about)
    beside = args.output.with_suffix(".safetensors")
    write_tensors(beside, tensors, origin(args, model), overwrite=args.overwrite)
    with replacing(args.output, overwrite=args.overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return f"{len(text.splitlines())} lines; {beside}: {count(tensors)}"


def write_safetensors(net: Net, model: weights.Model | None, args: argparse.Namespace) -> str:
    tensors = named_parameters(net)
    write_tensors(args.output, tensors, origin(args, model), overwrite=args.overwrite)
    return count(tensors)


def write_bioimageio(net: Net, model: weights.Model | None, args: argparse.Namespace) -> str:
    from ..export.bioimage import About, write_package

    text = (
        rule(model) if args.normalization is None else Normalization(args.normalization).to_json()
    )
    about = About(
        name=args.name or (net.name if len(net.name) > 4 else f"{net.name or 'a'} net of Caffe"),
        description=args.description or f"Segments images into {classes(net)} classes.",
        authors=tuple(args.author),
        license=args.license,
        classes=tuple(model.class_names) if model else (),
        normalization=Normalization.from_json(text),
        pixel_size=tuple(model.pixel_size) if model else (),
        origin=origin(args, model),
    )
    status = write_package(args.output, net, about, overwrite=args.overwrite)
    return f"a package of the BioImage Model Zoo, {status}"


def classes(net: Net) -> int:
    """How many classes its score has."""
    return net.planned.inferred.values[net.graph.outputs[0]][1]


def rule(model: weights.Model | None) -> str:
    return json.dumps(dict(model.normalization)) if model else Normalization("none").to_json()


def count(tensors: dict[str, np.ndarray]) -> str:
    return f"{len(tensors)} tensors of {sum(a.size for a in tensors.values()):,} numbers"
