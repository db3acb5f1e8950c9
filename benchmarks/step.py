"""Seconds and peak memory of one pass and one training step of the U-Net.

    python benchmarks/step.py                         the paper's net at 572 pixels
    python benchmarks/step.py --size 284 --repeat 9
    python benchmarks/step.py --peer torch            beside PyTorch (pip install torch)
    python benchmarks/step.py --net benchmarks/isbi2012/unet-16.prototxt --base 16 --peer torch

Each contestant lives in a process of its own and they take turns, so that a noisy neighbour meets
all of them: median, minimum and maximum over the repeats after one warm-up, the largest resident
memory of the process, and our median over the peer's.  Pixels are random.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
from demitasse.kernels.workers import usable_cpus

ROOT = Path(__file__).resolve().parent.parent


def ours(job: str, net: str, size: int, threads: int) -> Callable[[], None]:
    """A function that runs the job once on random pixels."""
    from demitasse import netspec
    from demitasse.net import Net
    from demitasse.solvers.sgd import SGD
    from demitasse.tools.plan import plan_deploy, training_graph

    source = netspec.read_net(net)
    graph, planned = plan_deploy(source, (1, 1, size, size), np.dtype(np.float32))
    rng = np.random.default_rng(0)
    if job == "forward":
        executable = Net(graph, threads=threads)
        work = executable.forward
    else:
        executable = Net(training_graph(source, graph, planned), threads=threads)
        text = 'base_lr: 1e-9 lr_policy: "fixed" momentum: 0.99 weight_decay: 0.0005 max_iter: 99'
        solver = SGD(netspec.parse_solver(text).message, executable)

        def work() -> None:
            executable.clear_param_diffs()
            executable.forward()
            executable.backward()
            if job == "step":
                solver.apply_update(0.0)

    def run() -> None:
        for name in executable.inputs:
            data = executable.blobs[name].data
            if name == "label":
                data[...] = rng.integers(0, 2, data.shape)
            else:
                data[...] = 1 if name == "weight" else rng.standard_normal(data.shape)
        work()

    return run


def serve(contestant: str, job: str, args: argparse.Namespace, pipe) -> None:
    """Run the job each time the parent says so; answer with seconds and the peak so far."""
    if contestant == "demitasse":
        run = ours(job, args.net, args.size, args.threads)
    else:
        import peer_torch

        run = peer_torch.make(
            job, args.size, args.base, contestant.endswith("channels_last"), args.threads
        )
    while pipe.recv():
        begin = time.perf_counter()
        run()
        seconds = time.perf_counter() - begin
        pipe.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))


def compete(contestants: list[str], job: str, args: argparse.Namespace) -> dict:
    """{contestant: its seconds and peak memory}, measured in turns."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = {}, []
    for name in contestants:
        pipes[name], theirs = context.Pipe()
        processes.append(context.Process(target=serve, args=(name, job, args, theirs)))
        processes[-1].start()
    found = {name: {"seconds": [], "peak_bytes": 0} for name in contestants}
    for turn in range(args.repeat + 1):
        for name, pipe in pipes.items():
            pipe.send(True)
            seconds, peak = pipe.recv()
            found[name]["peak_bytes"] = peak
            if turn:  # the first is a warm-up
                found[name]["seconds"].append(seconds)
            time.sleep(0.3)  # until the threads of whoever ran have gone to sleep
    for pipe, process in zip(pipes.values(), processes, strict=True):
        pipe.send(False)
        process.join()
    for result in found.values():
        result["median"] = statistics.median(result["seconds"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--net", default=str(ROOT / "models" / "unet.prototxt"))
    parser.add_argument("--size", type=int, default=572)
    parser.add_argument("--base", type=int, default=64, help="the peer's width at the top")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--threads", type=int, default=usable_cpus())
    parser.add_argument("--jobs", default="forward,forward+backward,step")
    parser.add_argument("--peer", choices=("torch",), help="who takes turns with us")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    contestants = ["demitasse"]
    if args.peer:
        contestants += ["torch contiguous", "torch channels_last"]
    results = {}
    print(f"{Path(args.net).name} at {args.size} px, float32, {cpu()}, {args.threads} threads")
    print(f"{'':40}{'median':>9}{'min':>9}{'max':>9}   peak memory   ours / theirs")
    for job in args.jobs.split(","):
        results[job] = found = compete(contestants, job, args)
        mine = found["demitasse"]
        for name, result in found.items():
            seconds, peak = result["seconds"], result["peak_bytes"]
            ratios = ""
            if name != "demitasse":
                result["time_ratio"] = mine["median"] / result["median"]
                result["memory_ratio"] = mine["peak_bytes"] / peak
                ratios = f"   {result['time_ratio']:.2f} time, {result['memory_ratio']:.2f} memory"
            print(
                f"{job:18}{name:22}{result['median']:8.2f}s{min(seconds):8.2f}s"
                f"{max(seconds):8.2f}s{peak / 2**30:11.2f} GiB{ratios}",
                flush=True,
            )
    if args.json:
        record = {"date": date.today().isoformat(), "net": Path(args.net).name, "size": args.size}
        record |= {"cpu": cpu(), "threads": args.threads, "jobs": results}
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
