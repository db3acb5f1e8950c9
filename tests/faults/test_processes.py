"""Processes: signals, two trainings on one prefix, clocks"""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from demitasse import h5, weights
from demitasse.solvers import snapshot
from demitasse.tools import _glog, _logs, caffe, solve
from demitasse.tools._lock import locked

ROOT = Path(__file__).resolve().parents[2]
SOLVER, LOCK = "solver.prototxt", Path("tiny.lock")

pytestmark = pytest.mark.usefixtures("tiny")


@pytest.fixture
def endless(tiny, edit):
    """A training that does not end by itself, and shows every iteration."""
    edit(SOLVER, "max_iter: 4", "max_iter: 1000000 display: 1")
    edit(SOLVER, "snapshot: 2", "snapshot: 1000000")


@contextmanager
def training(name="solve", *argv):
    """A process that trains; it has shown its second iteration."""
    command = [sys.executable, ROOT / "tools" / f"{name}.py", *argv, "-solver", SOLVER]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with process:
        said_of(process, "Iteration 2 ")
        yield process
        process.kill()


def said_of(process, words):
    """Wait for a line with these words."""
    for line in process.stdout:
        if words in line:
            return
    raise AssertionError(f"'{words}' was not said")


def ended(process):
    """The exit code, and what else was said."""
    said = process.stdout.read()
    return process.wait(timeout=60), said


# ---------------------------------------------------------------------- signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("endless")
def test_a_stop(number):
    """Ctrl-C was pressed once, or the job was ended by the queue (SIGTERM).
    The iteration is finished, a snapshot and the model are written, and the last line names the
    snapshot and how to go on from it.
    """
    with training() as process:
        process.send_signal(number)
        code, said = ended(process)
    (state,) = Path().glob("tiny_iter_*.solverstate.h5")
    last = (
        f"the last good snapshot is {state}; to go on from it: --resume auto, or -snapshot {state}"
    )
    assert code == 0 and said.splitlines()[-1].endswith(last)
    assert "stopping after this iteration (again: at once)" in said and "Traceback" not in said
    snapshot.load(state)
    assert weights.read("tiny.h5").kind == "model" and not LOCK.exists()


def test_ctrl_c_twice(edit, trained):
    """Ctrl-C was pressed twice.
    The second one ends the training at once (exit code 130); the log says which snapshot holds the
    progress, and no part of a file is left.
    """
    edit(SOLVER, "max_iter: 4", "max_iter: 4 iter_size: 100000000")  # an iteration without an end
    before = {path.name for path in Path().iterdir()}
    state = "tiny_iter_2.solverstate.h5"
    command = [sys.executable, ROOT / "tools" / "solve.py", SOLVER, "-snapshot", state]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with process:
        said_of(process, "continuing at iteration 2")
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        said_of(process, "again: at once")
        process.send_signal(signal.SIGINT)
        code, said = ended(process)
    assert code == 130 and "Traceback" not in said
    assert f"interrupted at iteration 2: the last good snapshot is {state}" in said
    assert {path.name for path in Path().iterdir()} == before | {"log.jsonl"}


@pytest.mark.usefixtures("endless")
def test_a_hang_up():
    """The terminal was closed (SIGHUP).
    A snapshot is written, and the training goes on.
    """
    with training() as process:
        process.send_signal(signal.SIGHUP)
        said_of(process, "Snapshotting")
        assert "Iteration" in process.stdout.readline()
    (state,) = Path().glob("tiny_iter_*.solverstate.h5")
    snapshot.load(state)


@pytest.mark.usefixtures("endless")
def test_a_stop_of_caffe_train():
    """Ctrl-C was pressed in `caffe train`.
    Caffe's effect and Caffe's lines: a snapshot, then the end, with exit code 0.
    """
    with training("caffe", "train") as process:
        process.send_signal(signal.SIGINT)
        code, said = ended(process)
    assert code == 0 and "Snapshotting to HDF5 file tiny_iter_" in said
    assert "Optimization stopped early." in said and not LOCK.exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # open, not yet with
