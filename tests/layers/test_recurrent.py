"""RNN, LSTM and LSTMUnit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from demitasse import netspec
from demitasse.errors import DataError, GraphError, ShapeError, SpecError
from demitasse.layers.lstm import LSTM
from demitasse.layers.lstm_unit import LSTMUnit
from demitasse.layers.rnn import RNN
from demitasse.net import Net
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, layer
from .strategies import few, numbers

STATES = {LSTM: 2, RNN: 1}
BOTH = pytest.mark.parametrize("cls", [LSTM, RNN])


def spec(cls, d=2, *, static=False, exposed=False, text=""):
    bottoms = ["x", "cont", *["static"] * static, *["h0", "c0"][: STATES[cls] * exposed]]
    tops = ["y", *["hT", "cT"][: STATES[cls] * exposed]]
    names = [f"bottom: '{name}'" for name in bottoms] + [f"top: '{name}'" for name in tops]
    expose = "expose_hidden: true" if exposed else ""
    return layer(
        f"type: '{cls.type}' {' '.join(names)} recurrent_param {{ num_output: {d} {expose} "
        f"weight_filler {{ type: 'uniform' min: -1 }} bias_filler {{ type: 'uniform' }} }} {text}"
    )


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference(cls, params, x, cont, static, h, c=None):
    """The layer step by step: output, and the states at the end."""
    params = list(params)
    wx, b = params[:2]
    ws = params.pop(2) if static is not None else None
    wh, outputs = params[2], []
    for x_t, cont_t in zip(x, cont, strict=True):
        a = x_t.reshape(len(x_t), -1) @ wx.T + b + (cont_t[:, None] * h) @ wh.T
        if ws is not None:
            a += static.reshape(len(static), -1) @ ws.T
        if cls is RNN:
            h = np.tanh(a)
            outputs.append(np.tanh(h @ params[3].T + params[4]))
        else:
            i, f, o = np.split(sigmoid(a), 4, axis=1)[:3]
            c = cont_t[:, None] * f * c + i * np.tanh(np.split(a, 4, axis=1)[3])
            h = o * np.tanh(c)
            outputs.append(h)
    return np.array(outputs), [h, c][: STATES[cls]]


def flags(rng, t, n):
    return (rng.random((t, n)) < 0.7).astype(float)


@BOTH
@few
@given(
    sizes=st.tuples(*[st.integers(1, 4)] * 4),
    spatial=st.booleans(),
    static=st.booleans(),
    budget=st.sampled_from([1, 100, 1 << 20]),
)
def test_gradient_and_output(cls, sizes, spatial, static, budget):
    t, n, d, k = sizes
    rng = np.random.default_rng(sizes)
    x = rng.standard_normal((t, n, k, 2) if spatial else (t, n, k))
    cont, given_static = flags(rng, t, n), rng.standard_normal((n, 3, 1) if spatial else (n, 3))
    inputs = [x, cont, *[given_static] * static]
    rig = check_gradient(cls, spec(cls, d, static=static), inputs, budget=budget, samples=12)
    start = [np.zeros((n, d))] * STATES[cls]
    want, _ = reference(cls, rig.params, x, cont, given_static if static else None, *start)
    np.testing.assert_allclose(rig.forward()[0], want, rtol=1e-10, atol=1e-12)


@BOTH
@pytest.mark.parametrize("static", [False, True])
def test_exposed_states(cls, static):
    rng = np.random.default_rng(4)
    t, n, d = 4, 3, 2
    x, cont, s = rng.standard_normal((t, n, 2)), flags(rng, t, n), rng.standard_normal((n, 3))
    cont[0] = [1, 0, 0.5]  # a start may be used in part
    start = [rng.standard_normal((1, n, d)) for _ in range(STATES[cls])]
    inputs = [x, cont, *[s] * static, *start]
    message = spec(cls, d, static=static, exposed=True)
    rig = Rig(cls, message, inputs)
    y, *ends = rig.forward()
    want, states = reference(
        cls, rig.params, x, cont, s if static else None, *(a[0] for a in start)
    )
    np.testing.assert_allclose(y, want, rtol=1e-10)
    for end, state in zip(ends, states, strict=True):
        np.testing.assert_allclose(end, state[None], rtol=1e-10)
    assert rig.layer.state() == {}
    # as in Caffe: what comes from the exposed tops is dropped, and the exposed bottoms get 0
    results = []
    for value in (0.0, 7.0):
        rig.forward()
        results.append(rig.backward([np.ones_like(y), *(np.full_like(e, value) for e in ends)]))
    for a, b in zip(results[0][0], results[1][0], strict=True):
        assert a is b is None or (a == b).all()
    for a, b in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_array_equal(a, b)
    for diff in results[0][0][2 + static :]:
        assert not diff.any()
    cont[0] = [1, 0, 1]
    hidden = range(2 + static, len(inputs))  # differences would find more than 0
    partial = type(cls.__name__, (cls,), {"no_gradient": frozenset({1, *hidden})})
    check_gradient(partial, message, inputs, tops=[0], samples=12)


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_states_go_on_where_the_last_pass_ended(cls, dtype):
    rng = np.random.default_rng(6)
    x, cont = rng.standard_normal((6, 3, 2)), np.ones((6, 3))
    cont[0], cont[3, 1], cont[4, 2] = 0, 0, 0
    whole = Rig(cls, spec(cls), [x, cont], dtype=dtype)
    (want,) = whole.forward()
    parts = Rig(cls, spec(cls), [x[:3], cont[:3]], dtype=dtype)
    np.testing.assert_array_equal(parts.forward()[0], want[:3])
    state = json.loads(json.dumps(parts.layer.state()))
    second = parts.forward([x[3:], cont[3:]])[0]
    np.testing.assert_array_equal(second, want[3:])
    # one that takes up the state goes on alike; a fresh one does not
    resumed = Rig(cls, spec(cls), [x[3:], cont[3:]], dtype=dtype)
    assert (resumed.forward()[0][0] != second[0]).any() and resumed.layer.state() != state
    resumed.layer.load_state(state)
    np.testing.assert_array_equal(resumed.forward()[0], second)
    # cont 0 forgets
    new = parts.forward([x[:3], cont[:3]])[0]
    np.testing.assert_array_equal(new, want[:3])
    parts.layer.load_state({})
    assert parts.layer.state() == {}


@BOTH
def test_gradients_end_where_the_pass_begins(cls):
    """A carried start counts as a constant."""
    rng = np.random.default_rng(8)
    x, cont = rng.standard_normal((3, 2, 2)), np.ones((3, 2))
    rig = Rig(cls, spec(cls), [x, cont])
    rig.forward()
    state = rig.layer.state()
    rig.forward()
    weight = rng.standard_normal((3, 2, 2))
    (dx, _), grads = rig.backward([weight])

    def objective():
        rig.layer.load_state(state)
        return float((rig.forward()[0] * weight).sum())

    recurrent = rig.layer.blobs[2].data  # Wh meets the carried state
    for array, diff in ((rig.inputs[0], dx), (recurrent, grads[2])):
        flat, k = array.reshape(-1), 1
        was = flat[k]
        flat[k] = was + 1e-5
        up = objective()
        flat[k] = was - 1e-5
        down = objective()
        flat[k] = was
        np.testing.assert_allclose(diff.reshape(-1)[k], (up - down) / 2e-5, rtol=1e-6)


@BOTH
def test_state_of_another_size_is_refused(cls):
    rig = Rig(cls, spec(cls), [numbers((2, 3, 1)), np.ones((2, 3))])
    for values in ([[[0.0, 0.0]] * 2] * STATES[cls], [[[0.0] * 2] * 3] * (STATES[cls] + 1)):
        with pytest.raises(DataError, match="a snapshot kept; expected 3x2"):
            rig.layer.load_state({"carried": values})


@BOTH
def test_refusals(cls):
    x, cont, s = np.zeros((4, 3, 2)), np.zeros((4, 3)), np.zeros((3, 5))

    def refused(kind, match, message, inputs):
        with pytest.raises(kind, match=match):
            Rig(cls, message, inputs)

    plain, static = spec(cls), spec(cls, static=True)
    refused(SpecError, "has no num_output", spec(cls, 0), [x, cont])
    refused(ShapeError, "bottom 'x'; expected steps x streams x features", plain, [cont, cont])
    for wrong in (np.zeros((3, 4)), np.zeros((4, 3, 1)), np.zeros(12)):
        refused(ShapeError, "bottom 'cont'; expected 4x3, found", plain, [x, wrong])
    for wrong in (np.zeros(3), np.zeros((4, 5))):
        refused(ShapeError, "'static'; expected 3 x features", static, [x, cont, wrong])
    states = [np.zeros((1, 3, 2)) for _ in range(STATES[cls])]
    exposed = spec(cls, exposed=True)
    for wrong in (np.zeros((3, 2)), np.zeros((1, 3, 3))):
        refused(ShapeError, "bottom 'h0'; expected 1x3x2", exposed, [x, cont, wrong, *states[1:]])
    for change in ("bottom", "top"):
        message = spec(cls, exposed=True)
        del getattr(message, change)[-1]
        refused(GraphError, f"number of {change}s; expected .*h", message, [])
        message = spec(cls, static=True)
        getattr(message, change).append("more")
        refused(GraphError, f"number of {change}s.*expose_hidden: true", message, [x, cont, s])


@BOTH
def test_fillers_are_in_the_order_of_the_parameters(cls):
    from demitasse.layers.base import Context

    for static in (False, True):
        made = cls(spec(cls, static=static), Context())
        needs = made.shapes(*[(2, 3, 4), (2, 3), (3, 5)][: 2 + static])
        kinds = ["bias" if len(shape) == 1 else "weight" for shape in needs.params]
        found = ["weight" if filler.min == -1 else "bias" for filler in made.fillers()]
        assert found == kinds and len(kinds) == 3 + static + 2 * (cls is RNN)


NET = """
layer {{ name: 'in' type: 'Input' top: 'x' top: 'cont'
  input_param {{ shape {{ dim: 3 dim: {n} dim: 2 }} shape {{ dim: 3 dim: {n} }} }} }}
