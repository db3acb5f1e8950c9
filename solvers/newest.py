"""The newest complete snapshot of a prefix, and what a killed training left behind.

A snapshot is complete if its state and the parameters that it names can be read, their checksums
are right and they belong together.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from ..errors import DemitasseError
from . import snapshot

KINDS = ("solverstate", "caffemodel")


def newest(
    prefix: str, said: Callable[[str], None], is_own: Callable[[Path], bool] = lambda path: True
) -> Path | None:
    """The state to go on from; a line for each newer snapshot that is incomplete or damaged.

    is_own: whether a file is of the training that is to go on; of another one is taken only where
    that left none, whatever its iteration.
    """
    ours: dict[int, list[Path]] = {}
    others: dict[int, list[Path]] = {}
    for path, match in entries(prefix, r"_iter_(\d+)\.(\w+?)(\.h5)?"):
        if match[2] in KINDS and path.exists():
            (ours if is_own(path) else others).setdefault(int(match[1]), []).append(path)
    found, behind = _first_whole(ours, said), max(others, default=-1)
    if found is None:
        found = _first_whole(others, said)
        if found is not None:
            said("the last training left no whole snapshot: going on from an earlier one's")
    elif behind > max(i for i, paths in ours.items() if found in paths):
        said(
            f"passed over: {others[behind][-1]} is of an earlier training, or of a part of this one"
            " that it did not go on from (-snapshot goes on there)"
        )
    return found


def _first_whole(
    by_iteration: Mapping[int, list[Path]], said: Callable[[str], None]
) -> Path | None:
    for iteration in sorted(by_iteration, reverse=True):
        paths = sorted(by_iteration[iteration], key=lambda path: path.stat().st_mtime, reverse=True)
        states = [path for path in paths if ".solverstate" in path.name]
        for path in states:
            try:
                snapshot.load(path)
            except DemitasseError as error:
                said(f"passed over: {error}")
            else:
                return path
        if not states:
            said(f"passed over: {paths[0]} has no solver state beside it")
    return None


def remove_leftovers(prefix: str, said: Callable[[str], None]) -> None:
    """Delete the parts of files that a killed training did not finish, and its probes of whether it
    could write (files.py); whoever calls this knows that no other training writes to this prefix.
    """
    parts = r"(_iter_\d+\.(solverstate|caffemodel))?(\.h5)?\.\d+\.(tmp|probe)"
    for path, _ in entries(prefix, parts, before="."):
        path.unlink(missing_ok=True)
        said(f"removed {path}, which a killed training did not finish")


def entries(prefix: str, pattern: str, before: str = "") -> Iterator[tuple[Path, re.Match[str]]]:
    """The files called `before` PREFIX `pattern`, in the prefix's folder."""
    folder, name = os.path.split(prefix)
    wanted = re.compile(re.escape(before + name) + pattern)
    for path in sorted(Path(folder).iterdir()) if Path(folder).is_dir() else ():
        if match := wanted.fullmatch(path.name):
            yield path, match
