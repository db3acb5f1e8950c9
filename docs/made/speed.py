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
    "numpy-572": "Without Numba, at 572 pixels",
    "deploy-512": "`deploy` of an image of 512 x 512 pixels, from the command to the file",
    "layers-572": "Layer by layer, at 572 pixels",
    "scaling-572": "How the cost grows",
}
JOBS = {"forward": "segmenting a tile", "step": "a training step"}
UNITS = {
    "size": "pixels of the tile",
    "base": "channels at the top",
    "batch": "tiles of 284 pixels",
}
MACHINES = {
    "": "Zen 3",
    "-xeon": "A Xeon with AVX-512",
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
    if record["benchmark"] == "layers":
        said = [layers(results)]
    elif record["benchmark"] == "scaling":
        said = growth(results)
    elif "contestants" in results:
        said = contest(results)
    else:
        said = [
            part
            for job, found in results.items()
            for part in ([f"{JOBS[job].capitalize()}:"] if len(results) > 1 else [])
            + contest(found)
        ]
    packages = ", ".join(f"{n} {v}" for n, v in record["versions"].items() if n != "scipy")
    source = (
        f"{record['date']}, {record['machine']['cpu']}, {record['threads']} threads; {packages}; "
        f"commit {record['commit']}; `python {record['command']}`, in "
        f"`benchmarks/results/{path.name}`."
    )
    return [*said, source]


def contest(job: dict[str, Any]) -> list[str]:
    """The table of a contest, and what it says against us."""
    rows = [row(name, c) for name, c in job["contestants"].items() if "median" in c]
    table = ["| | seconds, median | all turns | peak memory |", "|---|---|---|---|", *rows]
    return ["\n".join(table), *verdicts(job["ratios"])]


def layers(results: dict[str, Any]) -> str:
    """Milliseconds of each convolution, and the peer's."""
    (_, ours), (peer, theirs) = list(results.items())[:2]
    rows = [
        f"| {name} | {found['engine']} | "
        + " | ".join(
            f"{1e3 * who[name][way]:.1f}"
            for way in ("forward", "backward")
            for who in (ours, theirs)
        )
        + " |"
        for name, found in ours.items()
        if found.get("engine") and name in theirs
    ]
    head = f"| milliseconds | engine | forward | {peer} | backward | {peer} |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def growth(results: dict[str, Any]) -> list[str]:
    """Seconds and memory of each series, the laws fitted to them, and the deployer's tile."""
    said = []
    for series, unit in UNITS.items():
        done = {job: results[f"{series} {job}"] for job in JOBS if f"{series} {job}" in results}
        if not done:
            continue
        first = next(iter(done.values()))
        columns = [f"{JOBS[job]} | peak memory" for job in done]
        area = first.get("seconds_per_output_megapixel")
        columns += ["segmenting, for a megapixel of output"] * bool(area)
        rows = []
        for value in first["points"]:
            cells = [value]
            for found in done.values():
                ours = found["points"][value]["demitasse"]
                cells += [f"{ours['median']:.2f} s", f"{ours['peak_bytes'] / 2**20:,.0f} MiB"]
            cells += [f"{area[value]['demitasse']:,.1f} s"] if area else []
            rows.append(f"| {' | '.join(cells)} |")
        head = [
            f"| {unit} | {' | '.join(columns)} |",
            "|---" * (1 + 2 * len(done) + bool(area)) + "|",
        ]
        said += ["\n".join([*head, *rows]), f"Exponents fitted: {laws(done)}."]
    if "tiles" in results:
        found = results["tiles"]
        tried = ", ".join(
            f"{name} ({one['tiles'][0]} pixels) {one['median']:.2f} s"
            for name, one in found["tilings"].items()
        )
        said.append(
            f"An image of {found['image']} x {found['image']} pixels, by the tiles that `deploy` "
            f"chooses and by others: {tried}. The chosen ones take {found['chosen_over_best']:.2f} "
            f"of the best."
        )
    return said


def laws(done: dict[str, Any]) -> str:
    """Such as "segmenting a tile, seconds 2.18, memory beyond a constant 2.15"."""
    said = []
    for job, found in done.items():
        fits = found["fits"]["demitasse"]
        memory = fits.get("memory")
        words = f"{JOBS[job]}, seconds {fits['seconds']['exponent']:.2f}"
        said.append(
            words + (f", memory beyond a constant {memory['exponent']:.2f}" if memory else "")
        )
    return "; ".join(said)


def row(name: str, contestant: dict[str, Any]) -> str:
    turns = contestant["seconds"]
    return (
        f"| {name} | {contestant['median']:#.3g} | {min(turns):#.3g} to {max(turns):#.3g} "
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
