"""The compiled updates give the bits of the plain ones."""

import importlib.util

import numpy as np
import pytest
from demitasse.solvers import compiled
from demitasse.solvers.registry import SOLVERS

from .test_updates import build

FIELDS = {
    "plain": {},
    "L2": {"weight_decay": 0.01},
    "L1": {"weight_decay": 0.01, "regularization_type": "L1"},
    "clipped": {"weight_decay": 0.01, "clip_gradients": 0.5},
    "two passes": {"iter_size": 2},
}
MOMENTUM = {"SGD": 0.9, "Nesterov": 0.9, "AdaDelta": 0.95, "Adam": 0.9}


def trained(name, fields):
    solver = build(name, 3000, np.float32, momentum=MOMENTUM.get(name, 0), delta=1e-6, **fields)
    solver.net.flat_data[::7] = 0
    solver.step(3)
    return solver


@pytest.mark.parametrize("fields", FIELDS)
@pytest.mark.parametrize("name", SOLVERS)
def test_the_same_bits(name, fields, monkeypatch):
    pytest.importorskip("numba")
    plain = trained(name, FIELDS[fields])
    monkeypatch.setattr(compiled, "LARGE", 1)
    fast = trained(name, FIELDS[fields])
    assert plain._rule is None and fast._rule is not None
    for a, b in zip(
        (fast.net.flat_data, fast.net.flat_diff, *fast.history),
        (plain.net.flat_data, plain.net.flat_diff, *plain.history),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
        assert np.any(a)


def test_small_nets_and_other_precisions_take_the_plain_way(monkeypatch):
    assert build("SGD", 3, np.float32)._rule is None
    monkeypatch.setattr(compiled, "LARGE", 1)
    assert build("SGD", 3, np.float64)._rule is None
    there = importlib.util.find_spec("numba") is not None
    assert (build("SGD", 3, np.float32)._rule is not None) == there
