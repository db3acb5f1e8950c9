"""The step loop: order, tests, display, snapshots, and stopping at what is not finite."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse import netspec, solvers, weights
from demitasse.errors import DemitasseError, NonFiniteError, SolverError

NET = """
layer { name: "rows" type: "HDF5Data" top: "x" top: "y"
        hdf5_data_param { source: "list.txt" batch_size: 4 } }
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "s"
        inner_product_param { num_output: 1 weight_filler { type: "gaussian" std: 0.1 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "s" bottom: "y" top: "loss" }
"""
SOLVER = """net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 10 random_seed: 1
snapshot_format: HDF5
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((8, 3)).astype("f4")
    with h5py.File("rows.h5", "w") as file:
        file["x"], file["y"] = x, x @ np.array([[1.0], [2.0], [3.0]], "f4")
    Path("list.txt").write_text("rows.h5")
    Path("net.prototxt").write_text(NET)
    return tmp_path


def build(extra="", **settings):
    Path("solver.prototxt").write_text(SOLVER + extra)
    return solvers.build(netspec.read_solver("solver.prototxt"), **settings)


class Watcher(solvers.Observer):
    def __init__(self):
        self.events = []

    def displayed(self, display):
        self.events.append(("display", display.iter, display.smoothed))

    def tested(self, tested):
        self.events.append(("test", tested.iter, float(tested.outputs["loss"][0])))

    def snapshotted(self, path):
        self.events.append(("snapshot", path.name))

    def finished(self, iteration, smoothed):
        self.events.append(("finished", iteration))


def test_events_come_in_caffes_order():
    watcher = Watcher()
    solver = build(
        'test_iter: 2 test_interval: 5 display: 5 snapshot: 4 snapshot_prefix: "s"',
        observer=watcher,
    )
    solver.solve()
    names = [(e[0], e[1]) for e in watcher.events]
    assert names == [
        ("test", 0),
        ("display", 0),
        ("snapshot", "s_iter_4.solverstate.h5"),
        ("test", 5),
        ("display", 5),
        ("snapshot", "s_iter_8.solverstate.h5"),
        ("snapshot", "s_iter_10.solverstate.h5"),
        ("finished", 10),
        ("test", 10),
    ]
    tests = [e[2] for e in watcher.events if e[0] == "test"]
    assert tests[0] > 5 * tests[-1] > 0


def test_test_nets_see_the_training_nets_parameters():
    solver = build("test_iter: 1 test_interval: 3")
    (test,) = solver.test_nets
    solver.step(1)
    assert np.shares_memory(test.params["ip"][0].data, solver.net.params["ip"][0].data)


def test_the_loss_is_averaged_over_average_loss_iterations():
    watcher = Watcher()
    solver = build("display: 1 average_loss: 3", observer=watcher)
    losses = []
    solver.observer.stepped = lambda i, loss, rate, norm: losses.append(loss)
    solver.step(6)
    shown = [e[2] for e in watcher.events]
    assert shown == [pytest.approx(np.mean(losses[max(0, i - 2) : i + 1])) for i in range(6)]


def test_iter_size_is_a_larger_batch():
    halves = build("iter_size: 2")
    halves.step(4)
    Path("net.prototxt").write_text(NET.replace("batch_size: 4", "batch_size: 8"))
    whole = build()
    whole.step(4)
    np.testing.assert_allclose(halves.net.flat_data, whole.net.flat_data, rtol=1e-5)


def test_clipping_scales_the_whole_gradient():
    plain, clipped = build(), build("clip_gradients: 0.01")
    norms = []
    plain.observer.stepped = lambda i, loss, rate, norm: norms.append(norm)
    before = plain.net.flat_data.copy()
    plain.step(1)
    clipped.step(1)
    np.testing.assert_allclose(
        clipped.net.flat_data - before,
        (plain.net.flat_data - before) * 0.01 / norms[0],
        atol=1e-7,
    )


class Spoil(solvers.Hook):
    """Makes a parameter NaN, or a gradient, in a chosen iteration."""

    def __init__(self, iteration, what):
        self.iteration, self.what = iteration, what

    def on_start(self):
        if self.solver.iter == self.iteration and self.what == "data":
            self.solver.net.params["ip"][0].data[0, 1] = np.nan

    def on_gradients_ready(self):
        if self.solver.iter == self.iteration and self.what == "diff":
            self.solver.net.params["ip"][0].diff[0, 1] = np.inf


@pytest.mark.parametrize("what", ["data", "diff"])
def test_nan_stops_at_once_and_names_iteration_layer_and_snapshot(what):
    hook = Spoil(6, what)
    solver = build('snapshot: 5 snapshot_prefix: "s"', hooks=[hook])
    hook.solver = solver
    with pytest.raises(NonFiniteError) as stopped:
        solver.solve()
    message = str(stopped.value)
    assert "at iteration 6" in message and "'ip'" in message
    assert "s_iter_5.solverstate.h5" in message
    assert solver.iter == 6
    assert not Path("s_iter_6.solverstate.h5").exists()
    again = build('snapshot: 5 snapshot_prefix: "s"')
    again.restore("s_iter_5.solverstate.h5")
    assert np.isfinite(again.net.flat_data).all()


def test_parameters_that_overflow_are_never_saved():
    solver = build('snapshot: 1 snapshot_prefix: "s"')
    solver.step(2)
    solver.net.params["ip"][0].data[0, 0] = np.inf
    with pytest.raises(NonFiniteError, match=r"layer 'ip'.*s_iter_2\.solverstate\.h5"):
        solver.snapshot()
    assert not Path("s_iter_3.solverstate.h5").exists()


@pytest.mark.parametrize(
    "text, words",
    [
        ("iter_size: 0", "iter_size must be at least 1"),
        ('regularization_type: "L3"', "expected L1 or L2"),
        ('type: "LBFGS"', "not known"),
        ('type: "AdaGrad" momentum: 0.9', "AdaGrad cannot be used with momentum.*found 0.9"),
        ('type: "RMSProp" momentum: 0.9', "RMSProp cannot be used with momentum"),
        ('type: "RMSProp" rms_decay: 1', "rms_decay is out of range for RMSProp.*below 1, found 1"),
        ('type: "RMSProp" rms_decay: -0.1', "rms_decay is out of range"),
        ('type: "AdaDelta" momentum: 1', "momentum is out of range for AdaDelta"),
        ('type: "Adam" momentum2: 1', "momentum2 is out of range for Adam"),
        ('type: "Adam" momentum: -1', "momentum is out of range for Adam"),
        ('type: "AdaGrad" delta: -1', "delta is out of range.*at least 0, found -1"),
        ("average_loss: 0", "average_loss must be at least 1"),
        ("snapshot: 1", "has snapshot but no snapshot_prefix"),
        ("test_iter: 1", "no test_interval"),
        ("max_iter: 0", "max_iter must be at least 1"),
        ('test_net: "net.prototxt" test_interval: 2', "one test_iter for each test net"),
        (
            "test_iter: 5 test_iter: 0 test_interval: 2",
            "test_iter must be at least 1; found 0",
        ),
    ],
)
def test_settings_that_cannot_be_followed(text, words):
    solver = SOLVER.replace("max_iter: 10", "") if "max_iter" in text else SOLVER
    with pytest.raises(SolverError, match=words):
        solvers.build(netspec.parse_solver(solver + text))


def test_a_solver_needs_one_net():
    Path("solver.prototxt").write_text('base_lr: 1 lr_policy: "fixed" max_iter: 1')
    with pytest.raises(SolverError, match="one training net"):
        solvers.build(netspec.read_solver("solver.prototxt"))


def test_a_folder_for_snapshots_that_is_not_there_is_refused_at_once():
    with pytest.raises(DemitasseError, match="no/such"):
        build('snapshot: 5 snapshot_prefix: "no/such/run"')


def test_snapshots_too_large_for_caffe_are_refused_at_once(monkeypatch):
    monkeypatch.setattr(weights, "LIMIT", 15)  # a weight for each of three inputs, and a bias: 16
    build()  # HDF5 has no limit
    text = SOLVER.replace("HDF5", "BINARYPROTO")
    with pytest.raises(SolverError, match=r"at most 15 bytes, found at least 16.*HDF5"):
        solvers.build(netspec.parse_solver(text))
    solvers.build(netspec.parse_solver(text + "snapshot_after_train: false"))


def test_fine_tuning_keeps_layers_the_file_lacks_and_refuses_other_shapes():
    solver = build()
    solver.step(2)
    solver.param.snapshot_prefix = "a"
    solver.snapshot()
    Path("net.prototxt").write_text(NET.replace('name: "ip"', 'name: "other"'))
    with pytest.raises(DemitasseError, match="another net"):
        build().load_weights("a_iter_2.caffemodel.h5")
    Path("net.prototxt").write_text(NET.replace("num_output: 1", "num_output: 2"))
    Path("solver.prototxt").write_text(SOLVER)
    with pytest.raises(DemitasseError):
        build().load_weights("a_iter_2.caffemodel.h5")
