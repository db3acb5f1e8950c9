"""Split layers where a blob has several readers, under Caffe's names.

A *version* of a blob is what one layer wrote into it.  A version that is read more than once gets
a Split layer right behind its maker, and each reader a copy of its own:

    layer `<blob>_<maker>_<top index>_split`, tops `<blob>_<maker>_<top index>_split_<k>`

with k in the order of the readers.  An explicit loss weight counts as the first reader: it moves to
copy 0.

Source: Caffe 1.0's insert_splits.cpp.  There a moved weight wipes out those of the layer's other
tops too; here it takes only its own along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from . import schema

Version = tuple[int, int]  # the maker's index and its top index


def versions_read(layers: Sequence[Any]) -> dict[tuple[int, int], Version]:
    """(reader's index, bottom index) -> the version it reads; unknown bottoms are left out."""
    newest: dict[str, Version] = {}
    read = {}
    for i, layer in enumerate(layers):
        for j, blob in enumerate(layer.bottom):
            if blob in newest:
                read[i, j] = newest[blob]
        newest.update({blob: (i, j) for j, blob in enumerate(layer.top)})
    return read


def weighted_tops(layer: Any) -> list[int]:
    """The tops with an explicit loss weight other than 0."""
    return [j for j, w in enumerate(layer.loss_weight) if w and j < len(layer.top)]


def with_splits(layers: Iterable[Any]) -> list[tuple[int, Any]]:
    """The layers with Splits between: (index of the original or of the Split's maker, layer).

    Layers that change are copies; every bottom has to be known.
    """
    layers = list(layers)
    read = versions_read(layers)
    readers = Counter(read.values())
    readers.update((i, j) for i, layer in enumerate(layers) for j in weighted_tops(layer))
    copies: Counter[Version] = Counter()  # how many copies of a version have been given away
    result = []
    for i, original in enumerate(layers):
        layer = schema.LayerParameter()
        layer.CopyFrom(original)
        result.append((i, layer))
        for j, blob in enumerate(original.bottom):
            version = read[i, j]
            if readers[version] > 1:
                name = _split_name(layers, version, blob)
                layer.bottom[j] = f"{name}_{copies[version]}"
                copies[version] += 1
        for j, blob in enumerate(original.top):
            if readers[i, j] > 1:
                split = schema.LayerParameter(type="Split", bottom=[blob])
                split.name = _split_name(layers, (i, j), blob)
                split.top.extend(f"{split.name}_{k}" for k in range(readers[i, j]))
                if j in weighted_tops(layer):
                    split.loss_weight.extend([layer.loss_weight[j]] + [0.0] * (readers[i, j] - 1))
                    copies[i, j] = 1
                    layer.loss_weight[j] = 0.0
                    if not any(layer.loss_weight):
                        layer.ClearField("loss_weight")
                result.append((i, split))
    return result


def _split_name(layers: Sequence[Any], version: Version, blob: str) -> str:
    i, j = version
    return f"{blob}_{layers[i].name}_{j}_split"


def without_splits(layers: Sequence[Any]) -> list[Any]:
    """The layers as they were before `with_splits`, whose layers a saved net contains."""
    original: dict[str, str] = {}
    result = []
    for old in layers:
        ours = all(top == f"{old.name}_{k}" for k, top in enumerate(old.top))
        if old.type == "Split" and len(old.bottom) == 1 and ours:
            original.update(dict.fromkeys(old.top, old.bottom[0]))
            continue
        layer = schema.LayerParameter()
        layer.CopyFrom(old)
        for j, blob in enumerate(old.bottom):
            layer.bottom[j] = original.get(blob, blob)
        result.append(layer)
    return result
