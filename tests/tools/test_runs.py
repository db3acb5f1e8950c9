"""log.jsonl read again: several runs in one file, runs that went on, lines that are none."""

import json
import math
import re
from pathlib import Path

import pytest
from demitasse.errors import DataError
from demitasse.tools import _runs, solve
from demitasse.tools._main import guarded
from hypothesis import given, settings
from hypothesis import strategies as st


def line(kind, run="a", **fields):
    return json.dumps({"kind": kind, "run": run, **fields})


def train(iteration, run="a", seconds=0.0, loss=1.0):
    return line("train", run, iter=iteration, loss=loss, smoothed=loss, lr=0.1, seconds=seconds)


@pytest.fixture
def written(tmp_path):
    def write(*lines):
        (tmp_path / "log.jsonl").write_text("\n".join(lines))
        return _runs.read(tmp_path)

    return write


def test_the_last_run_of_a_file_is_meant(written):
    run = written(
        line("start", "a", seed=1), train(0, "a"), line("start", "b", seed=2), train(0, "b", loss=5)
    )
    assert run.start["seed"] == 2 and [s.loss for s in run.steps] == [5] and run.parts == 1


def test_of_several_trainings_in_a_folder_one_is_named(written, tmp_path):
    last = written(
        line("start", "a", prefix="out/first"),
        train(0, "a"),
        line("start", "b", prefix="out/second"),
        train(0, "b", loss=5),
        line("start", "c", prefix="out/first"),
        train(0, "c", loss=6),
        line("start", "d"),
        train(0, "d", loss=7),
    )
    assert [s.loss for s in last.steps] == [7] and last.others == ("first", "second")
    for prefix, loss in {"first": 6, "second": 5}.items():
        run = _runs.read(tmp_path / prefix)
        assert [s.loss for s in run.steps] == [loss] and run.others == ()
        assert run.name == f"{tmp_path.name}/{prefix}"
    with pytest.raises(DataError, match=r"prefix 'third'; expected first or second"):
        _runs.read(tmp_path / "third")
    with pytest.raises(DataError, match="cannot be read"):
        _runs.read(tmp_path / "no" / "third")


def test_a_folder_of_folders_names_them(tmp_path):
    for name in ("b", "a", "empty"):
        (tmp_path / name).mkdir()
        if name != "empty":
            (tmp_path / name / "log.jsonl").write_text(line("start"))
    a, b = (re.escape(str(tmp_path / name)) for name in "ab")
    with pytest.raises(DataError, match=f"holds no log.jsonl. Name one of {a}, {b}.$"):
        _runs.read(tmp_path)


def test_runs_that_write_at_the_same_time_are_told_apart(written):
    run = written(
        line("start", "a"), line("start", "b"), train(0, "a"), train(0, "b", loss=5), train(1, "a")
    )
    assert [s.loss for s in run.steps] == [5]


def test_a_run_that_went_on_is_joined_to_what_came_before_its_snapshot(written):
    resumed = {"snapshot": "elsewhere/n_iter_2.solverstate", "iter": 2}
    run = written(
        line("start", "a"),
        train(0, "a", 1.0),
        train(1, "a", 2.0),
        line("snapshot", "a", iter=2, path="out/n_iter_2.solverstate", seconds=2.5),
        train(2, "a", 3.0, loss=9),
        line("test", "a", iter=2, net=0, outputs={"loss": [9.0]}, seconds=3.0),
        line("start", "b", resumed=resumed),
        train(2, "b", 1.0),
        line("snapshot", "b", iter=4, path="out/n_iter_4.solverstate", seconds=1.5),
        line("end", "b", iter=4, reason="finished", seconds=2.0),
    )
    assert run.parts == 2 and [s.iter for s in run.steps] == [0, 1, 2]
    assert [s.seconds for s in run.steps] == [1.0, 2.0, 3.5] and run.seconds == 4.5
    assert run.steps[-1].loss == 1.0 and run.scores == []
    assert [when for when, _ in run.states] == [2, 4] and run.iterations == 4


