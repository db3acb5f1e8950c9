"""What layers that read images share: no bottom, no gradient, and a position that is one integer.

The position counts the items given out since the start.  The random numbers of a pass come from the
layer's stream at the position where it begins, so a resumed run goes on exactly.

Where n processes train one net together, batch i goes to process i mod n, and the position counts
what all of them have been given, so it is the same in each.

Source: Caffe's src/caffe/layers/base_data_layer.cpp; its thread that reads ahead is net/ahead.py's.
"""

from __future__ import annotations

from collections.abc import Mapping
from os.path import join
from typing import Any

import numpy as np

from ..data.blobproto import read_blob
from ..data.transform import Transformer
from ..errors import DataError, SpecError
from .base import Context, Layer
from .without_gradient import WithoutGradient

_MOVED = ("scale", "mean_file", "crop_size", "mirror")


class Source(WithoutGradient):
    """`param`: its message, with a source and a batch_size."""

    bottoms = 0
    on_host = True

    def __init__(self, spec: Any, context: Context, field: str) -> None:
        super().__init__(spec, context)
        self.param, self._field, self._items = getattr(spec, field), field, 0
        if not self.param.source:
            raise SpecError(f"{self.label} has no source", where=context.where)
        if self.param.batch_size < 1:
            raise SpecError(
                f"{self.label} has no batch_size",
                where=context.where,
                expected=f"{field} {{ batch_size: 1 }} or more",
                found=self.param.batch_size,
            )
        self.batch = int(self.param.batch_size)
        self.source = join(context.folder, self.param.source)

    def refuse_moved(self, *kept: str) -> None:
        """Refuse fields that Caffe moved to transform_param long ago and ignores here."""
        for name in _MOVED:
            if name not in kept and self.param.HasField(name):
                raise SpecError(
                    f"{self.label} has {name} in {self._field}, where Caffe ignores it",
                    where=self.context.where,
                    remedy=f"Write transform_param {{ {name}: {getattr(self.param, name)} }}",
                )

    def state(self) -> Mapping[str, Any]:
        return {"items": self._items}

    def mine(self, items: int) -> int:
        """The item that this process's pass begins with when `items` have been given out."""
        return items + self.context.rank * self.batch

    @property
    def first(self) -> int:
        """The item that this process's next pass begins with."""
        return self.mine(self._items)

    def passed(self) -> None:
        """Every process has been given its batch."""
        self._items += self.context.ranks * self.batch

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._items = int(state["items"])


def transformer(layer: Layer) -> Transformer:
    """What a layer's transform_param asks for; its files are read now."""
    param, where = layer.spec.transform_param, layer.context.where
    if param.HasField("mean_file") and len(param.mean_value):
        raise SpecError(f"{layer.label} gives both a mean_file and mean_value", where=where)
    if param.force_color and param.force_gray:
        raise SpecError(f"{layer.label} sets both force_color and force_gray", where=where)
    mean, name = np.array(param.mean_value), "mean_value"
    if param.HasField("mean_file"):
        name = join(layer.context.folder, param.mean_file)
        mean = read_blob(name)
        if mean.ndim == 4 and len(mean) == 1:
            mean = mean[0]
        if mean.ndim != 3:
            raise DataError(
                "is not the mean of images",
                where=name,
                expected="1 x channels x height x width",
                found=" x ".join(map(str, mean.shape)),
            )
    return Transformer(
        scale=param.scale,
        crop=int(param.crop_size),
        mirror=param.mirror,
        mean=mean,
        train=layer.context.phase == "TRAIN",
        mean_name=name,
    )
