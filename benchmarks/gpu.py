"""The U-Net on a card: step, forward pass, segmentation and every layer, beside PyTorch.

    python benchmarks/gpu.py                          572 pixels, batch 1: under 8 minutes
    python benchmarks/gpu.py --short                  fp32 and tf32, two turns
    python benchmarks/gpu.py --ours fp32,bf16 --peer strict --json figures.json
    python benchmarks/gpu.py --place cpu --base 2 --size 188     tries the script without a card

Contestants live in processes of their own and take turns (A B C A B C ...) on the same card; the
card's ceilings, a copy and large matrix products, are measured first.  Figures are medians over the
turns.  A step copies image, labels and weights from the host, runs forward and backward, and
updates; of ours it is the solver's, which also looks at the loss and the gradient's norm, and has
the net's two dropouts.  `deploy` is from an image in memory to labels in memory.  Device events
measure all but that.  A layer's time is that of the device alone; a ReLU counts as part of the
convolution below it, a Crop and a Split as part of the Concat.  Memory is what the allocator took
from the card for training.  The floor is that of the data sheet (roofline.py), of --card.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import _report
from _cards import CARDS
from _floors import totals
from _turns import Contestant, Outcome, compete
from roofline import counted

from layers import rows

PRECISIONS = ("fp32", "tf32", "bf16", "fp32-strict")
PEERS = ("strict", "tf32 last", "tf32", "bf16 last")
MODES = {"fp32": "3xTF32", "tf32": "TF32", "bf16": "bf16", "fp32-strict": "fp32"}
JOBS = ("step", "forward", "deploy")
# what must be reached, and what is aimed at: ours, over whom, which job
GOALS = (
    ("fp32", "strict", "step", 0.65, 0.45),
    ("tf32", "tf32 last", "step", 1.1, 0.75),
)


def main() -> int:
    args = parser().parse_args()
    if args.short:
        args.ours, args.peer, args.repeat = ["fp32", "tf32"], ["strict", "tf32 last"], 2
    if importlib.util.find_spec("torch") is None:
        print("torch: not installed, so there is no comparison (pip install torch)")
        args.peer = []
    card, limits = looked_up(args.place)
    print(f"U-Net of {args.base} channels at {args.size} px, batch 1, on {card}", flush=True)
    args.card = args.card or named(card)
    print(", ".join(f"{name} {value:.4g}" for name, value in limits.items()), flush=True)
    outcomes = compete(contestants(args), args.repeat, budget=args.budget)
    found = {name: summary(o) for name, o in outcomes.items()}
    floors = floors_of(args)
    results = {
        "contestants": found,
        "floors": floors,
        "ratios": ratios(found),
        "scores": agreement(found),
    }
    print(f"\n{table(found, floors)}\n")
    print("\n".join(ratio_lines(results)))
    print(f"\n{layer_table(found)}")
    if args.json:
        args.json.write_text(json.dumps(record(args, card, limits, results), indent=1) + "\n")
    return int(all("error" in f for f in found.values()))


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--base", type=int, default=64, help="channels at the top of the net")
    p.add_argument("--size", type=int, default=572, help="pixels of a tile along each axis")
    p.add_argument("--image", type=int, default=512, help="pixels of the image to segment")
    p.add_argument("--repeat", type=int, default=7, help="turns, default 7")
    p.add_argument("--ours", type=_report.several(PRECISIONS), default=list(PRECISIONS))
    p.add_argument("--peer", type=_report.several(PEERS), default=list(PEERS))
    p.add_argument("--card", choices=CARDS, help="whose ceilings the floors are of, if not its own")
    p.add_argument("--budget", type=float, default=420, help="seconds for the contest, default 420")
    p.add_argument("--place", choices=("cuda", "cpu"), default="cuda")
    p.add_argument("--short", action="store_true", help="fewer contestants, two turns")
    p.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    return p


def looked_up(place: str) -> tuple[str, dict[str, float]]:
    """The card's name and its ceilings, found by a process of its own."""
    limits = compete([Contestant("limits", "_gpu_limits", {"place": place})], 1)["limits"]
    if limits.error:
        print(f"limits: {limits.error}")
        return "no card", {}
    found = dict(limits.found[-1])
    return found.pop("card", "the CPU"), found


def named(card: str) -> str:
    """The row of _cards.py that a card's name stands for; the H100's where none does."""
    plain = card.lower().replace(" ", "").replace("-", "")
    return next((key for key in CARDS if key in plain), "h100")


def contestants(args: Any) -> list[Contestant]:
    """Ours and PyTorch's by turns, those first that matter most."""
    common = {"base": args.base, "size": args.size, "image": args.image, "place": args.place}
    ours = [
        Contestant(f"demitasse {p}", "_gpu_ours", {**common, "precision": p}) for p in args.ours
    ]
    theirs = [Contestant(f"torch {m}", "_gpu_torch", {**common, "mode": m}) for m in args.peer]
    found = []
    for i in range(max(len(ours), len(theirs))):
        found += ours[i : i + 1] + theirs[i : i + 1]
    return found


