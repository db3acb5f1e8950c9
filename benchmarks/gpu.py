"""The U-Net on a card: step, forward pass, segmentation and every layer, beside PyTorch.

    python benchmarks/gpu.py                          572 pixels, batch 1: under 8 minutes
    python benchmarks/gpu.py --short                  fp32 and tf32, two turns
    python benchmarks/gpu.py --ours fp32,bf16 --peer strict --json figures.json
    python benchmarks/gpu.py --ours fp32,fp32-warps,tf32,tf32-warps     whether warpgroups pay
    python benchmarks/gpu.py --place cpu --base 2 --size 188     tries the script without a card

Contestants live in processes of their own and take turns (A B C A B C ...) on the same card; the
card's ceilings, a copy and large matrix products, are measured first.  Figures are medians over the
turns.  What ends in -warps has the products of a card of 9.0 made by single warps, as other cards
do, not by warpgroups.  A step copies image, labels and weights from pinned memory of the host, runs
forward and backward, and updates; of ours it is the solver's, which also looks at the loss and the
gradient's norm, and has the net's two dropouts.  Our passes are recorded as CUDA graphs; PyTorch
launches kernel by kernel, but for what ends in graph: its step and forward pass are recorded, too
(column `passes`).  `deploy` is from an image in memory to labels in memory; PyTorch's is never
recorded.  Device events measure all but that.  A layer's time is that of the device alone; a ReLU
counts as part of the convolution below it, a Crop and a Split as part of the Concat.  Memory is
what the allocator took from the card for training, the recorded graph's pool included.

A floor is the least time that the net's work can take (roofline.py): once by the data sheet of
--card, once by the ceilings just measured; of 3xTF32 and TF32 PyTorch measures them.  --json FILE
writes the tables, too, as FILE with .md at its end; nothing is written where there is no card or
nothing of ours ran.
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
from typing import Any, NamedTuple

import _report
from _cards import CARDS, Card
from _floors import totals
from _turns import Contestant, Outcome, compete
from roofline import counted

from layers import rows

PRECISIONS = ("fp32", "tf32", "bf16", "fp32-strict")
WARPS = "-warps"
CONTESTANTS = (*PRECISIONS, f"fp32{WARPS}", f"tf32{WARPS}")
PEERS = ("strict", "tf32 last", "tf32", "bf16 last", "strict graph", "tf32 last graph")
MODES = {"fp32": "3xTF32", "tf32": "TF32", "bf16": "bf16", "fp32-strict": "fp32"}
JOBS = ("step", "forward", "deploy")
CEILINGS = {  # the measured one that a precision's arithmetic has
    "fp32": "tf32_tflops",
    "tf32": "tf32_tflops",
    "bf16": "bf16_tflops",
    "fp32-strict": "sgemm_tflops",
}
TORCH = "a PyTorch for the driver's CUDA: https://pytorch.org/get-started/locally"


class Goal(NamedTuple):
    """What must be reached, and what is aimed at: at most so much of a figure."""

    title: str
    must: float
    aim: float
    unit: str = ""

    def verdict(self, value: float | None) -> str:
        if value is None:
            return f"{self.title}: not measured (must {self.must:g}, aim {self.aim:g}{self.unit})"
        words = ["met" if value <= bound else "not met" for bound in (self.must, self.aim)]
        return (
            f"{self.title}: {value:.3g}{self.unit}; must {self.must:g} {words[0]}, "
            f"aim {self.aim:g} {words[1]}"
        )


# of the paper's net, 64 channels at the top, at 572 pixels, and an image of 512
GOALS = {
    "fp32 / strict": Goal("fp32 step / torch strict step", 0.65, 0.45),
    "tf32 / tf32 last": Goal("tf32 step / torch tf32 last step", 1.1, 0.75),
    "fp32 / floor": Goal("fp32 step / its floor by the data sheet", 2.2, 1.5),
    "deploy": Goal("fp32 deploy of 512 x 512, from memory to memory", 30, 10, " ms"),
    "memory": Goal("memory of training, fp32", 1.9, 1.4, " GiB"),
}
GOALS_OF = (64, 572, 512)


def main() -> int:
    args = parser().parse_args()
    if args.short:
        args.ours, args.peer, args.repeat = ["fp32", "tf32"], ["strict", "tf32 last"], 2
    if importlib.util.find_spec("torch") is None:
        print(f"torch: not installed, so there is no comparison; it needs {TORCH}")
        args.peer = []
    card, limits = looked_up(args.place)
    if not card:
        print("nothing is measured or written: there is no card to measure")
        return 1
    print(f"U-Net of {args.base} channels at {args.size} px, batch 1, on {card}", flush=True)
    args.card = args.card or named(card)
    print(", ".join(f"{name} {value:.4g}" for name, value in limits.items()), flush=True)
    outcomes = compete(contestants(args), args.repeat, budget=args.budget)
    found = {name: summary(o) for name, o in outcomes.items()}
    results = {
        "contestants": found,
        "floors": floors_of(args, CARDS[args.card]),
        "measured_floors": floors_of(args, measured(limits), limits),
        "ratios": ratios(found),
        "scores": agreement(found),
    }
    if (args.base, args.size, args.image) == GOALS_OF:
        results["goals"] = reached(results)
    text = tables(results)
    print(f"\n{text}")
    if all("error" in f for name, f in found.items() if name[:5] != "torch"):
        print("\nnothing is written: nothing of ours ran to its end")
        return 1
    if args.json:
        made = record(args, card, limits, results)
        args.json.write_text(json.dumps(made, indent=1) + "\n")
        args.json.with_suffix(".md").write_text(page(made, text))
    return 0


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--base", type=int, default=64, help="channels at the top of the net")
    p.add_argument("--size", type=int, default=572, help="pixels of a tile along each axis")
    p.add_argument("--image", type=int, default=512, help="pixels of the image to segment")
    p.add_argument("--repeat", type=int, default=7, help="turns, default 7")
    p.add_argument("--ours", type=_report.several(CONTESTANTS), default=list(PRECISIONS))
    p.add_argument("--peer", type=_report.several(PEERS), default=list(PEERS))
    p.add_argument("--card", choices=CARDS, help="whose ceilings the floors are of, if not its own")
    p.add_argument("--budget", type=float, default=420, help="seconds for the contest, default 420")
    p.add_argument("--place", choices=("cuda", "cpu"), default="cuda")
    p.add_argument("--short", action="store_true", help="fewer contestants, two turns")
    p.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    return p


def looked_up(place: str) -> tuple[str, dict[str, float]]:
    """The card's name and its ceilings, found by a process of its own; no name: there is none."""
    limits = compete([Contestant("limits", "_gpu_limits", {"place": place})], 1)["limits"]
    if limits.error:
        print(f"limits: {limits.error}")
        return "", {}
    found = dict(limits.found[-1])
    return found.pop("card", "the CPU"), found


