"""The floors of the paper's net on a card, from benchmarks/results/: computed, not measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "roofline-572-h200.json"
MODES = {"3xTF32": "`fp32`", "TF32": "`tf32`", "bf16": "`bf16`", "fp32": "`fp32-strict`"}


def tables() -> str:
    record = json.loads(FILE.read_text())
    card = record["card"]
    rates = ", ".join(f"{mode} {card[mode] / 1e12:.4g}" for mode in ("fp32", "tf32", "bf16"))
    head = ["ms", *MODES.values()]
    totals = [
        [part, *(f"{1e3 * record['totals'][mode][part]:.2f}" for mode in MODES)]
        for part in ("forward", "backward", "update", "step")
    ]
    layer_head = ["us, forward / backward", "top", "GFLOP", *MODES.values()]
    layers = [layer(name, row) for name, row in record["layers"].items()]
    source = (
        f"{card['name']}: {card['bandwidth'] / 1e12:g} TB/s, {rates} TFLOP/s; "
        f"`python {record['command']}`, in `benchmarks/results/{FILE.name}`."
    )
    return "\n\n".join([table(head, totals), table(layer_head, layers), source])


def layer(name: str, row: dict[str, Any]) -> list[str]:
    shape = "x".join(map(str, row["shape"][1:]))
    floors = [" / ".join(f"{1e6 * seconds:.0f}" for seconds in row[mode]) for mode in MODES]
    return [name, shape, f"{sum(row['flop']) / 1e9:.2f}", *floors]


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
