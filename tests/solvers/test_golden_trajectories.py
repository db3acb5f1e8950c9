"""30 iterations beside real Caffe: losses, learning rates, parameters; snapshots both ways."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse import netspec, solvers, weights
from demitasse.kernels.device import CPU
from demitasse.net.saving import save_caffemodel
from demitasse.solvers.registry import SOLVERS
from devices import WHERE
from devices import device as device_of

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


def build(device=CPU):
    recorder, source = Recorder(), netspec.read_solver("solver.prototxt")
    options = {"device": device}
    return solvers.build(source, observer=recorder, net_options=options), recorder


def compare(net, group, tolerance):
    for layer, blobs in group.items():
        for i, want in blobs.items():
            got = net.device.host(net.params[layer][int(i)].data)
            scale = np.abs(want[()]).max()
            assert np.abs(got - want[()]).max() <= tolerance * max(scale, 1e-6), (layer, i)


def test_every_solver_is_recorded():
    assert {solver_type(GOLDEN / name) for name in CASES} == set(SOLVERS)
    assert {"sgd_step", "sgd_l1_clip_itersize2", "sgd_multistep_bn_2files"} <= set(CASES)


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_trajectory(case):
    follow(*build())


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("case", CASES, indirect=True)
def test_trajectory_on_a_device(case, where):
    follow(*build(device_of(where)))


def follow(solver, recorder):
    solver.load_weights("init.caffemodel.h5")
    with h5py.File("trajectory.h5") as recorded:
        tolerance = float(recorded.attrs["tol"])
        assert tolerance <= 1e-5 or solver.type != "SGD"
        for name in sorted(recorded["weights"], key=int):
            solver.step(int(name) - solver.iter)
            compare(solver.net, recorded["weights"][name], tolerance)
        np.testing.assert_allclose(recorder.losses, recorded["loss"][()], rtol=1e-5)
        np.testing.assert_allclose(recorder.rates, recorded["lr"][()], rtol=1e-6)


@pytest.mark.parametrize("end", ["", ".h5"])
@pytest.mark.parametrize("case", CASES, indirect=True)
def test_resuming_from_caffes_snapshot(case, end):
    solver, _ = build()
    solver.restore(f"snap_iter_10.solverstate{end}")
    assert solver.iter == 10
    solver.step(20)
    with h5py.File("trajectory.h5") as recorded:
        tolerance = float(recorded.attrs["tol"])
        last = recorded["resumed/weights"]
        compare(solver.net, last[max(last, key=int)], tolerance)


def snapshot_at_10(text=""):
    """Our files after iteration 10, under other names than Caffe's."""
    solver, _ = build()
    solver.param.snapshot_prefix = "ours"
    solver.param.snapshot_format = 0 if text == ".h5" else 1
    solver.load_weights("init.caffemodel.h5")
    solver.step(10)
    assert solver.snapshot() == Path(f"ours_iter_10.solverstate{text}")
    with h5py.File("trajectory.h5") as recorded:
        return solver, float(recorded.attrs["tol"])


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_our_hdf5_snapshot_has_caffes_layout(case):
    snapshot_at_10(".h5")
    layouts = []
    for name in ("snap", "ours"):
        found = {}
        with h5py.File(f"{name}_iter_10.solverstate.h5") as file:
            file.visititems(lambda name, item, found=found: found.update({name: item}) or None)
            layouts.append(
                {
                    k: (v.shape, v.dtype if k != "learned_net" else None)
                    for k, v in found.items()
                    if isinstance(v, h5py.Dataset)
                }
            )
    assert layouts[0] == layouts[1]


@pytest.mark.parametrize("end", ["", ".h5"])
@pytest.mark.parametrize("case", CASES, indirect=True)
def test_our_state_holds_what_caffes_does(case, end):
    solver, tolerance = snapshot_at_10(end)
    ours, theirs = (
        weights.read_state(f"{name}_iter_10.solverstate{end}") for name in ("ours", "snap")
    )
    assert (ours.iter, ours.current_step) == (theirs.iter, theirs.current_step)
    assert theirs.learned_net == f"snap_iter_10.caffemodel{end}" and not theirs.extra
    assert ours.learned_net == f"ours_iter_10.caffemodel{end}"
    assert len(ours.history) == len(theirs.history) == solver.histories * len(solver.net.learnable)
    scale = max(np.abs(h).max() for h in theirs.history)
    for a, b in zip(ours.history, theirs.history, strict=True):
        assert a.shape == b.shape and np.abs(a - b).max() <= 2 * tolerance * scale


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_our_binary_snapshot_is_caffes_but_for_the_values(case):
    """The same bytes in the same order, once Caffe's arrays stand in place of ours."""
    solver, _ = snapshot_at_10()
    assert len(Path("ours_iter_10.caffemodel").read_bytes()) == len(
        Path("snap_iter_10.caffemodel").read_bytes()
    )
    solver.net.load(weights.read("snap_iter_10.caffemodel"), complete=True)
    save_caffemodel(solver.net, "same.caffemodel")
    assert Path("same.caffemodel").read_bytes() == Path("snap_iter_10.caffemodel").read_bytes()
    theirs = weights.read_state("snap_iter_10.solverstate")
    weights.write_binary_state("same.solverstate", theirs)
    assert Path("same.solverstate").read_bytes() == Path("snap_iter_10.solverstate").read_bytes()


@pytest.mark.parametrize("case", CASES, indirect=True)
def test_what_is_ours_is_skipped_by_readers_of_caffes_messages(case):
    """A protobuf reader with Caffe's own four fields reads our state; ours is an unknown field."""
    snapshot_at_10()
    state = netspec.schema.SolverState.FromString(Path("ours_iter_10.solverstate").read_bytes())
    theirs = netspec.schema.SolverState.FromString(Path("snap_iter_10.solverstate").read_bytes())
    assert {f.name for f in state.DESCRIPTOR.fields} == {
        "iter",
        "learned_net",
        "history",
        "current_step",
    }
    assert [list(b.shape.dim) for b in state.history] == [list(b.shape.dim) for b in theirs.history]
    assert state.ByteSize() > theirs.ByteSize()
