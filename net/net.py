"""The net: planned once, allocated once, then run.

    graph -> layers -> shapes -> schedule -> plan -> arena -> forward, backward

The net owns every array.  Buffers are reused as soon as nobody reads them any more, so after a
pass only the outputs and the parameters are sure to be readable; `keep=True` gives every blob
arrays that live through the iteration.

Source: Caffe's Net (src/caffe/net.cpp).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from ..errors import GraphError, NonFiniteError, ShapeError
from ..kernels.workers import Workers, usable_cpus
from ..layers.base import Array, Blob, Context, Shape
from ..layers.filler import fill
from ..netspec.graph import Graph, Value
from ..weights import Report, Weights, match
from . import arena, fusion, lifetimes, params
from .inference import build_layers
from .planning import Planned, plan_net

FILLER_STREAM = 1 << 63  # layers use their index as the second half of the key


class Net:
    """An executable net.

    graph: from `netspec.build`; dtype: of every blob, float32 or float64; seed: of fillers and
    dropout; backward: plan a backward pass (default: in TRAIN, or with force_backward); keep: every
    blob stays readable; inputs: shapes of Input blobs, instead of those in the prototxt; budget:
    bytes of scratch a layer may use; engine: "caffe" is im2col everywhere, "fast" the fastest that
    fits, "auto" what the prototxt says; threads: of kernels (default: all CPUs); fill: run the
    fillers (not needed where weights are loaded);
    share: a net whose parameters this one uses (test nets); poison: fill freed buffers with NaN;
    folder: what data sources are relative to.

    Raises GraphError, ShapeError (before anything is allocated) and DataError.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        dtype: Any = np.float32,
        seed: int = 0,
        backward: bool | None = None,
        keep: bool = False,
        inputs: Mapping[str, Shape] | None = None,
        budget: int = 64 << 20,
        engine: str = "auto",
        threads: int | None = None,
        fill: bool = True,
        share: Net | None = None,
        poison: bool = False,
        folder: str = "",
    ) -> None:
        self.graph, self.name, self.phase = graph, graph.name, graph.phase
        self.dtype, self.seed, self._keep, self._poison = np.dtype(dtype), seed, keep, poison
        if backward is None:
            backward = graph.phase == "TRAIN" or graph.force_backward
        self.plans_backward = backward
        self.workers = Workers(threads or usable_cpus())
        self.layers = build_layers(
            graph,
            Context(
                dtype=self.dtype,
                seed=seed,
                folder=folder,
                budget=budget,
                engine=engine,
                workers=self.workers,
            ),
        )
        planned = self._plan(inputs)
        self.param_table = params.table(graph, self.layers, planned.inferred.needs)
        self._allocate_params()
        if fill:
            self._fill(share.params if share is not None else ())
        if share is not None:
            self.share_with(share)
        self._bind(planned)

    # ------------------------------------------------------------------ set-up

    def _allocate_params(self) -> None:
        """The flat arrays, one view for each parameter, and Caffe's list of learnable ones."""
        size = params.flat_size(self.param_table)
        self.flat_data = np.zeros(size, self.dtype)
        self.flat_diff = np.zeros(size if self.plans_backward else 0, self.dtype)
        blobs = []
        for p in self.param_table:
            here = slice(p.offset, p.offset + p.count)
            diff = self.flat_diff[here].reshape(p.shape) if self.plans_backward else None
            blobs.append(Blob(self.flat_data[here].reshape(p.shape), diff))
        self.params: dict[str, list[Blob]] = {}
        for layer in self.layers:
            layer.blobs = []
        for p, blob in zip(self.param_table, blobs, strict=True):
            self.layers[p.node].blobs.append(blob)
            self.params.setdefault(p.layer, self.layers[p.node].blobs)
        self.learnable = tuple(p for i, p in enumerate(self.param_table) if p.owner == i)

    def share_with(self, other: Net) -> None:
        """Use the parameter data of `other`'s layers of the same name (Caffe's test nets).

        Raises ShapeError where such a layer has parameters of another shape or number.
        """
        for name, blobs in self.params.items():
            theirs = other.params.get(name)
            if theirs is None:
                continue
            mine, found = [b.shape for b in blobs], [b.shape for b in theirs]
            if mine != found:
                raise ShapeError(
                    f"layer '{name}' cannot share its parameters with the training net",
                    where=self.graph.path,
                    expected=", ".join(map(str, found)),
                    found=", ".join(map(str, mine)),
                    remedy="Give the layer another name, or the same sizes in both phases",
                )
            for blob, shared in zip(blobs, theirs, strict=True):
                blob.data = shared.data
        if all(p.layer in other.params for p in self.param_table):
            self.flat_data = np.zeros(0, self.dtype)

    def _fill(self, shared: Collection[str]) -> None:
        """Initial values: weights then bias, layer by layer, from one stream; those of layers named
        in `shared` come from elsewhere."""
        rng = np.random.Generator(np.random.Philox(key=[self.seed, FILLER_STREAM]))
        for i, p in enumerate(self.param_table):
            if p.owner != i or p.layer in shared:
                continue
            fillers = self.layers[p.node].fillers()
            if p.index < len(fillers):
                where = self.graph.nodes[p.node].where
                fill(self.layers[p.node].blobs[p.index].data, fillers[p.index], rng, where=where)

    def reshape(self, inputs: Mapping[str, Shape]) -> None:
        """Take other input shapes: a new plan and arena; parameters stay."""
        planned = self._plan(inputs)
        table = params.table(self.graph, self.layers, planned.inferred.needs)
        for old, new in zip(self.param_table, table, strict=True):
            if old.shape != new.shape:
                raise ShapeError(
                    f"layer '{old.layer}' would need parameters of another shape",
                    where=self.graph.nodes[old.node].where,
                    expected=" x ".join(map(str, old.shape)),
                    found=" x ".join(map(str, new.shape)),
                    remedy="Only spatial sizes and the batch may change",
                )
        self._release()
        self._bind(planned)

    def _release(self) -> None:
        """Let go of the arena before a new one is allocated."""
        for views in (self.values, self.blobs, self._freed):
            views.clear()
        for lists in (self._bottoms, self._tops, self._scratch, self._inputs):
            lists.clear()
        self.arena = np.zeros(0, np.uint8)
        for layer in self.layers:
            layer.saved, layer.scratch = [], None

    def planned_bytes(self, inputs: Mapping[str, Shape]) -> int:
        """Bytes the activations would need for these input shapes; nothing is allocated."""
        return self._plan(inputs).arena_bytes

    def _plan(self, inputs: Mapping[str, Shape] | None) -> Planned:
        return plan_net(
            self.graph,
            self.layers,
            inputs,
            dtype=self.dtype,
            backward=self.plans_backward,
            keep=self._keep,
        )

    def _bind(self, planned: Planned) -> None:
        """Allocate what was planned and give every layer its views."""
        graph, n, inferred = self.graph, len(self.graph.nodes), planned.inferred
        self.planned, self.flags, self.plan = planned, planned.flags, planned.plan
        placement = planned.placement
        fusion.apply(self.layers, planned.absorbed)
        memory = np.zeros(placement.size + arena.ALIGNMENT, np.uint8)
        start = -memory.ctypes.data % arena.ALIGNMENT
        self.arena = memory[start : start + placement.size]

        views: dict[tuple[int, Shape, np.dtype], Array] = {}

        def view(key: lifetimes.Key) -> Array:
            """One object for one array, so that a layer can see that it works in place."""
            if key not in self.plan.of:
                return None
            shape, dtype = self.plan.shapes[key]
            place = (self.plan.of[key], shape, dtype)
            if place not in views:
                offset = placement.offsets[place[0]]
                size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
                views[place] = self.arena[offset : offset + size].view(dtype).reshape(shape)
            return views[place]

        self.values: dict[Value, Blob] = {
            value: Blob(view(("data", value)), view(("diff", value))) for value in inferred.values
        }
        self.blobs: dict[str, Blob] = {}
        self._inputs: list[tuple[Array, Array]] = []  # (as the caller sets it, as layers read it)
        for name in graph.blobs:
            versions = [self.values[v] for v in inferred.values if v.blob == name]
            diffs = [blob.diff for blob in versions if blob.diff is not None]
            self.blobs[name] = Blob(versions[-1].data, diffs[0] if diffs else None)
            if name in self.inputs and versions[0].data is not versions[-1].data:
                self._inputs.append((versions[-1].data, versions[0].data))
        self._bottoms: list[list[Blob]] = [
            [self.values[v] for v in node.bottoms] for node in graph.nodes
        ]
        self._tops: list[list[Blob]] = [[self.values[v] for v in node.tops] for node in graph.nodes]
        self._scratch: list[tuple[Array, Array]] = [
            (view(("scratch", i, "forward")), view(("scratch", i, "backward"))) for i in range(n)
        ]
        for i, (layer, need) in enumerate(zip(self.layers, inferred.needs, strict=True)):
            layer.saved = [view(("saved", i, k)) for k in range(len(need.saved))]
            layer.param_propagate_down = list(self.flags.param_propagate_down[i])
        self._freed: dict[int, list[np.ndarray]] = {}
        if self._poison:
            for buffer, offset in zip(self.plan.buffers, placement.offsets, strict=True):
                self._freed.setdefault(buffer.end, []).append(
                    self.arena[offset : offset + buffer.size]
                )

    # ------------------------------------------------------------------ running

    def forward(self, start: int = 0, end: int | None = None, *, check: bool = False) -> float:
        """Run layers start..end (inclusive); return the loss: sum over tops of weight x sum(data).

        check: raise NonFiniteError at the first layer whose top is not finite.
        """
        stop = len(self.layers) if end is None else end + 1
        if start == 0:
            for given, read in self._inputs:
                np.copyto(read, given)
        with np.errstate(all="ignore"):  # what overflows is found where it matters: in the loss
            return sum(self._forward(i, check) for i in range(start, stop))

    def _forward(self, i: int, check: bool) -> float:
        """Run layer i; return its part of the loss."""
        layer, loss = self.layers[i], 0.0
        layer.scratch = self._scratch[i][0]
        layer.forward(self._bottoms[i], self._tops[i])
        for weight, top in zip(self.flags.loss_weights[i], self._tops[i], strict=True):
            if weight:
                loss += weight * float(top.data.sum())
        if check:
            self._refuse_nonfinite(i)
        if self._poison:
            self._spoil(i)
        return loss

    def backward(self, start: int | None = None, end: int = 0) -> None:
        """Run layers start..end (inclusive, downward), once after each forward pass: diffs of blobs
        are written, diffs of parameters are added to (see `clear_param_diffs`)."""
        if not self.plans_backward:
            raise GraphError(
                "this net was planned without a backward pass",
                where=self.graph.path,
                remedy="Build it with Net(..., backward=True)",
            )
        for value in self.plan.zero:
            if value not in self.graph.outputs:
                self.values[value].diff.fill(0)
        top = len(self.layers) if start is None else start + 1
        with np.errstate(all="ignore"):
            for i in reversed(range(end, top)):
                if self.flags.backward[i]:
                    self._backward(i)

    def _backward(self, i: int) -> None:
        """Run layer i backward; a loss's gradient starts as its weight."""
        for weight, top in zip(self.flags.loss_weights[i], self._tops[i], strict=True):
            if weight:
                top.diff.fill(weight)
        self.layers[i].scratch = self._scratch[i][1]
        self.layers[i].backward(self._tops[i], self.flags.propagate_down[i], self._bottoms[i])
        if self._poison:
            self._spoil(2 * len(self.layers) - 1 - i)

    def clear_param_diffs(self) -> None:
        """Set the gradient of every parameter to zero."""
        self.flat_diff.fill(0)

    def time_layers(self) -> list[tuple[str, float, float]]:
        """Seconds of each layer in one iteration: (name, forward, backward)."""
        times: list[list[float]] = []
        for i in range(len(self.layers)):
            begin = time.perf_counter()
            self.forward(i, i)
            times.append([time.perf_counter() - begin, 0.0])
        if self.plans_backward:
            for i in reversed(range(len(self.layers))):
                begin = time.perf_counter()
                self.backward(i, i)
                times[i][1] = time.perf_counter() - begin
        return [
            (layer.name, fwd, bwd) for layer, (fwd, bwd) in zip(self.layers, times, strict=True)
        ]

    def _refuse_nonfinite(self, i: int) -> None:
        for value, top in zip(self.graph.nodes[i].tops, self._tops[i], strict=True):
            if not np.isfinite(top.data).all():
                bad = np.argwhere(~np.isfinite(np.atleast_1d(top.data)))[0]
                raise NonFiniteError(
                    f"{self.layers[i].label} is the first layer whose output is not finite: "
                    f"blob '{value.blob}' at {tuple(int(k) for k in bad)}",
                    where=self.graph.nodes[i].where,
                )

    def _spoil(self, step: int) -> None:
        """Overwrite what nobody may read after `step`, so that a wrong lifetime shows."""
        for buffer in self._freed.get(step, ()):
            buffer.fill(0xFF)  # NaN in every float type

    # ------------------------------------------------------------------ what it holds

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

    def parameters(self) -> dict[str, list[np.ndarray]]:
        """Parameter arrays by layer, in Caffe's order; a layer without any has an empty list."""
        return {
            node.name: [blob.data for blob in layer.blobs]
            for node, layer in zip(self.graph.nodes, self.layers, strict=True)
        }

    def owned_parameters(self) -> dict[str, list[np.ndarray | None]]:
        """The same with None where another layer owns the parameter, as Caffe's HDF5 files want."""
        shared = {(p.node, p.index) for i, p in enumerate(self.param_table) if p.owner != i}
        return {
            node.name: [
                None if (node.index, k) in shared else blob.data
                for k, blob in enumerate(layer.blobs)
            ]
            for node, layer in zip(self.graph.nodes, self.layers, strict=True)
        }

    def state(self) -> dict[str, Mapping[str, Any]]:
        """Positions of data layers and random streams, for an exact resume."""
        return {layer.name: state for layer in self.layers if (state := layer.state())}

    def load_state(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Take back what `state` gave; layers it does not name stay as they are."""
        for layer in self.layers:
            if layer.name in state:
                layer.load_state(state[layer.name])

    def load(self, found: Weights, *, complete: bool) -> Report:
        """Copy the parameters of a file into layers of the same name; say what went where.

        complete: every layer must be there (to deploy); without it some may be missing (to
        fine-tune).  Raises WeightsError where a layer has other shapes.
        """
        shared = {(p.layer, p.index) for i, p in enumerate(self.param_table) if p.owner != i}
        expected = {name: [a.shape for a in arrays] for name, arrays in self.parameters().items()}
        report = match(expected, found, shared=shared)
        report.require(complete=complete)
        for name, i in report.loaded:
            blob, array = self.params[name][i], found.layers[name][i]
            assert array is not None
            blob.data[...] = array.reshape(blob.shape)
        return report
