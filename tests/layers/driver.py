"""Runs one layer without a net, as hard as a net may: everything a layer must not rely on is NaN.

    rig = Rig(ReLU, layer("type: 'ReLU' bottom: 'x' top: 'y'"), [x])
    (y,) = rig.forward()
    (dx,), params = rig.backward([dy])
    check_gradient(ReLU, layer(...), [x], kinks=[0.0])

`Rig` allocates what `shapes` asks for.  Before forward the tops, the saved arrays and the scratch
are poisoned; before backward also the data that `backward_reads` does not name, and the diffs to be
written.  A wrong declaration, a diff that is added to where it must be written (or the reverse), a
changed bottom: each fails here.

`check_gradient` compares backward with central differences of a random linear functional of the
tops, in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from demitasse.layers.base import Blob, Context, Layer, Shapes


def layer(text: str) -> Any:
    """The LayerParameter of a layer's prototxt text; name defaults to "test", blobs to x -> y."""
    from demitasse.netspec import parse_net

    for field, default in (("name", "test"), ("bottom", "x"), ("top", "y")):
        if f"{field}:" not in text:
            text = f'{field}: "{default}" {text}'
    return parse_net(f"layer {{ {text} }}").message.layer[0]


def context(dtype: Any = np.float64, **settings: Any) -> Context:
    return Context(
        **{"phase": "TRAIN", "seed": 7, "index": 3, **settings, "dtype": np.dtype(dtype)}
    )


def poison(array: Any) -> None:
    """NaN, or for integers a value no code should survive."""
    if array is not None:
        array[...] = np.nan if array.dtype.kind == "f" else np.iinfo(array.dtype).max


class Rig:
    """One layer with arrays of its own."""

    def __init__(
        self,
        cls: type[Layer],
        spec: Any,
        bottoms: Sequence[Any],
        *,
        params: Sequence[Any] | None = None,
        in_place: bool = False,
        dtype: Any = np.float64,
        **settings: Any,
    ) -> None:
        """params default to random numbers; settings go to the Context (phase, budget ...)."""
        assert not in_place or cls.in_place
        self.inputs = [np.array(b, dtype, order="C") for b in bottoms]
        self.layer = cls(spec, context(dtype, **settings))
        self.shapes: Shapes = self.layer.shapes(*(b.shape for b in self.inputs))
        assert self.shapes == self.layer.shapes(*(b.shape for b in self.inputs)), "shapes not pure"
        self.in_place = in_place
        rng = np.random.default_rng(5)
        if params is None:
            params = [rng.standard_normal(s) for s in self.shapes.params]
        assert [np.shape(p) for p in params] == list(self.shapes.params)
        self.params = [np.array(p, dtype, order="C") for p in params]
        self.layer.blobs = [Blob(p.copy(), np.zeros_like(p)) for p in self.params]
        self.layer.param_propagate_down = [True] * len(self.params)
        self.layer.saved = [np.empty(b.shape, b.dtype or dtype) for b in self.shapes.saved]
        # a little more than asked for, as the net shares one; never a byte less
        self.layer.scratch = np.empty(self.shapes.scratch + 3, dtype)
        self.bottom = [
            Blob(b.copy(), None if i in self.layer.no_gradient else np.empty_like(b))
            for i, b in enumerate(self.inputs)
        ]
        self.top = [Blob(np.empty(s, dtype), np.empty(s, dtype)) for s in self.shapes.tops]
        for blob in self.top if cls.shares_data else self.top[:1] if in_place else []:
            data = self.bottom[0].data
            blob.data = data if blob.shape == data.shape else data.reshape(blob.shape)
        if in_place:
            self.top[0].diff = self.bottom[0].diff

    def forward(self, inputs: Sequence[Any] | None = None) -> list[Any]:
        """Copies of the tops' data."""
        for blob, value in zip(self.bottom, inputs or self.inputs, strict=True):
            blob.data[...] = value
        if self.layer.reshapes:
            self._reshape()
        for array in (*self.layer.saved, self.layer.scratch):
            poison(array)
        for t, blob in enumerate(self.top):
            if not (self.layer.shares_data or (self.in_place and t == 0)):
                poison(blob.data)
        before = [b.data.copy() for b in self.bottom]
        self.layer.forward(self.bottom, self.top)
        for i, (blob, was) in enumerate(zip(self.bottom, before, strict=True)):
            if not (self.in_place and i == 0):
                np.testing.assert_array_equal(blob.data, was, f"forward changed bottom {i}")
        return [blob.data.copy() for blob in self.top]

    def _reshape(self) -> None:
        """Arrays as the layer asks for in this pass."""
        self.shapes, dtype = self.layer.reshape(self.bottom), self.layer.scratch.dtype
        for blob, shape in zip(self.top, self.shapes.tops, strict=True):
            blob.data, blob.diff = np.empty(shape, dtype), np.empty(shape, dtype)
        self.layer.saved = [np.empty(b.shape, b.dtype or dtype) for b in self.shapes.saved]
        self.layer.scratch = np.empty(self.shapes.scratch + 3, dtype)

    def backward(
        self, top_diffs: Sequence[Any], propagate_down: Sequence[bool] | None = None
    ) -> tuple[list[Any], list[Any]]:
        """Copies of the bottoms' diffs (None where not propagated) and of the parameters' diffs.

        After `forward`; once, because data may be poisoned.
        """
        layer = self.layer
        if propagate_down is None:
            propagate_down = [i not in layer.no_gradient for i in range(len(self.bottom))]
        for blob, diff in zip(self.top, top_diffs, strict=True):
            blob.diff[...] = diff
        kept = self._read_by_backward()
        for blob in (*self.bottom, *self.top):
            if not any(blob.data is array for array in kept):
                poison(blob.data)
        poison(layer.scratch)
        aliased = self.in_place
        for i, blob in enumerate(self.bottom):
            if not (aliased and i == 0):
                poison(blob.diff)
        start = [np.full_like(b.diff, 0.25) for b in layer.blobs]
        for blob, value in zip(layer.blobs, start, strict=True):
            blob.diff[...] = value
        before = [b.diff.copy() for b in self.top]
        weights = [b.data.copy() for b in layer.blobs]
        layer.backward(self.top, list(propagate_down), self.bottom)
        for t, (blob, was) in enumerate(zip(self.top, before, strict=True)):
            if not (aliased and t == 0):
                np.testing.assert_array_equal(blob.diff, was, f"backward changed top {t}'s diff")
        for blob, was in zip(layer.blobs, weights, strict=True):
            np.testing.assert_array_equal(blob.data, was, "backward changed a parameter")
        diffs = []
        for i, (blob, wanted) in enumerate(zip(self.bottom, propagate_down, strict=True)):
            if not wanted and blob.diff is not None and not (aliased and i == 0):
                assert np.isnan(blob.diff).all(), f"backward wrote bottom {i}'s diff, unasked"
            diffs.append(blob.diff.copy() if wanted else None)
        grads = []
        for i, (blob, was) in enumerate(zip(layer.blobs, start, strict=True)):
            if not layer.param_propagate_down[i]:
                np.testing.assert_array_equal(blob.diff, was, f"wrote parameter {i}'s diff")
            grads.append(blob.diff - was)
        return diffs, grads

    def _read_by_backward(self) -> list[Any]:
        """The arrays that `backward_reads` names."""
        arrays = {"bottom*": [b.data for b in self.bottom], "top*": [t.data for t in self.top]}
        for kind in ("bottom", "top"):
            arrays |= {f"{kind}{i}": [a] for i, a in enumerate(arrays[f"{kind}*"])}
        return [a for name in self.layer.backward_reads for a in arrays[name]]

    def reset(self, state: Any) -> None:
        """Parameters and random state as before the first forward pass."""
        self.layer.load_state(state)
        for blob, value in zip(self.layer.blobs, self.params, strict=True):
            blob.data[...] = value


