"""Net: build, feed, run and read a net.

    net = Net("deploy.prototxt", TEST, weights="net.caffemodel")
    net.blobs["data"].data[...] = image
    score = net.forward()["score"]

Every blob keeps arrays of its own (`demitasse.net.Net(keep=True)`), a backward pass is planned in
either phase, and Python layers may run.

Source: Caffe's python/caffe/pycaffe.py and _caffe.cpp.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Self

import numpy as np

from .. import netspec, weights
from ..errors import DeviceError
from ..layers.memory_data import MemoryData
from ..net import Net as Engine
from ..net.saving import save_caffemodel, save_hdf5
from ..tools._debug import watch
from . import settings
from .blob import Blob, NetBlobs
from .blob import NetBlob as _NetBlob
from .glog import Lines, warn
from .layer import seen

Arrays = dict[str, np.ndarray]


def check_file(path: str) -> None:
    """Caffe's refusal of a file that cannot be opened."""
    if not (os.path.isfile(path) and os.access(path, os.R_OK)):
        raise RuntimeError(f"Could not open file {path}")


def options(*, debug: bool) -> dict[str, Any]:
    """What is asked of every net that is made here; debug: each layer does its own work, for
    debug_info to show."""
    device = settings.device()
    asked = {"keep": True, "backward": True, "allow_python": True, "device": device}
    return asked | {"fuse": not debug}


