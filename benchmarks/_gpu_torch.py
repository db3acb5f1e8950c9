"""The U-Net in PyTorch on a card, for benchmarks/gpu.py.  No dropout, which is less work than ours
does; every step copies image, labels and weights from pinned memory of the host, as ours does.

    strict         float32, allow_tf32 off         tf32           PyTorch's default
    tf32 last      the same, channels last         bf16 last      autocast, channels last

The host launches each kernel (eager).  Behind `graph` in a mode's name step and forward pass are
recorded as CUDA graphs, as ours are; a segmentation is eager always.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import _unet
import numpy as np
from _clock import HostClock, TorchClock, timed
from _gpu_ours import PASSES, STEPS, host_timed, thinned


def make(
    base: int, size: int, image: int, mode: str = "strict", place: str = "cuda"
) -> Callable[[], dict[str, Any]]:
    import torch

    if place == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("PyTorch finds no card: is it one for the driver's CUDA?")
    from peer_torch import UNet, loss_of

    torch.backends.cudnn.benchmark = True
    for backend in (torch.backends.cudnn, torch.backends.cuda.matmul):
        backend.allow_tf32 = not mode.startswith("strict")
    clock: HostClock = TorchClock() if place == "cuda" else HostClock()
    before = torch.cuda.memory_reserved() if place == "cuda" else 0
    last = "last" in mode
    layout = torch.channels_last if last else torch.contiguous_format
    net = UNet(base)
    with torch.no_grad():
        for name, w, b in _unet.he_weights(base):
            net.layers[name].weight.copy_(torch.from_numpy(w))
            net.layers[name].bias.copy_(torch.from_numpy(b))
    net = net.to(place, memory_format=layout)
    sgd = torch.optim.SGD(net.parameters(), 1e-9, momentum=0.99, weight_decay=0.0005)
    given = [_unet.pixels(size), _unet.labels(size).astype(np.int64)]
    given.append(np.ones(given[1].shape, np.float32))
    host = [pinned(torch.from_numpy(a), place) for a in given]
    there = [a.to(place) for a in host]
    there[0] = there[0].to(memory_format=layout)
    half = torch.autocast(place, torch.bfloat16, enabled="bf16" in mode)

    def take() -> None:
        for to, values in zip(there, host, strict=True):
            to.copy_(values, non_blocking=True)

    def score() -> Any:
        with torch.inference_mode(), half:
            return net(there[0])

    def learn() -> None:
        sgd.zero_grad()
        with half:
            scores = net(there[0])
        loss_of(scores.float(), there[1], there[2]).backward()
        sgd.step()

    recorded = mode.endswith("graph") and place == "cuda"
    if recorded:
        learn = graph_of(torch.cuda, learn)

    def step() -> None:
        take()
        learn()

    for _ in range(3):
        step()
    memory = peak(torch.cuda, step) - before if place == "cuda" else 0
    if recorded:  # behind the memory of training
        score = graph_of(torch.cuda, score)

    def forward() -> Any:
        take()
        return score()

    segment = segmenter(net, half, layout, image, place)
    segment()

    def run() -> dict[str, Any]:
        return {
            "scores": thinned(forward().float().cpu().numpy()),
            "forward": timed(clock, forward, PASSES),
            "step": timed(clock, step, STEPS),
            "deploy": host_timed(segment),
            "layers": layers(net, there[0], half, clock),
            "memory_bytes": memory,
            "recorded": recorded,
        }

    return run


def graph_of(cuda: Any, run: Callable[[], Any]) -> Callable[[], Any]:
    """Runs a recording of what `run` launches, which gives the same array every time."""
    beside = cuda.Stream()
    beside.wait_stream(cuda.current_stream())
    with cuda.stream(beside):
        for _ in range(3):
            run()
    cuda.current_stream().wait_stream(beside)
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        made = run()

    def replay() -> Any:
        graph.replay()
        return made

    return replay


def pinned(values: Any, place: str) -> Any:
    """The same in pinned memory, where there is a card."""
    return values.pin_memory() if place == "cuda" else values


def peak(cuda: Any, step: Callable[[], None]) -> int:
    """Bytes that the allocator takes from the card for a step, without those that cuDNN took when
    it tried its algorithms."""
    cuda.empty_cache()
    cuda.reset_peak_memory_stats()
    step()
    return int(cuda.max_memory_reserved())


def segmenter(net: Any, half: Any, layout: Any, image: int, place: str) -> Callable[[], np.ndarray]:
    """From an image in memory to labels in memory, in one tile."""
    import torch

    pixels = np.random.default_rng(0).standard_normal((image, image), np.float32)
    outer = _unet.SMALLEST
    while outer < image + _unet.LOST:
        outer += _unet.STEP
    rim = _unet.LOST // 2
    tile = pinned(torch.empty(1, 1, outer, outer), place)
    labels = pinned(torch.empty(image, image, dtype=torch.uint8), place)

    def run() -> np.ndarray:
        padded = np.pad(pixels, ((rim, outer - rim - image),) * 2, "reflect")
        tile[0, 0] = torch.from_numpy(padded)
        x = tile.to(place, non_blocking=True).to(memory_format=layout)
        with torch.inference_mode(), half:
            scores = net(x)[0, :, :image, :image]
            labels.copy_(scores.argmax(0).to(torch.uint8))
        return labels.numpy()

    return run


def layers(net: Any, x: Any, half: Any, clock: HostClock) -> dict[str, tuple[float, float]]:
    """Milliseconds of each step forward and backward; the device stays behind the host."""
    import torch

    values, done = {"data": x}, []
    marks: dict[str, list[Any]] = {}
    clock.busy()
    with half:
        for step in net.steps:
            bottoms = [values[b].detach().requires_grad_(b != "data") for b in step.bottoms]
            begin = clock.mark()
            values[step.top] = net.apply_step(step, *bottoms)
            marks[step.name] = [begin, clock.mark()]
            done.append((step, bottoms, values[step.top]))
    diffs = {"score": torch.ones_like(values["score"])}
    clock.busy()
    while done:
        step, bottoms, top = done.pop()
        wanted = [b for b in bottoms if b.requires_grad]
        names = [n for n in step.bottoms if n != "data"]
        params = list(net.layers[step.name].parameters()) if step.name in net.layers else []
        begin = clock.mark()
        found = torch.autograd.grad(top, [*wanted, *params], diffs.pop(step.top))
        marks[step.name] += [begin, clock.mark()]
        for name, diff in zip(names, found, strict=False):  # what is left are the parameters'
            diffs[name] = diffs[name] + diff if name in diffs else diff
    clock.wait()
    return {
        name: (clock.milliseconds(*m[:2]), clock.milliseconds(*m[2:])) for name, m in marks.items()
    }
