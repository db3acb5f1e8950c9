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


def exact(net: Net) -> Net:
    """The same net in float64: what others compute in float32 is compared with it, so that the
    difference is theirs alone."""
    values = net.planned.inferred.values
    inputs = {value.blob: values[value] for value in net.graph.inputs}
    twin = Net(net.graph, dtype=np.float64, fill=False, inputs=inputs, backward=False)
    for name, blobs in net.params.items():
        for mine, theirs in zip(twin.params[name], blobs, strict=True):
            mine.data[...] = theirs.data
    return twin


def onnx_difference(content: bytes, net: Net) -> tuple[float, float] | None:
    """How far from the net in float64 are, on random inputs, onnxruntime and the net itself in
    float32; None where onnxruntime is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    inputs = examples(net)
    names = [output.name for output in session.get_outputs()]
    theirs = dict(zip(names, session.run(names, inputs), strict=True))
    ours = run(net, inputs)
    expected = run(exact(net), inputs)
    return farthest(theirs, expected), farthest(ours, expected)


def farthest(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> float:
    """The largest `difference` of any output."""
    return max(difference(found[blob], array) for blob, array in expected.items())