def test_ctrl_c_while_a_file_is_written():
    """Ctrl-C was pressed while an HDF5 file was written.
    It acts when the file is whole; HDF5 would have lost it or given another error.
    """
    draw, me = random.Random(0), threading.main_thread().ident
    layers = {f"layer{i}": [np.ones(20_000, "f4")] for i in range(10)}
    for _ in range(8):
        ctrl_c = threading.Timer(draw.random() * 0.004, signal.pthread_kill, (me, signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            with h5._ctrl_c_waits():
                ctrl_c.start()
            end = time.monotonic() + 5
            while time.monotonic() < end:
                weights.write_hdf5("a.h5", layers)
        ctrl_c.join()
        assert [path.name for path in Path().glob("*a.h5*")] in ([], ["a.h5"])
        if Path("a.h5").exists():
            assert weights.read("a.h5").verified


# ---------------------------------------------------------------------- two trainings


@pytest.mark.usefixtures("endless")
def test_two_trainings_on_one_prefix(refused, edit):
    """A second training was started with the same snapshot_prefix.
    Refused, with the process and the computer of the first, which is not disturbed.
    """
    with training() as process:
        for main, argv in ((solve.main, [SOLVER]), (caffe.main, ["train", "-solver", SOLVER])):
            said = refused(main, *argv)
            assert "tiny.lock: another training writes to this snapshot_prefix" in said
            assert f"found pid {process.pid} on {socket.gethostname()} since 20" in said
            assert "--prefix" in said
        assert process.poll() is None and LOCK.exists()
    edit(SOLVER, "1000000 display: 1", "2")
    assert solve.main([SOLVER, "--prefix", "other"]) == 0


@pytest.mark.usefixtures("endless")
def test_a_training_that_was_killed(run, edit):
    """A training was killed (kill -9), so its lock file is still there.
    The next one takes the lock over, and says whose it was.
    """
    with training() as process:
        pass
    assert LOCK.exists()
    edit(SOLVER, "max_iter: 1000000", "max_iter: 2")
    again = run(solve.main, SOLVER)
    assert again.code == 0 and not LOCK.exists()
    assert f"tiny.lock: taken over from pid {process.pid} on " in again.out
    assert "which is gone" in again.out


def test_a_training_on_another_computer(refused):
    """A training on another computer has the prefix, on a shared disk that hides its lock.
    Refused, with that computer's name and the file to delete if it is gone.
    """
    LOCK.write_text("pid 17 on node042 since 2026-11-27 09:00:00: solve.py solver.prototxt\n")
    said = refused(solve.main, SOLVER)
    assert "found pid 17 on node042 since" in said and "if it is gone, delete tiny.lock" in said
    assert "node042" in LOCK.read_text()


def test_a_lock_that_is_given_back_meanwhile(capsys):
    """Many trainings were started and ended on one prefix at the same time.
    Two never hold it together.
    """
    held, seen, problems = threading.Lock(), [], []

    def work():
        for _ in range(30):
            try:
                with locked("many", seen.append):
                    if not held.acquire(blocking=False):
                        problems.append("two at once")
                        continue
                    time.sleep(0.0005)
                    held.release()
            except Exception as error:
                seen.append(type(error).__name__)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems and set(seen) <= {"OutputError"} and not Path("many.lock").exists()


def test_a_lock_deleted_between_two_steps(monkeypatch):
    """A training ended, and deleted its lock file, just as the next one had taken hold of it.
    The next one makes the file anew and runs.
    """
    real, left = os.fstat, [1]

    def fstat(file):
        if left:
            left.pop()
            Path("late.lock").unlink()
        return real(file)

    monkeypatch.setattr(os, "fstat", fstat)
    with locked("late", print):
        assert f"pid {os.getpid()} on" in Path("late.lock").read_text() and not left
    assert not Path("late.lock").exists()


# ---------------------------------------------------------------------- clocks


def test_a_clock_that_jumps(run, edit, monkeypatch):
    """The computer's clock was set back while it trained, and the year changed.
    Speeds and time limits do not notice; the log's lines say the time as it is.
    """
    edit(SOLVER, "max_iter: 4", "max_iter: 4 display: 1")
    times = iter(
        datetime(2026, 12, 31, 23, 59, 59) + timedelta(seconds=s if s % 2 else s - 3600)
        for s in range(10_000)
    )

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return next(times)

    monkeypatch.setattr(_glog, "datetime", Clock)
    monkeypatch.setattr(time, "time", lambda: next(times).timestamp())
    done = run(caffe.main, "train", "-solver", SOLVER)
    assert done.code == 0 and "Optimization Done." in done.err and "(-" not in done.err
    assert {line[1:5] for line in done.err.splitlines() if "Iteration" in line} == {"1231", "0101"}
    done = run(solve.main, SOLVER, "--time", "1h")
    assert done.code == 0 and "(-" not in done.out and Path("tiny.h5").exists()


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        (["1231 23:59:50", "0101 00:00:10"], [0, 20]),
        (["1231 23:59:50", "0101 00:00:10", "0101 00:01:10"], [0, 20, 80]),
        (["0701 12:00:00", "0701 11:30:00", "0701 11:30:05"], [0, 0, 5]),
        (["20261231 23:59:50", "20270101 00:00:10"], [0, 20]),
    ],
)
def test_a_log_of_such_a_clock(times, seconds):
    """The log of a training that ran over new year, or whose clock was set back, was read.
    Its time goes on over new year, stands still where the clock was set back, and never runs back.
    """
    lines = [
        f"I{at}.000000  1234 solver.cpp:239] Iteration {i}, loss = 0.5"
        for i, at in enumerate(times)
    ]
    assert [step.seconds for step in _logs.read(lines).steps] == seconds
