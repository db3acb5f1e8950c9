"""What the export tests share: nets of golden files and of models/, and running ONNX and code."""

import importlib.util
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse import netspec, weights
from demitasse.export.check import difference, examples, run
from demitasse.net import Net

ROOT = Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "tests/golden/nets"
CASES = sorted(p.name for p in GOLDEN.iterdir())
MODELS = sorted(p.stem for p in (ROOT / "models").glob("*.prototxt") if "solver" not in p.name)
SMALLEST = {
    "unet3d": (92,) * 3,
    "unet3d_bn": (92,) * 3,
    "unet3d_anisotropic": (18, 92, 92),
    "ciresan2012": (95, 95),
}


def golden(case):
    """A recorded net, less labels and losses, with its weights."""
    source = netspec.read_net(str(GOLDEN / case / "net.prototxt"))
    inputs = ("data", "data_p") if case.startswith("siamese") else ()
    message = netspec.deploy(source, softmax=False, inputs=inputs)
    net = Net(netspec.build(netspec.Source(case, message), "TEST"), fill=False, backward=False)
    net.load(weights.read(GOLDEN / case / "weights.caffemodel"), complete=True)
    return net


def model(name, thinner=16):
    """A net of models/ with fewer channels and random parameters, at its smallest size."""
    size = SMALLEST.get(name, (92, 92) if "small" in name else (188, 188))
    source = netspec.read_net(str(ROOT / f"models/{name}.prototxt"))
    message = netspec.deploy(source, shape=(1, 1, *size), softmax=False)
    for layer in message.layer:
        if layer.type in ("Convolution", "Deconvolution") and layer.top[0] != "score":
            param = layer.convolution_param
            param.num_output = max(2, param.num_output // thinner)
    return Net(netspec.build(netspec.Source(name, message), "TEST"), backward=False)


@cache
def answered_model(name):
    """A net of models/, random inputs, and what it makes of them; made once for all tests."""
    net = model(name, 64 if name.startswith("unet3d") else 32)
    return net, *answered(net)


def layer_case(path):
    """The net, inputs and outputs of a recorded layer; None where it was recorded in TRAIN, or
    over several passes."""
    with h5py.File(path) as case:
        if case.attrs["phase"] != "TEST" or "earlier" in case:
            return None
        source = netspec.parse_net(case.attrs["prototxt"], path.name)
        net = Net(netspec.build(source, "TEST"), backward=False)
        for layer, arrays in case.get("params", {}).items():
            for i, array in arrays.items():
                net.params[layer][int(i)].data[...] = array
        bottoms = {n: a[()].astype(np.float32) for n, a in case.get("bottom", {}).items()}
        return net, bottoms, {n: a[()] for n, a in case["top"].items()}


def built(text):
    return Net(netspec.build(netspec.parse_net(text, "net.prototxt"), "TEST"), backward=False)


def onnx_run(proto, inputs):
    """Outputs by name, by onnxruntime."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def imported(path):
    """The module in a file, compiled anew: a test may write several there within a second."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    exec(compile(path.read_text(), path, "exec"), module.__dict__)
    return module


def agree(found, expected, tolerance=1e-5):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert difference(found[name], array) < tolerance, name


def answered(net, seed=0):
    """Random inputs, and what the net makes of them."""
    inputs = examples(net, seed)
    return inputs, run(net, inputs)
