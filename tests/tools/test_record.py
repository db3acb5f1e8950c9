"""log.jsonl, as a training writes it: every line, cut, continued, and when it cannot be written."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from demitasse import weights
from demitasse.errors import NonFiniteError
from demitasse.solvers import Solver
from demitasse.tools import caffe, solve
from demitasse.tools._main import guarded

ROOT = Path(__file__).resolve().parent.parent.parent
DISPLAY = "display: 1 average_loss: 2 test_iter: 2 test_interval: 2\n"


@pytest.fixture
def shown(tiny):
    """The tiny folder, whose solver displays and tests."""
    with open("solver.prototxt", "a") as file:
        file.write(DISPLAY)
    return tiny


def records(path="log.jsonl"):
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def kinds(found):
    return [record["kind"] for record in found]


def test_a_training_is_kept_beside_its_snapshots(shown, capsys):
    Path("out").mkdir()
    assert guarded(solve.main, ["solver.prototxt", "--prefix", "out/tiny", "--seed", "7"]) == 0
    found = records("out/log.jsonl")
    middle = ["test", "train", "train", "snapshot", "test", "train", "train", "snapshot"]
    assert kinds(found) == ["start", *middle, "final", "test", "model", "end"]
    assert len({record["run"] for record in found}) == 1
    trained = [record for record in found if record["kind"] == "train"]
    assert [record["iter"] for record in trained] == [0, 1, 2, 3]
    assert trained[1]["smoothed"] == pytest.approx(np.mean([t["loss"] for t in trained[:2]]))
    for record in trained:
        assert record["lr"] == pytest.approx(0.01) and record["gradient_norm"] > 0
        assert record["resident"] > 1 << 20 and record["seconds"] >= 0
        assert record["outputs"] == {"loss": [record["loss"]]}
    assert found[-1]["reason"] == "finished" and found[-1]["error"] is None
    assert found[-2]["path"] == "out/tiny.h5"


def test_the_first_line_says_what_ran_on_what(shown):
    assert guarded(solve.main, ["solver.prototxt", "--seed", "7", "--threads", "1"]) == 0
    start = records()[0]
    assert start["seed"] == 7 and 'type: "Deconvolution"' in start["nets"]["net.prototxt"]
    assert "random_seed: 7" in start["solver"]["text"] and start["options"]["threads"] == 1
    assert start["folder"] == os.getcwd() and start["resumed"] is None
    assert {"python", "numpy", "demitasse"} <= start["versions"].keys()
    assert start["machine"]["cpus"] >= 1 and start["net"]["parameters"] == 40 + 148 + 68 + 18
    for path in ("solver.prototxt", "net.prototxt", "train.txt", "train.h5"):
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        assert start["files"][path]["sha256"] == digest


def test_files_too_large_to_hash_are_named_by_size_and_time(tiny, monkeypatch):
    from demitasse.tools import _record

    monkeypatch.setattr(_record, "HASHED", 5000)
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    files = records()[0]["files"]
    assert "sha256" in files["train.txt"] and "sha256" not in files["train.h5"]
    assert files["train.h5"]["bytes"] == Path("train.h5").stat().st_size > 5000


def test_the_gradient_norm_is_the_one_that_clipping_measures(shown, capsys):
    """The last line before an update names it where it clips (Caffe's sentence)."""
    with open("solver.prototxt", "a") as file:
        file.write("clip_gradients: 1e-3\n")
    assert guarded(caffe.main, ["train", "-solver", "solver.prototxt"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "(L2 norm" in line]
    norms = [float(line.partition("L2 norm ")[2].split()[0]) for line in said]
    kept = [r["gradient_norm"] for r in records() if r["kind"] == "train"]
    assert len(norms) == 4 and kept == pytest.approx(norms, rel=1e-5)


def test_going_on_appends_another_run_that_says_from_where(shown):
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    before = Path("log.jsonl").read_bytes()
    argv = ["solver.prototxt", "-snapshot", "tiny_iter_2.solverstate.h5"]
    assert guarded(solve.main, argv) == 0
    assert Path("log.jsonl").read_bytes().startswith(before)
    first, second = (r for r in records() if r["kind"] == "start")
    assert second["resumed"] == {"snapshot": "tiny_iter_2.solverstate.h5", "iter": 2}
    assert first["run"] != second["run"] and second["command"] == ["train", *argv]
    again = [r["loss"] for r in records() if r["kind"] == "train" and r["run"] == second["run"]]
    assert again == [r["loss"] for r in records() if r["kind"] == "train"][2:4]


def test_a_job_that_goes_on_by_itself_says_from_where(shown):
    """`--resume auto` finds the snapshot: nobody typed its name."""
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    assert guarded(solve.main, ["solver.prototxt", "--resume", "auto", "--max-iter", "6"]) == 0
    _, second = (r for r in records() if r["kind"] == "start")
    assert second["resumed"] == {"snapshot": "tiny_iter_4.solverstate.h5", "iter": 4}


def test_a_run_after_one_that_was_cut_begins_a_new_line(shown):
    Path("log.jsonl").write_text('{"kind": "train", "it')
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    cut, *rest = Path("log.jsonl").read_text().splitlines()
    assert cut == '{"kind": "train", "it' and json.loads(rest[0])["kind"] == "start"


def test_a_killed_training_leaves_whole_lines(shown):
    text = Path("solver.prototxt").read_text().replace("max_iter: 4", "max_iter: 1000000")
    Path("solver.prototxt").write_text(text.replace("snapshot: 2", ""))
    command = [sys.executable, ROOT / "tools" / "solve.py", "solver.prototxt"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while time.monotonic() < until and not (
            Path("log.jsonl").exists() and len(Path("log.jsonl").read_bytes().splitlines()) > 20
        ):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert Path("log.jsonl").read_bytes().endswith(b"}\n")
    assert kinds(records())[0] == "start" and "end" not in kinds(records())


def test_how_it_ended(shown, monkeypatch):
    def stop(self):
        self.stop = True

    def diverge(self):
        raise NonFiniteError("the loss became nan")

    def interrupt(self):
        raise KeyboardInterrupt

    ends = []
    for solve_ in (stop, diverge, interrupt):
        monkeypatch.setattr(Solver, "solve", solve_)
        guarded(solve.main, ["solver.prototxt", "--overwrite"])
        ends.append((records()[-1]["reason"], records()[-1]["error"]))
    assert ends == [
        ("stopped", None),
        ("failed", "the loss became nan."),
        ("interrupted", None),
    ]


def test_values_that_are_not_finite_are_null(shown, monkeypatch):
    monkeypatch.setattr(Solver, "_smoothed", lambda self: float("nan"))
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    assert {r["smoothed"] for r in records() if r["kind"] == "train"} == {None}


def test_a_log_that_cannot_be_written_does_not_stop_the_training(shown, capsys):
    Path("log.jsonl").mkdir()
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    assert "log.jsonl: Is a directory: the training goes on" in capsys.readouterr().out
    assert weights.read("tiny.h5").kind == "model"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is full is Linux's")
def test_a_disk_that_is_full_ends_the_log_and_says_so_once(shown, capsys):
    Path("log.jsonl").symlink_to("/dev/full")
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    said = capsys.readouterr().out
    assert said.count("the training goes on without this log") == 1
    assert weights.read("tiny.h5").kind == "model"


def test_caffes_command_keeps_it_too_where_it_writes_snapshots(shown, capsys):
    text = Path("solver.prototxt").read_text()
    assert guarded(caffe.main, ["train", "-solver", "solver.prototxt"]) == 0
    assert kinds(records())[0] == "start" and kinds(records())[-1] == "end"
    Path("log.jsonl").unlink()
    text = text.replace("snapshot: 2", "snapshot: 0 snapshot_after_train: false")
    Path("solver.prototxt").write_text(text)
    assert guarded(caffe.main, ["train", "-solver", "solver.prototxt"]) == 0
    assert not Path("log.jsonl").exists()


def test_events_for_tensorboard(shown):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import masked_crc32c

    assert guarded(solve.main, ["solver.prototxt", "--tensorboard", "events"]) == 0
    (path,) = Path("events").iterdir()
    data, values = path.read_bytes(), {}
    while data:  # length, its checksum, the message, its checksum
        size = int.from_bytes(data[:8], "little")
        assert int.from_bytes(data[8:12], "little") == masked_crc32c(data[:8])
        event = Event.FromString(data[12 : 12 + size])
        for value in event.summary.value:
            values.setdefault(value.tag, {})[event.step] = value.simple_value
        data = data[16 + size :]
    losses = {r["iter"]: r["loss"] for r in records() if r["kind"] == "train"}
    assert values["train/loss"] == pytest.approx(losses)
    assert values["train/gradient_norm"].keys() == losses.keys()
    assert values["test/loss"].keys() == {0, 2, 4}


def test_without_its_library_tensorboard_is_refused_at_once(shown, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert guarded(solve.main, ["solver.prototxt", "--tensorboard", "events"]) == 2
    assert "pip install 'demitasse[tensorboard]'" in capsys.readouterr().err
    assert not Path("log.jsonl").exists()


def test_a_folder_for_tensorboard_that_is_a_file_is_refused(shown, capsys):
    pytest.importorskip("tensorboardX")
    assert guarded(solve.main, ["solver.prototxt", "--tensorboard", "img.tif"]) == 2
    assert "img.tif: cannot be written" in capsys.readouterr().err
