"""Logs in Caffe's words: Caffe's own of several ages, ours, cut and damaged."""

import math
from pathlib import Path

import pytest
from demitasse.errors import DataError
from demitasse.tools import _logs, _runs, caffe, solve
from demitasse.tools._main import guarded
from hypothesis import given, settings
from hypothesis import strategies as st

CAFFE = """\
I1231 23:59:58.000000  1234 caffe.cpp:197] Use CPU.
I1231 23:59:58.500000  1234 solver.cpp:45] Initializing solver from parameters: 
base_lr: 0.01
net: "train.prototxt"
I1231 23:59:58.600000  1234 net.cpp:53] Initializing net from parameters: 
name: "LeNet"
layer {
  name: "mnist"
}
I1231 23:59:58.700000  1234 layer_factory.hpp:77] Creating layer mnist
I1231 23:59:59.000000  1234 solver.cpp:347] Iteration 0, Testing net (#0)
I1231 23:59:59.500000  1234 solver.cpp:414]     Test net output #0: accuracy = 0.1132
I1231 23:59:59.500000  1234 solver.cpp:414]     Test net output #1: loss = 2.33 (* 1 = 2.33 loss)
I0101 00:00:00.000000  1234 solver.cpp:239] Iteration 0 (0 iter/s, 0.2s/100 iters), loss = 2.31
I0101 00:00:00.000000  1234 solver.cpp:258]     Train net output #0: loss = 2.30 (* 1 = 2.30 loss)
I0101 00:00:00.000000  1234 sgd_solver.cpp:112] Iteration 0, lr = 0.01
I0101 00:00:08.000000  1234 solver.cpp:239] Iteration 100 (12.5 iter/s, 8s/100 iters), loss = 1e-1
I0101 00:00:08.000000  1234 sgd_solver.cpp:112] Iteration 100, lr = 9.9e-03
I0101 00:00:09.000000  1234 sgd_solver.cpp:284] Snapshotting solver state to binary proto file \
examples/lenet_iter_200.solverstate
I0101 00:00:09.000000  1234 solver.cpp:332] Optimization Done.
"""


def test_a_log_of_caffe_over_a_new_year():
    log = _logs.read(CAFFE.splitlines())
    first, second = log.steps
    assert (first.iter, first.loss, first.smoothed, first.rate) == (0, 2.30, 2.31, 0.01)
    assert (second.iter, second.smoothed, second.rate) == (100, 0.1, 0.0099)
    assert math.isnan(second.loss) and math.isnan(first.norm)
    assert [first.seconds, second.seconds] == pytest.approx([2, 10])
    (score,) = log.scores
    assert (score.iter, score.net) == (0, 0)
    assert score.outputs == {"accuracy": [0.1132], "loss": [2.33]}
    assert log.states == [(200, "examples/lenet_iter_200.solverstate")] and log.done
    assert log.solver == 'base_lr: 0.01\nnet: "train.prototxt"\n'
    assert log.net == 'name: "LeNet"\nlayer {\n  name: "mnist"\n}\n'


def test_a_log_of_2014_has_no_speed():
    log = _logs.read(["I0714 10:00:00.0 1 solver.cpp:209] Iteration 20, loss = 0.693"])
    assert log.steps[0].smoothed == 0.693


def test_newer_glog_writes_the_year():
    lines = CAFFE.replace("I1231", "I20251231").replace("I0101", "I20260101").splitlines()
    log = _logs.read(lines)
    assert [step.iter for step in log.steps] == [0, 100] and log.solver.startswith("base_lr")
    assert [step.seconds for step in log.steps] == pytest.approx([2, 10])


@pytest.mark.parametrize("command", ["solve", "caffe"])
def test_our_own_lines_say_what_log_jsonl_says(tiny, capfd, command):
    with open("solver.prototxt", "a") as file:
        file.write("display: 1 test_iter: 1 test_interval: 2\n")
    argv = ["train", "-solver"] if command == "caffe" else []
    main = {"solve": solve.main, "caffe": caffe.main}[command]
    assert guarded(main, [*argv, "solver.prototxt"]) == 0
    Path("train.log").write_text("".join(capfd.readouterr()))
    said, kept = _runs.read("train.log"), _runs.read("log.jsonl")
    assert [s.iter for s in said.steps] == [s.iter for s in kept.steps] == [0, 1, 2, 3, 4]
    for a, b in zip(said.steps, kept.steps, strict=True):
        assert (a.smoothed, a.rate) == pytest.approx((b.smoothed, b.rate), rel=1e-4, nan_ok=True)
        if command == "solve":
            assert a.norm == pytest.approx(b.norm, rel=1e-3, nan_ok=True)
    assert [s.iter for s in said.scores] == [s.iter for s in kept.scores] == [0, 2, 4]
    assert said.scores[1].outputs["loss"] == pytest.approx(kept.scores[1].outputs["loss"], rel=1e-4)
    assert said.states == kept.states


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_log_is_read_as_far_as_it_goes(data):
    text = data.draw(st.sampled_from([CAFFE, CAFFE.replace("I0101", "")]))
    start = data.draw(st.integers(0, len(text)))
    junk = data.draw(st.text(max_size=20))
    log = _logs.read((text[:start] + junk + text[start + len(junk) :]).splitlines())
    assert len(log.steps) <= 2 + junk.count("Iteration")


def test_what_tells_of_no_training_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("Iteration of the design\n")
    with pytest.raises(DataError, match="tells of no training"):
        _runs.read(tmp_path / "notes.txt")
    with pytest.raises(DataError, match="No such file"):
        _runs.read(tmp_path / "missing.log")
    with pytest.raises(DataError, match="holds no log"):
        _runs.read(tmp_path)