def named(card: str) -> str:
    """The row of _cards.py that a card's name stands for; the H100's where none does."""
    plain = card.lower().replace(" ", "").replace("-", "")
    return next((key for key in CARDS if key in plain), "h100")


def contestants(args: Any) -> list[Contestant]:
    """Ours and PyTorch's by turns, those first that matter most."""
    common = {"base": args.base, "size": args.size, "image": args.image, "place": args.place}
    ours = []
    for name in args.ours:
        asked = {"precision": name.removesuffix(WARPS), "warpgroups": not name.endswith(WARPS)}
        ours.append(Contestant(f"demitasse {name}", "_gpu_ours", {**common, **asked}))
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
        "warpgroups": turns[-1].get("warpgroups"),
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


def measured(limits: Mapping[str, float]) -> Card:
    """A card that can do what was measured; 0 for what was not."""
    names = ("copy_tb_s", "sgemm_tflops", "tf32_tflops", "bf16_tflops")
    return Card("as measured", *(1e12 * limits.get(name, 0) for name in names))


def floors_of(
    args: Any, card: Card, limits: Mapping[str, float] | None = None
) -> dict[str, dict[str, float]]:
    """Milliseconds of forward pass and step that no kernel can go below on that card, by our
    precisions; limits: only of those whose ceilings are among them."""
    found, parameters, _ = counted("", args.size, args.base)
    made = {}
    for name in args.ours:
        precision = name.removesuffix(WARPS)
        if limits is None or {"copy_tb_s", CEILINGS[precision]} <= set(limits):
            seconds = totals(found, card, MODES[precision], parameters)
            made[name] = {part: 1e3 * s for part, s in seconds.items()}
    return made


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


