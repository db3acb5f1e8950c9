"""What a loss divides its sum by: loss_param, read in one place.

    FULL         the number of places
    VALID        the number of places that are not ignored (or the sum of their weights)
    BATCH_SIZE   the number of items, which is the product of the axes before the classes
    NONE         1                                          each of them at least 1

`normalization` wins over the older `normalize`: true means VALID, false BATCH_SIZE.  Where neither
is given, SoftmaxWithLoss and InfogainLoss use VALID, SigmoidCrossEntropyLoss BATCH_SIZE.  The other
losses (Euclidean, Contrastive, Hinge, MultinomialLogistic) always divide by the number of `rows`.

Source: Caffe's get_normalizer in src/caffe/layers/*_loss_layer.cpp.
"""

from __future__ import annotations

from typing import Any

from .class_labels import ignored


class Normalization:
    """The rule a loss_param message gives, and the label it ignores (None: none)."""

    def __init__(self, loss: Any, default: str = "VALID") -> None:
        self.mode = default
        if loss.HasField("normalization"):
            self.mode = loss.NormalizationMode.Name(loss.normalization)
        elif loss.HasField("normalize"):
            self.mode = "VALID" if loss.normalize else "BATCH_SIZE"
        self.ignore = ignored(loss)

    def constant(self, items: int, places: int) -> float | None:
        """The divisor where it is known without looking at the labels."""
        return None if self.mode == "VALID" else self.divisor(items, places, 0)

    def divisor(self, items: int, places: int, valid: float) -> float:
        """items: the batch size; places: labels in all; valid: how many count, or their weight."""
        count = {"VALID": valid, "FULL": places, "BATCH_SIZE": items, "NONE": 1}
        return max(1.0, float(count[self.mode]))


def rows(n: int) -> int:
    """The divisor of a loss over n rows; a batch from which all were filtered has no loss."""
    return max(1, n)
