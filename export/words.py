"""How images are normalised, as a sentence for those who read an exported net."""

from __future__ import annotations

from ..data.normalize import Normalization

_SAID = {
    "none": "Images are taken as they are.",
    "depth": "Images are divided by the largest value of their type, 255 for 8 bits.",
    "minmax": "Images are scaled so that their least value becomes 0 and their largest 1.",
    "zscore": "Images are brought to mean 0 and standard deviation 1.",
    "max": "Images are divided by the largest norm of a pixel over the channels.",
    "percentile": "Images are scaled so that percentile {low:g} becomes 0 and {high:g} becomes 1.",
}
_WHOLE = (
    " Mean, least, largest and so on are those of the whole image, before it is cut into tiles."
)


def normalised(rule: Normalization) -> str:
    """The sentence."""
    said = _SAID[rule.name].format(**rule.parameters)
    return said + (_WHOLE if rule.name not in ("none", "depth") else "")
