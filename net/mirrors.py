"""Layers that work on arrays of the host, in a net whose arrays are elsewhere.

Layers that read files or draw their numbers there, and Python layers (`Layer.on_host`), get arrays
of the host in place of the net's: what they read is copied there before they run, what they made is
copied back.  On the CPU there is nothing to copy, and no mirror.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import GraphError
from ..kernels.device import Device
from ..layers.base import Blob, Layer, Shapes
from ..netspec.graph import Graph


class Mirror:
    """One layer's blobs on the host; bottoms and tops: those of the net; keeps: a caller may write
    the tops, and the layer may leave them alone (net/kept.py).

    GraphError for a layer with parameters: they are the net's, and live where it does.
    """

    def __init__(
        self,
        layer: Layer,
        need: Shapes,
        bottoms: Sequence[Blob],
        tops: Sequence[Blob],
        where: str,
        keeps: bool,
    ) -> None:
        if need.params:
            raise GraphError(
                f"{layer.label} has parameters, but works on the host's arrays only",
                where=where,
                remedy="Run this net on the CPU",
            )
        self.layer, self._bottoms, self._tops, self._keeps = layer, bottoms, tops, keeps
        self.bottoms = [_like(blob) for blob in bottoms]
        self.tops = [_like(blob) for blob in tops]
        for k, blob in enumerate(tops):  # in place stays in place
            if k < len(bottoms) and blob.data is bottoms[k].data:
                self.tops[k].data = self.bottoms[k].data
        dtype = bottoms[0].data.dtype if bottoms else tops[0].data.dtype
        layer.saved = [np.zeros(b.shape, b.dtype or dtype) for b in need.saved]
        self._scratch = np.zeros(need.scratch, dtype)

    def prepare(self, device: Device) -> None:
        """Let the layer write the tops that it then leaves alone."""
        self.layer.prepare(self.tops)
        for mine, blob in zip(self.tops, self._tops, strict=True):
            device.write(blob.data, mine.data)

    def forward(self, device: Device) -> None:
        """Run the layer forward."""
        read = [*zip(self.bottoms, self._bottoms, strict=True)]
        if self._keeps:
            read = [*zip(self.tops, self._tops, strict=True), *read]
        for mine, blob in read:
            mine.data[...] = device.host(blob.data)
        self.layer.scratch = self._scratch
        self.layer.forward(self.bottoms, self.tops)
        for mine, blob in zip(self.tops, self._tops, strict=True):
            device.write(blob.data, mine.data)

    def backward(self, device: Device, propagate_down: Sequence[bool]) -> None:
        """Run the layer backward."""
        for mine, blob in zip(
            (*self.bottoms, *self.tops), (*self._bottoms, *self._tops), strict=True
        ):
            mine.data[...] = device.host(blob.data)
        for mine, blob in zip(self.tops, self._tops, strict=True):
            if mine.diff is not None:
                mine.diff[...] = device.host(blob.diff)
        self.layer.scratch = self._scratch
        self.layer.backward(self.tops, propagate_down, self.bottoms)
        for mine, blob, down in zip(self.bottoms, self._bottoms, propagate_down, strict=True):
            if down:
                device.write(blob.diff, mine.diff)


def _like(blob: Blob) -> Blob:
    """A blob of the same shapes on the host."""
    return Blob(
        np.zeros(blob.data.shape, blob.data.dtype),
        None if blob.diff is None else np.zeros(blob.diff.shape, blob.diff.dtype),
    )


def mirrors(
    graph: Graph,
    layers: Sequence[Layer],
    needs: Sequence[Shapes],
    bottoms: Sequence[Sequence[Blob]],
    tops: Sequence[Sequence[Blob]],
    device: Device,
    elsewhere: frozenset[int],
    keeps: bool,
) -> dict[int, Mirror]:
    """By node: the layers that need one."""
    if device.on_host:
        return {}
    return {
        i: Mirror(layer, needs[i], bottoms[i], tops[i], graph.nodes[i].where, keeps)
        for i, layer in enumerate(layers)
        if layer.on_host and i not in elsewhere
    }
