"""What all benchmarks do before and after the contest: options, tables, ratios, JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import _contestants
import _limits
from _contestants import PEERS, US, VARIANTS
from _turns import Outcome

ROOT = Path(__file__).resolve().parent.parent
MIB = 1 << 20


def usable_cpus() -> int:
    """How many CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def several(allowed: Sequence[str]) -> Any:
    """Of argparse: "a,b" -> ["a", "b"], each of them allowed."""

    def parse(text: str) -> list[str]:
        names = [name for name in text.split(",") if name]
        for name in names:
            if name not in allowed:
                raise argparse.ArgumentTypeError(f"'{name}' is none of {', '.join(allowed)}")
        return names

    return parse


def numbers(text: str) -> list[int]:
    """ "188,284" -> [188, 284]."""
    return [int(part) for part in text.split(",")]


def parser(doc: str, *, repeat: int) -> argparse.ArgumentParser:
    """With the options that all benchmarks have."""
    p = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    p.add_argument("--base", type=int, help="channels at the top of the net")
    p.add_argument("--threads", type=int, default=usable_cpus(), help="of everybody (all CPUs)")
    p.add_argument("--repeat", type=int, default=repeat, help=f"turns, default {repeat}")
    p.add_argument(
        "--peer",
        type=several(tuple(PEERS)),
        default=[],
        metavar="NAME,NAME",
        help=f"who takes turns with us: {','.join(PEERS)}",
    )
    p.add_argument(
        "--ours",
        type=several(VARIANTS),
        default=["fast"],
        metavar="NAME,NAME",
        help="which of us: fast, numpy (without Numba), caffe (im2col), recompute; default fast",
    )
    p.add_argument("--short", action="store_true", help="the short form, for `make bench`")
    p.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    return p


class Report:
    """Prints the limits and the tables of one benchmark; collects and writes its JSON."""

    def __init__(self, args: argparse.Namespace, title: str) -> None:
        self.args = args
        self.name = Path(sys.argv[0]).stem
        print(f"{title}, float32, {cpu()}, {args.threads} thread{'s' * (args.threads > 1)}")
        self.peers = _contestants.installed(args.peer)
        self.ours = _contestants.variants(args.ours)
        self.limits = _limits.measure(args.threads)
        print(_limits.line(self.limits, args.threads), flush=True)
        self.results: dict[str, Any] = {}

    def write(self) -> None:
        if self.args.json is None:
            return
        record = {
            "benchmark": self.name,
            "date": date.today().isoformat(),
            "command": " ".join([f"benchmarks/{self.name}.py", *arguments(sys.argv[1:])]),
            "commit": commit(),
            "machine": machine(),
            "versions": _contestants.versions(self.peers),
            "threads": self.args.threads,
            "limits": self.limits,
            "results": self.results,
        }
        self.args.json.write_text(json.dumps(record, indent=1) + "\n")


def arguments(argv: Sequence[str]) -> list[str]:
    """The command line without the place of the JSON file, which is no part of the experiment."""
    kept, skip = [], False
    for word in argv:
        if not (skip or word == "--json" or word.startswith("--json=")):
            kept.append(word)
        skip = word == "--json"
    return kept


def machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": cpu(),
        "usable_cpus": usable_cpus(),
        "memory_gib": round(memory / 2**30, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }


def cpu() -> str:
    """The processor as the system names it (an EPYC in the cloud does not say which: its family and
    model do), and how many cores of it there are."""
    info = Path("/proc/cpuinfo")
    fields: dict[str, str] = {}
    for line in info.read_text().splitlines() if info.exists() else []:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    name = fields.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in fields:
        name += f" (family {fields['cpu family']}, model {fields['model']})"
    return f"{name}, {os.cpu_count()} cores"


def commit() -> str:
    """The commit measured; "+" where files have been changed since; "" outside of a clone."""
    try:
        found = [
            subprocess.run(
                ["git", *words], cwd=ROOT, capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "-uno"))
        ]
    except (OSError, subprocess.CalledProcessError):
        return ""
    return found[0] + "+" * bool(found[1])


def table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns as wide as need be; the first `left` of them start at the left, others end right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = []
    for row in (head, *rows):
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def ratios(outcomes: Mapping[str, Outcome]) -> list[dict[str, Any]]:
    """Each of us over each peer: medians of seconds, the lowest and highest ratio of one turn,
    and peak memory.  A peer with several versions is taken at its best, in each respect.
    """
    done = {name: o for name, o in outcomes.items() if not o.error}
    mine = [name for name in done if name.split()[0] == US]
    others: dict[str, list[str]] = {}
    for name in done:
        others.setdefault(name.split()[0], []).append(name)
    pairs = [(a, rival, names) for a in mine for rival, names in others.items() if rival != US]
    pairs += [(name, mine[0], [mine[0]]) for name in mine[1:]]
    found = []
    for name, rival, names in pairs:
        our, fastest = done[name], min(names, key=lambda n: done[n].median)
        turns = [a / b for a, b in zip(our.seconds, done[fastest].seconds, strict=True)]
        least = min(done[n].peak_bytes for n in names)
        found.append(
            {
                "ours": name,
                "peer": rival,
                "version": fastest,
                "time": our.median / done[fastest].median,
                "time_low": min(turns),
                "time_high": max(turns),
                "memory": our.peak_bytes / least,
            }
        )
    return found


def ratio_lines(found: Sequence[Mapping[str, Any]], indent: str = "  ") -> str:
    return "\n".join(
        f"{indent}{r['ours']} / {r['version']}: {r['time']:.2f} of the time "
        f"({r['time_low']:.2f} to {r['time_high']:.2f} turn by turn), "
        f"{r['memory']:.2f} of {r['peer']}'s least memory"
        for r in found
    )


def seconds(value: float) -> str:
    """With three digits or so."""
    return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.3g} ms"


def mib(value: float) -> str:
    return f"{value / MIB:,.0f} MiB"


def contest_table(outcomes: Mapping[str, Outcome]) -> str:
    """A line for each: median, minimum, maximum, memory when ready and at most."""
    rows = []
    for name, o in outcomes.items():
        if o.error:
            rows.append([name, o.error, "", "", "", ""])
        else:
            times = (o.median, min(o.seconds), max(o.seconds))
            rows.append([name, *map(seconds, times), mib(o.ready_bytes), mib(o.peak_bytes)])
    head = ["", "median", "least", "most", "loaded", "peak memory"]
    if not any(o.ready_bytes for o in outcomes.values()):  # whole processes
        del head[4]
        for row in rows:
            del row[4]
    return table(head, rows)


def record(outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """A contest for JSON."""
    return {
        "contestants": {name: o.record() for name, o in outcomes.items()},
        "ratios": ratios(outcomes),
    }
