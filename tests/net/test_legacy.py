"""Real old files of other people: they load, they resume, and OpenCV sees in them what we see.

They are nobody's to commit, so these tests run only where DEMITASSE_LEGACY names a folder with
lenet_iter_10000.caffemodel, lenet_iter_10000.solverstate, cifar10_quick_iter_5000.caffemodel.h5,
cifar10_quick_iter_5000.solverstate.h5, det1.caffemodel, det2.caffemodel (MTCNN), sr.prototxt and
sr.caffemodel (OpenCV's QR code detector).
"""

import os
from pathlib import Path

import numpy as np
import pytest
from demitasse import netspec, solvers, weights
from demitasse.net import Net
from demitasse.net.saving import save_caffemodel
from demitasse.tools import port
from demitasse.tools._main import guarded

FOLDER = Path(os.environ.get("DEMITASSE_LEGACY", "-"))
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="DEMITASSE_LEGACY names no folder of old Caffe files"
)

INPUT = 'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {} }} }} }}\n'


def given(*dims):
    return INPUT.format(" ".join(f"dim: {d}" for d in dims))


def conv(name, bottom, count, kernel, pad=0):
    return (
        f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}"'
        f" convolution_param {{ num_output: {count} kernel_size: {kernel} pad: {pad} }} }}\n"
    )


def pool(name, bottom, kind, kernel, stride=2):
    return (
        f'layer {{ name: "{name}" type: "Pooling" bottom: "{bottom}" top: "{name}"'
        f" pooling_param {{ pool: {kind} kernel_size: {kernel} stride: {stride} }} }}\n"
    )


def dense(name, bottom, count):
    return (
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "{bottom}" top: "{name}"'
        f" inner_product_param {{ num_output: {count} }} }}\n"
    )


def in_place(kind, name, blob):
    return f'layer {{ name: "{name}" type: "{kind}" bottom: "{blob}" top: "{blob}" }}\n'


def softmax(bottom):
    return f'layer {{ name: "prob" type: "Softmax" bottom: "{bottom}" top: "prob" }}\n'


LENET = (
    conv("conv1", "data", 20, 5)
    + pool("pool1", "conv1", "MAX", 2)
    + conv("conv2", "pool1", 50, 5)
    + pool("pool2", "conv2", "MAX", 2)
    + dense("ip1", "pool2", 500)
    + in_place("ReLU", "relu1", "ip1")
    + dense("ip2", "ip1", 10)
)
CIFAR = (
    conv("conv1", "data", 32, 5, 2)
    + pool("pool1", "conv1", "MAX", 3)
    + in_place("ReLU", "relu1", "pool1")
    + conv("conv2", "pool1", 32, 5, 2)
    + in_place("ReLU", "relu2", "conv2")
    + pool("pool2", "conv2", "AVE", 3)
    + conv("conv3", "pool2", 64, 5, 2)
    + in_place("ReLU", "relu3", "conv3")
    + pool("pool3", "conv3", "AVE", 3)
    + dense("ip1", "pool3", 64)
    + dense("ip2", "ip1", 10)
)
DET1 = (
    conv("conv1", "data", 10, 3)
    + in_place("PReLU", "PReLU1", "conv1")
    + pool("pool1", "conv1", "MAX", 2)
    + conv("conv2", "pool1", 16, 3)
    + in_place("PReLU", "PReLU2", "conv2")
    + conv("conv3", "conv2", 32, 3)
    + in_place("PReLU", "PReLU3", "conv3")
    + conv("conv4-1", "conv3", 2, 1)
    + conv("conv4-2", "conv3", 4, 1)
    + softmax("conv4-1")
)
DET2 = (
    conv("conv1", "data", 28, 3)
    + in_place("PReLU", "prelu1", "conv1")
    + pool("pool1", "conv1", "MAX", 3)
    + conv("conv2", "pool1", 48, 3)
    + in_place("PReLU", "prelu2", "conv2")
    + pool("pool2", "conv2", "MAX", 3)
    + conv("conv3", "pool2", 64, 2)
    + in_place("PReLU", "prelu3", "conv3")
    + dense("conv4", "conv3", 128)
    + in_place("PReLU", "prelu4", "conv4")
    + dense("conv5-1", "conv4", 2)
    + dense("conv5-2", "conv4", 4)
    + softmax("conv5-1")
)
# name -> (file of parameters, net or file of it, input shape, outputs)
NETS = {
    "lenet": ("lenet_iter_10000.caffemodel", LENET + softmax("ip2"), (1, 1, 28, 28), ["prob"]),
    "det1": ("det1.caffemodel", DET1, (1, 3, 37, 50), ["prob", "conv4-2"]),
    "det2": ("det2.caffemodel", DET2, (1, 3, 24, 24), ["prob", "conv5-2"]),
    "sr": ("sr.caffemodel", "sr.prototxt", (1, 1, 64, 64), ["fc"]),
}


