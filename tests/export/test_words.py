"""Normalisation in words."""

import pytest
from demitasse.data.normalize import NAMES, Normalization
from demitasse.export.words import normalised


@pytest.mark.parametrize("name", NAMES)
def test_every_normalisation_has_a_sentence(name):
    said = normalised(Normalization(name))
    assert said.endswith(".") and "{" not in said
    assert ("whole image" in said) == (name not in ("none", "depth"))


def test_percentiles_are_told():
    said = normalised(Normalization("percentile", {"low": 2.0, "high": 99.5}))
    assert "2th" not in said and "percentile 2 " in said and "99.5 becomes 1" in said
