"""Peak resident memory of the process, forward and in training, and what our plan said before.

    python benchmarks/memory.py                        the paper's net at 572 pixels
    python benchmarks/memory.py --peer torch,ncnn,onnxruntime,openvino
    python benchmarks/memory.py --recompute --peer torch
                                a training step with Net(recompute=True) beside the plain one

"loaded" is what the process holds when the net is there and no pass has been made: interpreter,
libraries and parameters; "peak memory" the largest resident set up to the last turn.  Seconds are
measured by the way, in turns, so what saved memory costs is seen.
"""

from __future__ import annotations

import sys
import tempfile

import _report
from _contestants import contestants
from _turns import compete


def main() -> int:
    p = _report.parser(__doc__, repeat=3)
    p.add_argument("--size", type=int, help="pixels of a tile along each axis, default 572")
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--recompute", action="store_true", help="the same as --ours ...,recompute")
    args = p.parse_args()
    base, size = args.base or 64, args.size or (284 if args.short else 572)
    if args.short:
        args.repeat = 1
    if (args.recompute or args.short) and "recompute" not in args.ours:
        args.ours = [*args.ours, "recompute"]
    title = f"memory of the U-Net of {base} channels at {size} px, batch {args.batch}"
    report, failed = _report.Report(args, title), False
    with tempfile.TemporaryDirectory() as folder:
        for job in ("forward", "step"):
            who = contestants(
                job,
                report.ours,
                report.peers,
                folder=folder,
                base=base,
                size=size,
                threads=args.threads,
                batch=args.batch,
            )
            outcomes = compete(who, args.repeat)
            report.results[job] = _report.record(outcomes)
            print(f"\n{job}\n{_report.contest_table(outcomes)}")
            for name, o in outcomes.items():
                if o.found and o.found[0]:
                    report.results[job]["contestants"][name]["planned_bytes"] = o.found[0]
                    sizes = ", ".join(f"{what} {_report.mib(n)}" for what, n in o.found[0].items())
                    print(f"  {name} planned: {sizes}")
            if ratios := report.results[job]["ratios"]:
                print(_report.ratio_lines(ratios))
            sys.stdout.flush()
            failed |= any(o.error for o in outcomes.values())
    report.write()
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
