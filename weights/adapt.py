"""Parameters of a net with other classes: what fits is taken, the rest stays as it was.

A layer whose blobs differ from the file's in their first axis alone (the number of outputs, so the
classes of a score) gets the rows that both have.  Another difference stays for `match` to refuse.

Source: the Fiji plugin changes num_output of the score and trusts its engine to do this
(FinetuneJob.java); caffe_unet's CopyTrainedLayersFromHDF5 does it without a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from .base import Weights


def adapt(found: Weights, own: Mapping[str, Sequence[np.ndarray]]) -> tuple[Weights, list[str]]:
    """The file's content made to fit the parameters `own` of a net, and a line for each layer
    where that was needed."""
    layers, notes = dict(found.layers), []
    for name, arrays in own.items():
        given = [blob for blob in found.layers.get(name, []) if blob is not None]
        shapes = [(a.shape, b.shape) for a, b in zip(given, arrays, strict=False)]
        if len(given) != len(arrays) or all(a == b for a, b in shapes):
            continue
        if any(len(a) != len(b) or not a or a[1:] != b[1:] for a, b in shapes):
            continue
        mixed = [array.copy() for array in arrays]
        for new, old in zip(mixed, given, strict=True):
            rows = min(len(new), len(old))
            new[:rows] = old[:rows]
        layers[name] = list(mixed)
        kept, wanted = len(given[0]), len(arrays[0])
        notes.append(
            f"layer {name}: {kept} outputs in {found.path}, {wanted} in the net; "
            + (f"the first {wanted} were taken" if kept > wanted else "the others are new")
        )
    return replace(found, layers=layers), notes
