"""How images are normalised, as a sentence for those who read an exported net."""

from __future__ import annotations

from ..data.normalize import Normalization

_SAID = {
    "none": "Images are taken as they are.",
    "depth": "Images are divided by the largest value of their type, 255 for 8 bits.",
    "minmax": "Images are scaled so that their least value becomes 0 and their largest 1.",
    "zscore": "The mean is subtracted from an image, which is then divided by its standard deviation.",
    "max": "Images are divided by the largest norm of a pixel over the channels.",
    "percentile": "Images are scaled so that their percentile {low:g} becomes 0 and percentile {high:g} 1.",
}
_WHOLE = (
    " Mean, least, largest and so on are those of the whole image, before it is cut into tiles."
)


def normalised(rule: Normalization) -> str:
    """The sentence."""
    said = _SAID[rule.name].format(**rule.parameters)
    return said + (_WHOLE if rule.name not in ("none", "depth") else "")
