"""Tables of speed and memory, from benchmarks/results/: of each measurement the newest file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
NAMES = {  # what a file is about, in the order of the page
    "forward-572": "Segmenting a tile of 572 pixels",
    "forward-188": "Segmenting a tile of 188 pixels, the smallest",
    "step-572": "A training step at 572 pixels",
    "step-284": "A training step at 284 pixels",
    "step-572-base16": "A training step at 572 pixels, 16 channels at the top instead of 64",
    "numpy-572": "Segmenting a tile of 572 pixels without Numba",
    "deploy-512": "`deploy` of an image of 512 x 512 pixels, from the command to the file",
}
MACHINES = {
    "": "Zen 3",
    "-zen4": "Zen 4, with AVX-512, an earlier version",
}  # how a file's name ends


def newest() -> dict[str, Path]:
    """{measurement: file}."""
    found: dict[str, Path] = {}
    for path in sorted(RESULTS.glob("*.json")):  # a date sorts like a word
        if matched := re.fullmatch(r"(.+)-\d{4}-\d\d-\d\d", path.stem):
            found[matched[1]] = path
    return found


def tables() -> str:
    files, said = newest(), list[str]()
    for name, title in NAMES.items():
        said.append(f"## {title}")
        for end, machine in MACHINES.items():
            if name + end in files:
                said += [f"**{machine}**", *parts(files[name + end])]
    return "\n\n".join(said)


def parts(path: Path) -> list[str]:
    """What was measured, how, and what to see in it."""
    record = json.loads(path.read_text())
    results = record["results"]
    job = results if "contestants" in results else next(iter(results.values()))
    rows = [row(name, c) for name, c in job["contestants"].items() if "median" in c]
    table = ["| | seconds, median | all turns | peak memory |", "|---|---|---|---|", *rows]
    packages = ", ".join(f"{n} {v}" for n, v in record["versions"].items() if n != "scipy")
    source = (
        f"{record['date']}, {record['machine']['cpu']}, {record['threads']} threads; {packages}; "
        f"commit {record['commit']}; `python {record['command']}`, in "
        f"`benchmarks/results/{path.name}`."
    )
    return ["\n".join(table), *verdicts(job["ratios"]), source]


def row(name: str, contestant: dict[str, Any]) -> str:
    turns = contestant["seconds"]
    return (
        f"| {name} | {contestant['median']:.2f} | {min(turns):.2f} to {max(turns):.2f} "
        f"| {contestant['peak_bytes'] / 2**20:,.0f} MiB |"
    )


def verdicts(ratios: list[dict[str, Any]]) -> list[str]:
    """A sentence for each peer that is faster or smaller, or too near to tell."""
    said = []
    for r in ratios:
        if r["peer"] == "demitasse":  # one of our own ways against another
            continue
        who, peer = r["ours"], r["version"]
        if r["time"] > 1:
            said.append(f"{who} takes {r['time']:.2f} times as long as {peer}.")
        elif r["time_high"] > 1:
            said.append(
                f"Single turns of {who} took {r['time_low']:.2f} to {r['time_high']:.2f} times "
                f"those of {peer}, so which is faster is not certain."
            )
        if r["memory"] > 1:
            said.append(f"{who} takes {r['memory']:.2f} times the memory of {peer}.")
    return [" ".join(said)] if said else []