def figures(results: Mapping[str, Any]) -> dict[str, float | None]:
    """What GOALS are about; None where it was not measured."""
    made, fp32 = results["ratios"], results["contestants"].get("demitasse fp32", {})
    floor = results["floors"].get("fp32", {}).get("step")
    step, memory = fp32.get("step"), fp32.get("memory_bytes")
    return {
        "fp32 / strict": made.get("demitasse fp32 / torch strict", {}).get("step"),
        "tf32 / tf32 last": made.get("demitasse tf32 / torch tf32 last", {}).get("step"),
        "fp32 / floor": step / floor if step and floor else None,
        "deploy": fp32.get("deploy"),
        "memory": memory / 2**30 if memory else None,
    }


def reached(results: Mapping[str, Any]) -> dict[str, str]:
    """A verdict on each of GOALS."""
    return {name: GOALS[name].verdict(value) for name, value in figures(results).items()}


def tables(results: Mapping[str, Any]) -> str:
    """All that there is to see."""
    found = results["contestants"]
    parts = [
        table(found, results["floors"], results["measured_floors"]),
        "\n".join(ratio_lines(results)),
        "\n".join(goal_lines(results)),
        layer_table(found),
    ]
    return "\n\n".join(parts)


def table(
    found: Mapping[str, Mapping[str, Any]],
    floors: Mapping[str, Mapping[str, float]],
    measured_floors: Mapping[str, Mapping[str, float]],
) -> str:
    """A line for each contestant."""
    lines = []
    for name, f in found.items():
        if "error" in f:
            lines.append([name, f["error"], *[""] * 8])
            continue
        step = f["turns"]["step"]
        cells = [f"{f['step']:.2f}", f"{min(step):.2f}-{max(step):.2f}"]
        precision = name.removeprefix("demitasse ")
        floor = floors.get(precision, {}).get("step")
        cells += [f"{floor:.2f}", f"{f['step'] / floor:.2f}"] if floor else ["", ""]
        floor = measured_floors.get(precision, {}).get("step")
        cells += [f"{f['step'] / floor:.2f}" if floor else ""]
        cells += [f"{f['forward']:.2f}", f"{f['deploy']:.2f}", _report.mib(f["memory_bytes"])]
        cells += ["graph" if f["recorded"] else "eager"]
        lines.append([name, *cells])
    head = ["ms", "step", "turns", "floor", "step/floor", "of measured limits"]
    head += ["forward", "deploy", "memory", "passes"]
    return _report.table(head, lines)


def ratio_lines(results: Mapping[str, Any]) -> list[str]:
    """The ratios, and how far scores differ."""
    made = results["ratios"]
    lines = [
        f"{name}: step {r['step']:.2f} ({r['step_low']:.2f} to {r['step_high']:.2f} turn by turn), "
        f"forward {r['forward']:.2f}, deploy {r['deploy']:.2f}"
        for name, r in made.items()
    ]
    differ = ", ".join(f"{n} {d:.1e}" for n, d in results["scores"].items())
    return [*lines, f"scores differ from the first one's by: {differ}"]


def goal_lines(results: Mapping[str, Any]) -> list[str]:
    if "goals" not in results:
        base, size, image = GOALS_OF
        return [f"goals: only of {base} channels, {size} px and an image of {image} px"]
    return [f"goal: {said}" for said in results["goals"].values()]


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


def page(made: Mapping[str, Any], text: str) -> str:
    """The tables, and what they are of, as a page."""
    packages = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    limits = ", ".join(f"{name} {value:.4g}" for name, value in made["limits"].items())
    return (
        f"# U-Net on {made['machine']['card']}, {made['date']}\n\n"
        f"`python {made['command']}`, commit {made['commit']}; {packages}; measured limits: "
        f"{limits or 'none'}.\n\n```text\n{text}\n```\n"
    )


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
