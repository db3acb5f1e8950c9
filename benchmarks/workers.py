"""Segmenting a large image in parts: tiles a second, and memory, by the number of Dask's workers.

    python benchmarks/workers.py                              a U-Net of 8 channels, 2048 pixels
    python benchmarks/workers.py --size 16384 --base 1        an image of a quarter of a gigapixel

Every worker has one thread.  The image lies in a Zarr array of random bytes, the labels go to
another.  The clock runs from the moment when every worker has loaded the net, until the last tile
is written.  Peak memory is the resident one of a process, the largest of all workers.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

import _report
import _unet
import numpy as np

ROWS = 1024  # of the image made at a time


def main() -> int:
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--base", type=int, default=8, help="channels at the top, default 8")
    p.add_argument("--size", type=int, default=2048, help="pixels of the image, default 2048")
    p.add_argument("--tile", type=int, default=444, help="pixels the net sees, default 444")
    p.add_argument("--workers", type=_report.numbers, default=[1, 2])
    p.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    args = p.parse_args()
    print(f"U-Net of {args.base} channels, {args.size} x {args.size} pixels, {_report.cpu()}")
    with tempfile.TemporaryDirectory() as folder:
        command = prepare(Path(folder), args.base, args.size, args.tile)
        found = {count: measure(command, count) for count in args.workers}
    first = found[args.workers[0]]["tiles_per_second"]
    rows = [
        [
            str(count),
            f"{f['tiles']:,}",
            _report.seconds(f["seconds"]),
            f"{f['tiles_per_second']:.2f}",
            f"{f['tiles_per_second'] / first:.2f}",
            *(_report.mib(f[who]) for who in ("client_bytes", "worker_bytes")),
        ]
        for count, f in found.items()
    ]
    head = ["workers", "tiles", "time", "tiles a second", "ratio", "client's peak", "worker's peak"]
    print(_report.table(head, rows, left=0))
    if args.json is not None:
        record = {
            "benchmark": "workers",
            "date": date.today().isoformat(),
            "command": " ".join(["benchmarks/workers.py", *_report.arguments(sys.argv[1:])]),
            "commit": _report.commit(),
            "machine": _report.machine(),
            "results": found,
        }
        args.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0


def prepare(folder: Path, base: int, size: int, tile: int) -> list[str]:
    """The image, the net and its parameters; the command line that segments it."""
    import zarr
    from demitasse import netspec
    from demitasse.net import Net
    from demitasse.net.saving import save_hdf5

    rng, side = np.random.default_rng(0), min(size, ROWS)
    image = zarr.create_array(
        str(folder / "image.zarr"), shape=(size, size), chunks=(side, side), dtype="u1"
    )
    for row in range(0, size, ROWS):
        image[row : row + ROWS] = rng.integers(0, 256, (min(ROWS, size - row), size), np.uint8)
    message = netspec.deploy(_unet.source(base), softmax=False)
    (folder / "net.prototxt").write_text(netspec.to_text(message))
    graph = netspec.build(netspec.read_net(str(folder / "net.prototxt")), "TEST")
    net = Net(graph, inputs={"data": (1, 1, _unet.SMALLEST, _unet.SMALLEST)})
    save_hdf5(net, folder / "net.caffemodel.h5")
    options = ["--weights", "net.caffemodel.h5", "--model", "net.prototxt", "image.zarr"]
    paths = [str(folder / word) if "." in word else word for word in options]
    return [*paths, "--normalization", "z-score", "--tile-size", str(tile)]


def measure(command: list[str], workers: int) -> dict[str, Any]:
    """Segment the image on so many workers."""
    from demitasse.imaging.deployed import load_deployed
    from demitasse.scale import dask
    from demitasse.tools import _big, _segmenting, _tile_tasks, deploy

    args = deploy.parser().parse_args(command)
    rule = _segmenting.normalization(args)
    deployed = load_deployed(args.weights, args.model, rule)
    results: list[float] = []
    with dask.connected(f"local:{workers}") as client:

        def run(load: Any, work: Any, tasks: Any) -> Any:
            for found in dask.run(client, load, work, tasks):
                if work is _tile_tasks.segment:
                    results.append(time.perf_counter())
                yield found

        path = Path(args.images[0])
        _big.segment(deployed, path, ["labels"], rule, run, args)
        peaks = client.run(peak)
    shutil.rmtree(path.with_name("image.labels.zarr"))
    warm = 2 * workers  # every worker has loaded the net, and done a tile
    seconds = results[-1] - results[warm - 1]
    return {
        "tiles": len(results),
        "seconds": seconds,
        "tiles_per_second": (len(results) - warm) / seconds,
        "client_bytes": peak(),
        "worker_bytes": max(peaks.values()),
    }


def peak() -> int:
    """Bytes that this process had resident at most."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM"))


if __name__ == "__main__":
    sys.exit(main())
