"""What the card can do at most: a large copy, and large products of random matrices.

copy_tb_s        bytes read and written in copying 1 GiB
sgemm_tflops     8192 x 8192 x 8192 in float32;  tf32_tflops, bf16_tflops by PyTorch, if there
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from _clock import BUSY, BYTES, CupyClock, HostClock, TorchClock, timed

SIDE = 8192


def make(place: str = "cuda") -> Callable[[], dict[str, Any]]:
    return (lambda: measure()) if place == "cuda" else (lambda: {})


def measure() -> dict[str, Any]:
    from demitasse.kernels.cuda.card import Card

    card = Card(0)
    cupy, clock = card.cupy, CupyClock(card)
    found: dict[str, Any] = {"card": card.title.rsplit(" (", 1)[0]}
    found["copy_tb_s"] = best(clock, clock.busy, 2e-9 * BUSY * BYTES)
    rngs = (np.random.default_rng(i) for i in (0, 1))
    a, b = (card.upload(rng.standard_normal((SIDE, SIDE), np.float32)) for rng in rngs)
    out = cupy.empty((SIDE, SIDE), "float32")
    flop = 2e-9 * SIDE**3
    found["sgemm_tflops"] = best(clock, lambda: cupy.matmul(a, b, out=out), flop)
    try:
        import torch
    except ImportError:
        return found
    clock = TorchClock()
    x, y = (torch.randn(SIDE, SIDE, device="cuda") for _ in range(2))
    torch.backends.cuda.matmul.allow_tf32 = True
    found["tf32_tflops"] = best(clock, lambda: x @ y, flop)
    x, y = x.bfloat16(), y.bfloat16()
    found["bf16_tflops"] = best(clock, lambda: x @ y, flop)
    return found


def best(clock: HostClock, run: Callable[[], Any], work: float, tries: int = 6) -> float:
    """The highest rate, of 10^12 a second; work in 10^9."""
    run()
    return max(work / timed(clock, run, 3) for _ in range(tries))