def test_a_training_cut_and_continued_reads_like_one_in_one_go(tiny):
    with open("solver.prototxt", "a") as file:
        file.write("display: 1 test_iter: 1 test_interval: 2\n")
    Path("out").mkdir()
    assert guarded(solve.main, ["solver.prototxt", "--prefix", "out/tiny"]) == 0
    assert guarded(solve.main, ["solver.prototxt", "--max-iter", "3"]) == 0
    with open("log.jsonl", "rb+") as file:  # as a crash leaves it
        file.truncate(Path("log.jsonl").stat().st_size - 20)
    assert guarded(solve.main, ["solver.prototxt", "-snapshot", "tiny_iter_2.solverstate.h5"]) == 0
    whole, joined = _runs.read("out"), _runs.read(".")
    assert joined.parts == 2 and whole.parts == 1
    same = [(s.iter, s.loss, s.smoothed, s.norm) for s in whole.steps]
    assert [(s.iter, s.loss, s.smoothed, s.norm) for s in joined.steps[:-1]] == same[:-1]
    assert joined.steps[-1].smoothed == same[-1][2]
    assert [(s.iter, s.outputs) for s in joined.scores] == [
        (s.iter, s.outputs) for s in whole.scores
    ]
    assert joined.end["reason"] == "finished" and joined.model == "tiny.h5"


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_line_that_was_cut_is_passed_over(written, cut):
    assert [s.iter for s in written(line("start"), train(0), train(1)[:-cut]).steps] == [0]


@pytest.mark.parametrize(
    "odd", ["", "null", "7", "[1]", '{"kind": 3}', "{", "[" * 100_000, '{"kind": "train"}', "\0"]
)
def test_lines_that_are_none_of_ours_are_passed_over(written, odd):
    run = written(line("start"), odd, train(0), odd)
    assert [s.iter for s in run.steps] == [0]


def test_values_of_other_types_are_not_known(written):
    odd = line("train", iter="x", loss="1", smoothed=None, lr=[1], gradient_norm=True, seconds={})
    big = line("train", iter=10**400, loss=1e308)
    (step, *rest) = written(line("start"), odd, big).steps
    assert rest == [] or rest[0].iter == 0
    assert step.iter == 0 and all(math.isnan(v) for v in (step.loss, step.rate, step.seconds))


def test_files_are_found_beside_a_log_that_was_moved(written, tmp_path):
    run = written(line("start", folder="/nowhere"), train(0))
    (tmp_path / "n.caffemodel").write_text("")
    assert run.near("out/n.caffemodel") == tmp_path / "n.caffemodel"
    assert run.near("other.caffemodel") is None and run.near("a\0b") is None


def test_a_log_without_a_start_tells_nothing(written):
    with pytest.raises(DataError, match="tells of no training"):
        written(train(0), train(1))


ODD = [None, True, -1, 2**70, 1e308, "x", [], [1, "a", None], {}, {"a": [[], 2.0]}, {"iter": "2"}]
VALUES = st.sampled_from(ODD)
FIELDS = [
    "iter",
    "loss",
    "smoothed",
    "lr",
    "seconds",
    "outputs",
    "net",
    "path",
    "resumed",
    "prefix",
]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["start", "train", "test", "snapshot", "model", "end"]),
            st.dictionaries(st.sampled_from(FIELDS), VALUES),
        ),
        max_size=6,
    )
)
def test_any_objects_are_read_without_an_error_of_ours(tmp_path_factory, records):
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    lines = [line("start"), train(0)]
    lines += [json.dumps({"kind": kind, "run": "a", **fields}) for kind, fields in records]
    path.write_text("\n".join(lines))
    run = _runs.read(path)
    assert run.steps[0].iter == 0 and run.iterations >= 0 and isinstance(run.name, str)
