"""The U-Net in PyTorch: SGD with momentum 0.99 and weight decay.  No dropout, which is less work
than ours does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _unet
import numpy as np
import torch
from torch import nn
from torch.nn import functional


class UNet(nn.Module):
    def __init__(self, base: int) -> None:
        super().__init__()
        self.steps = _unet.steps(base)
        kinds = {"conv": nn.Conv2d, "score": nn.Conv2d, "up": nn.ConvTranspose2d}
        self.layers = nn.ModuleDict(
            {
                step.name: kinds[step.kind](
                    step.inputs, step.outputs, step.kernel, 2 if step.kind == "up" else 1
                )
                for step in self.steps
                if step.kind in kinds
            }
        )

    def apply_step(self, step: _unet.Step, x: Any, skip: Any = None) -> Any:
        if step.kind == "pool":
            return functional.max_pool2d(x, 2)
        if step.kind == "join":
            rim = step.rim
            return torch.cat((x, skip[:, :, rim:-rim, rim:-rim]), 1)
        y = self.layers[step.name](x)
        return y.relu_() if step.kind == "conv" else y

    def forward(self, x: Any) -> Any:
        values = {"data": x}
        del x
        for step in self.steps:
            bottoms = [values.pop(b) if b in step.ends else values[b] for b in step.bottoms]
            values[step.top] = self.apply_step(step, *bottoms)
            del bottoms
        return values["score"]


def write(folder: Path, base: int, weights: _unet.Weights) -> None:
    """The state dict as torch.save writes it."""
    net = UNet(base)
    with torch.no_grad():
        for name, (w, b) in weights.items():
            net.layers[name].weight.copy_(torch.from_numpy(w))
            net.layers[name].bias.copy_(torch.from_numpy(b))
    torch.save(net.state_dict(), path(folder, base))


def path(folder: str | Path, base: int) -> Path:
    return Path(folder) / f"unet-{base}.pt"


def load(folder: str, base: int, threads: int, channels_last: bool) -> UNet:
    """Mapped from the file, not copied: the quickest way that PyTorch has."""
    torch.set_num_threads(threads)
    with torch.device("meta"):
        net = UNet(base)
    state = torch.load(path(folder, base), mmap=True, weights_only=True)
    net.load_state_dict(state, assign=True)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return net.to(memory_format=layout)


def predictor(
    folder: str, base: int, size: int, threads: int, channels_last: bool = False
) -> Callable[[np.ndarray], np.ndarray]:
    """Scores (1, 2, n, n) of a tile (1, 1, size, size)."""
    net = load(folder, base, threads, channels_last).eval()
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return net(torch.from_numpy(x).to(memory_format=layout)).numpy()

    return predict


def make(
    job: str,
    folder: str,
    base: int,
    size: int,
    threads: int,
    batch: int = 1,
    channels_last: bool = False,
) -> Callable[[], Any]:
    """A function that runs the job once: forward, scores (forward, and its result),
    forward+backward, step (with the update), or layers (seconds of each)."""
    pixels = _unet.pixels(size, batch)
    if job in ("forward", "scores"):
        predict = predictor(folder, base, size, threads, channels_last)
        return lambda: predict(pixels) if job == "scores" else predict(pixels) is None
    net = load(folder, base, threads, channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    x = torch.from_numpy(pixels).to(memory_format=layout)
    label = torch.from_numpy(_unet.labels(size, batch).astype(np.int64))
    weight = torch.ones(label.shape)
    if job == "layers":
        return lambda: time_layers(net, x, label, weight)
    sgd = torch.optim.SGD(net.parameters(), 1e-9, momentum=0.99, weight_decay=0.0005)

    def step() -> None:
        sgd.zero_grad()
        loss_of(net(x), label, weight).backward()
        if job == "step":
            sgd.step()

    return step


def loss_of(score: Any, label: Any, weight: Any) -> Any:
    return (functional.cross_entropy(score, label, reduction="none") * weight).mean()


def time_layers(net: UNet, x: Any, label: Any, weight: Any) -> dict[str, tuple[float, float]]:
    """Seconds of each step, forward and backward, within one pass over the whole net."""
    forward, backward, done, values = {}, {}, [], {"data": x}
    for step in net.steps:
        bottoms = [values[b].detach().requires_grad_(b != "data") for b in step.bottoms]
        begin = time.perf_counter()
        top = net.apply_step(step, *bottoms)
        forward[step.name] = time.perf_counter() - begin
        values[step.top] = top
        done.append((step, bottoms, top))
    score = values["score"].detach().requires_grad_()
    begin = time.perf_counter()
    loss = loss_of(score, label, weight)
    forward["loss"] = time.perf_counter() - begin
    begin = time.perf_counter()
    diffs = dict(zip(["score"], torch.autograd.grad(loss, score), strict=True))
    backward["loss"] = time.perf_counter() - begin
    while done:
        step, bottoms, top = done.pop()
        wanted = [b for b in bottoms if b.requires_grad]
        names = [n for n in step.bottoms if n != "data"]
        params = list(net.layers[step.name].parameters()) if step.name in net.layers else []
        begin = time.perf_counter()
        found = torch.autograd.grad(top, [*wanted, *params], diffs.pop(step.top))
        for name, diff in zip(names, found, strict=False):  # what is left are the parameters'
            diffs[name] = diffs[name] + diff if name in diffs else diff
        backward[step.name] = time.perf_counter() - begin
    return {name: (forward[name], backward[name]) for name in forward}