def load(name, **settings):
    """Our net with its parameters, and the input it takes."""
    file, text, shape, _ = NETS[name]
    if text.endswith(".prototxt"):
        source = netspec.read_net(FOLDER / text)
    else:
        source = netspec.parse_net(f'name: "{name}"\n' + given(*shape) + text)
    net = Net(netspec.build(source, "TEST"), fill=False, inputs={"data": shape}, **settings)
    report = net.load(weights.read(FOLDER / file), complete=True)
    assert not report.duplicates
    return net, np.random.default_rng(1).standard_normal(shape).astype("f4")


@pytest.mark.parametrize("name", NETS)
def test_opencv_agrees(name, tmp_path):
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless<5 is the other reader")
    file, text, shape, outputs = NETS[name]
    net, x = load(name)
    net.blobs["data"].data[...] = x
    net.forward()
    if text.endswith(".prototxt"):
        prototxt = FOLDER / text
    else:
        prototxt = tmp_path / "net.prototxt"
        prototxt.write_text(f'name: "{name}"\n' + given(*shape) + text)
    other = cv2.dnn.readNetFromCaffe(str(prototxt), str(FOLDER / file))
    other.enableWinograd(False)
    other.setInput(x)
    for blob, want in zip(outputs, other.forward(outputs), strict=True):
        got = net.blobs[blob].data
        assert got.shape == want.shape and np.abs(got - want).max() <= 1e-5 * np.abs(want).max()


@pytest.mark.parametrize("name", NETS)
def test_opencv_reads_what_we_write(name, tmp_path):
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless<5 is the other reader")
    file, text, shape, outputs = NETS[name]
    net, x = load(name)
    save_caffemodel(net, tmp_path / "ours.caffemodel")
    (tmp_path / "net.prototxt").write_text(
        (FOLDER / text).read_text() if text.endswith(".prototxt") else given(*shape) + text
    )
    scores = []
    for path in (FOLDER / file, tmp_path / "ours.caffemodel"):
        other = cv2.dnn.readNetFromCaffe(str(tmp_path / "net.prototxt"), str(path))
        other.setInput(x)
        scores.append(other.forward(outputs))
    for one, two in zip(*scores, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_file_that_caffe_saved_is_saved_again_bit_by_bit(tmp_path):
    source = netspec.read_net(FOLDER / "sr.prototxt")
    net = Net(netspec.build(source, "TEST"), fill=False)
    net.load(weights.read(FOLDER / "sr.caffemodel"), complete=True)
    save_caffemodel(net, tmp_path / "sr.caffemodel")
    assert (tmp_path / "sr.caffemodel").read_bytes() == (FOLDER / "sr.caffemodel").read_bytes()


@pytest.mark.parametrize("name", ["lenet", "det1", "det2"])
def test_ports_keep_every_bit(name, tmp_path):
    file = FOLDER / NETS[name][0]
    assert guarded(port.main, [str(file), "-o", str(tmp_path / "a.h5")]) == 0
    argv = [str(tmp_path / "a.h5"), "-o", str(tmp_path / "b.caffemodel")]
    assert guarded(port.main, argv) == 0
    theirs, ours = (weights.read(p).layers for p in (file, tmp_path / "b.caffemodel"))
    assert ours.keys() == {layer for layer, blobs in theirs.items() if blobs}
    for layer, blobs in ours.items():
        assert [a.tobytes() for a in blobs] == [a.tobytes() for a in theirs[layer]]


STATES = {
    "lenet_iter_10000.solverstate": (LENET, (4, 1, 28, 28), 10000),
    "cifar10_quick_iter_5000.solverstate.h5": (CIFAR, (4, 3, 32, 32), 5000),
}


@pytest.mark.parametrize("file", STATES)
def test_old_trainings_resume(file):
    text, shape, iteration = STATES[file]
    dims = " ".join(f"dim: {d}" for d in shape)
    data = (
        'layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param {'
        f" shape {{ {dims} }} shape {{ dim: {shape[0]} }}"
        ' data_filler { type: "gaussian" } data_filler { type: "constant" value: 3 } } }'
    )
    loss = 'layer { name: "l" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "l" }'
    source = netspec.parse_solver(
        f'base_lr: 0.01 lr_policy: "fixed" momentum: 0.9 max_iter: {iteration + 9} random_seed: 1'
    )
    source.message.net_param.CopyFrom(netspec.parse_net(data + text + loss).message)
    solver = solvers.build(source)
    solver.restore(FOLDER / file)
    state = weights.read_state(FOLDER / file)
    assert solver.iter == state.iter == iteration and not state.extra
    remembered = np.concatenate([h.ravel() for h in state.history])
    np.testing.assert_array_equal(solver.history[0], remembered)
    assert np.abs(remembered).max() > 0
    learned = weights.read(FOLDER / Path(state.learned_net).name)
    np.testing.assert_array_equal(solver.net.params["ip2"][0].data, learned.layers["ip2"][0])
    before = solver.net.flat_data.copy()
    solver.step(3)
    moved = np.abs(solver.net.flat_data - before).max()
    assert solver.iter == iteration + 3 and 0 < moved < 0.5
