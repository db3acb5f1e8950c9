"""Engines measured beside each other."""

import numpy as np
import pytest
from demitasse.kernels import convolution
from demitasse.kernels.contest import HOPELESS, MANY, TURNS, Problem, measure, same
from demitasse.kernels.convolution import ACCURACY, COLUMNS, DIRECT, THIN, WINOGRAD
from demitasse.kernels.im2col import Window
from demitasse.kernels.workers import Room

WINDOW = Window((3, 3), (1, 1), (0, 0), (1, 1))


def problem(channels=8, size=14, outputs=8, backward=True, down=True):
    x, y = (1, channels, size, size), (1, outputs, size - 2, size - 2)
    return Problem(x, (outputs, channels, 3, 3), y, WINDOW, 1, backward, down)


def able(p):
    return convolution.candidates(p.x, p.w, p.y, p.window, p.group, np.float32)


def test_who_can_compute_a_layer():
    pytest.importorskip("numba")
    assert able(problem()) == [COLUMNS, WINOGRAD, THIN]
    assert able(problem(size=100)) == [COLUMNS, WINOGRAD]
    assert able(problem(channels=1, size=100)) == [COLUMNS, WINOGRAD, DIRECT]
    wide = problem()
    assert convolution.candidates(*wide[:5], np.float64) == [COLUMNS]
    strided = wide._replace(window=WINDOW._replace(stride=(2, 2)), y=(1, 8, 6, 6))
    assert able(strided) == [COLUMNS, THIN]


@pytest.mark.parametrize("backward, down", [(False, False), (True, False), (True, True)])
def test_every_engine_is_accurate_enough_and_gets_a_time(backward, down):
    asked = problem(backward=backward, down=down)
    seconds = measure(asked, able(asked), Room(1 << 20))
    assert list(seconds) == able(asked) and all(0 < s < 60 for s in seconds.values())


def run_on(monkeypatch, spent, wrong=()):
    """Engines that take as many seconds as `spent` says, in each of their runs; `wrong` ones give
    other results.  -> the times found, and how often each ran."""
    now, ran = [0.0], {name: 0 for name in spent}

    def forward(x, w, b, y, form, room):
        y[...] = 1 + (form.engine in wrong) * 2 * ACCURACY
        now[0] += spent[form.engine][min(ran[form.engine], len(spent[form.engine]) - 1)]
        ran[form.engine] += 1

    monkeypatch.setattr(convolution, "forward", forward)
    monkeypatch.setattr(convolution, "scratch_size", lambda *_: 0)
    asked = problem(backward=False, down=False)
    return measure(asked, list(spent), Room(1 << 20), lambda: now[0]), ran


def test_the_first_run_does_not_count_and_the_least_of_the_others_does(monkeypatch):
    seconds, ran = run_on(monkeypatch, {"a": [9, 3, 2, 4], "b": [50, 2.5]})
    assert seconds == {"a": 2, "b": 2.5} and ran == {"a": 1 + TURNS, "b": 1 + TURNS}


def test_an_inaccurate_engine_is_left_out(monkeypatch):
    seconds, _ = run_on(monkeypatch, {"a": [2], "b": [1]}, wrong={"b"})
    assert seconds == {"a": 2}


def test_a_hopeless_engine_takes_one_turn(monkeypatch):
    assert 2 < HOPELESS < 4
    seconds, ran = run_on(monkeypatch, {"a": [1], "b": [4]})
    assert seconds == {"a": 1, "b": 4} and ran == {"a": 1 + TURNS, "b": 2}


def test_what_takes_little_takes_more_turns(monkeypatch):
    _, ran = run_on(monkeypatch, {"a": [0.02], "b": [0.02]})
    assert TURNS < 7 == ran["a"] - 1 == ran["b"] - 1 < MANY  # 6 x 0.04 s < ENOUGH < 7 x 0.04 s
    _, ran = run_on(monkeypatch, {"a": [1e-6], "b": [1e-6]})
    assert ran == {"a": 1 + MANY, "b": 1 + MANY}


def test_results_are_the_same_to_the_accuracy_of_the_largest():
    right = [np.array([1.0, 100.0])]
    assert same([right[0] + 90 * ACCURACY], right)
    assert not same([right[0] + 110 * ACCURACY], right)
    assert not same([right[0] * np.nan], right)


def test_problems_that_differ_have_other_words():
    a = problem()
    other = [
        a._replace(**{name: value})
        for name, value in (
            ("x", (2, 8, 14, 14)), ("w", (8, 4, 3, 3)), ("group", 2), ("down", False),
            *(("window", WINDOW._replace(**{f: (2, 2)})) for f in ("stride", "pad", "dilation")),
        )
    ]  # fmt: skip
    other.append(a._replace(backward=False, down=False))
    assert len({str(p) for p in (a, *other)}) == 1 + len(other)
    assert str(a) == (
        "1x8x14x14 by 8x8x3x3, stride 1x1, pad 0x0, dilation 1x1, group 1, forward + weights + data"
    )
