"""Whether a file is as it was written: `--verify FILE`, and what tools/doctor.py says of files."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DemitasseError
from ._table import Table, show

if TYPE_CHECKING:
    from ..weights import Checked
    from ..weights.checking import Blob


def add_verify(parser: argparse.ArgumentParser) -> None:
    """`--verify FILE`: check it and do nothing else."""
    parser.add_argument(
        "--verify",
        action=_Verify,
        metavar="FILE",
        help="check a parameter file or solver state, blob by blob, and do nothing else",
    )


class _Verify(argparse.Action):
    """Like --help: it needs no other argument."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: Any = None
    ) -> None:
        parser.exit(0 if said(str(values)) else 1)


def said(path: str) -> bool:
    """Print what a file holds; return whether all is well."""
    found = checks(path)
    for checked in found:
        rows = [[blob.name, blob.kind, _state(blob)] for blob in checked.blobs]
        if rows:
            show(Table(["blob", "shape", "state"], rows))
        print(verdict(checked))
    return all(checked.fine for checked in found)


def checks(path: str) -> list[Checked]:
    """The file, and the parameters that it names where it is a solver state."""
    from .. import weights
    from ..solvers import snapshot

    found = [weights.check(path)]
    if found[0].learned_net:
        try:
            found.append(weights.check(snapshot.beside(Path(path), found[0].learned_net)))
            if all(checked.fine for checked in found):
                snapshot.load(Path(path))  # are they of the same run?
        except DemitasseError as error:
            found[0] = replace(found[0], problems=(str(error),))
    return found


def _state(blob: Blob) -> str:
    return f"{blob.state}: {blob.why}" if blob.why else blob.state


def verdict(checked: Checked) -> str:
    """One line, and one for each problem."""
    if not checked.kind:
        return "\n".join(checked.problems)
    counts = Counter(blob.state for blob in checked.blobs)
    parts = ", ".join(f"{count} {state}" for state, count in counts.items())
    line = f"{checked.path}: {checked.kind}" + (f", blobs: {parts}" if parts else "")
    return "\n".join([line, *checked.problems])
