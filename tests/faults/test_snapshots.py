"""Snapshots: killed, no room, no folder, too large"""

import errno
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest
from demitasse import files, weights
from demitasse.errors import WriteError
from demitasse.files import replacing
from demitasse.solvers import newest, snapshot
from demitasse.tools import caffe, solve

pytestmark = pytest.mark.usefixtures("tiny")

SOLVER = "solver.prototxt"
Usage = namedtuple("Usage", "total used free")
KILLS = 20
# each line of stdin is answered by a process that writes, once it has; then, that it has ended
WRITES = """
import os, sys
os.environ["OMP_NUM_THREADS"] = "1"
from demitasse import netspec, solvers
solver = solvers.build(netspec.read_solver("solver.prototxt"), ahead=False)
for _ in sys.stdin:
    if not os.fork():
        while True:
            solver.iter += 1
            solver.snapshot()
            if solver.iter == 1:
                print(os.getpid(), flush=True)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


def test_kill_9_while_snapshots_are_written():
    """The training was killed (kill -9) while it wrote a snapshot, at random times.
    The newest complete snapshot is found and can be read; what was half written lies under another
    name, and the next training removes it.
    """
    draw, pipes = random.Random(0), {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", WRITES], text=True, bufsize=1, **pipes) as parent:
        for _ in range(KILLS):
            print(file=parent.stdin)
            writer = int(parent.stdout.readline())  # there is a snapshot
            time.sleep(draw.random() * 0.06)
            os.kill(writer, signal.SIGKILL)
            assert int(parent.stdout.readline()) == -signal.SIGKILL
            a_whole_snapshot_is_found()
        parent.stdin.close()


def a_whole_snapshot_is_found():
    """Whatever was killed; then none is left."""
    said = []
    state = newest.newest("tiny", said.append)
    assert state is not None and len(said) <= 1  # parameters whose state was not yet written
    snapshot.load(state)
    assert all("has no solver state beside it" in line for line in said)
    assert not [path for path in Path().glob("tiny_iter_*") if path.stat().st_size == 0]
    newest.remove_leftovers("tiny", said.append)
    assert not list(Path().glob(".tiny*"))
    for path in Path().glob("tiny_iter_*"):
        path.unlink()


def test_what_a_killed_training_left_behind(run):
    """A killed training left the part of a snapshot behind.
    The next one on the same prefix deletes it and says so; files of other prefixes stay.
    """
    ends = (".h5", "_iter_8.caffemodel.h5", "_iter_8_b.h5")
    parts = [Path(f".tiny{end}.123.{kind}") for kind in ("probe", "tmp") for end in ends]
    for path in parts:
        path.write_bytes(b"part")
    ended = run(solve.main, SOLVER)
    assert ended.code == 0 and [path.exists() for path in parts] == [False, False, True] * 2
    for path in (*parts[:2], *parts[3:5]):
        assert f"removed {path}, which a killed training did not finish" in ended.out


@pytest.fixture
def full(monkeypatch):
    """Let the system refuse files above 1,000 bytes while the snapshots of these iterations are
    written, and take that for a disk that is full for a while."""
    write = snapshot.write
    monkeypatch.setattr(files, "_HELPS", {})

    def full(*iterations):
        def limited(solver):
            limit = resource.getrlimit(resource.RLIMIT_FSIZE)
            if solver.iter in iterations:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
            try:
                return write(solver)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, limit)

        monkeypatch.setattr(snapshot, "write", limited)

    return full


@pytest.mark.parametrize("kind", ["snapshot_format: HDF5", "snapshot_diff: true"])
def test_a_disk_that_is_full_for_a_while(run, edit, full, kind):
    """The disk was full when a snapshot was due.
    The training goes on; the log says what the snapshot takes, what is free, and which one is the
    last good one, which is untouched.
    """
    edit(SOLVER, "snapshot_format: HDF5", kind)
    edit(SOLVER, "max_iter: 4", "max_iter: 6")
    full(4)
    ended = run(solve.main, SOLVER)
    end = ".h5" if "HDF5" in kind else ""
    assert ended.code == 0 and Path("tiny.h5").exists()
    (line,) = [line for line in ended.out.splitlines() if "was not written" in line]
    assert line.startswith(
        f"the snapshot of iteration 4 was not written: tiny_iter_4.caffemodel{end}"
    )
    assert "MiB are free; the training goes on; the last good snapshot is tiny_iter_2." in line
    names = {path.name for path in Path().glob("*tiny_iter_*")}
    kinds = [f"{kind}{end}" for kind in ("caffemodel", "solverstate")]
    assert names == {f"tiny_iter_{n}.{kind}" for n in (2, 6) for kind in kinds}
    snapshot.load(Path(f"tiny_iter_2.solverstate{end}"))


def test_a_disk_that_is_full_at_the_end(run, full):
    """The disk was full when the last snapshot was due.
    The model, which is smaller, is still written; the command fails (exit code 1) and names the
    last good snapshot.
    """
    full(4)
    ended = run(solve.main, SOLVER)
    assert (
        ended.code == 1 and "could not be written" in ended.err and "Free some space" in ended.err
    )
    assert "the last good snapshot is tiny_iter_2.solverstate.h5" in ended.out
    assert weights.read("tiny.h5").model.origin["iterations"] == 4
    assert not list(Path().glob("*tiny_iter_4*"))


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        (
            errno.EFBIG,
            "Raise the limit for the size of files ('ulimit -f' says it) or name another",
        ),
        (errno.EDQUOT, "Remove files that count for the same quota or name another folder"),
    ],
)
def test_a_limit_for_files(run, edit, monkeypatch, limit, words):
    """A limit for the size of files, or a quota, was reached when a snapshot was due.
    Said so, without a word on the space that is free, which does not help.
    """
    write = weights.write_hdf5

    def refused(path, *rest, **more):
        if "iter_4" in str(path):
            with replacing(path):
                raise OSError(limit, os.strerror(limit))
        write(path, *rest, **more)

    monkeypatch.setattr(weights, "write_hdf5", refused)
    edit(SOLVER, "max_iter: 4", "max_iter: 6")
    (line,) = [x for x in run(solve.main, SOLVER).out.splitlines() if "was not written" in x]
    assert os.strerror(limit) in line and "free" not in line
    edit(SOLVER, "max_iter: 6", "max_iter: 4")
    ended = run(solve.main, SOLVER, "--overwrite")
    assert ended.code == 1 and words in ended.err and "Free some" not in ended.err


def test_a_disk_that_is_full_in_the_middle_of_a_snapshot(run, monkeypatch):
    """The disk was full when half of the last snapshot was written.
    That half is removed, which leaves room for the model.
    """

    def full(path, state):
        assert Path(state.learned_net).exists()
        raise WriteError("No space left on device", where=str(path))

    assert run(solve.main, SOLVER).code == 0
    monkeypatch.setattr(weights, "write_hdf5_state", full)
    ended = run(solve.main, SOLVER, "--overwrite")
    assert ended.code == 1 and "No space left on device" in ended.err
    assert weights.read("tiny.h5").model.origin["iterations"] == 4
    assert not list(Path().glob("*tiny_iter_4*"))


def test_a_disk_that_is_really_full(run, edit, tmp_path):
    """The same on a file system of 100 kB.
    The training goes on to its end, and what could be written is whole.
    """
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(small)]
    if os.geteuid() or shutil.which("mount") is None or subprocess.run(mount).returncode:
        pytest.skip("only root may mount a file system, and not in every container")
    try:
        edit(SOLVER, "max_iter: 4", "max_iter: 12")
        ended = run(solve.main, SOLVER, "--prefix", small / "tiny")
        assert ended.code == 1 and "No space left on device" in ended.err
        assert "the snapshot of iteration 8 was not written" in ended.out
        said = []
        assert newest.newest(str(small / "tiny"), said.append) is not None
        assert not list(small.glob(".*"))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_disk_without_room_for_one_snapshot(refused, monkeypatch):
    """There was no room for even one snapshot.
    Refused before iteration 0, with the bytes it takes and the bytes that are free.
    """
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 1000))
    said = refused(solve.main, SOLVER)
    assert "has no room for a snapshot; expected at least 0.00209 MiB, found 0.000954 MiB" in said
    assert "--prefix" in said and not list(Path().glob("tiny*"))


def test_a_disk_without_room_for_all_snapshots(run, monkeypatch):
    """There was room for some of the snapshots, but not for all.
    The log says how many will not fit, before iteration 0.
    """
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 3000))
    ended = run(solve.main, SOLVER)
    assert ended.code == 0
    assert "2 snapshots of 0.00209 MiB each are planned" in ended.out
    assert "the last 1 will not fit" in ended.out


@pytest.mark.parametrize("main", [solve.main, caffe.main])
def test_a_folder_that_is_not_there(refused, edit, main):
    """snapshot_prefix names a folder that does not exist.
    Refused before iteration 0, not at the first snapshot, with the command that makes it.
    """
    edit(SOLVER, '"tiny"', '"runs/tiny"')
    said = refused(main, *(["train"] if main is caffe.main else []), "-solver", SOLVER)
    assert "runs: the folder to write into does not exist" in said and "mkdir -p 'runs'" in said


@pytest.fixture
def read_only(tiny, edit):
    """A folder that may not be written; root may write everywhere, so root is nobody meanwhile."""
    edit(SOLVER, '"tiny"', '"locked/tiny"')
    Path("locked").mkdir(0o555)
    Path().chmod(0o755)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield
    os.seteuid(user)


@pytest.mark.usefixtures("read_only")
def test_a_folder_that_is_read_only(refused):
    """snapshot_prefix names a folder that may not be written.
    Refused before iteration 0, with the folder and the system's reason.
    """
    said = refused(solve.main, SOLVER)
    assert "locked: the folder cannot be written (Permission denied)" in said


def test_a_folder_that_vanishes_meanwhile(run, edit, monkeypatch):
    """The folder of the snapshots was deleted while the training ran.
    The training goes on and says so; the end fails, because the model cannot be written either.
    """
    Path("runs").mkdir()
    edit(SOLVER, '"tiny"', '"runs/tiny"')
    write = snapshot.write

    def after_deletion(solver):
        shutil.rmtree("runs", ignore_errors=True)
        return write(solver)

    monkeypatch.setattr(snapshot, "write", after_deletion)
    ended = run(solve.main, SOLVER)
    assert ended.code == 2 and "runs: the folder to write into does not exist" in ended.err
    assert "the snapshot of iteration 2 was not written: runs: the folder" in ended.out
    assert "no snapshot had been written yet" in ended.out


def test_a_net_too_large_for_a_binary_snapshot(refused, edit, monkeypatch):
    """The net has more parameters than a binary file of Caffe may hold (2 GiB).
    Refused before iteration 0, with the line that makes snapshots HDF5.
    """
    edit(SOLVER, "snapshot_format: HDF5", "")
    monkeypatch.setattr(weights, "LIMIT", 1000)
    said = refused(solve.main, SOLVER)
    assert "would be larger than a binary file of Caffe may be; expected at most 1000" in said
    assert "snapshot_format: HDF5" in said


def test_weights_too_large_for_a_binary_file(refused, trained, monkeypatch):
    """Weights above 2 GiB should become a .caffemodel.
    Refused, with HDF5 as the way out; nothing is written.
    """
    from demitasse.tools import port
    from demitasse.weights import caffemodel

    monkeypatch.setattr(caffemodel, "LIMIT", 1000)
    said = refused(port.main, "tiny.h5", "-o", "out.caffemodel")
    assert "out.caffemodel: would be larger than a caffemodel may be" in said and ".h5" in said
    assert not list(Path().glob("*out.caffemodel*"))
