"""Who competes: demitasse in its variants, and the peers that are installed."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import _models
from _turns import Contestant

US = "demitasse"
OURS: dict[str, dict[str, Any]] = {
    US: {},
    f"{US} numpy": {"numba": False},
    f"{US} caffe": {"engine": "caffe"},
    f"{US} recompute": {"recompute": True},
}
VARIANTS = ("fast", "numpy", "caffe", "recompute")  # on the command line, in the same order


class Peer(NamedTuple):
    """versions: its contestants; needs: packages it is made of."""

    module: str
    needs: tuple[str, ...]
    trains: bool = False
    batches: bool = True
    versions: Mapping[str, Mapping[str, Any]] = {}


PEERS = {
    "torch": Peer(
        "peer_torch",
        ("torch",),
        trains=True,
        versions={
            "torch contiguous": {"channels_last": False},
            "torch channels_last": {"channels_last": True},
        },
    ),
    "ncnn": Peer("peer_ncnn", ("ncnn",), batches=False, versions={"ncnn": {}}),
    "onnxruntime": Peer("peer_onnxruntime", ("onnxruntime", "onnx"), versions={"onnxruntime": {}}),
    "openvino": Peer("peer_openvino", ("openvino", "onnx"), versions={"openvino": {}}),
}


def installed(names: Sequence[str]) -> list[str]:
    """Those peers that are there; says in a line of each other what would bring it."""
    found = []
    for name in names:
        missing = [m for m in PEERS[name].needs if importlib.util.find_spec(m) is None]
        if missing:
            print(f"{name}: not installed (pip install {' '.join(missing)})")
        else:
            found.append(name)
    return found


def versions(names: Sequence[str]) -> dict[str, str]:
    """Of everything that takes part."""
    packages = {"numpy", "scipy", "numba"}.union(*(PEERS[name].needs for name in names))
    found = {}
    for package in sorted(packages):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def variants(names: Sequence[str]) -> list[str]:
    """Our contestants for these words of VARIANTS, less those that this demitasse does not have."""
    found = [list(OURS)[VARIANTS.index(name)] for name in names]
    if f"{US} recompute" in found and not knows_recompute():
        print("recompute: this demitasse has no Net(recompute=True)")
        found.remove(f"{US} recompute")
    return found


def knows_recompute() -> bool:
    from demitasse.net import Net

    return "recompute" in inspect.signature(Net.__init__).parameters


def contestants(
    job: str,
    ours: Sequence[str],
    peers: Sequence[str],
    *,
    folder: str,
    base: int,
    size: int,
    threads: int,
    batch: int = 1,
) -> list[Contestant]:
    """Those of `ours` and of the peers that can do the job; their files are written if need be."""
    trains = job not in ("forward", "scores")
    able = [
        PEERS[name]
        for name in peers
        if (PEERS[name].trains or not trains) and (PEERS[name].batches or batch == 1)
    ]
    _models.write(folder, base, [PEERS[name].module for name in peers])
    common = {"job": job, "folder": folder, "base": base, "size": size, "threads": threads}
    common["batch"] = batch
    mine = [name for name in ours if trains or "recompute" not in OURS[name]]
    return [
        *(Contestant(name, "_ours", {**common, **OURS[name]}) for name in mine),
        *(
            Contestant(name, peer.module, {**common, **options})
            for peer in able
            for name, options in peer.versions.items()
        ),
    ]
