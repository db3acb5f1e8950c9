"""Passes recorded once and run again."""

import h5py
import numpy as np
import pytest
from demitasse import netspec, solvers
from demitasse.kernels.device import CPU
from demitasse.layers.base import Layer
from demitasse.net import Net
from demitasse.net.captured import Captured
from demitasse.solvers.sgd import SGD
from devices import EMULATOR, WHERE, device

NET = """
layer { name: "data" type: "HDF5Data" top: "x" top: "l"
        hdf5_data_param { source: "list.txt" batch_size: 1 shuffle: true } }
layer { name: "a" type: "Convolution" bottom: "x" top: "a"
        convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "r" type: "ReLU" bottom: "a" top: "a" }
layer { name: "p" type: "Pooling" bottom: "a" top: "p" pooling_param { kernel_size: 2 stride: 2 } }
layer { name: "d" type: "Dropout" bottom: "p" top: "p" }
layer { name: "u" type: "Deconvolution" bottom: "p" top: "u"
        convolution_param {
          num_output: 4 kernel_size: 2 stride: 2 weight_filler { type: "msra" } } }
layer { name: "cat" type: "Concat" bottom: "u" bottom: "a" top: "cat" }
layer { name: "s" type: "Convolution" bottom: "cat" top: "s"
        convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: "msra" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "s" bottom: "l" top: "loss" }
"""
SOLVER = (
    'net: "net.prototxt" base_lr: 0.05 momentum: 0.9 lr_policy: "fixed" max_iter: 8 random_seed: 3'
)


