"""Parameters for a net with more or fewer classes."""

import numpy as np
import pytest
from demitasse.weights import Weights, adapt

OLD = [np.ones((2, 3, 1, 1), np.float32), np.ones(2, np.float32)]


@pytest.mark.parametrize(("classes", "words"), [(4, "the others are new"), (1, "the first 1")])
def test_rows_that_both_have_are_taken(classes, words):
    own = [np.full((classes, 3, 1, 1), 7, np.float32), np.full(classes, 7, np.float32)]
    got, notes = adapt(Weights({"score": OLD, "d0": OLD}, "hdf5", "w.h5"), {"score": own})
    for blob in got.layers["score"]:
        assert len(blob) == classes and (blob[:2] == 1).all() and (blob[2:] == 7).all()
    assert got.layers["d0"] is OLD and (own[0] == 7).all()
    (note,) = notes
    assert note.startswith(f"layer score: 2 outputs in w.h5, {classes} in the net; ")
    assert words in note


@pytest.mark.parametrize("shapes", [[(2, 3, 1, 1), (2,)], [(4, 5, 1, 1), (4,)], [(4, 3, 1, 1)]])
def test_what_fits_or_differs_otherwise_is_left(shapes):
    own = {"score": [np.zeros(shape, np.float32) for shape in shapes]}
    got, notes = adapt(Weights({"score": OLD}, "hdf5", "w.h5"), own)
    assert got.layers["score"] is OLD and not notes
