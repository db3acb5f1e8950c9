"""The compiled gradient behind a rectifier, against the specification: the same bits."""

import numpy as np
import pytest
from demitasse.kernels import columns
from demitasse.kernels.workers import Room, Workers

pytest.importorskip("numba")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_bits(dtype, monkeypatch):
    rng = np.random.default_rng(0)
    y, dy = (rng.standard_normal((2, 3, 210, 211)).astype(dtype) for _ in range(2))
    y[0, 0, 0, :5] = np.nan, np.inf, -np.inf, 0, -0.0
    dy[0, 1, 1, :6] = np.nan, np.inf, -np.inf, 0, -0.0, 1e-42
    room = Room(1 << 20, Workers(2), np.empty(1 << 20, dtype))
    compiled, plain = dy.copy(), dy.copy()
    assert dy.size >= columns.SMALL and columns.optional("relu_numba") is not None
    columns.rectify_gradient(y, compiled, room)
    monkeypatch.setattr(columns, "optional", lambda name: None)
    with np.errstate(invalid="ignore"):
        columns.rectify_gradient(y, plain, room)
    assert compiled.tobytes() == plain.tobytes()
    assert (compiled != dy).mean() > 0.4
