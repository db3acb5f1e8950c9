"""Blobs of more than 2**31 elements: Caffe's counts are int, ours are not."""

from math import prod

import numpy as np
from demitasse import netspec
from demitasse.kernels.im2col import Window, col2im, im2col, run
from demitasse.layers.base import Context
from demitasse.net.inference import build_layers
from demitasse.net.planning import plan_net

TEXT = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 4 %s } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "y"
        convolution_param { num_output: 64 kernel_size: 3 } }
layer { name: "p" type: "Pooling" bottom: "y" top: "z"
        pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "u" type: "Deconvolution" bottom: "z" top: "v"
        convolution_param { num_output: 64 kernel_size: 2 stride: 2 } }
layer { name: "j" type: "Concat" bottom: "v" bottom: "y" top: "w" }
"""


def test_a_plan_counts_beyond_31_and_32_bits():
    dims = "dim: 402 dim: 502 dim: 602"
    graph = netspec.build(netspec.parse_net(TEXT % dims), "TEST")
    layers = build_layers(graph, Context())
    plan = plan_net(graph, layers, None, dtype=np.dtype(np.float32), backward=False)
    shapes = {value.blob: shape for value, shape in plan.inferred.values.items()}
    assert shapes["w"] == (1, 128, 400, 500, 600) and prod(shapes["w"]) > 1 << 33
    assert plan.arena_bytes >= 4 * (prod(shapes["w"]) + prod(shapes["y"])) > 1 << 35
    assert all(offset >= 0 for offset in plan.placement.offsets)


def test_a_kernel_reaches_the_end_of_such_a_blob():
    size = (1 << 31) + 100
    x = np.zeros((1, size), np.uint8)  # 2 GiB promised; what is not touched takes no memory
    x[0, -6:] = [1, 2, 3, 4, 5, 6]
    window = Window((3,), (1,), (0,), (1,))
    (count,) = window.outputs((size,))
    assert count == size - 2 > 1 << 31
    box = ((count - 4, count),)
    assert run((count,), box) == slice(count - 4, count)
    col = np.empty((1, 3, 4), np.uint8)
    im2col(x, window, box, col)
    assert col[0].tolist() == [[1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 6]]
    col2im(col, window, box, x)
    assert x[0, -6:].tolist() == [1 + 1, 2 + 2 * 2, 3 + 3 * 3, 4 + 3 * 4, 5 + 2 * 5, 6 + 6]
