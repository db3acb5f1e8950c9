"""Python: a layer whose code is a class in a Python module (layers/scripted.py).

    python_param { module: "my_layers" layer: "Double" param_str: "{'factor': 2}" }

The module is imported as Python finds it (PYTHONPATH), and only if the caller allows it: a net is
data, and this is code.  `setup` runs once, `reshape` and `forward` in every pass; tops may be
reshaped in either.  They belong to the class, hold their values from pass to pass, and are copied
into the net behind `forward`.  Bottoms' diffs are zero when `backward` begins.  Exceptions of the
class come through as they are.

Raises SpecError where code is not allowed, is missing or is no PythonLayer.
Source: Caffe's include/caffe/layers/python_layer.hpp, src/caffe/layer_factory.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from ..errors import ShapeError, SpecError
from .base import Array, Blob, Context, Layer, Shape, Shapes
from .scripted import PythonBlob, PythonBlobs, PythonLayer
from .sizes import times


class Python(Layer):
    type = "Python"
    on_host = True
    runs_ahead = False
    bottoms = (0, None)
    tops = (0, None)
    in_place = True
    reshapes = True

    def __init__(self, spec: Any, context: Context) -> None:
        super().__init__(spec, context)
        self.code = self._make()
        self.code.blobs = PythonBlobs(context.dtype)
        self.code.param_str = spec.python_param.param_str
        self.code.phase = 0 if context.phase == "TRAIN" else 1
        self._in_place = {
            i for i, (a, b) in enumerate(zip(spec.bottom, spec.top, strict=False)) if a == b
        }
        bottoms = range(len(spec.bottom))
        self.backward_reads = [f"bottom{i}" for i in bottoms if i not in self._in_place]
        self._tops = [PythonBlob((), context.dtype) for _ in spec.top]
        self._known: tuple[Shape, ...] | None = None  # the bottoms' shapes at the last reshape
        self._ran = self._is_set_up = False

    def _make(self) -> PythonLayer:
        param, where = self.spec.python_param, self.context.where
        named = f"'{param.layer}' of the module '{param.module}'"
        if not self.context.allow_python:
            raise SpecError(
                f"{self.label} runs Python code: {named}",
                where=where,
                expected="that you allow it, because a net from elsewhere may run anything",
                remedy="If you trust it, give --allow-python-layers, or "
                "Net(..., allow_python=True) in Python",
            )
        if not (param.module and param.layer):
            raise SpecError(f"{self.label} needs python_param {{ module layer }}", where=where)
        try:
            module = import_module(param.module)
        except ModuleNotFoundError as error:
            raise SpecError(
                f"{self.label} names {named}, which cannot be imported ({error})",
                where=where,
                remedy=_remedy(param.module, error.name or ""),
            ) from error
        cls = getattr(module, param.layer, None)
        if not (isinstance(cls, type) and issubclass(cls, PythonLayer)):
            raise SpecError(
                f"{self.label} names {named}, which is no layer",
                where=where,
                expected="a class derived from demitasse.layers.scripted.PythonLayer "
                "(caffe.Layer in pycaffe)",
                found="nothing of that name" if cls is None else repr(cls),
            )
        return cls(self.spec)

    # ------------------------------------------------------------------ shapes

    def shapes(self, *bottom: Shape) -> Shapes:
        if bottom != self._known:
            stand_ins = [PythonBlob(shape, self.context.dtype) for shape in bottom]
            for i in self._in_place:
                stand_ins[i] = self._tops[i]
                stand_ins[i].reshape(*bottom[i])
            if not self._is_set_up:
                self.code.setup(stand_ins, self._tops)
                if type(self.code).forward is PythonLayer.forward:
                    param = self.spec.python_param
                    raise SpecError(
                        f"{self.label} names '{param.layer}' of the module '{param.module}', which"
                        " has no forward",
                        where=self.context.where,
                    )
                self._is_set_up = True
            self.code.reshape(stand_ins, self._tops)
            self._known = bottom
        return self._shapes()

    def _shapes(self) -> Shapes:
        tops = tuple(blob.shape for blob in self._tops)
        return Shapes(tops, params=tuple(blob.shape for blob in self.code.blobs))

    def fillers(self) -> Sequence[Any]:
        return [blob.data for blob in self.code.blobs]

    def reshape(self, bottom: Sequence[Blob]) -> Shapes:
        """Run the class here: its tops may have other shapes after its forward only."""
        self._run(bottom)
        return self._shapes()

    # ------------------------------------------------------------------ running

    def prepare(self, top: Sequence[Blob]) -> None:
        self._show_params()  # so that a caller may set them before the first pass

    def _run(self, bottom: Sequence[Blob]) -> None:
        self._show_params()
        shown = []
        for i, blob in enumerate(bottom):
            if i in self._in_place:  # on a copy: the net may still need the bottom as it was
                self._tops[i].show(blob.data.copy())
                shown.append(self._tops[i])
            else:
                shown.append(_showing(blob.data, None))
        self.code.reshape(shown, self._tops)
        self.code.forward(shown, self._tops)
        self._known = tuple(blob.shape for blob in bottom)
        self._ran = True

    def _show_params(self) -> None:
        for seen, blob in zip(self.code.blobs, self.blobs, strict=True):
            seen.show(blob.data, blob.diff)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not self._ran:
            self._run(bottom)
        self._ran = False
        for name, blob, made in zip(self.spec.top, top, self._tops, strict=True):
            if blob.shape != made.shape:
                raise ShapeError(
                    f"{self.label} gave its top '{name}' another shape than in reshape",
                    where=self.context.where,
                    expected=f"shape {times(blob.shape)}",
                    found=f"shape {times(made.shape)}",
                )
            blob.data[...] = made.data

    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        self._show_params()
        for made, blob in zip(self._tops, top, strict=True):
            made.lay(blob.diff)
        shown = []
        for i, (blob, down) in enumerate(zip(bottom, propagate_down, strict=True)):
            if i in self._in_place:
                shown.append(self._tops[i])
                continue
            if down:
                blob.diff[...] = 0
            shown.append(_showing(blob.data, blob.diff if down else None))
        self.code.backward(self._tops, list(propagate_down), shown)
        for made in self._tops:
            made.lay(None)
        for i in self._in_place:
            if propagate_down[i] and bottom[i].diff is not top[i].diff:
                bottom[i].diff[...] = top[i].diff

    # ------------------------------------------------------------------ state

    def state(self) -> Mapping[str, Any]:
        return self.code.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.code.load_state(state)


def _showing(data: Array, diff: Array) -> PythonBlob:
    blob = PythonBlob((), data.dtype)
    blob.show(np.asarray(data), diff)
    return blob


def _remedy(module: str, missing: str) -> str:
    """What helps where a module, or one that it imports, is missing."""
    if missing == "caffe":
        command = 'python -m demitasse.pycaffe "$(command -v demitasse)" ...'
        return f"It wants Caffe's interface: run the command by {command}, which has it"
    if module == missing or module.startswith(f"{missing}."):
        return "Put the folder it is in on PYTHONPATH"
    return f"Install {missing}, which it imports, or put its folder on PYTHONPATH"
