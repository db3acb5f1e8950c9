"""How long a training step waits for augmented data, and what running ahead saves.

    python benchmarks/ahead.py [steps]

A small net on 268 x 268 tiles, with the augmentation of the U-Net lineage (elastic deformation,
rotation, grey-value curves, three deformed blobs): the same steps with and without running ahead.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from demitasse.net import Net
from demitasse.netspec import build, parse_net

CHANNELS, TILE = 16, 268


def prototxt() -> str:
    """Two levels of a U-Net; images of 700 x 700."""

    def conv(name: str, bottom: str, channels: int, kernel: int = 3) -> str:
        return (
            f"layer {{ name: '{name}' type: 'Convolution' bottom: '{bottom}' top: '{name}' "
            f"convolution_param {{ num_output: {channels} kernel_size: {kernel} "
            "weight_filler { type: 'msra' } } } "
            f"layer {{ name: '{name}r' type: 'ReLU' bottom: '{name}' top: '{name}' }}"
        )

    def deformed(bottom: str, top: str, like: str = "") -> str:
        return (
            f"layer {{ name: '{top}' type: 'ApplyDeformation' bottom: '{bottom}' bottom: 'def' "
            f"top: '{top}' apply_deformation_param {{ output_shape_from: '{like}' }} }}"
        )

    return f"""
layer {{ name: 'data' type: 'DummyData' top: 'data' top: 'labels' top: 'weights' dummy_data_param {{
  shape {{ dim: 1 dim: 1 dim: 700 dim: 700 }} data_filler {{ type: 'constant' value: 0.5 }}
  data_filler {{ type: 'constant' value: 1 }} data_filler {{ type: 'constant' value: 1 }} }} }}
layer {{ name: 'create' type: 'CreateDeformation' bottom: 'weights' top: 'def'
  create_deformation_param {{ ny: {TILE} nx: {TILE} random_offset_range_from_pdf: true
    random_elastic_grid_spacing {{ v: 90 v: 90 }}
    random_elastic_deform_magnitude {{ v: 10 v: 10 }}
    random_rotate_from {{ v: 0 }} random_rotate_to {{ v: 360 }} }} }}
{deformed("data", "data2")}
layer {{ name: 'grey' type: 'ValueAugmentation' bottom: 'data2' top: 'data3' }}
{conv("a", "data3", CHANNELS)} {conv("b", "a", CHANNELS)}
layer {{ name: 'p' type: 'Pooling' bottom: 'b' top: 'p' pooling_param {{ kernel_size: 2 stride: 2 }} }}
{conv("c", "p", 2 * CHANNELS)} {conv("d", "c", 2 * CHANNELS)}
layer {{ name: 'u' type: 'Deconvolution' bottom: 'd' top: 'u' convolution_param {{
  num_output: {CHANNELS} kernel_size: 2 stride: 2 weight_filler {{ type: 'msra' }} }} }}
layer {{ name: 'join' type: 'Concat' bottom: 'u' bottom: 'b' top: 'join' }}
{conv("e", "join", CHANNELS)} {conv("score", "e", 2, 1)}
{deformed("labels", "truth", "score")} {deformed("weights", "weight", "score")}
layer {{ name: 'loss' type: 'SoftmaxWithLoss' bottom: 'score' bottom: 'truth' bottom: 'weight'
  top: 'loss' }}
"""


def steps(net: Net, count: int) -> np.ndarray:
    """Seconds of each step, after two to warm up."""
    found = []
    for k in range(count + 2):
        began = time.perf_counter()
        net.clear_param_diffs()
        net.forward()
        net.backward()
        if k >= 2:
            found.append(time.perf_counter() - began)
        elif net.ahead is not None:
            net.ahead.waited, net.ahead.late = 0.0, 0
    return np.array(found) * 1e3


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    graph = build(parse_net(prototxt()), "TRAIN")
    plain, ahead = Net(graph), Net(graph, ahead=True)
    assert ahead.ahead is not None
    data, layers = [], sorted(ahead.planned.ahead)
    for _ in range(5):  # the same layers, where they stand
        began = time.perf_counter()
        for i in layers:
            plain.forward(i, i)
        data.append((time.perf_counter() - began) * 1e3)
    a, b = steps(plain, count), steps(ahead, count)
    wait = ahead.ahead.waited / count * 1e3
    print(f"{count} steps; median and minimum, in ms")
    print(f"making the data          {np.median(data):8.2f} {min(data):8.2f}")
    print(f"step, data in its place  {np.median(a):8.2f} {a.min():8.2f}")
    print(f"step, data ahead         {np.median(b):8.2f} {b.min():8.2f}")
    print(f"wait for data, per step  {wait:8.3f} (mean), {ahead.ahead.late} of {count} steps late")


if __name__ == "__main__":
    main()
