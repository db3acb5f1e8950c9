"""Every learning-rate policy against its formula, and what cannot be followed."""

import math

import numpy as np
import pytest
from demitasse import netspec
from demitasse.errors import SolverError
from demitasse.solvers.lr_policy import POLICIES, check, learning_rate


def param(text):
    return netspec.parse_solver(text).message


RATES = {
    'lr_policy: "fixed" base_lr: 0.5': lambda i: 0.5,
    'lr_policy: "step" base_lr: 0.5 gamma: 0.1 stepsize: 7': lambda i: 0.5 * 0.1 ** (i // 7),
    'lr_policy: "exp" base_lr: 0.5 gamma: 0.9': lambda i: 0.5 * 0.9**i,
    'lr_policy: "inv" base_lr: 0.5 gamma: 0.1 power: 0.75': lambda i: 0.5 * (1 + 0.1 * i) ** -0.75,
    'lr_policy: "poly" base_lr: 0.5 power: 2 max_iter: 40': lambda i: 0.5 * (1 - i / 40) ** 2,
    'lr_policy: "sigmoid" base_lr: 0.5 gamma: 0.3 stepsize: 9': lambda i: (
        0.5 / (1 + math.exp(-0.3 * (i - 9)))
    ),
}


@pytest.mark.parametrize("text", RATES)
def test_formula(text):
    for i in range(40):
        rate, _ = learning_rate(param(text), i, 0)
        single, _ = learning_rate(param(text), i, 0, np.float32)
        assert single == np.float32(single) and single == pytest.approx(rate, rel=1e-5)
        assert rate == pytest.approx(RATES[text](i), rel=1e-5)  # gamma is a float32


def test_step_counts_its_steps():
    p = param('lr_policy: "step" base_lr: 1 gamma: 0.5 stepsize: 3')
    assert [learning_rate(p, i, 0)[1] for i in range(8)] == [0, 0, 0, 1, 1, 1, 2, 2]


def test_every_policy_is_tested():
    named = {text.split('"')[1] for text in RATES} | {"multistep"}
    assert named == set(POLICIES)


def test_multistep_grows_by_one_a_call():
    p = param('lr_policy: "multistep" base_lr: 1 gamma: 0.5 stepvalue: 0 stepvalue: 0 stepvalue: 5')
    step, rates = 0, []
    for i in range(8):
        rate, step = learning_rate(p, i, step)
        rates.append(rate)
    assert rates == [0.5, 0.25, 0.25, 0.25, 0.25, 0.125, 0.125, 0.125]


@pytest.mark.parametrize(
    "text",
    [
        'lr_policy: "exp" base_lr: 1 gamma: 10',
        'lr_policy: "inv" base_lr: 1 gamma: -0.1 power: 0.5',
    ],
)
def test_a_rate_that_is_no_number_is_refused(text):
    with pytest.raises(SolverError, match="no finite learning rate at iteration"):
        for i in (100, 500):
            learning_rate(param(text), i, 0)


@pytest.mark.parametrize(
    "text, words",
    [
        ('lr_policy: "cosine" base_lr: 1', "expected one of fixed, step"),
        ("base_lr: 1", "has no lr_policy"),
        ('lr_policy: "fixed"', "has no base_lr"),
        ('lr_policy: "step" base_lr: 1 gamma: 0.1', "needs stepsize; expected at least 1"),
        ('lr_policy: "sigmoid" base_lr: 1 gamma: -1 stepsize: 3', "needs gamma"),
        ('lr_policy: "sigmoid" base_lr: 1 gamma: 1', "needs stepsize; expected at least 1"),
        ('lr_policy: "exp" base_lr: 1 gamma: -1', "needs gamma; expected at least 0, found -1"),
        ('lr_policy: "inv" base_lr: 1 gamma: -1', "needs gamma"),
        ('lr_policy: "multistep" base_lr: 1 gamma: -1', "needs gamma"),
        ('lr_policy: "step" base_lr: 1 gamma: -1 stepsize: 2', "needs gamma"),
        ('lr_policy: "fixd" base_lr: 1', "Did you mean fixed"),
        ('lr_policy: "poly" base_lr: 1 power: 1', "needs max_iter; expected at least 1, found 0"),
        (
            'lr_policy: "step" base_lr: 1 stepsize: 9 max_iter: 10',
            "has no gamma, so the rate is 0 from iteration 9",
        ),
        ('lr_policy: "exp" base_lr: 1 max_iter: 10', "the rate is 0 from iteration 1"),
        ('lr_policy: "inv" base_lr: 1 gamma: 1', "has no power, so the rate never changes"),
        ('lr_policy: "inv" base_lr: 1 power: 1', "has no gamma, so the rate never changes"),
        ('lr_policy: "poly" base_lr: 1 max_iter: 9', "has no power, so the rate never changes"),
        (
            'lr_policy: "multistep" base_lr: 1 max_iter: 10 stepvalue: 4 stepvalue: 8',
            "the rate is 0 from iteration 4",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused(text, words):
    with pytest.raises(SolverError) as refused:
        check(param(text), "solver.prototxt")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        'lr_policy: "step" base_lr: 1 stepsize: 10 max_iter: 10',  # no step is taken
        'lr_policy: "step" base_lr: 1 gamma: 0 stepsize: 1 max_iter: 10',  # it is meant
        'lr_policy: "multistep" base_lr: 1 max_iter: 10',
        'lr_policy: "inv" base_lr: 1 gamma: 0 power: 0 max_iter: 10',
        'lr_policy: "sigmoid" base_lr: 1 stepsize: 1 max_iter: 10',
        'lr_policy: "poly" base_lr: 1 power: 1 max_iter: 1',
    ],
)
def test_the_least_that_can_be_followed(text):
    check(param(text), "solver.prototxt")
