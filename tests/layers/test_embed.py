from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import DataError, SpecError
from demitasse.layers.embed import Embed
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
