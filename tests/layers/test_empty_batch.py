"""A batch may be empty (behind Filter): such a layer makes nothing, and nothing breaks."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.layers.registry import layer_class

from .driver import Rig, layer

CASES = {
    "AbsVal": "",
    "BNLL": "",
    "Clip": "clip_param { min: 0 max: 1 }",
    "ELU": "",
    "Embed": "embed_param { num_output: 2 input_dim: 3 }",
    "Exp": "",
    "Im2col": "convolution_param { kernel_size: 2 }",
    "LRN": "",
    "Log": "",
    "MVN": "",
    "PReLU": "",
    "ReLU": "",
    "Sigmoid": "",
    "Swish": "",
}


@pytest.mark.parametrize("kind", CASES)
def test_forward_and_backward(kind):
    rig = Rig(layer_class(kind), layer(f"type: '{kind}' {CASES[kind]}"), [np.zeros((0, 3, 4, 4))])
    (y,) = rig.forward()
    assert y.shape[0] == 0 and y.ndim >= 4
    diffs, grads = rig.backward([y])
    assert all(not np.any(grad) for grad in grads)
    assert all(diff is None or diff.shape == (0, 3, 4, 4) for diff in diffs)


@pytest.mark.parametrize(
    ("kind", "param"),
    [
        ("LRN", "lrn_param { norm_region: WITHIN_CHANNEL }"),
        ("MVN", "mvn_param { across_channels: true normalize_variance: false }"),
        ("PReLU", "prelu_param { channel_shared: true }"),
    ],
)
def test_variants(kind, param):
    rig = Rig(layer_class(kind), layer(f"type: '{kind}' {param}"), [np.zeros((0, 3, 4, 4))])
    (y,) = rig.forward()
    assert rig.backward([y])[0][0].size == 0
