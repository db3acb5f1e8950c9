"""Solver states in both formats, from Caffe and from us, and what is neither."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from demitasse.errors import SolverError, WeightsError
from demitasse.netspec import schema
from demitasse.weights import (
    State,
    read,
    read_state,
    write_binary_state,
    write_hdf5,
    write_hdf5_state,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from .wirebytes import block, legacy, net, number, packed, shape, unpacked, v2

EXTRA = {
    "solver": "SGD",
    "seed": 7,
    "losses": [0.1, 1e-300, 3.0],
    "layers": {"rows": {"row": 3, "epoch": 2}},
    "test_layers": [{}, {"d": {"forwards": 1 << 62}}],
}
HISTORY = [
    np.arange(6, dtype="f4").reshape(2, 3),
    np.array([-0.0, np.nan], "f4"),
    np.ones((), "f4"),
]
WRITERS = [write_binary_state, write_hdf5_state]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("extra", [{}, EXTRA])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_what_is_written_is_read(tmp_path, write, extra, dtype):
    history = [h.astype(dtype) for h in HISTORY]
    write(tmp_path / "a", State(12, 3, "dir/a näme.caffemodel", history, extra))
    found = read_state(tmp_path / "a")
    assert (found.iter, found.current_step) == (12, 3)
    assert found.learned_net == "dir/a näme.caffemodel" and found.extra == extra
    for a, b in zip(found.history, history, strict=True):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    with pytest.raises(WeightsError, match="is a solver state"):
        read(tmp_path / "a")


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.text(max_size=9))
@settings(max_examples=25, deadline=None)
def test_caffes_message_is_what_protobuf_would_write(tmp_path_factory, iteration, step, name):
    path = tmp_path_factory.getbasetemp() / "a.solverstate"
    write_binary_state(path, State(iteration, step, name, HISTORY[:1]))
    state = schema.SolverState(iter=iteration, learned_net=name, current_step=step)
    state.history.add(data=range(6)).shape.dim.extend([2, 3])
    assert path.read_bytes() == state.SerializeToString()
    assert read_state(path).learned_net == name


@pytest.mark.parametrize("write", [packed, unpacked])
@pytest.mark.parametrize("old", [False, True])
def test_old_and_unpacked_histories(tmp_path, write, old):
    values = np.arange(4, dtype="f4")
    blob = (legacy(1, 1, 2, 2) if old else shape(2, 2)) + write(5, values)
    content = number(1, 5) + block(2, "x.caffemodel") + block(3, blob)  # no current_step yet
    (tmp_path / "a").write_bytes(content)
    state = read_state(tmp_path / "a")
    assert (state.iter, state.current_step, state.extra) == (5, 0, {})
    assert state.history[0].shape == ((1, 1, 2, 2) if old else (2, 2))
    np.testing.assert_array_equal(state.history[0].ravel(), values)


def test_many_losses_fit(tmp_path):
    extra = {**EXTRA, "losses": [0.5] * 20000}
    write_hdf5_state(tmp_path / "a.h5", State(1, 0, "x", [], extra))
    assert read_state(tmp_path / "a.h5").extra == extra


def refused(path, content, *words):
    path.write_bytes(content)
    with pytest.raises(SolverError) as caught:
        read_state(path)
    for word in (str(path), *words):
        assert word in str(caught.value), str(caught.value)


def test_what_is_no_state(tmp_path):
    path = tmp_path / "a.solverstate"
    with pytest.raises(SolverError, match="does not exist"):
        read_state(path)
    refused(path, b"", "is empty")
    refused(path, b"\xff" * 50, "is not a solver state")
    refused(path, b"base_lr: 0.1", "is not a solver state", "is a solver's prototxt")
    refused(path, net(v2("a", shape(1) + packed(5, [1]))), "holds parameters, not a solver state")
    write_hdf5(path, {"a": [np.zeros(1, "f4")]})
    refused(path, path.read_bytes(), "holds parameters", "--weights")
    with h5py.File(path, "w") as file:
        file["iter"] = [3]
    refused(path, path.read_bytes(), "it has no /history")
    history = block(3, shape(3) + packed(5, [1, 2]))
    refused(path, number(1, 5) + history, "history 0", "not as many values")
    for ours in (b"{x", b"[]", b'{"seed": 1}', b"\xff"):
        refused(path, number(1, 5) + block(1000, ours), "what demitasse added cannot be read")


def test_hdf5_that_is_damaged_inside(tmp_path):
    path = tmp_path / "a.h5"
    for name, value in {"iter": [1, 2], "history": [1.0], "history/x": [1.0]}.items():
        with h5py.File(path, "w") as file:
            file["iter" if name != "iter" else "other"] = [1]
            file[name] = value
            file.require_group("history") if name == "iter" else None
        with pytest.raises(SolverError, match=r"a\.h5"):
            read_state(path)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_state_raises_solver_errors_only(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged.solverstate"
    write_binary_state(path, State(300, 1, "x.caffemodel", HISTORY, EXTRA))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        read_state(path)
    except SolverError as error:
        assert str(path) in str(error)
