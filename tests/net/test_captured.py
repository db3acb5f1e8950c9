"""Passes recorded once and run again."""

import h5py
import numpy as np
import pytest
from demitasse import netspec, solvers
from demitasse.kernels.device import CPU
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


@pytest.mark.parametrize("where", WHERE)
def test_a_new_shape_is_recorded_anew(folder, where):
    _, _, solver = trained(device(where))
    first = solver._recorded._replay
    solver.net.reshape({})
    solver.step(4)
    assert solver._recorded._replay not in (None, first)


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
