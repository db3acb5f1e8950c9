"""Seconds and peak memory of one pass and one training step of the U-Net.

    python benchmarks/step.py                                    the paper's net at 572 pixels
    python benchmarks/step.py --size 284 --repeat 9
    python benchmarks/step.py --peer torch,ncnn,onnxruntime,openvino
    python benchmarks/step.py --base 16 --jobs step --peer torch
    python benchmarks/step.py --ours fast,numpy --peer torch     also as without Numba
    python benchmarks/step.py --check --peer torch,ncnn          do all compute the same scores?

Each contestant lives in a process of its own and they take turns, so that a noisy neighbour meets
all of them.  Peers that do not train take part in the forward pass only.  All load the same
weights and see the same pixels.
"""

from __future__ import annotations

import sys
import tempfile

import _report
import numpy as np
from _contestants import contestants
from _turns import compete

JOBS = ("forward", "forward+backward", "step")
AGREE = 1e-3  # of the largest score


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
    """Compare everybody's scores with ours: 1 where they differ by more than AGREE of the
    largest."""
    outcomes = compete(contestants("scores", report.ours, report.peers, **setting), 1)
    for name, o in outcomes.items():
        if o.error:
            print(f"{name}: {o.error}")
    mine = outcomes[report.ours[0]].found[0]
    worst = {}
    for name, o in outcomes.items():
        if not o.error:
            worst[name] = float(np.abs(o.found[0] - mine).max() / np.abs(mine).max())
            print(f"{name}: scores {o.found[0].shape} differ by {worst[name]:.1e} of the largest")
    report.results["check"] = worst
    same = len(worst) == len(outcomes) and max(worst.values()) <= AGREE
    print("all agree" if same else f"not all agree to {AGREE}")
    return int(not same)


if __name__ == "__main__":
    sys.exit(main())
