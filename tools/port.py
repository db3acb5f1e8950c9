"""Port Caffe's parameter files: `python tools/port.py legacy.caffemodel -o unet.h5`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("port")

import datetime
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import netspec, weights
from ..data.normalize import NAMES, Normalization
from ..errors import GraphError, OutputError, ShapeError, WeightsError, did_you_mean
from ..files import check_writable
from ..imaging.deployed import UNTOLD, smallest
from . import _options
from ._model import unfit, untold
from ._verify import add_verify

EPILOG = """\
examples:
  python tools/port.py phseg_v5.caffemodel --net phseg_v5-train.prototxt -o phseg.h5
        an old net with its parameters as one file, ready for tools/deploy.py --weights phseg.h5
  python tools/port.py w.caffemodel.h5 --net 2d_cell_net.modeldef.h5 -o cells.h5
        a model of the Fiji plugin, with its normalisation, classes and pixel size
  python tools/port.py old.caffemodel -o new.caffemodel.h5
  python tools/port.py old.caffemodel.h5 -o new.caffemodel
        from one of Caffe's formats into the other, bit for bit; Caffe reads both
  python tools/port.py old.caffemodel --net mine.prototxt --leave-out conv_u0d-score \\
      -o mine.caffemodel
        all but a layer that another size was given to; fine-tune with tools/solve.py -weights

  python tools/port.py unet.h5 --net phseg_v5.prototxt -o unet.caffemodel --v1
        as Caffe wrote it until 2014, for programs of that age; OpenCV reads it, too

Any .caffemodel is read, of whatever age or fork; what does not fit the net is refused.  Without
--net the file's layers are taken as they are.
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="port.py",
        description="Convert parameter files of Caffe, old and new, and check them against a net.",
        epilog=EPILOG,
    )
    p.add_argument("weights", metavar="FILE", help="a .caffemodel, .caffemodel.h5 or model")
    p.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="what to write: *.h5 or *.caffemodel"
    )
    p.add_argument(
        "-net",
        "--net",
        metavar="NET",
        help="the net's prototxt, for training or deployment; or a .modeldef.h5",
    )
    p.add_argument(
        "--leave-out",
        action="append",
        default=[],
        metavar="LAYER",
        help="do not carry this layer over; may be given several times",
    )
    p.add_argument(
        "--normalization",
        choices=NAMES,
        help="how the net's images are normalised, for a model (default none; the nets of 2015:"
        " depth, which is grey values from 0 to 1)",
    )
    p.add_argument(
        "--v1", action="store_true", help="write a .caffemodel as Caffe did until 2014 (V1)"
    )
    _options.add_python(p)
    p.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    add_verify(p)
    return p


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    target = Path(args.output)
    if target.suffix not in (".h5", ".caffemodel"):
        raise OutputError(
            "is neither kind of parameter file by its name",
            where=str(target),
            expected="a name that ends in .h5 or .caffemodel",
        )
    if args.v1 and target.suffix == ".h5":
        raise OutputError("--v1 is a kind of .caffemodel", where=str(target))
    check_writable(target, overwrite=args.overwrite)
    try:
        found = weights.read(args.weights)
    except WeightsError as error:
        error.remedy = error.remedy.replace("--model", "--net")  # as it is called here
        raise
    if found.dialect:
        row("dialect", [found.dialect + (", four axes" if found.legacy else "")])
    if args.net is None:
        convert(found, target, args)
    else:
        port(found, target, args)
    return 0


def row(title: str, entries: Iterable[object]) -> None:
    """Lines of the table, the title before the first."""
    for entry in entries:
        print(f"{title:12}{entry}")
        title = ""


def without(found: weights.Weights, names: Collection[str]) -> weights.Weights:
    """The file's content less some layers."""
    return replace(found, layers={n: a for n, a in found.layers.items() if n not in names})


def check_left_out(names: Sequence[str], known: Collection[str], where: str) -> None:
    for name in names:
        if name not in known:
            raise WeightsError(
                f"--leave-out {name}: there is no such layer",
                where=where,
                remedy=did_you_mean(name, known) or f"There are {', '.join(sorted(known))}",
            )


def notes(found: weights.Weights, left_out: Sequence[str]) -> None:
    """Lines of the table that both ways have."""
    row("left out", left_out)
    row("not finite", found.nonfinite())


# ------------------------------------------------------------------ without a net


