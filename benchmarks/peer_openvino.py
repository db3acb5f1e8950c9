"""The U-Net in OpenVINO, which reads the ONNX model."""

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
    import openvino

    core = openvino.Core()
    model = core.read_model(_onnx.path(folder, base))
    model.reshape([batch, 1, size, size])
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    del model
    return lambda x: request.infer({0: x}, share_inputs=True, share_outputs=True)[0]


def make(
    job: str, folder: str, base: int, size: int, threads: int, batch: int = 1
) -> Callable[[], Any]:
    """A function that runs the job once: forward, or scores (the same, and its result)."""
    predict, x = predictor(folder, base, size, threads, batch), _unet.pixels(size, batch)
    return lambda: predict(x) if job == "scores" else predict(x) is None
