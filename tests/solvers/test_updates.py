"""Each solver's update against its formula, written plainly, in float64."""

import numpy as np
import pytest
from demitasse import netspec, solvers
from demitasse.solvers import solver as solver_module
from demitasse.solvers.registry import SOLVERS
from hypothesis import given, settings
from hypothesis import strategies as st

NET = """
layer {{ name: "x" type: "DummyData" top: "x" top: "y"
  dummy_data_param {{ shape {{ dim: 2 dim: 3 }} shape {{ dim: 2 dim: {n} }}
    data_filler {{ type: "gaussian" }} data_filler {{ type: "constant" }} }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "x" top: "s"
  param {{ lr_mult: 1 decay_mult: 1 }} param {{ lr_mult: 2 decay_mult: 0 }}
  inner_product_param {{ num_output: {n} weight_filler {{ type: "gaussian" std: 1 }}
    bias_filler {{ type: "gaussian" std: 1 }} }} }}
layer {{ name: "loss" type: "EuclideanLoss" bottom: "s" bottom: "y" top: "loss" }}
"""


def sgd(g, h, rate, p, t):
    h[0] = p.momentum * h[0] + rate * g
    return h[0]


def nesterov(g, h, rate, p, t):
    before = h[0]
    h[0] = p.momentum * h[0] + rate * g
    return (1 + p.momentum) * h[0] - p.momentum * before


def adagrad(g, h, rate, p, t):
    h[0] = h[0] + g**2
    return rate * g / (np.sqrt(h[0]) + p.delta)


def rmsprop(g, h, rate, p, t):
    h[0] = p.rms_decay * h[0] + (1 - p.rms_decay) * g**2
    return rate * g / (np.sqrt(h[0]) + p.delta)


def adadelta(g, h, rate, p, t):
    h[0] = p.momentum * h[0] + (1 - p.momentum) * g**2
    u = g * np.sqrt((h[1] + p.delta) / (h[0] + p.delta))
    h[1] = p.momentum * h[1] + (1 - p.momentum) * u**2
    return rate * u


def adam(g, h, rate, p, t):
    h[0] = p.momentum * h[0] + (1 - p.momentum) * g
    h[1] = p.momentum2 * h[1] + (1 - p.momentum2) * g**2
    correction = np.sqrt(1 - p.momentum2**t) / (1 - p.momentum**t)
    return rate * correction * h[0] / (np.sqrt(h[1]) + p.delta)


FORMULAS = {"SGD": sgd, "Nesterov": nesterov, "AdaGrad": adagrad}
FORMULAS |= {"RMSProp": rmsprop, "AdaDelta": adadelta, "Adam": adam}


def build(name, n, dtype, **fields):
    source = netspec.parse_solver('base_lr: 0.1 lr_policy: "fixed" max_iter: 9 random_seed: 1')
    source.message.net_param.CopyFrom(netspec.parse_net(NET.format(n=n)).message)
    source.message.type = name
    for field, value in fields.items():
        setattr(source.message, field, value)
    return solvers.build(source, dtype=dtype)


def test_every_solver_has_a_formula():
    assert set(FORMULAS) == set(SOLVERS)


@pytest.mark.parametrize("name", FORMULAS)
@given(
    st.integers(1, 7),
    st.floats(0, 0.95),
    st.floats(1e-8, 0.1),
    st.floats(0.1, 0.99),
    st.sampled_from([0.0, 0.1]),
)
@settings(max_examples=15, deadline=None)
def test_five_updates(name, n, momentum, delta, decay, weight_decay):
    chosen = {"momentum": momentum if SOLVERS[name].uses_momentum else 0, "delta": delta}
    solver = build(
        name, n, np.float64, **chosen, rms_decay=decay, momentum2=decay, weight_decay=weight_decay
    )
    p, rng = solver.param, np.random.default_rng(n)
    w = [blob.data.copy() for blob in solver.net.params["ip"]]
    h = [[np.zeros_like(x) for _ in range(solver.histories)] for x in w]
    for t in range(1, 6):
        for i, blob in enumerate(solver.net.params["ip"]):
            g = rng.standard_normal(blob.shape)
            blob.diff[...] = g
            g = g + p.weight_decay * (i == 0) * w[i]
            w[i] = w[i] - FORMULAS[name](g, h[i], p.base_lr * (1 + i), p, t)
        solver.apply_update(0.0)
        solver.iter += 1
        for blob, want in zip(solver.net.params["ip"], w, strict=True):
            np.testing.assert_allclose(blob.data, want, rtol=1e-9, atol=1e-12)
    for k, flat in enumerate(solver.history):
        want = np.concatenate([x[k].ravel() for x in h])
        np.testing.assert_allclose(flat, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", FORMULAS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_strips_do_not_matter(name, dtype, monkeypatch):
    results = []
    for chunk in (1 << 16, 5):
        monkeypatch.setattr(solver_module, "CHUNK", chunk)
        momentum = 0.5 if SOLVERS[name].uses_momentum else 0
        solver = build(name, 4, dtype, momentum=momentum, weight_decay=0.1)
        solver.step(3)
        results.append((solver.net.flat_data.tobytes(), [x.tobytes() for x in solver.history]))
        assert solver.net.flat_data.dtype == solver.history[0].dtype == dtype
    assert results[0] == results[1]
