"""What a net holds, and takes from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import GraphError, did_you_mean
from ..kernels.device import Device
from ..layers.base import Array, Blob, Layer
from ..netspec.graph import Graph, Value
from ..weights import Report, Weights
from . import exchange
from .ahead import Ahead
from .params import Param
from .planning import Planned
from .schedule import Schedule


class Holdings:
    """A net's public lists; `Net` sets the attributes."""

    graph: Graph
    device: Device
    dtype: np.dtype
    layers: Sequence[Layer]
    values: dict[Value, Blob]
    blobs: dict[str, Blob]
    params: dict[str, list[Blob]]
    param_table: tuple[Param, ...]
    flat_data: Array
    plans_backward: bool
    flags: Schedule
    planned: Planned
    bound: object  # another one whenever arrays moved
    ahead: Ahead | None
    step: int  # of net/order.py, the last that ran
    _keep: bool
    _fit: int  # layers, from the first on, whose shapes are those of the inputs
    # what a caller sets of inputs, where arrays are elsewhere, and what `read` gave, to be
    # overwritten: the memory, which grows where it has to, and what of it is in use
    _hosted: dict[str, tuple[np.ndarray, np.ndarray]]
    _seen: dict[str, tuple[np.ndarray, np.ndarray]]

    @property
    def inputs(self) -> list[str]:
        """Names of the blobs the caller sets."""
        return [value.blob for value in self.graph.inputs]

    @property
    def outputs(self) -> list[str]:
        """Names of the blobs nobody reads, by alphabet."""
        return [value.blob for value in self.graph.outputs]

    def output_weights(self) -> dict[str, float]:
        """The loss weight of each output."""
        weights = {
            top: weight
            for node, flags in zip(self.graph.nodes, self.flags.loss_weights, strict=True)
            for top, weight in zip(node.tops, flags, strict=True)
        }
        return {value.blob: weights[value] for value in self.graph.outputs}

    def losses(self) -> list[tuple[float, Value]]:
        """Every top with a loss weight."""
        return [
            (weight, top)
            for node, flags in zip(self.graph.nodes, self.flags.loss_weights, strict=True)
            for top, weight in zip(node.tops, flags, strict=True)
            if weight
        ]

    def parameters(self) -> dict[str, list[np.ndarray]]:
        """Parameter arrays by layer, in Caffe's order; a layer without any has an empty list."""
        return {
            node.name: [self.device.host(blob.data) for blob in layer.blobs]
            for node, layer in zip(self.graph.nodes, self.layers, strict=True)
        }

    def owned_parameters(self) -> dict[str, list[np.ndarray | None]]:
        """The same with None where another layer owns the parameter, as Caffe's HDF5 files want."""
        shared = {(p.node, p.index) for i, p in enumerate(self.param_table) if p.owner != i}
        return {
            node.name: [
                None if (node.index, k) in shared else self.device.host(blob.data)
                for k, blob in enumerate(layer.blobs)
            ]
            for node, layer in zip(self.graph.nodes, self.layers, strict=True)
        }

    def read(self, name: str, *, reuse: bool = False) -> np.ndarray:
        """A blob's data, on the host: its own array on the CPU, else a copy; with `reuse` one that
        the next such call overwrites, which is quicker.

        Raises GraphError where there is no such blob, or its memory does not hold it now: it was
        not made yet, or is not needed any more.
        """
        held = (value for value in self.values if value.blob == name)
        versions = sorted(held, key=lambda value: value.version)
        if not versions:
            raise GraphError(
                f"there is no blob '{name}'",
                where=self.graph.path,
                remedy=did_you_mean(name, self.graph.blobs),
            )
        found = self._shown(versions)
        spans = self.planned.plan.readable.get(found, ())
        if not any(start <= self.step <= end for start, end in spans):
            raise GraphError(
                f"blob '{name}' is not in memory now: it is made later, or needed no more",
                where=self.graph.path,
                remedy="Build the net with Net(..., keep=True), which keeps every blob",
            )
        data, wanted = self.values[found].data, reuse and not self.device.on_host
        return self.device.host(data, self._at_hand(self._seen, name, data) if wanted else None)

    def _shown(self, versions: Sequence[Value]) -> Value:
        """Which version of a blob `read` gives: the last, but of an input that layers change on the
        way, where not all blobs are kept, the one that the caller set."""
        first, last = versions[0], versions[-1]
        changed = first.blob in self.inputs and not self._keep and last not in self.graph.outputs
        return first if changed else last

    def _at_hand(
        self, held: dict[str, tuple[np.ndarray, np.ndarray]], name: str, data: Array
    ) -> np.ndarray:
        """The host's array for a blob among those `held`; all 0 where the shape is another."""
        flat, used = held.get(name, (None, None))
        if used is None or used.shape != data.shape:
            if flat is None or flat.size < data.size:
                flat = self.device.host_array((data.size,), data.dtype)
            used = flat[: data.size].reshape(data.shape)
            used.fill(0)
            held[name] = flat, used
        return used

    def _upto(self, last: int | None) -> int:
        """One more than the last layer that is to run; GraphError where its shapes are of old."""
        stop = len(self.layers) if last is None else last + 1
        if stop > self._fit:
            raise GraphError(
                f"{self.layers[stop - 1].label} has not followed the inputs' new shapes",
                where=self.graph.path,
                remedy="Call reshape(inputs) without `last`",
            )
        return stop

    def remarks(self) -> list[tuple[str, str]]:
        """What layers have to say of the last forward pass, with their types: lines for a log."""
        return [(layer.type, line) for layer in self.layers for line in layer.remarks]

    def state(self) -> dict[str, Mapping[str, Any]]:
        """Positions of data layers and random streams, for an exact resume."""
        return exchange.state(self)

    def load_state(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Take back what `state` gave; layers it does not name stay as they are."""
        exchange.load_state(self, state)

    def load(self, found: Weights, *, complete: bool, adopt: bool = False) -> Report:
        """Copy the parameters of a file into layers of the same name; say what went where.

        complete: every layer must be there (to deploy); without it some may be missing (to
        fine-tune); adopt: the caller gives the file's arrays away, so that a net without backward
        pass, of their type and on the CPU, may use them as they are, if it needs no others;
        flat_data is empty then.  Raises WeightsError where a layer has other shapes.
        """
        return exchange.load(self, found, complete=complete, adopt=adopt)
