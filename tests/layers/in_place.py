"""A layer in a net, in place and with a top of its own: the net must give the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from demitasse import netspec
from demitasse.net import Net

from .strategies import numbers


def build(text: str, **settings: Any) -> Net:
    return Net(netspec.build(netspec.parse_net(text), "TEST"), **settings)


def check_in_place(kind: str, param: str, shape: tuple[int, ...], *, params: Any = ()) -> None:
    """Compare top and gradients, whether or not every blob has arrays of its own.

    params: values for the layer's parameters.  The layer stands behind a Bias layer, so that the
    net's own input is never overwritten.
    """
    dims = " ".join(f"dim: {n}" for n in shape)
    found = []
    for top in ("x", "y"):
        text = (
            "force_backward: true layer { name: 'in' type: 'Input' top: 'in' "
            f"input_param {{ shape {{ {dims} }} }} }} "
            "layer { name: 'x' type: 'Bias' bottom: 'in' top: 'x' } "
            f"layer {{ name: 'f' type: '{kind}' bottom: 'x' top: '{top}' {param} }}"
        )
        for keep in (True, False):
            net = build(text, keep=keep, poison=not keep)
            for blob, value in zip(net.params.get("f", ()), params, strict=True):
                blob.data[...] = value
            net.blobs["in"].data[...] = numbers(shape)
            net.forward()
            y = net.values[net.graph.outputs[0]]
            data = y.data.copy()
            y.diff[...] = numbers(y.shape, 1)
            net.backward()
            grads = [blob.diff.copy() for name in ("x", "f") for blob in net.params.get(name, ())]
            found.append([data, *grads])
    assert all(np.isfinite(array).all() and array.any() for array in found[0])
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
