"""The net: planned once, allocated once, then run.

    graph -> layers -> shapes -> schedule -> plan -> arena -> forward, backward

The net owns every array.  Buffers are reused as soon as nobody reads them any more, so after a
pass only inputs, outputs and parameters are sure to be readable; `keep=True` gives every blob
arrays that live through the iteration.  What the caller sets of an input stays until it is set
again; only with `keep`, as in Caffe, a layer that works in place on an input changes that.

Source: Caffe's Net (src/caffe/net.cpp).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import GraphError
from ..kernels.device import CPU, Device
from ..kernels.workers import Workers
from ..layers.base import Array, Blob, Context, HeldBlob, Layer, Shape
from ..netspec.graph import Graph, Value, as_written
from . import dynamic, exchange, fusion, limits, params
from .ahead import Ahead, begin
from .filling import first_values
from .finite import refuse_nonfinite
from .holdings import Holdings
from .inference import Above, build_layers
from .kept import Callbacks, Kept, prepare
from .memory import Memory
from .mirrors import mirrors
from .planning import Planned, plan_net
from .settings import float_type, known_engine, thread_count
from .tuning import Tuner, settle
from .uses import BEFORE


class Net(Holdings):
    """An executable net.

    graph: from `netspec.build`; dtype: of every blob, float32 or float64; seed: of fillers and
    dropout; backward: plan a backward pass (default: in TRAIN, or with force_backward); keep: every
    blob stays readable; inputs: shapes of Input blobs, instead of those in the prototxt; budget:
    bytes of scratch a layer may use; engine: "caffe" is im2col everywhere, "fast" the fastest that
    fits, "auto" what the prototxt says; tuner: measures which that is (net/tuning.py);
    fuse: let layers do each other's work, and a Concat's bottoms lie in its top
    (net/fusion.py, net/slices.py); recompute: training takes less memory and
    more time (net/recompute.py); threads: of kernels (default: all CPUs); fill: run the
    fillers (not needed where weights are loaded);
    share: a net whose parameters this one uses (test nets); poison: fill freed buffers with NaN;
    folder: what data sources are relative to; rank, ranks: which of how many processes that train
    it together this is (layers/stream.py); allow_python: run the code that Python layers name;
    caffe_unet_2015: filler xavier is the Gaussian that it was in the U-Net authors' Caffe; memory:
    bytes that activations and parameters may take (default: what there is); histories: arrays as
    large as all parameters that a solver keeps of them, which count as well;
    device: where its arrays are (kernels/device.py); types: classes of layers of your own, which
    the net may name by their `type`;
    ahead: make data and augment them in a thread, before they are needed (net/ahead.py; not with
    keep); part: this is such a part of another net, of these layers, with these shapes outside.

    Raises SpecError (an unknown type of layer, Python that is not allowed, a setting that there is
    not), GraphError, ShapeError, MemoryBudgetError (before anything is allocated) and DataError.
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
        budget: int = 80 << 20,
        engine: str = "auto",
        tuner: Tuner | None = None,
        fuse: bool = True,
        recompute: bool = False,
        threads: int | None = None,
        fill: bool = True,
        share: Net | None = None,
        poison: bool = False,
        folder: str = "",
        rank: int = 0,
        ranks: int = 1,
        allow_python: bool = False,
        caffe_unet_2015: bool = False,
        memory: int | None = None,
        histories: int = 0,
        device: Device = CPU,
        types: Sequence[type[Layer]] = (),
        ahead: bool = False,
        part: tuple[Sequence[Layer], Mapping[Value, Shape]] | None = None,
    ) -> None:
        self.graph, self.name, self.phase = graph, graph.name, graph.phase
        self.dtype, self.seed, self._keep, self._poison = float_type(dtype), seed, keep, poison
        if backward is None:
            backward = graph.phase == "TRAIN" or graph.force_backward
        self.plans_backward, self._fuse, self._recompute = backward, fuse, recompute
        self.rank, self.ranks, self.tuner, self.types = rank, ranks, tuner, tuple(types)
        self.callbacks, self.device, self.step = Callbacks(), device, BEFORE
        self.workers = Workers(thread_count(threads, device))
        self._outside: Mapping[Value, Shape] = {}
        self._wants_ahead = ahead and not keep
        self._fit = len(graph.nodes)
        self.ahead: Ahead | None = None
        self.taken: Callable[[], None] = lambda: None  # wait until inputs may be set again
        if part is not None:
            self.layers, self._outside = tuple(part[0]), part[1]
        else:
            self.layers = build_layers(
                graph,
                Context(
                    dtype=self.dtype,
                    seed=seed,
                    folder=folder,
                    rank=rank,
                    ranks=ranks,
                    budget=budget,
                    allow_python=allow_python,
                    workers=self.workers,
                    engine=known_engine(engine),
                    caffe_unet_2015=caffe_unet_2015,
                    device=device,
                ),
                types,
            )
        self._tune(inputs)
        planned = self._plan(inputs)
        self.param_table = params.table(graph, self.layers, planned.inferred.needs)
        self._most, self.histories = memory, histories
        limits.check(self, planned, self._most)
        self._allocate_params()
        if fill:
            first_values(self, share.params if share is not None else ())
        if share is not None:
            self.share_with(share)
        self.values: dict[Value, Blob] = {}
        self.blobs: dict[str, Blob] = {}
        self._hosted, self._seen = {}, {}
        self._bind(planned, Memory(planned, device))
        if keep:
            prepare(graph, self.layers, self.values, self._mirrors, device)
        self._run_ahead()

    # ------------------------------------------------------------------ set-up

    def _allocate_params(self) -> None:
        """The flat arrays, one view for each parameter, and Caffe's list of learnable ones."""
        size = params.flat_size(self.param_table)
        self.flat_data = self.device.zeros(size, self.dtype)
        self.flat_diff = self.device.zeros(size if self.plans_backward else 0, self.dtype)
        blobs = params.views(self.param_table, self.flat_data, self.flat_diff)
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
        exchange.share(self, other)

    def reshape(self, inputs: Mapping[str, Shape], last: int | None = None) -> None:
        """Take other input shapes: a new plan and arena; parameters stay, and with `keep` also what
        layers without bottoms hold, where its shape stays.  last: layers above that one keep their
        shapes, and are refused if they are to run.  Errors as when the net was made."""
        self._tune(inputs)
        planned = self._plan(inputs, None if last is None else (last, self.planned.inferred))
        table = params.table(self.graph, self.layers, planned.inferred.needs)
        params.check_unchanged(self.graph, self.param_table, table)
        limits.check(self, planned, self._most)
        self.step, self._fit = BEFORE, len(self.layers) if last is None else last + 1
        if self.ahead is not None:
            self.ahead.flush()
        held = self._kept.held() if self._kept is not None else ()
        self._release()
        self._bind(planned, Memory(planned, self.device))
        for blob, data in held:
            if blob.shape == data.shape:
                blob.data[...] = data
        self._run_ahead()

    def _run_ahead(self) -> None:
        """Start what runs ahead, if anything does."""
        if self.planned.ahead:
            self.ahead = begin(self, Net)

    def _release(self) -> None:
        """Let go of the memory before other is allocated."""
        for blob in (*self.values.values(), *self.blobs.values()):
            blob.bind(None, None)
        for held in (self._scratch, self._inputs):
            held.clear()
        self._freed.clear()
        del self._memory
        for layer in self.layers:
            layer.saved, layer.scratch = [], None

    def planned_bytes(self, inputs: Mapping[str, Shape]) -> int:
        """Bytes the activations would need for these input shapes; nothing is allocated."""
        return self._plan(inputs).arena_bytes

    def _tune(self, inputs: Mapping[str, Shape] | None) -> None:
        if self.tuner is not None and self.device.on_host:
            settle(self.graph, self.layers, inputs, self._outside, self.plans_backward, self.tuner)

    def _plan(self, inputs: Mapping[str, Shape] | None, above: Above = None) -> Planned:
        return plan_net(
            self.graph,
            self.layers,
            inputs,
            dtype=self.dtype,
            backward=self.plans_backward,
            keep=self._keep,
            fuse=self._fuse,
            recompute=self._recompute,
            ahead=self._wants_ahead,
            outside=self._outside,
            above=above,
            device=self.device,
        )

    def _bind(self, planned: Planned, memory: Memory) -> None:
        """Give every blob and layer its views; a blob that was known stays the same object."""
        graph, n, inferred, view = self.graph, len(self.graph.nodes), planned.inferred, memory.view
        self.planned, self.flags, self.plan = planned, planned.flags, planned.plan
        self._memory, self.bound = memory, object()
        for value in inferred.values:
            blob = self.values.setdefault(value, Blob(None))
            blob.bind(view(("data", value)), view(("diff", value)))
        self._inputs: list[tuple[Array, Array]] = []  # (as the caller sets it, as layers read it)
        for name in graph.blobs:
            versions = [self.values[v] for v in inferred.values if v.blob == name]
            diffs = [blob.diff for blob in versions if blob.diff is not None]
            data = versions[0 if name in self.inputs and not self._keep else -1].data
            if name in self.inputs and not self.device.on_host:
                data = self._at_hand(self._hosted, name, data)
            self.blobs.setdefault(name, HeldBlob(None)).bind(data, diffs[0] if diffs else None)
            if name in self.inputs and versions[0].data is not data:
                self._inputs.append((data, versions[0].data))
        self._bottoms = [[self.values[v] for v in node.bottoms] for node in graph.nodes]
        self._tops = [[self.values[v] for v in node.tops] for node in graph.nodes]
        fusion.apply(self.layers, planned.fused, self._tops)
        whichs = ("forward", "again", "backward")
        self._scratch = {w: [view(("scratch", i, w)) for i in range(n)] for w in whichs}
        for i, (layer, need) in enumerate(zip(self.layers, inferred.needs, strict=True)):
            if i in planned.ahead:
                continue
            layer.saved = [view(("saved", i, k)) for k in range(len(need.saved))]
            layer.param_propagate_down = list(self.flags.param_propagate_down[i])
        self._mirrors = mirrors(
            graph,
            self.layers,
            inferred.needs,
            self._bottoms,
            self._tops,
            self.device,
            planned.ahead,
            self._keep,
        )
        self._kept = Kept(graph, self.values, self.flags.loss_weights) if self._keep else None
        self._changing = any(layer.reshapes for layer in self.layers)
        self._freed: dict[int, list[Array]] = memory.freed() if self._poison else {}

    def _reshape(self, i: int) -> None:
        """Ask layer i what it needs in this pass; let what lies behind it follow."""
        need, known = self.layers[i].reshape(self._bottoms[i]), self.planned.inferred
        if need == known.needs[i]:
            return
        inferred = dynamic.reinfer(self.graph, self.layers, known, i, need)
        planned = dynamic.refit(self.planned, inferred, self.graph, self.layers)
        self._bind(planned, dynamic.moved(self._memory, planned, i))

    # ------------------------------------------------------------------ running

    def forward(self, start: int = 0, end: int | None = None, *, check: bool = False) -> float:
        """Run layers start..end (inclusive); return the loss: sum over tops of weight x sum(data).

        check: raise NonFiniteError at the first layer whose top is not finite.
        """
        stop = self._upto(end)
        self.device.begin(check)
        if start == 0:
            self.take()
        if self._kept is not None:
            self._kept.before(start)
        # what overflows is found where it matters: in the loss
        with np.errstate(all="ignore"), as_written(self.graph):
            loss = sum(self._forward(i, check) for i in range(start, stop))
        self.taken()
        return loss

    def take(self) -> None:
        """Copy in what comes from elsewhere: inputs, and what ran ahead."""
        for given, read in self._inputs:
            self.device.write(read, given)
        if self._inputs:
            self.taken = self.device.sent()
        if self.ahead is not None:
            self.ahead.take()

    def _forward(self, i: int, check: bool) -> float:
        """Run layer i; return its part of the loss."""
        layer, loss = self.layers[i], 0.0
        if i in self.planned.ahead:
            if check:
                refuse_nonfinite(self.graph.nodes[i], layer, self._tops[i])
            return loss
        self.step = i
        for run in self.callbacks.before_forward:
            run(i)
        if layer.reshapes:
            self._reshape(i)
        layer.scratch = self._scratch["forward"][i]
        if i in self._mirrors:
            self._mirrors[i].forward(self.device)
        elif not (self._changing and dynamic.no_forward(layer, self._bottoms[i], self._tops[i])):
            layer.forward(self._bottoms[i], self._tops[i])
        if self._kept is not None:
            self._kept.after(i)
        for weight, top in zip(self.flags.loss_weights[i], self._tops[i], strict=True):
            if weight and not self.device.recording:
                loss += weight * float(top.data.sum())
        if check:
            refuse_nonfinite(self.graph.nodes[i], layer, self._tops[i])
        if self._poison:
            self._spoil(i)
        for run in self.callbacks.after_forward:
            run(i)
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
        top = self._upto(start)
        with np.errstate(all="ignore"):
            for i in reversed(range(end, top)):
                self.step = self.plan.order.backward[i]
                for run in self.callbacks.before_backward:
                    run(i)
                for again in self.plan.order.before.get(i, ()):
                    self._again(again)
                if self.flags.backward[i]:
                    self._backward(i)
                for run in self.callbacks.after_backward:
                    run(i)

    def _backward(self, i: int) -> None:
        """Run layer i backward; a loss's gradient starts as its weight."""
        layer, top, bottom = self.layers[i], self._tops[i], self._bottoms[i]
        down = self.flags.propagate_down[i]
        for k, weight in enumerate(self.flags.loss_weights[i]):
            if weight and not (self._kept is not None and self._kept.preset(i, k)):
                top[k].diff.fill(weight)
        layer.scratch = self._scratch["backward"][i]
        if i in self._mirrors:
            self._mirrors[i].backward(self.device, down)
        elif not (self._changing and dynamic.no_backward(layer, top, down, bottom)):
            layer.backward(top, down, bottom)
        if self._poison:
            self._spoil(self.plan.order.backward[i])

    def _again(self, i: int) -> None:
        """Run layer i forward once more, for data that were given up."""
        self.layers[i].scratch = self._scratch["again"][i]
        self.layers[i].forward(self._bottoms[i], self._tops[i])
        if self._poison:
            self._spoil(self.plan.order.again[i])

    def clear_param_diffs(self) -> None:
        """Set the gradient of every parameter to zero."""
        self.flat_diff.fill(0)

    def _spoil(self, step: int) -> None:
        """Overwrite what nobody may read after `step`, so that a wrong lifetime shows."""
        for buffer in self._freed.get(step, ()):
            buffer.fill(0xFF)  # NaN in every float type
