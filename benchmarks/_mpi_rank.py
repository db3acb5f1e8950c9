"""One process of benchmarks/mpi.py: what it measures goes to stdout, as JSON, from rank 0.

steps      seconds of training steps, in turns: apart (no exchange), overlapped with backward, and
           exchanged after it; with forward, backward, and when each bucket was final
sums       seconds of one sum, by its bytes
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import _ours
import _unet
import numpy as np
from demitasse.scale import mpi
from demitasse.scale.gradients import MeanGradient

WAYS = ("apart", "overlapped", "after")
WARM = 2


class Alone:
    """One process: there is nothing to exchange."""

    rank, size = 0, 1

    def mean(self, array: Any) -> None: ...

    def begin(self, array: Any) -> None: ...

    def finish(self) -> None: ...

    def wait(self) -> None: ...


class Way:
    """The processes, told whether to exchange, and whether while backward runs (`name`)."""

    def __init__(self, world: Any) -> None:
        self.world, self.name, self.left = world, "apart", []

    def begin(self, array: Any) -> None:
        if self.name == "overlapped":
            self.world.begin(array)
        elif self.name == "after":
            self.left.append(array)

    def finish(self) -> None:
        for array in self.left:
            self.world.mean(array)
        self.left.clear()
        self.world.finish()


def steps(world: Any, base: int, size: int, count: int, bucket: int) -> dict[str, Any]:
    net, _ = _ours.build(False, base, size, 1, 1, {})
    rng = np.random.default_rng(0)
    net.flat_data[...] = 0.05 * rng.standard_normal(net.flat_data.size, np.float32)
    given = {"data": _unet.pixels(size, 1), "label": _unet.labels(size, 1)[:, None], "weight": 1}
    way = Way(world)
    hook = MeanGradient(net, way, size=bucket)
    ready = [0.0] * len(hook.buckets)
    began = 0.0
    last = {b.layer: k for k, b in enumerate(hook.buckets)}
    net.callbacks.after_backward.append(
        lambda i: ready.__setitem__(last[i], time.perf_counter() - began) if i in last else None
    )
    readies: list[list[float]] = []
    found: dict[str, list[float]] = {name: [] for name in (*WAYS, "forward", "backward")}
    for k in range((count + WARM) * len(WAYS)):
        name = way.name = WAYS[k % len(WAYS)]
        net.clear_param_diffs()
        for blob, value in given.items():  # a pass may overwrite them
            net.blobs[blob].data[...] = value
        world.wait()
        start = time.perf_counter()
        hook.on_start()
        net.forward()
        began = time.perf_counter()
        net.backward()
        behind = time.perf_counter()
        hook.on_gradients_ready()
        end = time.perf_counter()
        if k >= WARM * len(WAYS):
            found[name].append(end - start)
            if name == "apart":
                readies.append(list(ready))
                found["forward"].append(began - start)
                found["backward"].append(behind - began)
    buckets = [(b.part.stop - b.part.start) * net.dtype.itemsize for b in hook.buckets]
    return {
        "seconds": found,
        "gradient": net.flat_diff.nbytes,
        "buckets": buckets,
        "ready": np.median(readies, axis=0).tolist(),
    }


def sums(world: Any, sizes: list[int], repeat: int) -> dict[int, float]:
    """The median of each."""
    found = {}
    for size in sizes:
        array, times = np.ones(size // 4, np.float32), []
        for k in range(repeat + WARM):
            world.wait()
            began = time.perf_counter()
            world.mean(array)
            if k >= WARM:
                times.append(time.perf_counter() - began)
        found[size] = float(np.median(times))
    return found


def main() -> None:
    world, asked = mpi.join() or Alone(), json.loads(sys.argv[1])
    found = (steps if "base" in asked else sums)(world, **asked)
    if world.rank == 0:
        print(json.dumps(found), flush=True)


main()
