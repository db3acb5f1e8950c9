"""Going on: from which snapshot, and from which not"""

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse import weights
from demitasse.tools import caffe, solve

pytestmark = pytest.mark.usefixtures("tiny")

SOLVER, STATE = "solver.prototxt", "tiny_iter_2.solverstate.h5"
AUTO = [SOLVER, "--resume", "auto"]


def parameters(path):
    return {name: [a.tobytes() for a in b] for name, b in weights.read(path).layers.items()}


@pytest.fixture
def interrupted(trained):
    """What is there after iteration 2 of 4; and the parameters after all four."""
    straight = parameters("tiny.h5")
    for path in (trained, *Path().glob("tiny_iter_4.*")):
        path.unlink()
    return straight


def copied(*names, to):
    """Snapshot files under the number of another iteration."""
    for name in names:
        shutil.copy(name, name.replace("_2.", f"_{to}."))


MODEL = "tiny_iter_2.caffemodel.h5"


# ---------------------------------------------------------------------- --resume auto


def test_a_job_that_is_started_again(run, interrupted):
    """A training was stopped and the same command given again, with --resume auto.
    It goes on from the newest snapshot, and ends with the bits of an uninterrupted one; another
    time there is nothing left to do, which is no error, and the last line says what gives more.
    """
    ended = run(solve.main, *AUTO)
    assert ended.code == 0 and f"--resume auto: {STATE}" in ended.out
    assert "continuing at iteration 2" in ended.out
    assert parameters("tiny.h5") == interrupted
    ended = run(solve.main, *AUTO)
    assert ended.code == 0 and "continuing at iteration 4" in ended.out
    assert ended.out.splitlines()[-1] == (
        "nothing was left to do: iteration 4 is as far as max_iter; for more iterations raise "
        f"max_iter in {SOLVER}, or give a larger --max-iter"
    )
    assert parameters("tiny.h5") == interrupted


def hour_ago(*paths):
    for path in paths:
        os.utime(path, (path.stat().st_mtime - 3600,) * 2)


def test_an_earlier_training_that_came_further(run, trained):
    """A training was begun again over an earlier one's snapshots, and stopped before it had come so
    far.
    With --resume auto it goes on with the one that was stopped, and says what it passes over.
    """
    hour_ago(*Path().glob("tiny*"))
    again = [SOLVER, "--overwrite", "--seed", "8", "--max-iter", "2"]
    assert run(solve.main, *again).code == 0
    ended = run(solve.main, *AUTO, "--seed", "8")
    assert ended.code == 0 and f"--resume auto: {STATE}" in ended.out
    assert "passed over: tiny_iter_4.solverstate.h5 is of an earlier training, or" in ended.out
    assert "continuing at iteration 2" in ended.out
    ended = run(solve.main, *AUTO, "--seed", "8")
    assert "--resume auto: tiny_iter_4.solverstate.h5" in ended.out  # its own now


def test_a_training_that_went_back(run):
    """A training was begun again from an earlier snapshot of its own, and stopped.
    With --resume auto it goes on from there, not with the part that it was to replace.
    """
    assert run(solve.main, SOLVER).code == 0
    hour_ago(*Path().glob("tiny_iter_*"))
    back = [SOLVER, "-snapshot", STATE, "--max-iter", "3"]
    assert run(solve.main, *back).code == 0
    ended = run(solve.main, *AUTO)
    assert "--resume auto: tiny_iter_3.solverstate.h5" in ended.out
    assert "passed over: tiny_iter_4.solverstate.h5 is of an earlier training, or" in ended.out


def test_an_earlier_training_where_the_last_one_wrote_nothing(run, trained):
    """A training was begun again over an earlier one's snapshots, and killed before its first.
    --resume auto goes on with the earlier one, as it always did, and says so.
    """
    hour_ago(*Path().glob("tiny*"))
    with open("log.jsonl", "a") as log:
        now = datetime.now(UTC).replace(microsecond=0).isoformat()
        log.write(json.dumps({"kind": "start", "run": "x", "prefix": "tiny", "time": now}) + "\n")
    ended = run(solve.main, *AUTO)
    assert ended.code == 0 and "--resume auto: tiny_iter_4.solverstate.h5" in ended.out
    assert "the last training left no whole snapshot: going on from an earlier one" in ended.out


def test_snapshots_that_were_copied_into_the_folder(run, interrupted):
    """Snapshots were copied from another machine into the folder of a training, to go on there.
    They are newer files than that training's, and the furthest is taken.
    """
    copied(STATE, MODEL, to=9)
    assert "--resume auto: tiny_iter_9.solverstate.h5" in run(solve.main, *AUTO).out


def test_a_job_that_is_started_for_the_first_time(run):
    """--resume auto was given, and there is no snapshot yet.
    The training begins anew and says so.
    """
    ended = run(solve.main, *AUTO)
    assert ended.code == 0 and "there is no snapshot yet, beginning anew" in ended.out
    assert Path("tiny.h5").exists()


