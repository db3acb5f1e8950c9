"""The folder in which the results of an image larger than memory grow, until they are complete.

job.json    what they are of, and what was measured         done    which tiles are
KIND.zarr   the results so far
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..errors import OutputError
from ..files import check_writable, replacing
from ..imaging import ngff

if TYPE_CHECKING:
    from ..imaging.deployed import Deployed
    from ._big_plan import Plan

JOB = "job.json"


def identity(made: Plan, deployed: Deployed, kinds: Sequence[str]) -> dict[str, Any]:
    """What must be the same for a job to go on."""
    digest = hashlib.sha256()
    for name, arrays in sorted(deployed.predictor.net.parameters().items()):
        digest.update(name.encode())
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
    image = Path(made.job.image)
    files = (image, *image.glob("zarr.json"), *image.glob(".z*"))
    stand = max(file.stat().st_mtime_ns for file in files)
    told = asdict(replace(made.job, rule=None, options={}, weights="", model=None))
    return {
        "program": __version__,
        "job": json.loads(json.dumps(told)),
        "image": [list(made.image.layout.shape), str(made.image.dtype), stand],
        "parameters": digest.hexdigest(),
        "normalization": deployed.normalization.to_json(),
        "tiles": [list(made.tiling.inputs), len(made.cover)],
        "kinds": sorted(kinds),
    }


def known(
    part: Path, wanted: Mapping[str, Any], *, overwrite: bool
) -> tuple[tuple[float, float], ...] | None:
    """What was measured by the job that this folder is a part of, None where it is of none.

    Raises OutputError where it is another job's, unless that may be overwritten.
    """
    if not (part / JOB).exists():
        return None
    found = json.loads((part / JOB).read_text(encoding="utf-8"))
    if found["identity"] == wanted:
        return tuple((float(offset), float(scale)) for offset, scale in found["fits"])
    if not overwrite:
        differ = [name for name in wanted if wanted[name] != found["identity"].get(name)]
        raise OutputError(
            f"holds a part of other results: another {', another '.join(differ)}",
            where=str(part),
            remedy="Go on with the command that began it, remove it, or give --overwrite",
        )
    return None


def write(part: Path, wanted: Mapping[str, Any], fits: Sequence[tuple[float, float]]) -> None:
    """From now on the job can go on."""
    with replacing(part / JOB) as temporary:
        text = json.dumps({"identity": wanted, "fits": fits}, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")


def check_target(target: Path, image: Path, *, overwrite: bool) -> None:
    """Refuse before the work what could not be written after it."""
    if target.resolve() == image.resolve():
        raise OutputError("would overwrite an image to be read", where=str(target))
    if target.exists():
        if not ngff.is_zarr(target):
            raise OutputError("exists and is not an image in Zarr", where=str(target))
        if not overwrite:
            raise OutputError(
                "exists already",
                where=str(target),
                remedy="Give --overwrite or name another folder (-o)",
            )
    else:
        check_writable(target)


def finish(part: Path, names: Mapping[Path, Path]) -> None:
    """Give the results their names, and remove the rest."""
    for made, target in names.items():
        shutil.rmtree(target, ignore_errors=True)
        os.rename(made, target)
    shutil.rmtree(part)
