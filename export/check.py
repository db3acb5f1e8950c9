"""Whether another runtime computes what the net computes."""

from __future__ import annotations

import numpy as np

from ..net import Net


def examples(net: Net, seed: int = 0) -> dict[str, np.ndarray]:
    """Random inputs for a net."""
    rng = np.random.default_rng(seed)
    values = net.planned.inferred.values
    return {
        value.blob: rng.standard_normal(values[value]).astype(np.float32)
        for value in net.graph.inputs
    }


def run(net: Net, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the net makes of them."""
    for blob, array in inputs.items():
        net.blobs[blob].data[...] = array
    net.forward()
    return {blob: np.array(net.blobs[blob].data) for blob in net.outputs}


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference, of the largest expected value."""
    if found.shape != expected.shape:
        return float("inf")
    scale = float(np.abs(expected).max(initial=0)) or 1.0
    return float(np.abs(found - expected).max(initial=0)) / scale


def onnx_difference(content: bytes, net: Net) -> float | None:
    """How far onnxruntime is from the net on random inputs; None where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    inputs = examples(net)
    expected = run(net, inputs)
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, inputs), strict=True))
    return max(difference(found[blob], array) for blob, array in expected.items())
