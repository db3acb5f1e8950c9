"""The U-Net as an ONNX model of any size, for the peers that read one."""

from __future__ import annotations

from pathlib import Path

import _unet
import numpy as np

OPSET, IR = 17, 9


def path(folder: str | Path, base: int) -> Path:
    return Path(folder) / f"unet-{base}.onnx"


def write(folder: Path, base: int, weights: _unet.Weights) -> None:
    if path(folder, base).exists():  # another peer's
        return
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, arrays = [], []

    def constant(name: str, value: np.ndarray) -> str:
        arrays.append(numpy_helper.from_array(value, name))
        return name

    for step in _unet.steps(base):
        inputs = list(step.bottoms)
        if step.kind == "join":
            ends = [
                constant(f"{step.name}.{name}", np.array([value] * 2, np.int64))
                for name, value in (("from", step.rim), ("to", -step.rim))
            ]
            axes = constant(f"{step.name}.axes", np.array([2, 3], np.int64))
            cropped = f"{step.bottoms[1]}c"
            nodes.append(helper.make_node("Slice", [step.bottoms[1], *ends, axes], [cropped]))
            nodes.append(helper.make_node("Concat", [step.bottoms[0], cropped], [step.top], axis=1))
        elif step.kind == "pool":
            pool = helper.make_node(
                "MaxPool", inputs, [step.top], kernel_shape=[2, 2], strides=[2, 2]
            )
            nodes.append(pool)
        else:
            w, b = weights[step.name]
            inputs += [constant(f"{step.name}.w", w), constant(f"{step.name}.b", b)]
            kind = "ConvTranspose" if step.kind == "up" else "Conv"
            stride = 2 if step.kind == "up" else 1
            linear = f"{step.top}.linear" if step.kind == "conv" else step.top
            nodes.append(
                helper.make_node(
                    kind, inputs, [linear], kernel_shape=[step.kernel] * 2, strides=[stride] * 2
                )
            )
            if step.kind == "conv":
                nodes.append(helper.make_node("Relu", [linear], [step.top]))
    shape = ["batch", 1, "height", "width"]
    data = helper.make_tensor_value_info("data", TensorProto.FLOAT, shape)
    shape = ["batch", _unet.CLASSES, "out_height", "out_width"]
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, shape)
    model = helper.make_model(
        helper.make_graph(nodes, "unet", [data], [score], arrays),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
    )
    onnx.save(model, path(folder, base))
