"""30 iterations beside real Caffe: losses, learning rates, parameters; snapshots both ways."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse import netspec, solvers
from demitasse.solvers.registry import SOLVERS

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "solvers"


def solver_type(folder):
    return netspec.read_solver(str(folder / "solver.prototxt")).message.type


CASES = sorted(p.name for p in GOLDEN.iterdir() if p.is_dir() and solver_type(p) in SOLVERS)


class Recorder(solvers.Observer):
    def __init__(self):
        self.losses, self.rates = [], []

    def stepped(self, iteration, loss, rate, gradient_norm):
        self.losses.append(loss)
        self.rates.append(rate)


@pytest.fixture
def case(request, tmp_path, monkeypatch):
    folder = tmp_path / request.param
    shutil.copytree(GOLDEN / request.param, folder)
    monkeypatch.chdir(folder)
    return folder


def build():
    recorder = Recorder()
    solver = solvers.build(netspec.read_solver("solver.prototxt"), observer=recorder)
    return solver, recorder


def compare(net, group, tolerance):
    for layer, blobs in group.items():
        for i, want in blobs.items():
            got = net.params[layer][int(i)].data
            scale = np.abs(want[()]).max()
            assert np.abs(got - want[()]).max() <= tolerance * max(scale, 1e-6), (layer, i)


def test_sgd_is_recorded():
    assert {"sgd_step", "sgd_l1_clip_itersize2", "sgd_multistep_bn_2files"} <= set(CASES)


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_trajectory(case):
    solver, recorder = build()
    solver.load_weights("init.caffemodel.h5")
    with h5py.File("trajectory.h5") as recorded:
        tolerance = float(recorded.attrs["tol"])
        assert tolerance <= 1e-5 or solver.type != "SGD"
        for name in sorted(recorded["weights"], key=int):
            solver.step(int(name) - solver.iter)
            compare(solver.net, recorded["weights"][name], tolerance)
        np.testing.assert_allclose(recorder.losses, recorded["loss"][()], rtol=1e-5)
        np.testing.assert_allclose(recorder.rates, recorded["lr"][()], rtol=1e-6)


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_resuming_from_caffes_snapshot(case):
    solver, _ = build()
    solver.restore("snap_iter_10.solverstate.h5")
    assert solver.iter == 10
    solver.step(20)
    with h5py.File("trajectory.h5") as recorded:
        tolerance = float(recorded.attrs["tol"])
        last = recorded["resumed/weights"]
        compare(solver.net, last[max(last, key=int)], tolerance)


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_our_snapshot_has_caffes_layout(case):
    solver, _ = build()
    solver.load_weights("init.caffemodel.h5")
    solver.step(10)
    theirs = {}
    with h5py.File("snap_iter_10.solverstate.h5") as file:
        file.visititems(lambda name, item: theirs.update({name: item}) or None)
        theirs = {k: (v.shape, v.dtype) for k, v in theirs.items() if isinstance(v, h5py.Dataset)}
    ours = {}
    with h5py.File(solver.snapshot()) as file:
        file.visititems(lambda name, item: ours.update({name: item}) or None)
        ours = {k: (v.shape, v.dtype) for k, v in ours.items() if isinstance(v, h5py.Dataset)}
    assert {k: v[0] for k, v in ours.items()} == {k: v[0] for k, v in theirs.items()}
    assert all(ours[k][1] == theirs[k][1] for k in ours if k != "learned_net")
