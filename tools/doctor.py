"""What computes here, and whether it computes right: `python tools/doctor.py [FILE ...]`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("doctor")

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import DemitasseError
from . import _device, _machine, _options
from ._verify import checks, said

if TYPE_CHECKING:
    from ..weights import Checked

EPILOG = """\
examples:
  python tools/doctor.py
        libraries, threads, memory, why no GPU is used, and a small net against stored numbers
  python tools/doctor.py unet.h5 unet_iter_400.solverstate.h5
        the same, and every blob of these files against its checksum
  python tools/doctor.py --json > report.json
        for a program, or for a bug report

The exit code is 0 if all is well, else 1.
"""


@dataclass(frozen=True)
class Finding:
    """One line; well: None where it is neither good nor bad."""

    name: str
    well: bool | None
    text: str


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="doctor.py",
        description="Say what computes here, check it, and check files.",
        epilog=EPILOG,
    )
    p.add_argument("files", nargs="*", metavar="FILE", help="parameters or solver states to check")
    p.add_argument("--json", action="store_true", help="print JSON")
    return p


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    found: list[Finding] = []
    for finding in examined():
        found.append(finding)
        if not args.json:
            mark = {True: "ok", False: "BAD", None: "--"}[finding.well]
            print(f"{mark:4}{finding.name:10}{finding.text}", flush=True)
    well = all(finding.well is not False for finding in found)
    if args.json:
        files = {path: checks(path) for path in args.files}
        well &= all(checked.fine for checked in chain(*files.values()))
        print(json.dumps(report(found, files, well), indent=1))
    else:
        for path in args.files:
            print()
            well &= said(path)
    return 0 if well else 1


def report(found: Sequence[Finding], files: dict[str, list[Checked]], well: bool) -> dict[str, Any]:
    """All of it, for programs."""
    return {
        "demitasse": __version__,
        "well": well,
        "findings": [asdict(finding) for finding in found],
        "files": {path: [as_dict(checked) for checked in each] for path, each in files.items()},
    }


def as_dict(checked: Checked) -> dict[str, Any]:
    blobs = [blob._asdict() for blob in checked.blobs]
    return {**asdict(checked), "blobs": blobs, "fine": checked.fine}


def examined() -> Iterator[Finding]:
    """One thing after the other; the self test last, for it takes longest."""
    from ..kernels.workers import usable_cpus
    from ._training import blas

    yield Finding("demitasse", None, __version__)
    there, missing = _machine.versions()
    lacking = f"; missing: {', '.join(missing)}" if missing else ""
    yield Finding("versions", not missing, ", ".join(there) + lacking)
    yield Finding("cores", None, f"{usable_cpus()} of {os.cpu_count()} may be used")
    yield Finding("BLAS", None, blas())
    yield Finding("compiled", None, _machine.compiled())
    yield Finding("memory", None, _machine.memory())
    cards, reasons = _machine.gpu()
    why = f"not used: {'; '.join(reasons)}" if reasons else "used with -gpu N"
    yield Finding("GPU", None, "; ".join([*cards, why]))
    for engine in ("caffe", "auto"):
        yield self_test(f"engine {engine}", engine=engine)
    for number in range(0 if reasons else len(cards)):
        yield card_test(number)


def card_test(number: int) -> Finding:
    """One tile on a card."""
    try:
        card = _device.choose(str(number))
    except DemitasseError as error:
        return Finding("self test", False, str(error))
    return self_test(f"-gpu {number}", device=card)


def self_test(what: str, **options: Any) -> Finding:
    """One tile against the stored numbers; options: of `Net`."""
    from ..net.engines import engines
    from . import _selftest

    try:
        found, net = _selftest.numbers(**options)
    except Exception as error:  # whatever is broken here is the finding
        return Finding("self test", False, f"{what}: {type(error).__name__}: {error}")
    who = engines(net) if net.device.on_host else what
    off, where = _selftest.error(found)
    text = f"{who}: loss, score and gradients within {off:.1g} of the stored numbers"
    if off > _selftest.LIMIT:
        text = f"{who}: {where} is off by {off:.2g}, more than {_selftest.LIMIT:g}"
    return Finding("self test", off <= _selftest.LIMIT, text)
