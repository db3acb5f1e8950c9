"""Seconds and peak memory of one pass and one training step of the U-Net.

    python benchmarks/step.py                         the paper's net at 572 pixels
    python benchmarks/step.py --size 284 --repeat 9

Each figure is measured in a process of its own on random pixels: median, minimum and maximum over
the repeats after one warm-up, and the largest resident memory of that process.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import resource
import statistics
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent


def measure(job: str, net: str, size: int, repeat: int, pipe) -> None:
    """Time `job` and send (seconds of each repeat, peak bytes)."""
    from demitasse import netspec
    from demitasse.net import Net
    from demitasse.solvers.sgd import SGD
    from demitasse.tools.plan import plan_deploy, training_graph

    source = netspec.read_net(net)
    graph, planned = plan_deploy(source, (1, 1, size, size), np.dtype(np.float32))
    rng = np.random.default_rng(0)
    if job == "forward":
        executable = Net(graph)
        run = executable.forward
    else:
        executable = Net(training_graph(source, graph, planned))
        text = 'base_lr: 1e-9 lr_policy: "fixed" momentum: 0.99 weight_decay: 0.0005 max_iter: 99'
        solver = SGD(netspec.parse_solver(text).message, executable)

        def run() -> None:
            executable.clear_param_diffs()
            executable.forward()
            executable.backward()
            if job == "step":
                solver.apply_update(0.0)

    def fill() -> None:
        for name in executable.inputs:
            data = executable.blobs[name].data
            if name == "label":
                data[...] = rng.integers(0, 2, data.shape)
            else:
                data[...] = 1 if name == "weight" else rng.standard_normal(data.shape)

    seconds = []
    for i in range(repeat + 1):
        fill()
        begin = time.perf_counter()
        run()
        if i:
            seconds.append(time.perf_counter() - begin)
    pipe.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--net", default=str(ROOT / "models" / "unet.prototxt"))
    parser.add_argument("--size", type=int, default=572)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    results = {}
    print(f"{Path(args.net).name} at {args.size} px, float32, {cpu()}")
    print(f"{'':24}{'median':>9}{'min':>9}{'max':>9}   peak memory")
    for job in ("forward", "forward+backward", "step"):
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        process = context.Process(
            target=measure, args=(job, args.net, args.size, args.repeat, theirs)
        )
        process.start()
        seconds, peak = mine.recv()
        process.join()
        middle = statistics.median(seconds)
        print(
            f"{job:24}{middle:8.2f}s{min(seconds):8.2f}s{max(seconds):8.2f}s"
            f"   {peak / 2**30:.2f} GiB",
            flush=True,
        )
        results[job] = {"seconds": seconds, "median": middle, "peak_bytes": peak}
    if args.json:
        record = {"net": Path(args.net).name, "size": args.size, "cpu": cpu(), **results}
        args.json.write_text(json.dumps(record, indent=1) + "\n")


def cpu() -> str:
    """The processor, as the system names it, and how many cores of it there are."""
    import os

    info = Path("/proc/cpuinfo")
    names = [
        line.split(":")[1].strip()
        for line in (info.read_text().splitlines() if info.exists() else [])
        if line.startswith("model name")
    ]
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
