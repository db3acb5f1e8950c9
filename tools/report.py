"""A page about a training: `python tools/report.py RUN -o report.html`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("report")

from collections.abc import Sequence
from pathlib import Path

from ..files import check_writable, replacing
from . import _options, _runs

EPILOG = """\
examples:
  python tools/report.py runs/unet -o report.html
        the folder of a training's snapshots, where its log.jsonl is: one file to open in a browser
        or to send to somebody, with curves, worst and best tiles, settings and hashes
  python tools/report.py --compare runs/a runs/b -o compared.html
        the curves of both on the same axes, and the settings that differ
  python tools/report.py old/train.log -o report.html
        what a log in Caffe's format tells: curves, scores, settings
  python tools/report.py runs/unet -o report.html --tiles 0
        without running the net

The page holds no script and asks the network for nothing.
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="report.py", description="Make a page about a training.", epilog=EPILOG
    )
    p.add_argument(
        "runs",
        nargs="+",
        metavar="RUN",
        help="a folder with log.jsonl, FOLDER/PREFIX of one of several trainings in it (else the "
        "last), that file, or Caffe's log",
    )
    p.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path("report.html"),
        metavar="FILE",
        help="the page to write (default report.html)",
    )
    p.add_argument(
        "--compare", action="store_true", help="several runs: their curves, what differs"
    )
    p.add_argument(
        "--tiles",
        type=_options.count,
        default=3,
        metavar="N",
        help="so many worst and best tiles of the test data (default 3; 0 runs no net)",
    )
    _options.add_python(p)
    p.add_argument("--overwrite", action="store_true", help="replace the file if it exists")
    return p


def main(argv: Sequence[str]) -> int:
    p = parser()
    args = p.parse_args(argv)
    if len(args.runs) > 1 and not args.compare:
        p.error("several runs go together with --compare")
    if args.compare and len(args.runs) < 2:
        p.error("--compare wants two runs or more")
    check_writable(args.output, overwrite=args.overwrite)
    runs = [_runs.read(path) for path in args.runs]
    for run in runs:
        if run.others:
            others = " or ".join(str(run.path.parent / name) for name in run.others)
            print(f"{run.path}: the last training, {run.name}; to see another name {others}")
    from . import _compare_page, _run_page

    if args.compare:
        text = _compare_page.page(runs)
    else:
        text = _run_page.page(runs[0], args.tiles, allow_python=args.allow_python_layers)
    with replacing(args.output, overwrite=args.overwrite) as temporary:
        written = temporary.write_bytes(text.encode("utf-8", "replace"))
    print(f"{args.output}: {written / 2**20:.1f} MiB, open it in a browser")
    return 0