layer {{ name: 'rec' type: '{type}' bottom: 'x' bottom: 'cont' top: 'y'
  recurrent_param {{ num_output: 4 debug_info: true
    weight_filler {{ type: 'uniform' min: -1 }} bias_filler {{ type: 'uniform' }} }} }}
"""


def build(cls, n=2, **settings):
    net = Net(netspec.build(netspec.parse_net(NET.format(n=n, type=cls.type)), "TEST"), **settings)
    net.blobs["x"].data[...] = numbers((3, n, 2))
    net.blobs["cont"].data[...] = 1
    return net


@BOTH
def test_a_net_keeps_the_states(cls):
    straight = build(cls)
    results = []
    for _ in range(3):
        straight.forward()
        results.append(straight.blobs["y"].data.copy())
    assert (results[0] != results[1]).any()
    first = build(cls)
    first.forward()
    second = build(cls, seed=5)
    second.load_state(json.loads(json.dumps(first.state())))
    for mine, theirs in zip(second.params["rec"], first.params["rec"], strict=True):
        mine.data[...] = theirs.data
    second.forward()
    np.testing.assert_array_equal(second.blobs["y"].data, results[1])


@BOTH
def test_another_number_of_streams_starts_anew(cls):
    net, fresh = build(cls), build(cls, n=5)
    net.forward()
    net.reshape({"x": (3, 5, 2), "cont": (3, 5)})
    net.blobs["x"].data[...], net.blobs["cont"].data[...] = fresh.blobs["x"].data, 1
    net.forward()
    fresh.forward()
    np.testing.assert_array_equal(net.blobs["y"].data, fresh.blobs["y"].data)


# ---- LSTMUnit

UNIT = layer("type: 'LSTMUnit' bottom: 'c0' bottom: 'a' bottom: 'cont' top: 'c' top: 'h'")


@few
@given(n=st.integers(1, 5), d=st.integers(1, 5))
def test_unit_gradient(n, d):
    rng = np.random.default_rng([n, d])
    before, a, cont = (
        rng.standard_normal((1, n, d)),
        rng.standard_normal((1, n, 4 * d)),
        flags(rng, 1, n),
    )
    rig = check_gradient(LSTMUnit, UNIT, [before, a, cont])
    c, h = rig.forward()
    i, f, o = np.split(sigmoid(a), 4, axis=2)[:3]
    want = cont[..., None] * f * before + i * np.tanh(np.split(a, 4, axis=2)[3])
    np.testing.assert_allclose(c, want, rtol=1e-12)
    np.testing.assert_allclose(h, o * np.tanh(want), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unit_takes_a_broken_cont_into_the_forget_gate_as_caffe_does(dtype):
    inputs = [[[[3.0]]], [[[0.0, 0.0, 0.0, 0.0]]], [[0.5]]]
    rig = Rig(LSTMUnit, UNIT, inputs, dtype=dtype)
    c, _ = rig.forward()
    assert c.tolist() == [[[0.75]]]
    (dbefore, da, dcont), _ = rig.backward([[[[1.0]]], [[[0.0]]]])
    assert dbefore.tolist() == [[[0.25]]] and dcont is None
    assert da.tolist() == [[[0, 3 * 0.25 * 0.75, 0, 0.5]]]


def test_unit_saturates_without_complaint():
    a = np.array([[[1e4, -1e4, 1e4, -1e4]]])
    rig = Rig(LSTMUnit, UNIT, [[[[2.0]]], a, [[1]]], dtype=np.float32)
    c, h = rig.forward()
    assert c == -1 and np.isclose(h, np.tanh(-1))
    (dbefore, da, _), _ = rig.backward([[[[1.0]]], [[[1.0]]]])
    assert dbefore == 0 and not da.any()


def test_unit_refusals():
    good = [(1, 3, 2), (1, 3, 8), (1, 3)]
    for k, wrong in [(0, (2, 3, 2)), (0, (3, 2)), (1, (1, 3, 6)), (2, (3,)), (2, (1, 3, 1))]:
        sizes = [wrong if i == k else shape for i, shape in enumerate(good)]
        with pytest.raises(ShapeError, match="expected 1xNxD, 1xNx4D and 1xN, found"):
            Rig(LSTMUnit, UNIT, [np.zeros(shape) for shape in sizes])
