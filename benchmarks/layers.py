"""Every layer of the U-Net: seconds forward and backward, operations, engine, beside PyTorch.

    python benchmarks/layers.py                     the paper's net at 572 pixels
    python benchmarks/layers.py --size 284 --peer torch
    python benchmarks/layers.py --ours fast,caffe   two of our engines beside each other
    python benchmarks/layers.py --accuracy          errors of all engines, instead of times

A layer is timed within a pass over the whole net, as it runs in training, so it finds the caches as
they are then; medians over the turns.  A ReLU counts as part of the convolution below it, a Crop
and a Split as part of the Concat.  GFLOP/s are those of the direct algorithm, so a fast one may
exceed the machine's sgemm peak.  PyTorch is given the faster of its two layouts for each layer.
The other peers cannot run single layers.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import _accuracy
import _report
import _unet
from _contestants import contestants
from _turns import compete

Pair = tuple[float, float]  # seconds forward, backward


def rows(layers: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The layers of a net as rows of the table, what belongs together in one: {name: {"engine",
    "shape", "forward", "backward"}}."""
    joins = {b: layer["name"] for layer in layers if layer["type"] == "Concat"
             for b in layer["bottoms"]}  # fmt: skip
    makers: dict[str, str] = {}  # of a blob: the row
    found: dict[str, dict[str, Any]] = {}
    late: list[tuple[str, Mapping[str, Any]]] = []
    for layer in layers:
        row = layer["name"]
        if layer["type"] == "ReLU":
            row = makers[layer["bottoms"][0]]
        elif layer["type"] == "Crop":
            row = joins[layer["tops"][0]]
        elif layer["type"] == "Split":
            row = next((joins[t] for t in readers(layer, layers) if t in joins), row)
        makers.update(dict.fromkeys(layer["tops"], row))
        if layer["type"] == "Input":
            continue
        if row == layer["name"]:
            found[row] = {key: layer[key] for key in ("engine", "shape", "forward", "backward")}
        else:
            late.append((row, layer))
    for row, layer in late:
        for way in ("forward", "backward"):
            found[row][way] += layer[way]
    return found


def readers(split: Mapping[str, Any], layers: Sequence[Mapping[str, Any]]) -> list[str]:
    """The tops of Crops that read what a Split makes, and its own tops."""
    tops = set(split["tops"])
    crops = [x for x in layers if x["type"] == "Crop" and tops & set(x["bottoms"])]
    return [top for crop in crops for top in crop["tops"]] + list(split["tops"])


def medians(turns: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """One of our passes for each turn -> rows with the medians."""
    passes = [rows(turn) for turn in turns]
    return {
        name: row
        | {way: statistics.median(p[name][way] for p in passes) for way in ("forward", "backward")}
        for name, row in passes[0].items()
    }


def theirs(turns: Mapping[str, Sequence[Mapping[str, Pair]]]) -> dict[str, Pair]:
    """The passes of each of a peer's versions -> of each layer the faster one's medians."""
    found: dict[str, Pair] = {}
    for passes in turns.values():
        for name in passes[0]:
            mid = tuple(statistics.median(p[name][i] for p in passes) for i in (0, 1))
            found[name] = tuple(map(min, mid, found.get(name, mid)))
    return found


def main() -> int:
    p = _report.parser(__doc__, repeat=5)
    p.add_argument("--size", type=int, help="pixels of a tile along each axis, default 572")
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--accuracy", action="store_true", help="errors instead of times")
    args = p.parse_args()
    base, size = args.base or 64, args.size or (284 if args.short else 572)
    if args.accuracy:
        return accuracy(_report.Report(args, f"3x3 layers of the U-Net of {base} channels"), base)
    args.repeat = min(args.repeat, 3) if args.short else args.repeat
    title = f"layers of the U-Net of {base} channels at {size} px, batch {args.batch}"
    report = _report.Report(args, title)
    for name in report.peers:
        if name != "torch":
            print(f"{name}: cannot run single layers")
    report.peers = [name for name in report.peers if name == "torch"]
    with tempfile.TemporaryDirectory() as folder:
        setting = {"folder": folder, "base": base, "size": size, "threads": args.threads}
        who = contestants("layers", report.ours, report.peers, **setting, batch=args.batch)
        outcomes = compete(who, args.repeat)
    failed = {name: o.error for name, o in outcomes.items() if o.error}
    for name, error in failed.items():
        print(f"{name}: {error}")
    found = {name: o.found for name, o in outcomes.items() if not o.error}
    peer = theirs({name: f for name, f in found.items() if name.startswith("torch")})
    work = {s.name: _unet.flop(s, _unet.sizes(size, base), args.batch) for s in _unet.steps(base)}
    for name in report.ours:
        if name in found:
            mine = medians(found[name])
            print(f"\n{name}\n{layer_table(mine, work, peer)}", flush=True)
            report.results[name] = {
                row: v | dict(zip(("flop_forward", "flop_backward"), work[row], strict=True))
                if row in work
                else v
                for row, v in mine.items()
            }
    if peer:
        report.results["torch, the faster layout of each layer"] = {
            row: {"forward": f, "backward": b} for row, (f, b) in peer.items()
        }
    report.write()
    return int(bool(failed))


def accuracy(report: _report.Report, base: int) -> int:
    """Print the errors beside double precision; 1 where an engine exceeds what is promised."""
    from demitasse.kernels.convolution import ACCURACY

    lines, worst = [], 0.0
    for inputs, outputs in _accuracy.shapes(base):
        name = f"{inputs} to {outputs}"
        found = dict(_accuracy.errors(inputs, outputs, _accuracy.OUTPUTS, report.args.threads))
        report.results[name] = found
        lines += [[name, engine, *(f"{e:.1e}" for e in each)] for engine, each in found.items()]
        worst = max(worst, *(e for each in found.values() for e in each))
    print(_report.table(["channels", "engine", "y", "dw", "dx"], lines, left=2))
    within = worst <= ACCURACY
    print(f"{'' if within else 'not '}all within {ACCURACY:g} of the largest result")
    report.write()
    return int(not within)


def layer_table(
    mine: Mapping[str, Mapping[str, Any]],
    work: Mapping[str, Pair],
    peer: Mapping[str, Pair],
) -> str:
    """A line for each layer and one for the sum."""
    head = ["layer", "engine", "output", "forward", "GFLOP/s", "backward", "GFLOP/s"]
    head += ["torch", "ours/torch", "torch back", "ours/torch"] if peer else []
    lines, ours, others, flops = [], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]

    def line(name: str, engine: str, shape: str, own: Pair, flop: Pair, other: Pair) -> None:
        cells = [name, engine, shape]
        for t, f in zip(own, flop, strict=True):
            cells += [_report.seconds(t), f"{f / t / 1e9:.0f}" if f and t else ""]
        if peer:
            for t, o in zip(own, other, strict=True):
                cells += [_report.seconds(o), f"{t / o:.2f}"] if o else ["", ""]
        lines.append(cells)

    for name, row in mine.items():
        own, flop = (row["forward"], row["backward"]), work.get(name, (0.0, 0.0))
        other = peer.get(name, (0.0, 0.0))
        line(name, row["engine"], "x".join(map(str, row["shape"])), own, flop, other)
        for i in (0, 1):
            ours[i], others[i], flops[i] = (
                ours[i] + own[i],
                others[i] + other[i],
                flops[i] + flop[i],
            )
    line("all", "", "", tuple(ours), tuple(flops), tuple(others))
    return _report.table(head, lines, left=3)


if __name__ == "__main__":
    sys.exit(main())
