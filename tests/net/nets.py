"""A small U-Net with everything that the planner treats apart, and how to run it."""

import numpy as np
from demitasse import netspec
from demitasse.net import Net


def conv(name, bottom, top, n=4, kernel=3, kind="Convolution", stride=1):
    return f"""layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top}"
      convolution_param {{ num_output: {n} kernel_size: {kernel} stride: {stride}
        weight_filler {{ type: "msra" }} bias_filler {{ type: "gaussian" std: 0.1 }} }} }}
    """


def on(kind, bottom, top=None, more=""):
    top = top or bottom
    name = f"{kind}_{top}"
    return f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top}" {more} }}\n'


def join(top, *bottoms, kind="Concat", more=""):
    names = " ".join(f'bottom: "{b}"' for b in bottoms)
    return f'layer {{ name: "{kind}_{top}" type: "{kind}" {names} top: "{top}" {more} }}\n'


def data(name, *shape):
    dims = " ".join(f"dim: {n}" for n in shape)
    top = f'name: "{name}" type: "Input" top: "{name}"'
    return f"layer {{ {top} input_param {{ shape {{ {dims} }} }} }}\n"


POOL = "pooling_param { pool: MAX kernel_size: 2 stride: 2 }"


def unet(batch=1, *, size=36, dropout=True):
    """Two levels, with dropout in place at the bottom, and a batch normalisation on the way up."""
    text = data("data", batch, 1, size, size) + data("label", batch, 1, size - 20, size - 20)
    text += conv("c0a", "data", "d0a") + on("ReLU", "d0a")
    text += conv("c0b", "d0a", "d0b") + on("ReLU", "d0b") + on("Pooling", "d0b", "d1", POOL)
    text += conv("c1a", "d1", "d1a", 8) + on("ReLU", "d1a")
    text += conv("c1b", "d1a", "d1b", 8) + on("ReLU", "d1b")
    text += on("Dropout", "d1b") if dropout else ""
    text += conv("up", "d1b", "u0", 4, 2, "Deconvolution", 2)
    text += join("d0c", "d0b", "u0", kind="Crop", more="crop_param { axis: 2 offset: 4 }")
    text += join("u0a", "d0c", "u0")
    text += conv("c2a", "u0a", "u0b") + on("ReLU", "u0b")
    text += on("BatchNorm", "u0b", "u0n") + conv("c2b", "u0n", "u0c") + on("ReLU", "u0c")
    text += conv("c2c", "u0c", "u0d") + on("ReLU", "u0d") + conv("c2d", "u0d", "u0e")
    text += on("TanH", "u0e") + conv("score", "u0e", "score", 2, 1)
    text += join("loss", "score", "label", kind="SoftmaxWithLoss")
    return text


def build(text, phase="TRAIN", **settings):
    return Net(netspec.build(netspec.parse_net(text), phase), seed=5, **settings)


def run(net, passes=2):
    """Losses, gradients and statistics of some passes."""
    rng, found = np.random.default_rng(1), []
    for _ in range(passes):
        for blob in (net.blobs[name] for name in net.inputs):
            labels = blob.shape[1:2] == (1,)
            blob.data[...] = (
                rng.integers(0, 2, blob.shape) if labels else rng.standard_normal(blob.shape)
            )
        net.clear_param_diffs()
        found.append(np.float64(net.forward()))
        net.backward()
        found.append(net.flat_diff.copy())
        found.append(net.flat_data.copy())
    return found


def same(*nets):
    """The same bits, but for the sign of zeros."""
    first = run(nets[0])
    assert all(np.isfinite(array).all() for array in first) and np.any(first[1])
    for net in nets[1:]:
        for a, b in zip(first, run(net), strict=True):
            np.testing.assert_array_equal(a, b)
