"""A resumed run repeats an uninterrupted one bit by bit: momentum, data position, shuffling,
dropout and random data included."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse import netspec, solvers, weights
from demitasse.errors import DemitasseError, SolverError
from demitasse.kernels.device import Device
from demitasse.solvers.registry import SOLVERS
from demitasse.solvers.snapshot import seed_of

NET = """
layer { name: "rows" type: "HDF5Data" top: "x" top: "y"
        hdf5_data_param { source: "list.txt" batch_size: 3 shuffle: true } }
layer { name: "noise" type: "DummyData" top: "n"
        dummy_data_param { shape { dim: 3 dim: 5 } data_filler { type: "gaussian" std: 0.1 } } }
layer { name: "add" type: "Eltwise" bottom: "x" bottom: "n" top: "xn" }
layer { name: "ip1" type: "InnerProduct" bottom: "xn" top: "h"
        inner_product_param { num_output: 8 weight_filler { type: "msra" } } }
layer { name: "relu" type: "ReLU" bottom: "h" top: "h" }
layer { name: "drop" type: "Dropout" bottom: "h" top: "h" dropout_param { dropout_ratio: 0.5 } }
layer { name: "ip2" type: "InnerProduct" bottom: "h" top: "s"
        inner_product_param { num_output: 3 weight_filler { type: "msra" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "s" bottom: "y" top: "loss" }
"""
SOLVER = """
net: "net.prototxt" base_lr: 0.05 momentum: 0.9 weight_decay: 0.001 random_seed: 4
lr_policy: "multistep" gamma: 0.5 stepvalue: 3 stepvalue: 9 max_iter: 20
test_iter: 2 test_interval: 4 snapshot_prefix: "run" average_loss: 5
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for k in range(2):
        with h5py.File(f"{k}.h5", "w") as file:
            file["x"] = rng.standard_normal((7 + k, 5)).astype("f4")
            file["y"] = rng.integers(0, 3, 7 + k)
    Path("list.txt").write_text("0.h5 1.h5\n")
    Path("net.prototxt").write_text(NET)
    Path("solver.prototxt").write_text(SOLVER)
    return tmp_path


def build(text=None, **settings):
    if text is not None:
        Path("solver.prototxt").write_text(text)
    return solvers.build(netspec.read_solver("solver.prototxt"), **settings)


def outcome(solver):
    return solver.net.flat_data.tobytes(), [h.tobytes() for h in solver.history], solver.losses


HDF5 = "snapshot_format: HDF5 "


@pytest.mark.parametrize("at", [1, 6, 13])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", ["", HDF5])
def test_resume_is_bit_exact(folder, at, dtype, kind):
    straight = build(SOLVER + kind, dtype=dtype)
    straight.step(17)
    first = build(dtype=dtype)
    first.step(at)
    state = first.snapshot()
    assert state.name == f"run_iter_{at}.solverstate" + (".h5" if kind else "")
    second = build(dtype=dtype)
    second.restore(state)
    assert second.iter == at
    second.step(17 - at)
    assert outcome(second) == outcome(straight)


@pytest.mark.parametrize("kind", ["", HDF5])
def test_a_snapshot_that_is_read_and_written_again_has_the_same_bytes(folder, kind):
    first = build(SOLVER + kind)
    first.step(6)
    state = first.snapshot()
    written = [state, Path(str(state).replace("solverstate", "caffemodel"))]
    before = [path.read_bytes() for path in written]
    again = build(SOLVER + kind)
    again.restore(state)
    for path in written:
        path.unlink()
    assert again.snapshot() == state
    assert [path.read_bytes() for path in written] == before


@pytest.mark.parametrize("name", sorted(set(SOLVERS) - {"SGD"}))
@pytest.mark.parametrize("kind", ["", HDF5])
def test_every_solver_resumes_bit_exactly(folder, name, kind):
    text = SOLVER.replace(
        "momentum: 0.9", "" if name in ("AdaGrad", "RMSProp") else "momentum: 0.8"
    )
    straight = build(f'{text} {kind} type: "{name}"')
    straight.step(9)
    first = build()
    first.step(4)
    second = build()
    second.restore(first.snapshot())
    second.step(5)
    assert outcome(second) == outcome(straight)


def test_the_format_is_told_by_the_content(folder):
    straight = build()
    straight.step(5)
    first = build()
    first.step(2)
    first.snapshot().rename("strange.h5")  # a binary state with an HDF5 file's name
    second = build()
    second.restore("strange.h5")
    second.step(3)
    assert outcome(second) == outcome(straight)
    build(SOLVER + HDF5).restore("strange.h5")


def test_a_state_of_four_axes(folder):
    """Old Caffe wrote num, channels, height and width; so lies every history still."""
    first = build()
    first.step(3)
    state = weights.read_state(first.snapshot())
    old = [h.reshape((1,) * (4 - h.ndim) + h.shape) for h in state.history]
    assert all(h.ndim == 4 for h in old)
    message = netspec.schema.SolverState(iter=3, learned_net=state.learned_net, current_step=1)
    for array in old:
        n, c, h, w = array.shape
        message.history.add(num=n, channels=c, height=h, width=w, data=array.ravel())
    Path("old.solverstate").write_bytes(message.SerializeToString())
    second = build()
    second.restore("old.solverstate")
    assert second.iter == 3 and second.current_step == 1
    assert outcome(second)[:2] == outcome(first)[:2]


def test_a_state_without_parameters_keeps_those_there_are(folder):
    first = build()
    first.step(2)
    state = weights.read_state(first.snapshot())
    weights.write_binary_state("bare.solverstate", weights.State(2, 0, "", state.history))
    second = build()
    before = second.net.flat_data.copy()
    second.restore("bare.solverstate")
    assert second.iter == 2 and np.array_equal(second.net.flat_data, before)


def test_a_state_of_another_solver_is_refused(folder):
    first = build()
    first.step(2)
    state = first.snapshot()
    with pytest.raises(SolverError, match="another solver; expected Nesterov, found SGD"):
        build(SOLVER + 'type: "Nesterov"').restore(state)
    theirs = weights.read_state(state)
    weights.write_binary_state("caffes.solverstate", weights.State(2, 0, "", theirs.history))
    with pytest.raises(SolverError, match="number of history blobs differs"):
        build(SOLVER + 'type: "Adam"').restore("caffes.solverstate")


def test_a_history_of_another_shape_is_refused(folder):
    first = build()
    first.step(1)
    state = weights.read_state(first.snapshot())
    turned = [h.T if h.ndim == 2 else h for h in state.history]
    weights.write_binary_state("turned.solverstate", weights.State(1, 0, "", turned))
    with pytest.raises(SolverError, match="history of ip1/0 differs; expected 8 x 5, found 5 x"):
        build().restore("turned.solverstate")


@pytest.mark.parametrize("size", [1, 40, 300])
def test_a_binary_state_that_is_cut_off(folder, size):
    first = build()
    first.step(1)
    state = first.snapshot()
    state.write_bytes(state.read_bytes()[:-size])
    with pytest.raises(SolverError, match=r"iter_1\.solverstate: is not a complete solver state"):
        build().restore(state)


@pytest.mark.parametrize("content", [b"\xff" * 64, b"net: 'a'", b"PK\x03\x04abc", b"\x0a\x01a"])
def test_what_is_no_state(folder, content):
    Path("x.solverstate").write_bytes(content)
    with pytest.raises(SolverError, match=r"x\.solverstate: is not a solver state; found"):
        build().restore("x.solverstate")


def test_another_seed_that_nobody_asked_for_is_said(folder):
    first = build()
    first.step(2)
    state = first.snapshot()
    said = []
    observer = solvers.Observer()
    observer.said = said.append
    second = build(SOLVER.replace("random_seed: 4", ""), observer=observer)
    second.restore(state)
    assert second.iter == 2 and "random seed 4" in said[-1]
    assert np.array_equal(second.net.flat_data, first.net.flat_data)


def test_two_runs_are_equal_and_another_seed_is_not(folder):
    runs = []
    for seed in (4, 4, 5):
        solver = build(SOLVER.replace("random_seed: 4", f"random_seed: {seed}"))
        solver.step(5)
        runs.append(outcome(solver))
    assert runs[0] == runs[1] != runs[2]


def test_poisoned_buffers_change_nothing(folder):
    runs = []
    for poison in (False, True):
        solver = build(poison=poison)
        solver.step(6)
        runs.append(outcome(solver))
    assert runs[0] == runs[1]


def test_a_moved_snapshot_is_found_beside_its_state(folder, tmp_path):
    solver = build()
    solver.step(2)
    state = solver.snapshot()
    moved = folder / "elsewhere"
    moved.mkdir()
    for path in folder.glob("run_iter_2.*"):
        path.rename(moved / path.name)
    second = build()
    second.restore(moved / state.name)
    assert second.net.flat_data.tobytes() == solver.net.flat_data.tobytes()


def test_parameters_are_not_a_solver_state(folder):
    solver = build()
    solver.step(1)
    solver.snapshot()
    with pytest.raises(SolverError, match=r"holds parameters.*run_iter_1\.solverstate; to start"):
        build().restore("run_iter_1.caffemodel")
    build(SOLVER + HDF5).snapshot()
    with pytest.raises(SolverError, match=r"run_iter_0\.solverstate\.h5"):
        build().restore("run_iter_0.caffemodel.h5")


def test_another_net_is_refused(folder):
    solver = build()
    solver.step(1)
    state = solver.snapshot()
    Path("net.prototxt").write_text(NET.replace("num_output: 8", "num_output: 9"))
    with pytest.raises(DemitasseError, match="ip1"):
        build().restore(state)


def test_missing_parameters_are_named(folder):
    solver = build()
    solver.step(1)
    state = solver.snapshot()
    Path("run_iter_1.caffemodel").unlink()
    with pytest.raises(SolverError, match="not there"):
        build().restore(state)


def test_without_random_seed_the_states_own_seed_is_needed(folder):
    drawn = SOLVER.replace("random_seed: 4", "")
    straight = build(drawn)
    straight.step(7)
    seed = straight.net.seed
    first = build(SOLVER.replace("random_seed: 4", f"random_seed: {seed}"))
    first.step(3)
    state = first.snapshot()
    with pytest.raises(SolverError, match=f"--seed {seed}"):
        build(SOLVER).restore(state)
    assert seed_of(state) == seed
    second = build(SOLVER.replace("random_seed: 4", f"random_seed: {seed}"))
    second.restore(state)
    second.step(4)
    assert outcome(second) == outcome(straight)


def test_a_state_that_is_damaged_inside_is_named(folder):
    solver = build(SOLVER + HDF5)
    solver.step(1)
    state = solver.snapshot()
    with h5py.File(state, "r+") as file:
        del file["iter"]
        file.create_group("iter")
    with pytest.raises(DemitasseError, match="iter"):
        build().restore(state)


@pytest.mark.parametrize("kind", ["", HDF5])
def test_going_on_in_another_precision_is_said(folder, kind):
    class Other(Device):
        precision = "tf32"

    class Said(solvers.Observer):
        def __init__(self):
            self.lines = []

        def said(self, message):
            self.lines.append(message)

    solver = build(SOLVER + kind)
    solver.step(1)
    state = solver.snapshot()
    for device, told in ((Device(), False), (Other(), True)):
        observer = Said()
        second = build(observer=observer, net_options={"device": device})
        second.restore(state)
        assert any("in precision cpu; this run computes in tf32" in x for x in observer.lines) == (
            told
        )
