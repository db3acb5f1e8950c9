"""The U-Net in demitasse, for a contest."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import _models
import _unet
import numpy as np

SOLVER = 'base_lr: 1e-9 lr_policy: "fixed" momentum: 0.99 weight_decay: 0.0005 max_iter: 99'
EVERY = 61  # of so many gradients one is handed over


def make(
    job: str,
    folder: str,
    base: int,
    size: int,
    threads: int,
    batch: int = 1,
    numba: bool = True,
    **options: Any,
) -> Callable[[], Any]:
    """A function that runs the job once: forward, scores (forward, and its result),
    forward+backward, gradients (that, and its results), step (with the update), or layers (what
    each layer takes).  It returns the bytes that the net planned for where the job asks for nothing
    else.

    numba False: as where it is not installed; options: further arguments of Net.
    """
    if not numba:
        sys.modules["numba"] = None  # to import it fails
    net, work = build(job in ("forward", "scores"), base, size, batch, threads, options)
    for name, w, b in _unet.read_weights(_models.path(folder, base)):
        net.params[name][0].data[...], net.params[name][1].data[...] = w, b
    given = {"data": _unet.pixels(size, batch)}
    if "label" in net.inputs:
        given["label"] = _unet.labels(size, batch)[:, None]
        given["weight"] = np.ones(given["label"].shape, np.float32)
    plan = {"activations": net.planned.arena_bytes, "parameters": net.flat_data.nbytes}
    if net.plans_backward:
        plan["gradients of parameters"] = net.flat_diff.nbytes
    if job in ("forward+backward", "gradients", "step"):
        work = training(net, job == "step")
        if job == "step":
            plan["momentum"] = net.flat_data.nbytes
    elif job == "layers":
        watch = Watch(net)

        def work() -> list[dict[str, Any]]:
            training(net, False)()
            return watch.layers()

    def run() -> Any:
        for name, value in given.items():
            net.blobs[name].data[...] = value
        found = work()
        if job == "scores":
            return net.blobs["score"].data.copy()
        if job == "gradients":
            return {
                f"{p.layer} {'wb'[p.index]}": net.flat_diff[p.offset : p.offset + p.count][::EVERY]
                for p in net.learnable
            }
        return found if job == "layers" else plan

    return run


def build(
    deploy: bool, base: int, size: int, batch: int, threads: int, options: dict[str, Any]
) -> tuple[Any, Callable[[], Any]]:
    from demitasse.net import Net
    from demitasse.tools.plan import plan_deploy, training_graph

    source = _unet.source(base)
    graph, planned = plan_deploy(source, (batch, 1, size, size))
    if not deploy:
        graph = training_graph(source, graph, planned.inferred.values)
    net = Net(graph, threads=threads, fill=False, **options)
    return net, net.forward


def training(net: Any, update: bool) -> Callable[[], None]:
    """One iteration, with the update or without."""
    from demitasse import netspec
    from demitasse.solvers.sgd import SGD

    solver = SGD(netspec.parse_solver(SOLVER).message, net) if update else None

    def step() -> None:
        net.clear_param_diffs()
        net.forward()
        net.backward()
        if solver is not None:
            solver.apply_update(0.0)

    return step


class Watch:
    """Notes when each layer of a net begins and ends."""

    def __init__(self, net: Any) -> None:
        self.net = net
        self.seconds = {"forward": {}, "backward": {}}
        self._begin = 0.0
        for way in self.seconds:
            getattr(net.callbacks, f"before_{way}").append(lambda i: self._begins())
            getattr(net.callbacks, f"after_{way}").append(lambda i, way=way: self._ends(way, i))

    def _begins(self) -> None:
        self._begin = time.perf_counter()

    def _ends(self, way: str, i: int) -> None:
        self.seconds[way][i] = time.perf_counter() - self._begin

    def layers(self) -> list[dict[str, Any]]:
        """Of the last pass: name, type, bottoms, tops, engine ("" without one), seconds."""
        net, found = self.net, []
        shapes = net.planned.inferred.values
        for i, (node, layer) in enumerate(zip(net.graph.nodes, net.layers, strict=True)):
            engine = getattr(layer, "engine", None)
            found.append(
                {
                    "name": node.name,
                    "type": node.type,
                    "bottoms": [value.blob for value in node.bottoms],
                    "tops": [value.blob for value in node.tops],
                    "shape": list(shapes[node.tops[0]]) if node.tops else [],
                    "engine": engine(shapes[node.bottoms[0]]) if engine else "",
                    "forward": self.seconds["forward"][i],
                    "backward": self.seconds["backward"].get(i, 0.0),
                }
            )
        return found