def convert(found: weights.Weights, target: Path, args: Any) -> None:
    """Write what is in the file, its shapes brought up to date."""
    check_left_out(args.leave_out, found.layers, args.weights)
    found, changed = weights.modern(without(found, args.leave_out))
    full = [name for name, blobs in found.layers.items() if blobs]
    blobs = sum(len(found.layers[name]) for name in full)
    row("taken", [f"{blobs} blobs of {len(full)} layers, {found.count:,} numbers"])
    row("reshaped", changed)
    row("duplicates", found.duplicates)
    notes(found, args.leave_out)
    if found.legacy:
        raise WeightsError(
            "gives shapes of four axes to layers of unknown type, which may have had fewer",
            where=args.weights,
            remedy="Give the net as well: --net net.prototxt",
        )
    if target.suffix == ".h5":
        try:
            weights.write_hdf5(target, found.layers, overwrite=args.overwrite)
        except WeightsError as error:
            if any("/" in name for name in full):
                command = f"{args.weights} --net NET.prototxt -o {args.output}"
                error.remedy = (
                    "A .caffemodel can hold it, and so can a model, which needs the net: "
                    f"{_options.spoken('tools/port.py')} {command}"
                )
            raise
    else:
        layers = [(name, found.types.get(name), whole(found, name, args.weights)) for name in full]
        if args.v1:
            typed = [(name, kind or "", arrays) for name, kind, arrays in layers]
            weights.write_caffemodel_v1(target, target.stem, typed, overwrite=args.overwrite)
        else:
            message = netspec.schema.LayerParameter
            weights.write_caffemodel(
                target,
                target.stem,
                [(message(name=n, type=t).SerializeToString(), a, []) for n, t, a in layers],
                overwrite=args.overwrite,
            )
    print(f"{target}: the parameters")


def whole(found: weights.Weights, name: str, where: str) -> list[np.ndarray]:
    """The arrays of a layer, which a .caffemodel holds even where they are another layer's."""
    arrays = [array for array in found.layers[name] if array is not None]
    if len(arrays) < len(found.layers[name]):
        raise WeightsError(
            f"layer '{name}' uses a parameter of another layer, which a .caffemodel has to repeat",
            where=where,
            remedy="Give the net as well: --net net.prototxt",
        )
    return arrays


# ------------------------------------------------------------------ with a net


def port(found: weights.Weights, target: Path, args: Any) -> None:
    """Check the file against the net, and write the net's parameters or a whole model."""
    from ..net.saving import save_caffemodel, save_caffemodel_v1

    described = modeldef(args.net, found)
    alone, code = target.suffix == ".h5", args.allow_python_layers
    message, net = deployed(args.net, found, described, model=alone, allow_python=code)
    check_left_out(args.leave_out, {*net.params, *found.layers}, args.weights)
    left_out = list(args.leave_out)
    given = without(found, left_out)
    shared = {(p.layer, p.index) for i, p in enumerate(net.param_table) if p.owner != i}
    report = weights.match(
        {n: [b.shape for b in blobs] for n, blobs in net.params.items() if n not in left_out},
        given,
        shared=shared,
    )
    for line in report.table():
        print(line)
    row("reshaped", reshaped(net, given, report))
    notes(given, left_out)
    if not report.complete:
        problems = [str(m) for m in report.mismatched]
        problems += [f"layer {name} is missing" for name in report.missing]
        names = dict.fromkeys((*(m.layer for m in report.mismatched), *report.missing))
        near = did_you_mean(next(iter(names)), report.unused)
        raise WeightsError(
            "does not fit the net: " + "; ".join(problems[:5]) + (" ..." if problems[5:] else ""),
            where=args.weights,
            remedy=near
            or "To port the others alone: " + " ".join(f"--leave-out {n}" for n in names),
        )
    net.load(given, complete=False)
    if target.suffix == ".h5":
        model = described or describe(message, net, args, found.model)
        layers = {n: a for n, a in net.owned_parameters().items() if n not in left_out}
        weights.write_model(target, layers, model, overwrite=args.overwrite)
        lacking = [name for name in left_out if net.params.get(name)]
        why = f"it lacks {', '.join(lacking)}" if lacking else ""
        why = why or unfit(message, found, args.net, allow_python=code)
        print(f"{target}: the model, {purpose(target, why, whole=not lacking)}")
        if model.origin.get(UNTOLD) and not why:
            print(untold(args.weights))
    else:
        save = save_caffemodel_v1 if args.v1 else save_caffemodel
        save(net, target, without=left_out, overwrite=args.overwrite)
        print(f"{target}: the parameters")