def check_gradient(
    cls: type[Layer],
    spec: Any,
    bottoms: Sequence[Any],
    *,
    kinks: Sequence[float] = (),
    near: float = 1e-3,
    tops: Sequence[int] | None = None,
    step: float = 1e-5,
    tolerance: float = 1e-6,
    samples: int = 40,
    constants: Sequence[int] = (),
    seed: int = 0,
    **settings: Any,
) -> Rig:
    """Compare backward with central differences; returns the rig for further questions.

    kinks: values of bottom 0 near which (closer than `near`) the layer has no derivative: elements
    there are not compared.  tops: those that carry a gradient (all).  samples: how many elements
    of each array are compared.  constants: parameters that get no gradient (BatchNorm).
    settings: for `Rig` (params, in_place, phase, budget ...).
    """
    rng = np.random.default_rng(seed)
    rig = Rig(cls, spec, bottoms, **settings)
    state = dict(rig.layer.state())
    tops = range(len(rig.top)) if tops is None else tops
    rig.forward()  # after which a layer that reshapes has said how large its tops are
    rig.reset(state)
    weight = [rng.uniform(0.5, 1.5, s) * rng.choice([-1, 1], s) for s in rig.shapes.tops]
    weight = [w if t in tops else np.zeros_like(w) for t, w in enumerate(weight)]

    def objective() -> float:
        rig.reset(state)
        outputs = rig.forward()
        return sum(float((weight[t] * outputs[t]).sum()) for t in tops)

    def run(propagate_down: Sequence[bool]) -> tuple[list[Any], list[Any]]:
        objective()
        return rig.backward(weight, propagate_down)

    wanted = [i not in rig.layer.no_gradient for i in range(len(rig.bottom))]
    diffs, grads = run(wanted)
    for i in (i for i, w in enumerate(wanted) if w and sum(wanted) > 1):
        alone, _ = run([j == i for j in range(len(wanted))])
        np.testing.assert_allclose(alone[i], diffs[i], rtol=1e-12, atol=1e-12)
    if any(wanted) and len(grads):  # frozen parameters are left alone, and the rest is the same
        rig.layer.param_propagate_down = [False] * len(grads)
        frozen, _ = run(wanted)
        for a, b in zip(frozen, diffs, strict=True):
            assert a is None or np.allclose(a, b, rtol=1e-12, atol=1e-12)
        rig.layer.param_propagate_down = [True] * len(grads)
        _, alone = run([False] * len(wanted))
        for a, b in zip(alone, grads, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)

    pairs = [(f"bottom {i}", rig.inputs[i], diffs[i]) for i, w in enumerate(wanted) if w]
    pairs += [
        (f"parameter {i}", p, grads[i]) for i, p in enumerate(rig.params) if i not in constants
    ]
    for what, array, analytic in pairs:
        flat = array.reshape(-1)
        for k in rng.permutation(flat.size)[:samples]:
            was = flat[k]
            if what == "bottom 0" and any(abs(was - kink) < near for kink in kinks):
                continue
            flat[k] = was + step
            up = objective()
            flat[k] = was - step
            down = objective()
            flat[k] = was
            numeric, exact = (up - down) / (2 * step), analytic.reshape(-1)[k]
            assert abs(numeric - exact) <= tolerance * max(1.0, abs(numeric), abs(exact)), (
                f"{what}, element {np.unravel_index(k, array.shape)}: "
                f"differences {numeric}, backward {exact}"
            )
    rig.reset(state)
    return rig