class Losses(solvers.Observer):
    def __init__(self):
        self.losses = []

    def stepped(self, iteration, loss, rate, gradient_norm):
        self.losses.append(loss)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "d.h5", "w") as file:
        x = rng.standard_normal((4, 1, 10, 10), np.float32)
        file["x"], file["l"] = x, (x[:, :, 1:-1, 1:-1] > 0).astype(np.float32)
    (tmp_path / "list.txt").write_text("d.h5\n")
    (tmp_path / "net.prototxt").write_text(NET)
    (tmp_path / "solver.prototxt").write_text(SOLVER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(device, iterations=8):
    observer, source = Losses(), netspec.read_solver("solver.prototxt")
    solver = solvers.build(source, observer=observer, net_options={"device": device})
    solver.step(iterations)
    return observer.losses, solver.net.device.host(solver.net.flat_data), solver


@pytest.mark.parametrize("where", WHERE)
def test_recorded_passes_give_the_bits_of_passes_run_one_by_one(folder, where):
    """Dropout draws other masks and the data other rows in every pass, recorded or not."""
    losses, weights, solver = trained(device(where))
    assert solver._recorded._replay is not None
    plain = device(where)
    plain.capture = None
    one_by_one, same, solver = trained(plain)
    assert solver._recorded._replay is None
    assert losses == one_by_one and len(set(losses)) == 8
    np.testing.assert_array_equal(weights, same)
    there, here, _ = trained(CPU)
    np.testing.assert_allclose(losses, there, rtol=1e-5)
    np.testing.assert_allclose(weights, here, rtol=1e-4, atol=1e-6)


def test_a_net_of_two_losses_is_recorded(folder):
    text = (
        NET
        + """
    layer { name: "s2" type: "Convolution" bottom: "cat" top: "s2"
            convolution_param { num_output: 2 kernel_size: 1 weight_filler { type: "msra" } } }
    layer { name: "more" type: "SoftmaxWithLoss" bottom: "s2" bottom: "l" top: "more"
            loss_weight: 0.5 }
    """
    )
    (folder / "net.prototxt").write_text(text)
    losses, weights, solver = trained(device(EMULATOR), 4)
    assert solver._recorded._replay is not None
    there, here, _ = trained(CPU, 4)
    np.testing.assert_allclose(losses, there, rtol=1e-5)
    np.testing.assert_allclose(weights, here, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("where", WHERE)
def test_passes_of_a_test_net_are_recorded(folder, where):
    """Their data run ahead then; parameters and positions are those of passes run one by one."""
    (folder / "solver.prototxt").write_text(SOLVER + " test_iter: 3 test_interval: 2")

    class Means(Losses):
        def tested(self, tested):
            self.losses.append((tested.loss, {k: v.tolist() for k, v in tested.outputs.items()}))

    def tests(device):
        observer, source = Means(), netspec.read_solver("solver.prototxt")
        solver = solvers.build(source, observer=observer, net_options={"device": device})
        solver.step(5)
        return observer.losses, solver.test_nets[0].state(), solver._tests[0]._replay

    found, state, replay = tests(device(where))
    plain = device(where)
    plain.capture = None
    expected, same, none = tests(plain)
    assert replay is not None and none is None
    assert found == expected and state == same and len(found) == 3 + 5
    losses = [[x[0] for x in found if isinstance(x, tuple)] for found in (expected, tests(CPU)[0])]
    assert len(losses[0]) == 3
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_what_does_not_change_is_not_asked_for_in_every_pass(folder, monkeypatch):
    """Between two recorded steps the card waits for the host."""
    _, _, solver = trained(device(EMULATOR), 4)
    monkeypatch.setattr(Captured, "_records", lambda *_: pytest.fail("asked again"))
    monkeypatch.setattr(Net, "losses", lambda net: pytest.fail("asked again"))
    monkeypatch.setattr(Layer, "begin", lambda layer: pytest.fail("it has nothing to begin"))
    solver._recorded._replay = lambda: None
    solver.step(2)


@pytest.mark.parametrize("where", WHERE)
def test_a_new_shape_is_recorded_anew(where):
    """Two sizes in turn, each for as long as it takes to be recorded and run again."""
    data, more = NET.split("\n", 4)[1:3], NET.split("\n", 3)[3]
    assert "HDF5Data" in data[0]
    text = 'input: "x" input_shape { dim: 1 dim: 1 dim: 10 dim: 10 }\n'
    text += 'input: "l" input_shape { dim: 1 dim: 1 dim: 8 dim: 8 }\n' + more
    graph = netspec.build(netspec.parse_net(text), "TRAIN")
    param = netspec.parse_solver(SOLVER.split(" ", 2)[2]).message

    def two_sizes(device):
        solver, replays = SGD(param, Net(graph, seed=3, device=device)), []
        for size in (10, 14, 10):
            net = solver.net
            net.reshape({"x": (1, 1, size, size), "l": (1, 1, size - 2, size - 2)})
            x = np.random.default_rng(size).standard_normal((1, 1, size, size), np.float32)
            net.blobs["x"].data[...], net.blobs["l"].data[...] = x, x[:, :, 1:-1, 1:-1] > 0
            solver.step(4)
            replays.append(solver._recorded._replay)
        return replays, solver.net.device.host(solver.net.flat_data)

    replays, weights = two_sizes(device(where))
    assert None not in replays and len(set(map(id, replays))) == 3
    plain = device(where)
    plain.capture = None
    np.testing.assert_array_equal(weights, two_sizes(plain)[1])


@pytest.mark.parametrize("where", WHERE)
def test_parameters_that_are_shared_later_are_recorded_anew(where):
    text = """input: "x" input_shape { dim: 1 dim: 1 dim: 4 dim: 4 }
    layer { name: "c" type: "Convolution" bottom: "x" top: "s" convolution_param {
      num_output: 2 kernel_size: 1 weight_filler { type: "msra" } } }"""
    card, graph = device(where), netspec.build(netspec.parse_net(text), "TEST")
    net, other = (Net(graph, seed=seed, device=card) for seed in (3, 4))
    for one in (net, other):
        one.blobs["x"].data[...] = 1
    passes, found = Captured(net, pytest.fail, backward=False), []
    for _ in range(4):
        passes.run()
    before = passes._replay
    net.share_with(other)
    other.forward()
    for _ in range(4):
        passes.run()
        found.append(net.read("s"))
    assert None is not passes._replay is not before
    np.testing.assert_array_equal(found, [other.read("s")] * 4)


def test_a_net_that_looks_at_the_host_is_not_recorded(folder):
    text = NET.replace('bottom: "l" top: "loss"', 'bottom: "l" top: "loss" loss_weight: 0')
    text += """
        layer { name: "f" type: "Reshape" bottom: "s" top: "f"
                reshape_param { shape { dim: 1 dim: -1 } } }
        layer { name: "zero" type: "DummyData" top: "zero" dummy_data_param { shape { dim: 1 } } }
        layer { name: "h" type: "HingeLoss" bottom: "f" bottom: "zero" top: "h" }
    """
    (folder / "net.prototxt").write_text(text)
    losses, _, solver = trained(device(EMULATOR), 4)
    assert np.isfinite(losses).all() and solver._recorded._replay is None
