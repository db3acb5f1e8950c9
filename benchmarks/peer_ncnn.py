"""The U-Net in ncnn: its own file formats, written here, and float32 throughout like everybody.

File formats: https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure; layers:
https://github.com/Tencent/ncnn/blob/master/docs/developer-guide/operators.md
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import _unet
import numpy as np

MAGIC, RAW = 7767517, np.zeros(1, "<u4").tobytes()  # RAW: float32 follows
WHOLE = -233  # a crop's output reaches to the margins


def graph(base: int) -> str:
    """The .param file: (type, name, bottoms, tops, parameters by number) line by line."""
    lines = [("Input", "data", (), ("data",), "")]
    copies = {}  # a blob is read once: those read twice are split
    for step in _unet.steps(base):
        bottoms = tuple(copies.get(b, b) for b in step.bottoms)
        size = int(np.prod(step.shape)) if step.kind in _unet.LEARNT else 0
        kind, options = {
            "conv": ("Convolution", f"0={step.outputs} 1=3 5=1 6={size} 9=1"),
            "score": ("Convolution", f"0={step.outputs} 1=1 5=1 6={size}"),
            "up": ("Deconvolution", f"0={step.outputs} 1=2 3=2 5=1 6={size}"),
            "pool": ("Pooling", "0=0 1=2 2=2 5=1"),
            "join": ("Concat", "0=0"),
        }[step.kind]
        if step.kind == "join":
            rim, cropped = step.rim, f"{step.bottoms[1]}c"
            crop = f"0={rim} 1={rim} 2=0 3={WHOLE} 4={WHOLE} 5={WHOLE} 6={rim} 7={rim} 8=0"
            lines.append(("Crop", f"crop_{cropped}", (bottoms[1],), (cropped,), crop))
            bottoms = (bottoms[0], cropped)
        if step.kind == "pool":
            blob = step.bottoms[0]
            copies[blob] = f"{blob}_1"
            lines.append(("Split", f"split_{blob}", (blob,), (f"{blob}_0", f"{blob}_1"), ""))
            bottoms = (f"{blob}_0",)
        lines.append((kind, step.name, bottoms, (step.top,), options))
    blobs = sum(len(tops) for *_, tops, _ in lines)
    text = [
        " ".join((kind, name, str(len(b)), str(len(t)), *b, *t, options)).strip()
        for kind, name, b, t, options in lines
    ]
    return "\n".join((str(MAGIC), f"{len(lines)} {blobs}", *text)) + "\n"


def write(folder: Path, base: int, weights: _unet.Weights) -> None:
    """The graph, and the arrays in the order of the layers; ncnn's deconvolution has its outputs
    first."""
    (folder / f"unet-{base}.param").write_text(graph(base))
    with (folder / f"unet-{base}.bin").open("wb") as file:
        for step in _unet.steps(base):
            if step.kind in _unet.LEARNT:
                w, b = weights[step.name]
                w = w.swapaxes(0, 1) if step.kind == "up" else w
                file.write(RAW + np.ascontiguousarray(w, "<f4").tobytes())
                file.write(np.ascontiguousarray(b, "<f4").tobytes())


def predictor(
    folder: str, base: int, size: int, threads: int
) -> Callable[[np.ndarray], np.ndarray]:
    """Scores (1, 2, n, n) of a tile (1, 1, size, size)."""
    import ncnn

    net = ncnn.Net()
    for name in dir(net.opt):
        if name.startswith(("use_fp16", "use_bf16", "use_int8")):
            setattr(net.opt, name, False)
    net.opt.use_vulkan_compute = False
    net.opt.use_winograd_convolution = net.opt.use_sgemm_convolution = True
    net.opt.use_packing_layout = net.opt.lightmode = True
    net.opt.num_threads = threads
    pools = ncnn.PoolAllocator(), ncnn.PoolAllocator()  # memory is kept between passes
    net.opt.blob_allocator, net.opt.workspace_allocator = pools
    found = Path(folder) / f"unet-{base}"
    if net.load_param(f"{found}.param") or net.load_model(f"{found}.bin"):
        raise RuntimeError(f"ncnn cannot read {found}.param")

    def predict(x: np.ndarray, pools: Any = pools) -> np.ndarray:
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(x[0]))
        failed, score = extractor.extract("score")
        if failed:
            raise RuntimeError(f"ncnn failed with {failed}")
        return np.array(score)[None]

    return predict


def make(
    job: str, folder: str, base: int, size: int, threads: int, batch: int = 1
) -> Callable[[], Any]:
    """A function that runs the job once: forward, or scores (the same, and its result)."""
    predict, x = predictor(folder, base, size, threads), _unet.pixels(size, batch)
    return lambda: predict(x) if job == "scores" else predict(x) is None
