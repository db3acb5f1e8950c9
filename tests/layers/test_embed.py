from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import DataError, SpecError
from demitasse.kernels import embed as kernel
from demitasse.layers.embed import Embed
from devices import WHERE, card, device
from hypothesis import given
from hypothesis import strategies as st

from .driver import Rig, check_gradient, layer
from .strategies import few, shapes


def spec(rows=6, outputs=3, more=""):
    return layer(f"type: 'Embed' embed_param {{ input_dim: {rows} num_output: {outputs} {more} }}")


def picks(shape, rows):
    return np.random.default_rng([7, *shape]).integers(0, rows, shape)


@few
@given(shape=shapes(0), rows=st.integers(1, 9), outputs=st.integers(1, 5), bias=st.booleans())
def test_gradient(shape, rows, outputs, bias):
    index = picks(shape, rows)
    text = "" if bias else "bias_term: false"
    rig = check_gradient(Embed, spec(rows, outputs, text), [index])
    assert rig.shapes.params == ((rows, outputs), (outputs,))[: 1 + bias]
    want = rig.params[0][index] + (rig.params[1] if bias else 0)
    np.testing.assert_allclose(rig.forward()[0], want, rtol=1e-12)


def test_many_rows_in_float32():
    index = picks((3000, 2), 10)
    rig = Rig(Embed, spec(10, 40), [index], dtype=np.float32)
    (y,) = rig.forward()
    np.testing.assert_array_equal(y, rig.params[0][index] + rig.params[1])
    dy = np.random.default_rng(0).integers(-3, 4, y.shape).astype("f4")
    _, (dw, db) = rig.backward([dy])
    want = np.zeros((10, 40))
    np.add.at(want, index.reshape(-1), dy.reshape(-1, 40))
    np.testing.assert_array_equal(dw, want)
    np.testing.assert_array_equal(db, dy.sum(axis=(0, 1)))


def gradient_on(there, rows, outputs):
    """dw of the same numbers and gradients; and the gradient so far, the numbers and dy."""
    rng = np.random.default_rng(3)
    before, dy = (rng.standard_normal((n, outputs), np.float32) for n in (rows, 300))
    index = rng.integers(0, rows, 300).astype(np.float32)
    dw = there.upload(before)
    kernel.weight_gradient(there.upload(index), there.upload(dy), dw)
    return there.host(dw), (before, index, dy)


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("chosen", [1, 1000, kernel.CHOSEN])
def test_a_device_adds_the_same_rows(where, chosen, monkeypatch):
    """However many at once; by a product, for CuPy's `add.at` adds with atomics."""
    monkeypatch.setattr(kernel, "CHOSEN", chosen)
    found, (dw, index, dy) = gradient_on(device(where), 10, 7)
    kernel.weight_gradient(index, dy, dw)
    np.testing.assert_allclose(found, dw, rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
def test_a_card_adds_the_same_bits_twice():
    first, again = (gradient_on(card(), 10, 500)[0] for _ in range(2))
    assert first.tobytes() == again.tobytes()


def test_numbers_are_cut_to_integers():
    rig = Rig(Embed, spec(more="bias_term: false"), [[2.9, -0.5]])
    np.testing.assert_array_equal(rig.forward()[0], rig.params[0][[2, 0]])


def test_fillers():
    text = "weight_filler { type: 'xavier' } bias_filler { value: 2 }"
    kinds = [f.type for f in Rig(Embed, spec(more=text), [[0]]).layer.fillers()]
    assert kinds == ["xavier", "constant"]
    text += " bias_term: false"
    assert len(Rig(Embed, spec(more=text), [[0]]).layer.fillers()) == 1


@pytest.mark.parametrize("number", [6, -1, np.nan])
def test_numbers_without_a_row(number):
    rig = Rig(Embed, spec(), [[[0, 1], [number, 2]]], where="net:2:1")
    words = r"net:2:1: .*no row for a number in 'x', position \(1, 0\); expected 0 to 5.*found "
    with pytest.raises(DataError, match=f"{words}{number:g}"):
        rig.forward()


def test_refusals():
    with pytest.raises(SpecError, match="has no num_output"):
        Rig(Embed, layer("type: 'Embed' embed_param { input_dim: 2 }"), [[0]])
    with pytest.raises(SpecError, match="has no input_dim"):
        Rig(Embed, layer("type: 'Embed' embed_param { num_output: 2 }"), [[0]])
