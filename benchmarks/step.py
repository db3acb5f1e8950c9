"""Seconds and peak memory of one pass and one training step of the U-Net.

    python benchmarks/step.py                                    the paper's net at 572 pixels
    python benchmarks/step.py --size 284 --repeat 9
    python benchmarks/step.py --peer torch,ncnn,onnxruntime,openvino
    python benchmarks/step.py --base 16 --jobs step --peer torch
    python benchmarks/step.py --ours fast,numpy --peer torch     also as without Numba
    python benchmarks/step.py --check --peer torch,ncnn          do all compute the same?

Each contestant lives in a process of its own and they take turns, so that a noisy neighbour meets
all of them.  Peers that do not train take part in the forward pass only.  All load the same
weights and see the same pixels.

--check compares the scores of all with those of im2col (`--engine caffe`), of the largest; and our
own gradients, each parameter's by itself, of its largest.  Gradients differ more, because a ReLU or
a maximum that two engines decide differently, of values nearly alike, passes a gradient or does
not.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import _report
import numpy as np
from _contestants import US, contestants
from _turns import compete

JOBS = ("forward", "forward+backward", "step")
AGREE, GRADIENTS = 1e-3, 1e-2  # of the largest score, of a parameter's largest gradient
CAFFE = f"{US} caffe"


def main() -> int:
    p = _report.parser(__doc__, repeat=5)
    p.add_argument("--size", type=int, help="pixels of a tile along each axis, default 572")
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--jobs", type=_report.several(JOBS), default=["forward", "step"])
    p.add_argument("--check", action="store_true", help="compare scores instead of times")
    args = p.parse_args()
    base = args.base or 64
    size = args.size or (188 if args.check else 284 if args.short else 572)
    if args.short:
        args.repeat = min(args.repeat, 3)
    report = _report.Report(args, f"U-Net of {base} channels at {size} px, batch {args.batch}")
    with tempfile.TemporaryDirectory() as folder:
        setting = {"folder": folder, "base": base, "size": size, "threads": args.threads}
        setting["batch"] = args.batch
        if args.check:
            failed = check(report, setting)
        else:
            failed = measure(report, args.jobs, setting, args.repeat)
    report.write()
    return failed


def measure(report: _report.Report, jobs: list[str], setting: dict, repeat: int) -> int:
    failed = 0
    for job in jobs:
        outcomes = compete(contestants(job, report.ours, report.peers, **setting), repeat)
        report.results[job] = _report.record(outcomes)
        print(f"\n{job}\n{_report.contest_table(outcomes)}")
        if ratios := report.results[job]["ratios"]:
            print(_report.ratio_lines(ratios))
        sys.stdout.flush()
        failed |= any(o.error for o in outcomes.values())
    return int(failed)


def check(report: _report.Report, setting: dict) -> int:
    """Compare everybody's scores with im2col's, and our gradients: 1 where they differ too much."""
    everybody = [CAFFE, *(name for name in report.ours if name != CAFFE)]
    failed = False
    for job, peers, limit in (("scores", report.peers, AGREE), ("gradients", [], GRADIENTS)):
        outcomes = compete(contestants(job, everybody, peers, **setting), 1)
        found = {name: o.found[0] for name, o in outcomes.items() if not o.error}
        for name, o in outcomes.items():
            if o.error:
                print(f"{name}: {o.error}")
        failed |= len(found) < len(outcomes)
        if CAFFE not in found:
            continue
        worst = {n: differences(f, found[CAFFE]) for n, f in found.items() if n != CAFFE}
        for name, each in worst.items():
            most = max(each, key=each.__getitem__)
            failed |= not each[most] <= limit
            print(
                f"{name}: {job} differ by up to {each[most]:.1e} of the largest"
                f"{f' ({most})' if len(each) > 1 else ''}, may by {limit:g}"
            )
        report.results[job] = worst
    print("not all agree" if failed else "all agree")
    return int(failed)


def differences(found: Any, right: Any) -> dict[str, float]:
    """Of each array the largest difference, as part of the largest element."""
    if not isinstance(right, dict):
        found, right = {"score": found}, {"score": right}
    return {
        name: float(np.abs(found[name] - r).max() / max(np.abs(r).max(), np.finfo("f").tiny))
        for name, r in right.items()
    }


if __name__ == "__main__":
    sys.exit(main())
