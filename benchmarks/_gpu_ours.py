"""The U-Net in demitasse on a card, for benchmarks/gpu.py: a turn of it is `make(...)()`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import _ours
import _unet
import numpy as np
from _clock import CupyClock, HostClock, timed

STEPS, PASSES, IMAGES = 10, 10, 5  # of a turn


def make(
    base: int,
    size: int,
    image: int,
    precision: str = "fp32",
    place: str = "cuda",
    warpgroups: bool = True,
) -> Callable[[], dict[str, Any]]:
    """place: cuda, or cpu to try the script where there is no card; warpgroups: take them where the
    card has them."""
    from demitasse import netspec
    from demitasse.net import Net
    from demitasse.net.captured import Captured
    from demitasse.solvers.sgd import SGD

    device, clock = found_at(place, precision, warpgroups)
    found = {"busy_bytes": taken(device)}
    net, _ = _ours.build(False, base, size, 1, None, {"device": device})
    load(net, base)
    give(net, size)
    solver = SGD(netspec.parse_solver(_ours.SOLVER).message, net)
    for _ in range(4):
        solver.step(1)  # kernels are compiled, and the pass recorded
    graph = pool_of(solver)
    found["memory_bytes"] = taken(device, graph) - found.pop("busy_bytes")
    found["recorded"], found["warpgroups"] = graph is not None, getattr(device, "warpgroups", False)
    deploy_graph = _ours.build(True, base, size, 1, None, {"device": device})[0].graph
    scorer = Net(deploy_graph, fill=False, device=device)
    load(scorer, base)
    give(scorer, size)
    forward = Captured(scorer, backward=False).run  # as deploy runs it
    segment = segmenter(Net(deploy_graph, fill=False, device=device), base, image)
    for _ in range(4):
        forward()
        segment()

    def run() -> dict[str, Any]:
        forward()
        found["scores"] = thinned(scorer.read("score"))
        found["forward"] = timed(clock, forward, PASSES)
        found["step"] = timed(clock, lambda: solver.step(1), STEPS)
        found["deploy"] = host_timed(segment)
        found["layers"] = layers(net, clock)
        return dict(found)

    return run


def found_at(place: str, precision: str, warpgroups: bool) -> tuple[Any, HostClock]:
    """The device, and a clock of its own."""
    if place == "cpu":
        from demitasse.kernels.device import CPU

        return CPU, HostClock()
    from demitasse.kernels.cuda.card import Card

    card = Card(0, precision)
    card.warpgroups = card.warpgroups and warpgroups
    return card, CupyClock(card)


def give(net: Any, size: int) -> None:
    """Image, labels and weights."""
    net.blobs["data"].data[...] = _unet.pixels(size)
    if "label" in net.inputs:
        net.blobs["label"].data[...] = _unet.labels(size)[:, None]
        net.blobs["weight"].data[...] = 1


def load(net: Any, base: int) -> None:
    """The weights that everybody has."""
    for name, w, b in _unet.he_weights(base):
        for blob, values in zip(net.params[name], (w, b), strict=True):
            net.device.write(blob.data, values)


def pool_of(solver: Any) -> Any:
    """The memory pool of the CUDA graph of its passes; None where there is no graph."""
    return getattr(solver._recorded._replay, "_pool", None)


def taken(device: Any, graph: Any = None) -> int:
    """Bytes that arrays on the card take, those kept for later ones included; graph: a pool beside
    CuPy's."""
    cupy = getattr(device, "cupy", None)
    pools = [cupy.get_default_memory_pool()] if cupy else []
    return sum(int(pool.total_bytes()) for pool in [*pools, *([graph] if graph else [])])


def segmenter(net: Any, base: int, image: int) -> Callable[[], np.ndarray]:
    """From an image in memory to labels in memory."""
    from demitasse.imaging.predict import Predictor, default_budget, largest

    load(net, base)
    pixels = np.random.default_rng(0).standard_normal((1, image, image), np.float32)
    predictor = Predictor(net)
    tiling = predictor.choose((image, image), budget=default_budget(net))
    return lambda: largest(predictor.predict(pixels, tiling))


def host_timed(run: Callable[[], Any]) -> float:
    """Milliseconds of one run that ends on the host."""
    begin = time.perf_counter()
    for _ in range(IMAGES):
        run()
    return 1e3 * (time.perf_counter() - begin) / IMAGES


def thinned(scores: np.ndarray) -> list[float]:
    """Some of them, for a comparison."""
    return [float(v) for v in scores[0, :, ::41, ::43].ravel()]


def layers(net: Any, clock: HostClock) -> list[dict[str, Any]]:
    """Milliseconds of each layer in one pass; the device stays behind the host."""
    watch = Watch(net, clock)
    try:
        net.clear_param_diffs()
        net.forward(0, 0)  # takes the inputs; what follows finds them on the device
        clock.busy()
        net.forward(1)
        clock.busy()
        net.backward()
        return watch.layers()
    finally:
        watch.remove()


class Watch(_ours.Watch):
    """Marks instead of the host's time; seconds are milliseconds here."""

    def __init__(self, net: Any, clock: HostClock) -> None:
        self.clock = clock
        names = [f"{when}_{way}" for when in ("before", "after") for way in ("forward", "backward")]
        kept = {name: len(getattr(net.callbacks, name)) for name in names}
        super().__init__(net)
        self.kept = kept

    def _begins(self) -> None:
        self._begin = self.clock.mark()

    def _ends(self, way: str, i: int) -> None:
        self.seconds[way][i] = (self._begin, self.clock.mark())

    def layers(self) -> list[dict[str, Any]]:
        self.clock.wait()
        for of in self.seconds.values():
            for i, marks in of.items():
                of[i] = self.clock.milliseconds(*marks)
        return super().layers()

    def remove(self) -> None:
        """Leave the net as it was."""
        for name, count in self.kept.items():
            del getattr(self.net.callbacks, name)[count:]
