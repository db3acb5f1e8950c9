"""What cards can do at most, as their makers' data sheets say: the ceilings of a roofline.

    bandwidth   bytes a second, read and written
    fp32        floating-point operations a second of the CUDA cores
    tf32, bf16  of the tensor cores, dense, accumulating in float32

3xTF32 makes three products of one, so it can do a third of tf32.
"""

from __future__ import annotations

from typing import NamedTuple


class Card(NamedTuple):
    name: str
    bandwidth: float
    fp32: float
    tf32: float
    bf16: float

    def rate(self, mode: str) -> float:
        """Operations a second."""
        return self.tf32 / 3 if mode == "3xTF32" else getattr(self, mode.lower())


MODES = ("fp32", "3xTF32", "TF32", "bf16")
CARDS = {
    "h200": Card("NVIDIA H200 SXM", 4.3e12, 67e12, 494.7e12, 989.4e12),  # 4.8e12 on paper
    "h100": Card("NVIDIA H100 SXM", 3.35e12, 67e12, 494.7e12, 989.4e12),
    "a100": Card("NVIDIA A100 SXM 80 GB", 2.039e12, 19.5e12, 156e12, 312e12),
    "rtx4090": Card("NVIDIA GeForce RTX 4090", 1.008e12, 82.6e12, 82.6e12, 165.2e12),
    "rtx3090": Card("NVIDIA GeForce RTX 3090", 0.936e12, 35.6e12, 35.6e12, 71e12),
}
