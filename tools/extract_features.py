"""Write what a net computes: `python tools/extract_features.py WEIGHTS NET BLOBS DATASETS N hdf5`."""  # noqa: E501

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("extract_features")

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import numpy as np

from .. import netspec
from ..errors import DataError, DemitasseError, GraphError, did_you_mean
from ..files import check_writable
from ..h5 import create_h5
from . import _device, _options
from ._progress import track

EPILOG = """\
The arguments are those of Caffe's extract_features.  The net, in its TEST phase, reads its own data
layer; each batch adds one item for every image of it.

  hdf5   a file with one dataset, named like the blob and shaped (items, ...), which an HDF5Data
         layer can read
  lmdb   a folder of Datum messages under the keys 0000000000, 0000000001, ..., as Caffe writes it
         (needs `pip install lmdb`; blobs of at most four axes)

examples:
  python tools/extract_features.py net.caffemodel net.prototxt fc7 fc7.h5 10 hdf5
  python tools/extract_features.py net.caffemodel net.prototxt fc6,fc7 fc6_lmdb,fc7_lmdb 10 lmdb
"""
Add = Callable[[np.ndarray], None]  # takes the items of one batch


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="extract_features.py",
        description="Run a trained net over its data and write blobs of it, batch by batch.",
        epilog=EPILOG,
    )
    p.add_argument("weights", metavar="WEIGHTS", help="the net's parameters")
    p.add_argument("net", metavar="NET", help="the net's prototxt, with its data layer")
    p.add_argument("blobs", metavar="BLOBS", help="blobs to write: NAME[,NAME]")
    p.add_argument("datasets", metavar="DATASETS", help="a file or folder for each: PATH[,PATH]")
    p.add_argument("batches", metavar="N", type=_options.positive_int, help="batches to run")
    p.add_argument("db_type", metavar="TYPE", help="hdf5 or lmdb")
    p.add_argument(
        "mode",
        nargs="?",
        default="CPU",
        choices=("CPU", "GPU"),
        help="what to compute on (default CPU)",
    )
    p.add_argument("device", nargs="?", default="0", metavar="ID", help="of the GPU")
    p.add_argument("--overwrite", action="store_true", help="replace HDF5 files that exist")
    _options.add_python(p)
    return p


def main(argv: Sequence[str]) -> int:
    from .. import weights
    from ..net import Net

    args = parser().parse_args(argv)
    device = _device.choose(str(args.device) if args.mode == "GPU" else "none")
    targets = pairs(args.blobs, args.datasets)
    for _, path in targets:
        check(args.db_type, path, overwrite=args.overwrite)
    graph = netspec.build(netspec.read_net(args.net), "TEST")
    for blob, _ in targets:
        if blob not in graph.blobs:
            raise GraphError(
                f"the net has no blob '{blob}'",
                where=args.net,
                found=", ".join(graph.blobs),
                remedy=did_you_mean(blob, graph.blobs),
            )
    net = Net(
        graph, backward=False, keep=True, device=device, allow_python=args.allow_python_layers
    )
    for name in net.load(weights.read(args.weights), complete=False).missing:
        print(f"layer {name} is not in {args.weights}: it keeps what its fillers made")
    counts = dict.fromkeys((path for _, path in targets), 0)
    with ExitStack() as stack, track(args.batches, "batches") as advance:
        adders = {
            path: stack.enter_context(KINDS[args.db_type](path, blob, overwrite=args.overwrite))
            for blob, path in targets
        }
        for _ in range(args.batches):
            net.forward()
            for blob, path in targets:
                items = np.atleast_1d(net.read(blob))
                adders[path](items)
                counts[path] += len(items)
            advance()
    for blob, path in targets:
        print(f"{path}: {blob}, {counts[path]} items")
    return 0


def pairs(blobs: str, datasets: str) -> list[tuple[str, str]]:
    """(blob, path) for each; refuses numbers that differ, and two blobs for one path."""
    names, paths = blobs.split(","), datasets.split(",")
    if len(names) != len(paths) or len(set(paths)) < len(paths):
        raise DemitasseError(
            "there must be a dataset of its own for each blob",
            expected=f"{len(names)} for {blobs}",
            found=datasets,
        )
    return list(zip(names, paths, strict=True))


def check(kind: str, path: str, *, overwrite: bool) -> None:
    """Refuse before the work what could not be written after it."""
    from ..data import records

    if kind not in KINDS:
        raise DataError(
            f"the type of dataset '{kind}' is not known",
            expected="hdf5 or lmdb",
            remedy="LevelDB is not written: take lmdb, which Caffe reads as well"
            if kind == "leveldb"
            else did_you_mean(kind, KINDS),
        )
    if kind == "hdf5":
        check_writable(Path(path), overwrite=overwrite)
    else:
        records.library()
        records.check_new(path)


@contextmanager
def hdf5(path: str, blob: str, *, overwrite: bool) -> Iterator[Add]:
    """A file with one dataset that grows by a batch at a time."""
    with create_h5(path, overwrite=overwrite, quick=False) as file:

        def add(items: np.ndarray) -> None:
            if blob not in file:
                shape = items.shape[1:]
                file.create_dataset(blob, (0, *shape), items.dtype, maxshape=(None, *shape))
            dataset = file[blob]
            if items.shape[1:] != dataset.shape[1:]:
                raise DataError(
                    f"the items of blob '{blob}' have other sizes in this batch",
                    where=path,
                    expected=" x ".join(map(str, dataset.shape[1:])),
                    found=" x ".join(map(str, items.shape[1:])),
                )
            count = len(dataset)
            dataset.resize(count + len(items), axis=0)
            dataset[count:] = items

        yield add


@contextmanager
def lmdb(path: str, blob: str, *, overwrite: bool) -> Iterator[Add]:
    """A database of Datum messages.  overwrite: never (`check` has refused what exists)."""
    from ..data import datum, records

    with records.create(path) as put:
        count = 0

        def add(items: np.ndarray) -> None:
            nonlocal count
            if items.ndim > 4:
                raise DataError(
                    f"an item of blob '{blob}' does not fit into a Datum",
                    where=path,
                    expected="at most 4 axes",
                    found=" x ".join(map(str, items.shape)),
                    remedy="Write it as hdf5",
                )
            for item in items.reshape(items.shape + (1,) * (4 - items.ndim)):
                put(b"%010d" % count, datum.pack(item, 0))
                count += 1

        yield add


Create = Callable[..., AbstractContextManager[Add]]
KINDS: dict[str, Create] = {"hdf5": hdf5, "lmdb": lmdb}
