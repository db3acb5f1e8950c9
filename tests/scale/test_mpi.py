"""Training in several processes that mpiexec starts."""

import hashlib
import json
import os
import signal
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse import weights
from demitasse.errors import DeviceError
from demitasse.scale import mpi
from demitasse.tools import solve as command
from demitasse.tools._main import guarded

from . import nets

# twenty steps, then what every rank holds, on a line of rank 0's
STEPS = """
import hashlib, json
from demitasse.scale import mpi
from demitasse import netspec, solvers
from demitasse.tools import _ranks

world = mpi.join()
source = netspec.read_solver("solver.prototxt")
_ranks.agree(source.message, world)
solver = solvers.build(source, rank=world.rank, ranks=world.size, net_options={"threads": 1})
_ranks.begin(solver, world)
solver.step(20)
held = [hashlib.sha256(a.tobytes()).hexdigest() for a in (solver.net.flat_data, *solver.history)]
held = world._comm.gather(held)
if world.rank == 0:
    print(json.dumps(held))
    solver.net.flat_data.tofile("found")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nets.write()
    return tmp_path


def parameters(path):
    layers = weights.read(path).layers
    return {n: [a.tobytes() for a in arrays if a is not None] for n, arrays in layers.items()}


def wait_for(path, job):
    """Until a file is there."""
    end = time.monotonic() + 60
    while not Path(path).exists():
        assert job.running.poll() is None and time.monotonic() < end, job.end()
        time.sleep(0.02)


def test_two_ranks_of_batch_1_hold_the_same_and_train_as_one_of_batch_2(job):
    Path("steps.py").write_text(STEPS)
    nets.write(iterations=20, snapshot=0)
    code, out, err = job(2, "steps.py").end()
    assert code == 0, err
    held = json.loads(out.splitlines()[-1])
    assert held[0] == held[1]  # weights and momentum, bit for bit
    nets.write(batch=2, snapshot=0)
    alone = nets.build()
    alone.param.test_interval = 0
    alone.step(20)
    found = np.fromfile("found", "f4")
    assert held[0][0] == hashlib.sha256(found).hexdigest()
    np.testing.assert_allclose(found, alone.net.flat_data, rtol=0, atol=1e-6)


def test_a_resumed_training_repeats_an_uninterrupted_one(job, solve, capsys):
    nets.write(dropout=True)
    code, out, err = job(2, solve, "solver.prototxt").end()
    assert code == 0, err
    assert "processes: 2, 2 of them here" in out
    assert out.count("Testing net") == 4  # by rank 0 alone: at 0, 2, 4 and the end
    assert out.count("Snapshotting solver state") == 2
    state = "run_iter_3.solverstate.h5"
    code, out, err = job(2, solve, "solver.prototxt", "-snapshot", state, "--prefix", "on").end()
    assert code == 0, err
    assert "continuing at iteration 3" in out and "processes; this run" not in out
    assert parameters("on_iter_6.caffemodel.h5") == parameters("run_iter_6.caffemodel.h5")
    with h5py.File("on_iter_6.solverstate.h5") as on, h5py.File("run_iter_6.solverstate.h5") as run:
        assert on["demitasse"].attrs["layers"] == run["demitasse"].attrs["layers"]
        for i in run["history"]:
            np.testing.assert_array_equal(on["history"][i], run["history"][i])
    # as one process: possible, and said
    assert guarded(command.main, ["solver.prototxt", "-snapshot", state, "--prefix", "one"]) == 0
    assert "was written by 2 processes; this run has 1 process:" in capsys.readouterr().out


def test_a_rank_that_fails_ends_the_job_and_says_which_it_is(job, solve):
    nets.write(iterations=100000, snapshot=0)
    with h5py.File("0.h5", "a") as file:
        file["y"][...] = 0
        file["y"][5] = 9  # of three classes
    Path("net.prototxt").write_text(Path("net.prototxt").read_text().replace("shuffle: true", ""))
    began = time.monotonic()
    code, _, err = job(2, solve, "solver.prototxt").end()
    assert time.monotonic() - began < 10
    assert code == 2
    assert "rank 1 of 2 on " in err and "error: " in err and "rank 0 of 2" not in err
    assert "Traceback" not in err


def test_a_rank_that_is_killed_ends_the_job_and_is_named(job, solve):
    nets.write(iterations=10**6, snapshot=5)
    running = job(2, solve, "solver.prototxt")
    wait_for("run_iter_5.solverstate.h5", running)
    began = time.monotonic()
    os.kill(running.pid(1), signal.SIGKILL)
    code, _, err = running.end()
    assert time.monotonic() - began < 10
    assert code != 0
    assert "rank 1" in err and "killed" in err.lower()


def test_a_rank_that_is_interrupted_lets_all_stop_after_one_snapshot(job, solve):
    nets.write(iterations=10**6, snapshot=5)
    running = job(2, solve, "solver.prototxt")
    wait_for("run_iter_5.solverstate.h5", running)
    os.kill(running.pid(1), signal.SIGINT)
    code, out, err = running.end()
    assert code == 0, err
    assert "stopping after this iteration" in err
    last = max(int(p.name.split("_")[2].split(".")[0]) for p in Path().glob("run_iter_*state*"))
    assert out.count(f"HDF5 file run_iter_{last}.solverstate.h5") == 1
    assert weights.read_state(f"run_iter_{last}.solverstate.h5").extra["ranks"] == 2


def test_one_of_several_processes_without_mpi4py_is_refused(monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    monkeypatch.setitem(__import__("sys").modules, "mpi4py", None)
    with pytest.raises(DeviceError, match=r"one of 4 processes .* 'demitasse\[mpi\]'"):
        mpi.join()


def test_a_process_alone_does_not_load_mpi(monkeypatch):
    for name in mpi.SIZES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(__import__("sys").modules, "mpi4py", None)
    assert mpi.join() is None