def flipped(path, array):
    content = bytearray(Path(path).read_bytes())
    content[content.index(array.tobytes()) + 1] ^= 64
    Path(path).write_bytes(content)


def cut_off(path):
    whole = Path(path).read_bytes()
    Path(path).write_bytes(whole[: len(whole) // 2])


def test_newer_snapshots_that_are_damaged(run, interrupted):
    """The newest snapshots are cut off, changed, without their state or without their parameters.
    --resume auto passes over them, with a line for each, and takes the newest good one.
    """
    copied(STATE, MODEL, to=3)
    copied(STATE, MODEL, to=5)
    copied(MODEL, to=6)
    copied(STATE, MODEL, to=7)
    copied(STATE, MODEL, to=12)
    state = weights.read_state(STATE)
    for n, path in ((3, MODEL), (12, MODEL)):
        extra = {**state.extra}
        found = weights.State(n, 0, path.replace("_2.", f"_{n}."), state.history, extra)
        weights.write_hdf5_state(f"tiny_iter_{n}.solverstate.h5", found)
    cut_off("tiny_iter_3.caffemodel.h5")
    cut_off("tiny_iter_5.solverstate.h5")
    flipped("tiny_iter_7.solverstate.h5", state.history[2])
    Path("tiny_iter_12.caffemodel.h5").unlink()
    ended = run(solve.main, *AUTO)
    over = [line for line in ended.out.splitlines() if line.startswith("passed over: ")]
    assert ended.code == 0 and f"--resume auto: {STATE}" in ended.out
    for line, words in zip(
        over,
        (
            "names parameters that are not there; expected tiny_iter_12.caffemodel.h5. Put",
            "tiny_iter_7.solverstate.h5: checksum mismatch in history/2",
            "tiny_iter_6.caffemodel.h5 has no solver state beside it",
            "tiny_iter_5.solverstate.h5: is cut off",
            "tiny_iter_3.caffemodel.h5: is cut off",
        ),
        strict=True,
    ):
        assert words in line
    assert parameters("tiny.h5") == interrupted


def test_parameters_of_another_run(refused, run, interrupted, capsys):
    """A training was begun again over an earlier one's snapshots, and killed after it had written
    the parameters of an iteration, but not yet the state; so the files beside each other are of two
    runs.
    They are not taken for one snapshot: --resume auto passes over it, -snapshot refuses, and
    --verify says it.
    """
    found = weights.read(MODEL)
    layers = {name: [blob + 1 for blob in blobs] for name, blobs in found.layers.items()}
    weights.write_hdf5(MODEL, layers)
    said = refused(solve.main, SOLVER, "-snapshot", STATE)
    assert f"{STATE}: does not belong to the parameters beside it" in said and MODEL in said
    ended = run(solve.main, *AUTO, "--max-iter", "1")
    assert f"passed over: {STATE}: does not belong" in ended.out and "beginning anew" in ended.out
    with pytest.raises(SystemExit) as verified:
        solve.main(["--verify", STATE])
    said = capsys.readouterr().out
    assert verified.value.code == 1 and "does not belong to the parameters" in said


def test_the_prefix_of_another_training(run, interrupted):
    """Snapshots of another prefix lie in the same folder.
    --resume auto does not take them.
    """
    for name in (STATE, MODEL):
        shutil.copy(name, name.replace("tiny_", "tiny_iter_3_b_"))
    ended = run(solve.main, *AUTO, "--prefix", "tiny_iter_3_b", "--max-iter", "3")
    assert ended.code == 0 and "auto: tiny_iter_3_b_iter_2.solverstate.h5" in ended.out
    ended = run(solve.main, *AUTO, "--prefix", "tin", "--max-iter", "1")
    assert ended.code == 0 and "beginning anew" in ended.out


def test_resume_auto_and_a_snapshot(refused):
    """Both --resume auto and -snapshot were given.
    Refused: the one finds what the other names.
    """
    said = refused(solve.main, *AUTO, "-snapshot", STATE)
    assert "--resume auto and -snapshot exclude each other" in said


# ---------------------------------------------------------------------- of another training


def test_a_snapshot_of_another_solver(refused, edit, interrupted):
    """The solver's type was changed, and an old snapshot given.
    Refused, with both types.
    """
    edit(SOLVER, "momentum: 0.9", 'momentum: 0.9 type: "Adam"')
    for main, argv in ((solve.main, [SOLVER]), (caffe.main, ["train", "-solver", SOLVER])):
        said = refused(main, *argv, "-snapshot", STATE)
        assert f"{STATE}: was written by another solver; expected Adam, found SGD" in said


def test_a_snapshot_of_caffe_of_another_solver(refused, edit, interrupted):
    """The same with a snapshot of Caffe, which does not say its solver's type.
    Refused where the number of arrays cannot be right.
    """
    state = weights.read_state(STATE)
    weights.write_binary_state("caffe.solverstate", weights.State(2, 0, MODEL, state.history))
    edit(SOLVER, "momentum: 0.9", 'momentum: 0.9 type: "Adam"')
    said = refused(solve.main, SOLVER, "-snapshot", "caffe.solverstate")
    assert "the number of history blobs differs; expected 16, found 8" in said


def test_a_snapshot_of_another_net(refused, edit, interrupted):
    """The net was given more features, or another layer, and an old snapshot given.
    Refused, with the parameter and both shapes, or both numbers of parameters.
    """
    edit("net.prototxt", 'top: "e1"\n  convolution_param { num_output: 4', 'top: "e1"\n  '
         "convolution_param { num_output: 6")  # fmt: skip
    said = refused(solve.main, SOLVER, "-snapshot", STATE)
    assert "belongs to another net: the history of d1/0 differs" in said
    assert "expected 6 x 4 x 3 x 3, found 4 x 4 x 3 x 3" in said
    edit("net.prototxt", "num_output: 6", "num_output: 4 bias_term: false")
    said = refused(solve.main, SOLVER, "-snapshot", STATE)
    assert "the number of history blobs differs; expected 7, found 8" in said


def test_a_snapshot_with_another_seed(refused, run, interrupted):
    """A snapshot was given together with another --seed.
    Refused: it could not be continued exactly; without --seed the snapshot's own is taken.
    """
    said = refused(solve.main, SOLVER, "-snapshot", STATE, "--seed", "5")
    assert "another random seed" in said and "--seed 1" in said
    ended = run(solve.main, SOLVER, "-snapshot", STATE)
    assert ended.code == 0 and parameters("tiny.h5") == interrupted


def test_a_snapshot_that_was_moved(run, refused, interrupted):
    """Both files of a snapshot were moved into another folder; then the parameters are missing.
    They are found beside the state; where they are not, the error names both places.
    """
    Path("kept").mkdir()
    for name in (STATE, MODEL):
        shutil.move(name, "kept")
    ended = run(solve.main, SOLVER, "-snapshot", f"kept/{STATE}")
    assert ended.code == 0 and parameters("tiny.h5") == interrupted
    os.unlink(f"kept/{MODEL}")
    said = refused(solve.main, SOLVER, "-snapshot", f"kept/{STATE}")
    assert f"names parameters that are not there; expected {MODEL} or kept/{MODEL}" in said


def test_a_snapshot_that_is_finished(refused, trained):
    """The last snapshot of a finished training was given to go on.
    Refused, with --max-iter as the way to go further.
    """
    said = refused(solve.main, SOLVER, "-snapshot", "tiny_iter_4.solverstate.h5")
    assert "as far as max_iter" in said and "--max-iter" in said


# ---------------------------------------------------------------------- damaged


@pytest.mark.parametrize("kind", ["hdf5", "binary"])
def test_a_bit_of_the_momentum_that_changed(refused, interrupted, kind):
    """One bit of a solver state changed on the disk.
    Refused, with the file and the array: the momentum would have been wrong unnoticed.
    """
    name, state = STATE, weights.read_state(STATE)
    if kind == "binary":
        name = "tiny_iter_2.solverstate"
        weights.write_binary_state(name, state)
    flipped(name, state.history[3])
    said = refused(solve.main, SOLVER, "-snapshot", name)
    assert f"{name}: checksum mismatch in history/3" in said and "an earlier one" in said
    assert not Path("tiny.h5").exists()


@pytest.mark.parametrize("kind", ["hdf5", "binary"])
def test_a_position_that_changed(refused, interrupted, kind):
    """The iteration, or the place in the data, changed in a solver state.
    Refused as a checksum mismatch in its description.
    """
    name, state = STATE, weights.read_state(STATE)
    if kind == "binary":
        name = "tiny_iter_2.solverstate"
        weights.write_binary_state(name, state)
        content = Path(name).read_bytes()
        assert content.count(b'"row": 2') == 1
        Path(name).write_bytes(content.replace(b'"row": 2', b'"row": 1'))
    else:
        with h5py.File(name, "r+") as file:
            file["iter"][0] = 3
    said = refused(solve.main, SOLVER, "-snapshot", name)
    assert f"{name}: checksum mismatch in its description" in said


def test_a_solver_state_that_is_cut_off(refused, interrupted):
    """A solver state was cut off while it was copied.
    Refused, with the byte or the sizes.
    """
    weights.write_binary_state("tiny_iter_2.solverstate", weights.read_state(STATE))
    for name, words in ((STATE, "is cut off; expected"), (STATE[:-3], "it breaks at byte")):
        cut_off(name)
        assert words in refused(solve.main, SOLVER, "-snapshot", name)


def test_a_solver_state_of_an_earlier_version(run, interrupted):
    """A solver state was written by a demitasse that knew no checksums.
    It is read; the training goes on with the same bits.
    """
    with h5py.File(STATE, "r+") as file:
        file.visititems(lambda name, item: item.attrs.pop("sha256", None))
        del file["demitasse"].attrs["parameters"]
    assert run(solve.main, SOLVER, "-snapshot", STATE).code == 0
    assert parameters("tiny.h5") == interrupted
    assert np.isfinite(weights.read("tiny.h5").layers["score"][0]).all()