def summary(outcome: Outcome) -> dict[str, Any]:
    """Medians over the turns of one contestant: milliseconds; {"error"} where it has none."""
    turns = outcome.found
    if outcome.error or not turns:
        return {"error": outcome.error or "no turn"}
    found = {job: statistics.median(t[job] for t in turns) for job in JOBS}
    passes = [as_rows(t["layers"]) for t in turns]
    return {
        **found,
        "turns": {job: [t[job] for t in turns] for job in JOBS},
        "memory_bytes": turns[-1]["memory_bytes"],
        "recorded": turns[-1].get("recorded"),
        "scores": turns[-1]["scores"],
        "layers": {
            name: [statistics.median(p[name][i] for p in passes) for i in (0, 1)]
            for name in passes[0]
        },
    }


def as_rows(found: Any) -> dict[str, tuple[float, float]]:
    """Forward and backward by layer, of ours (a list of all layers) or of PyTorch's (by name)."""
    if isinstance(found, Mapping):
        return dict(found)
    return {name: (row["forward"], row["backward"]) for name, row in rows(found).items()}


def floors_of(args: Any) -> dict[str, dict[str, float]]:
    """Milliseconds of forward pass and step that no kernel can go below, by our precisions."""
    found, parameters, _ = counted("", args.size, args.base)
    return {
        p: {k: 1e3 * v for k, v in totals(found, CARDS[args.card], MODES[p], parameters).items()}
        for p in args.ours
    }


def ratios(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Each of ours over each of PyTorch's, by job: of medians, and of single turns the extremes."""
    done = {name: f for name, f in found.items() if "error" not in f}
    pairs = [(a, b) for a in done if a[:5] != "torch" for b in done if b[:5] == "torch"]
    made = {}
    for a, b in pairs:
        made[f"{a} / {b}"] = {job: done[a][job] / done[b][job] for job in JOBS}
        turns = zip(done[a]["turns"]["step"], done[b]["turns"]["step"], strict=False)
        each = [x / y for x, y in turns]
        made[f"{a} / {b}"] |= {"step_low": min(each), "step_high": max(each)}
    return made


def agreement(found: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """The largest difference of everybody's scores from the first one's, of the largest."""
    scores = {name: f["scores"] for name, f in found.items() if "error" not in f}
    if not scores:
        return {}
    first = next(iter(scores.values()))
    most = max(map(abs, first))
    return {
        n: max(abs(a - b) for a, b in zip(s, first, strict=True)) / most for n, s in scores.items()
    }


def table(found: Mapping[str, Mapping[str, Any]], floors: Mapping[str, Mapping[str, float]]) -> str:
    """A line for each contestant."""
    lines = []
    for name, f in found.items():
        if "error" in f:
            lines.append([name, f["error"], *[""] * 6])
            continue
        floor = floors.get(name.removeprefix("demitasse "), {}).get("step")
        step = f["turns"]["step"]
        cells = [f"{f['step']:.2f}", f"{min(step):.2f}-{max(step):.2f}"]
        cells += [f"{floor:.2f}", f"{f['step'] / floor:.2f}"] if floor else ["", ""]
        cells += [f"{f['forward']:.2f}", f"{f['deploy']:.2f}", _report.mib(f["memory_bytes"])]
        lines.append([name, *cells])
    head = ["ms", "step", "turns", "floor", "step/floor", "forward", "deploy", "memory"]
    return _report.table(head, lines)


def ratio_lines(results: Mapping[str, Any]) -> list[str]:
    """The ratios, the goals among them marked, and how far scores differ."""
    made = results["ratios"]
    lines = [
        f"{name}: step {r['step']:.2f} ({r['step_low']:.2f} to {r['step_high']:.2f} turn by turn), "
        f"forward {r['forward']:.2f}, deploy {r['deploy']:.2f}"
        for name, r in made.items()
    ]
    for ours, peer, job, must, aim in GOALS:
        found = made.get(f"demitasse {ours} / torch {peer}")
        if found:
            word = "missed" if found[job] > must else "aim" if found[job] <= aim else "kept"
            lines.append(f"goal: {ours} {job} / torch {peer}: {found[job]:.2f}, {word} ({must})")
    differ = ", ".join(f"{n} {d:.1e}" for n, d in results["scores"].items())
    return [*lines, f"scores differ from the first one's by: {differ}"]


def layer_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Milliseconds forward and backward of each layer, a column for each contestant."""
    done = {name: f["layers"] for name, f in found.items() if "error" not in f}
    names: Sequence[str] = list(dict.fromkeys(n for layers in done.values() for n in layers))
    lines = []
    for name in names:
        pairs = [layers.get(name) for layers in done.values()]
        lines.append([name, *(f"{p[0]:.3f} {p[1]:.3f}" if p else "" for p in pairs)])
    return _report.table(["layer (ms forward, backward)", *done], lines)


def record(args: Any, card: str, limits: Mapping[str, float], results: Any) -> dict[str, Any]:
    return {
        "benchmark": "gpu",
        "date": date.today().isoformat(),
        "command": " ".join(["benchmarks/gpu.py", *_report.arguments(sys.argv[1:])]),
        "commit": _report.commit(),
        "machine": {**_report.machine(), "card": card},
        "versions": versions(),
        "limits": dict(limits),
        "results": results,
    }


def versions() -> dict[str, str]:
    """Of what computes, where it is installed."""
    found = {}
    for name in ("numpy", "cupy-cuda13x", "cupy-cuda12x", "torch", "nvidia-cudnn-cu13"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