class Net:
    """A net from a prototxt file, in a phase (TRAIN or TEST), at a level, in stages.

    weights: a file of parameters to load.  The old form Net(file, weights, phase) works too.
    """

    def __init__(
        self,
        network_file: str,
        phase: int | str,
        level: int | None = None,
        stages: Sequence[str] | None = None,
        weights: str | None = None,
    ) -> None:
        if isinstance(phase, (str, os.PathLike)):
            if level is None:
                raise TypeError(
                    f"Net({network_file!r}, {str(phase)!r}) needs a phase behind the weights: "
                    "caffe.TEST, or caffe.TRAIN"
                )
            warn(
                "Net(file, weights, phase) is deprecated; write "
                f"Net({network_file!r}, {level}, weights={str(phase)!r})"
            )
            phase, level, weights = level, None, str(phase)
        check_file(network_file)
        if weights is not None:
            check_file(weights)
        source = netspec.read_net(network_file)
        graph = netspec.build(source, int(phase), level or 0, list(stages or ()))
        debug = source.message.debug_info
        self._attach(Engine(graph, seed=settings.next_seed(), **options(debug=debug)))
        if debug:
            watch(self._engine, Lines(), lambda: True)
        if weights is not None:
            self.copy_from(weights)

    @classmethod
    def of(cls, engine: Engine) -> Self:
        """The net of a solver."""
        net = cls.__new__(cls)
        net._attach(engine)
        return net

    def _attach(self, engine: Engine) -> None:
        self._engine, self._arrays = engine, NetBlobs(engine)
        self._twins = self._arrays.twins
        graph = engine.graph
        self.blobs: OrderedDict[str, Blob] = OrderedDict(
            (name, _NetBlob(self._arrays, name)) for name in graph.blobs
        )
        self.layers = [seen(layer) for layer in engine.layers]
        self.layer_dict = OrderedDict(zip(self._layer_names, self.layers, strict=True))
        self.params: OrderedDict[str, Any] = OrderedDict(
            (name, layer.blobs) for name, layer in self.layer_dict.items() if len(layer.blobs)
        )
        self.inputs, self.outputs = engine.inputs, engine.outputs
        self.bottom_names = OrderedDict(
            (node.name, [v.blob for v in node.bottoms]) for node in graph.nodes
        )
        self.top_names = OrderedDict(
            (node.name, [v.blob for v in node.tops]) for node in graph.nodes
        )

    # ------------------------------------------------------------------ what it is made of

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def _layer_names(self) -> list[str]:
        return [node.name for node in self._engine.graph.nodes]

    @property
    def _blob_names(self) -> list[str]:
        return list(self.blobs)

    @property
    def _blobs(self) -> list[Blob]:
        return list(self.blobs.values())

    @property
    def blob_loss_weights(self) -> OrderedDict[str, float]:
        """The loss weight of every blob, 0 for most."""
        found = OrderedDict.fromkeys(self.blobs, 0.0)
        engine = self._engine
        for node, flags in zip(engine.graph.nodes, engine.flags.loss_weights, strict=True):
            found.update((top.blob, weight) for top, weight in zip(node.tops, flags, strict=True))
        return found

    @property
    def _blob_loss_weights(self) -> list[float]:
        return list(self.blob_loss_weights.values())

    @property
    def _inputs(self) -> list[int]:
        return [self._blob_names.index(name) for name in self.inputs]

    @property
    def _outputs(self) -> list[int]:
        return [self._blob_names.index(name) for name in self.outputs]

    def _bottom_ids(self, layer: int) -> list[int]:
        names = self._blob_names
        return [names.index(value.blob) for value in self._engine.graph.nodes[layer].bottoms]

    def _top_ids(self, layer: int) -> list[int]:
        names = self._blob_names
        return [names.index(value.blob) for value in self._engine.graph.nodes[layer].tops]

    # ------------------------------------------------------------------ running

    def _forward(self, start: int, end: int) -> float:
        """Run layers start..end; return the loss."""
        with self._twins.computing():
            self._arrays.settle(end)
            if start > 0:
                self._arrays.take()
            loss = self._engine.forward(start, end)
        self._arrays.show(start, end)
        return loss

    def _backward(self, start: int, end: int) -> None:
        """Run layers start..end backward, downward."""
        with self._twins.computing():
            self._arrays.settle(start)
            self._arrays.take()
            self._engine.backward(start, end)

    def reshape(self) -> None:
        """Let every layer follow inputs that were reshaped; `forward` does it too."""
        with self._twins.computing():
            self._arrays.settle()

    def forward(
        self,
        blobs: Sequence[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **inputs: Any,
    ) -> Arrays:
        """Run from layer `start` to layer `end`, both by name and both included.

        inputs: an array for every input, or none.  Returns the outputs (those of layer `end`, if
        one is given) and the blobs named, as live arrays.
        """
        first = 0 if start is None else self._layer_names.index(start)
        last = len(self.layers) - 1 if end is None else self._layer_names.index(end)
        wanted = (self.outputs if end is None else self.top_names[end]) + list(blobs or ())
        self._set(inputs, self.inputs, "data", "Input blob arguments do not match net inputs.")
        self._forward(first, last)
        return {name: self.blobs[name].data for name in dict.fromkeys(wanted)}

    def backward(
        self,
        diffs: Sequence[str] | None = None,
        start: str | None = None,
        end: str | None = None,
        **outputs: Any,
    ) -> Arrays:
        """Run backward from layer `start` down to layer `end`, both by name and both included.

        outputs: a gradient for every output, or none.  Returns the gradients of the inputs (of the
        bottoms of layer `end`, if one is given) and of the blobs named, as live arrays.
        """
        first = len(self.layers) - 1 if start is None else self._layer_names.index(start)
        last = 0 if end is None else self._layer_names.index(end)
        wanted = (self.inputs if end is None else self.bottom_names[end]) + list(diffs or ())
        self._set(outputs, self.outputs, "diff", "Top diff arguments do not match net outputs.")
        self._backward(first, last)
        return {name: self.blobs[name].diff for name in dict.fromkeys(wanted)}

    def _set(
        self, given: Mapping[str, np.ndarray], names: Sequence[str], side: str, refusal: str
    ) -> None:
        """Copy arrays into all of these blobs, or none."""
        if given and set(given) != set(names):
            raise Exception(refusal)
        for name, array in given.items():
            blob = self.blobs[name]
            if np.shape(array)[:1] != blob.shape[:1]:
                raise Exception(f"{'Input' if side == 'data' else 'Diff'} is not batch sized")
            getattr(blob, side)[...] = array

    def forward_all(
        self, blobs: Sequence[str] | None = None, **inputs: Any
    ) -> dict[str, np.ndarray]:
        """Run forward on as many batches as the inputs fill; zeros fill the last one up.

        Returns copies of the outputs and of the blobs named, as long as the inputs.
        """
        found: dict[str, list[Any]] = {}
        for batch in self._batch(inputs):
            _extend(found, self.forward(blobs, **batch))
        return _packed(found, _length(inputs))

    def forward_backward_all(
        self,
        blobs: Sequence[str] | None = None,
        diffs: Sequence[str] | None = None,
        **arrays: Any,
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The same, forward and backward.  arrays: of inputs, and gradients of outputs."""
        data: dict[str, list[Any]] = {}
        gradients: dict[str, list[Any]] = {}
        forward = self._batch({name: arrays[name] for name in self.inputs if name in arrays})
        backward = self._batch({name: arrays[name] for name in self.outputs if name in arrays})
        for given, above in zip_longest(forward, backward):
            _extend(data, self.forward(blobs=blobs, **(given or {})))
            _extend(gradients, self.backward(diffs=diffs, **(above or {})))
        n = _length(arrays)
        return _packed(data, n), _packed(gradients, n)

    def _batch(self, arrays: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Batches of the net's size; zeros fill the last one up."""
        if not arrays:
            return
        size = next(iter(self.blobs.values())).shape[0]
        for begin in range(0, _length(arrays), size):
            batch = {name: np.asarray(a[begin : begin + size]) for name, a in arrays.items()}
            missing = size - _length(batch)
            if missing:
                batch = {
                    name: np.concatenate([a, np.zeros((missing, *a.shape[1:]))])
                    for name, a in batch.items()
                }
            yield batch

    def set_input_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        """Where the first layer is MemoryData: what the next passes take their batches from."""
        first = self._engine.layers[0]
        if not isinstance(first, MemoryData):
            raise RuntimeError(
                "set_input_arrays may only be called if the first layer is a MemoryDataLayer"
            )
        if labels.ndim == 1:
            labels = labels[:, None, None, None]
        sizes = (("data", data, first.image_shape), ("labels", labels, (1, 1, 1)))
        for what, array, dims in sizes:
            if array.dtype != np.float32 or not array.flags.c_contiguous:
                raise RuntimeError(f"{what} array must be float32 and C contiguous")
            if array.shape[1:] != dims:
                raise RuntimeError(
                    f"{what} array must have the shape {('n', *dims)}, not {array.shape}"
                )
        if len(data) != len(labels):
            raise RuntimeError("data and labels must have the same first dimension")
        if len(data) % first.batch_size:
            raise RuntimeError("first dimensions of input arrays must be a multiple of batch size")
        first.reset(data, labels)

    def before_forward(self, run: Callable[[int], object]) -> None:
        """Call `run` with a layer's index before the layer runs forward, from now on."""
        self._call("before_forward", run)

    def after_forward(self, run: Callable[[int], object]) -> None:
        """The same after it."""
        self._call("after_forward", run)

    def before_backward(self, run: Callable[[int], object]) -> None:
        """The same before it runs backward."""
        self._call("before_backward", run)

    def after_backward(self, run: Callable[[int], object]) -> None:
        """The same after that."""
        self._call("after_backward", run)

    def _call(self, when: str, run: Callable[[int], object]) -> None:
        callbacks = self._engine.callbacks
        callbacks.records = False
        getattr(callbacks, when).append(self._twins.between(run))

    # ------------------------------------------------------------------ parameters

    def clear_param_diffs(self) -> None:
        """Set the gradient of every parameter to zero; a backward pass adds to it."""
        with self._twins.computing():
            self._engine.clear_param_diffs()

    def copy_from(self, path: str) -> None:
        """Copy a file's parameters into the layers of the same name."""
        check_file(path)
        with self._twins.computing():
            self._engine.load(weights.read(path), complete=False)

    load_hdf5 = copy_from

    def share_with(self, other: Net) -> None:
        """Use the parameters of another net's layers of the same name."""
        if self._engine.device is not other._engine.device:
            raise DeviceError(
                "nets on two devices cannot share parameters",
                where=self._engine.graph.path,
                found=f"{self._engine.device.title} and {other._engine.device.title}",
                remedy="Make both after the same set_mode_gpu, set_mode_cpu or set_device",
            )
        self._engine.share_with(other._engine)

    def save(self, path: str) -> None:
        """Write a .caffemodel."""
        with self._twins.computing():
            save_caffemodel(self._engine, path)

    def save_hdf5(self, path: str) -> None:
        """Write a .caffemodel.h5."""
        with self._twins.computing():
            save_hdf5(self._engine, path)


def _length(arrays: Mapping[str, Any]) -> int:
    return len(next(iter(arrays.values())))


def _extend(found: dict[str, list[Any]], batch: Mapping[str, np.ndarray]) -> None:
    for name, array in batch.items():
        found.setdefault(name, []).extend(array.copy())


def _packed(found: Mapping[str, list[Any]], n: int) -> dict[str, np.ndarray]:
    """One array each, without what filled the last batch up."""
    return {name: np.asarray(rows)[:n] for name, rows in found.items()}
