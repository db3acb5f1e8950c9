"""The U-Net in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import _onnx
import _unet
import numpy as np

write = _onnx.write


def predictor(
    folder: str, base: int, size: int, threads: int, batch: int = 1
) -> Callable[[np.ndarray], np.ndarray]:
    """Scores (batch, 2, n, n) of tiles (batch, 1, size, size)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    for name, value in (("batch", batch), ("height", size), ("width", size)):
        options.add_free_dimension_override_by_name(name, value)
    session = onnxruntime.InferenceSession(
        str(_onnx.path(folder, base)), options, providers=["CPUExecutionProvider"]
    )
    return lambda x: session.run(["score"], {"data": x})[0]


def make(
    job: str, folder: str, base: int, size: int, threads: int, batch: int = 1
) -> Callable[[], Any]:
    """A function that runs the job once: forward, or scores (the same, and its result)."""
    predict, x = predictor(folder, base, size, threads, batch), _unet.pixels(size, batch)
    return lambda: predict(x) if job == "scores" else predict(x) is None