def purpose(target: Path, why: str, *, whole: bool) -> str:
    """What a model is for; why: it cannot segment; whole: it has all of its parameters."""
    deploy = _options.spoken("tools/deploy.py")
    if not why:
        return f"ready for {deploy} --weights {target}"
    train, export = (_options.spoken(f"tools/{name}.py") for name in ("solve", "export"))
    serves = f"{train}, {export} and pycaffe" if whole else train
    return f"for {serves}; {deploy} would refuse it: {why}"


def modeldef(path: str, found: weights.Weights) -> weights.Model | None:
    """What a model definition of the Fiji plugin says; None for other files."""
    from ..imaging.modeldef import as_model

    if not weights.is_modeldef(path):
        return None
    definition = weights.read_modeldef(path)
    row("note", definition.notes)
    return as_model(definition, found)


def deployed(
    path: str,
    found: weights.Weights,
    described: weights.Model | None,
    *,
    model: bool,
    allow_python: bool = False,
) -> tuple[Any, Any]:
    """The net less data, labels and losses: its message, and itself with empty parameters.

    model: it must be able to stand alone; otherwise a net that cannot is taken as it is;
    allow_python: run the code of Python layers.
    """
    from ..net import Net

    options: dict[str, Any] = {"fill": False, "allow_python": allow_python}
    if described is not None:
        whole = netspec.parse_net(described.deploy, f"{path} (its model_prototxt)")
        return whole.message, Net(netspec.build(whole, "TEST"), **options)
    whole = netspec.read_net(path)
    try:
        message = netspec.deploy(whole, softmax=False)
    except GraphError:
        if model:
            raise
        return whole.message, Net(netspec.build(whole, "TEST"), **options)
    source = netspec.Source(path, message)
    unsaid = [la.top[0] for la in message.layer if la.type == "Input" and not la.input_param.shape]
    if not unsaid:
        return message, Net(netspec.build(source, "TEST"), **options)
    try:  # completes the message
        return message, smallest(source, found, allow_python=allow_python)[0]
    except ShapeError as error:
        error.remedy = error.remedy or (
            "The net does not say how large its images are. In a copy of it write, in place of "
            f'its data layers, input: "{unsaid[0]}" input_dim: 1 input_dim: 1 input_dim: 28 '
            "input_dim: 28 (number, channels, height, width), and leave its losses out"
        )
        raise


def reshaped(net: Any, found: weights.Weights, report: weights.Report) -> list[weights.Reshaped]:
    """The blobs whose shape in the file was another one."""
    pairs = []
    for name, i in report.loaded:
        array = found.layers[name][i]
        if array is not None and array.shape != net.params[name][i].shape:
            pairs.append(weights.Reshaped(name, i, array.shape, net.params[name][i].shape))
    return pairs


def describe(message: Any, net: Any, args: Any, known: weights.Model | None) -> weights.Model:
    """What a model file says beside its parameters; known: what their file said of another net."""
    from .. import __version__

    shape: tuple[int, ...] = net.blobs[net.inputs[0]].shape if net.inputs else ()
    now = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    made = weights.Model(
        deploy=netspec.to_text(message),
        normalization=json.loads(Normalization(args.normalization or "none").to_json()),
        class_names=(),
        input_channels=int(shape[1]) if len(shape) > 1 else 1,
        origin={
            "program": f"demitasse {__version__}",
            "weights": Path(args.weights).name,
            "net": Path(args.net).name,
            "left out": list(args.leave_out),
            "date": now.isoformat(),
            **({} if args.normalization else {UNTOLD: True}),
        },
    )
    if known is None:
        return made
    told = bool(args.normalization)
    untold = not told and known.origin.get(UNTOLD, False)
    classes = {net.blobs[name].shape[1:2] for name in net.outputs}
    return replace(
        made,
        normalization=made.normalization if told else known.normalization,
        class_names=known.class_names if classes == {(len(known.class_names),)} else (),
        padding=known.padding,
        pixel_size=known.pixel_size,
        origin={**known.origin, **made.origin, UNTOLD: untold},
    )
