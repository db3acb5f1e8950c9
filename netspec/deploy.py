"""The deployment net of a training net: what maps the image to the prediction, and nothing else.

    TEST phase -> without data layers, losses, metrics and whatever hangs on labels alone
               -> Input layers for what is then missing -> Softmax behind a softmax loss's score

What is a label is found out from the losses and metrics: of their bottoms, those that learnt
layers made are predictions, the others labels or weights.  A loss is what is of such a type, or has
a loss_weight and tops that nobody reads.  The deployment net is made of the
layers that the predictions need.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import GraphError, did_you_mean
from . import schema
from .filter import kept_layers, net_state
from .graph import AUTO_TOP
from .source import Source, as_source
from .split import without_splits
from .stated import stated

METRICS = frozenset({"Accuracy", "IoU", "F1"})
SINKS = AUTO_TOP | METRICS | {"Silence", "HDF5Output"}
LEARNT = frozenset(
    {"BatchNorm", "Bias", "Convolution", "Deconvolution", "Embed", "InnerProduct", "LSTM"}
    | {"PReLU", "Parameter", "RNN", "Scale"}
)
# losses of raw scores, whose prediction is a softmax: the message that holds their axis
_SOFTMAX_LOSSES = {"SoftmaxWithLoss": "softmax_param", "InfogainLoss": "infogain_loss_param"}

Shapes = Mapping[str, Sequence[int]] | Sequence[int]


def deploy(
    source: Source | Any,
    *,
    shape: Shapes | None = None,
    softmax: bool = True,
    inputs: Collection[str] = (),
    level: int = 0,
    stages: Iterable[str] = (),
) -> Any:
    """The deployment net (NetParameter) of a training net, upgraded or from `read_net`.

    shape: of each input blob, or of the only one; left out, the shape that the file states (Input,
    DummyData, MemoryData) is kept if there is one.  softmax: put a Softmax layer "prob" behind the
    score of a softmax loss (the score is then read, and so no longer an output, but still a blob).
    inputs: the blobs to be given from outside, no others, needed where more than one could be meant
    and the file does not state their shapes; they may lie in the middle of the net.
    """
    source, stages = as_source(source), tuple(stages)
    train, test = (
        _Flow.of(source, net_state(source.message, phase, level, stages), inputs)
        for phase in (schema.TRAIN, schema.TEST)
    )
    predicted, labels = (a | b for a, b in zip(train.roles(), test.roles(), strict=True))
    roots = test.roots(predicted, labels, inputs)
    kept, given = test.needed(roots)
    if not kept:
        raise GraphError(
            "nothing is left of the net without its data, labels and losses",
            where=source.path,
            remedy="Is there a layer in the TEST phase that makes a prediction?",
        )
    shapes = _check_inputs(source, given, inputs, shape)
    net = schema.NetParameter(name=source.message.name)
    # a net that a solver saved states its phase in every layer; a user means it for one
    dropped = ["include", "exclude"]
    if all(layer.HasField("phase") for layer in source.message.layer):
        dropped.append("phase")
    for blob in given:
        net.layer.append(_input_layer(source, kept, blob, shapes.get(blob)))
    for layer in kept:
        new = net.layer.add()
        new.CopyFrom(layer)
        for field in dropped:
            new.ClearField(field)
    if softmax:
        outputs = {root.blob for root in roots}
        net.layer.extend(_softmax_layers(net, outputs, (*test.layers, *train.layers)))
    return net


def deployed(source: Source, **options: Any) -> Source:
    """`deploy`, with the places of its layers in the text."""
    message = deploy(source, **options)
    level, stages = options.get("level", 0), options.get("stages", ())
    kept = kept_layers(source, net_state(source.message, schema.TEST, level, stages))
    return Source(source.path, message, layers=source.named_places(kept))


@dataclass(frozen=True, order=True)
class _Version:
    """What one layer wrote into a blob; maker -1: nobody in this phase did, so it is an input."""

    maker: int
    blob: str


@dataclass(frozen=True)
class _Flow:
    """Who reads what in one phase."""

    layers: tuple[Any, ...]
    reads: tuple[tuple[_Version, ...], ...]  # of each layer
    newest: dict[str, _Version]

    @classmethod
    def of(cls, source: Source, state: Any, given: Collection[str]) -> _Flow:
        net = source.message
        known = {blob for layer in net.layer for blob in layer.top} | set(given)
        layers = without_splits([net.layer[i] for i in kept_layers(source, state)])
        newest: dict[str, _Version] = {}
        reads = []
        for i, layer in enumerate(layers):
            for blob in layer.bottom:
                if blob not in known:
                    raise GraphError(
                        f"layer '{layer.name}' reads the blob '{blob}', which no layer makes",
                        where=source.where(layer.name, "bottom"),
                        remedy=did_you_mean(blob, known),
                    )
                newest.setdefault(blob, _Version(-1, blob))
            reads.append(tuple(newest[blob] for blob in layer.bottom))
            for blob in layer.top:
                outside = is_data(layer) or (blob in given and blob not in layer.bottom)
                newest[blob] = _Version(-1 if outside else i, blob)
        return cls(tuple(layers), tuple(reads), newest)

    def roles(self) -> tuple[set[str], set[str]]:
        """The blobs that losses and metrics take for predictions, and for labels or weights."""
        predicted: set[str] = set()
        labels: set[str] = set()
        learning = self._computed(i for i, layer in enumerate(self.layers) if layer.type in LEARNT)
        for i, layer in enumerate(self.layers):
            if (layer.type in AUTO_TOP | METRICS or self._is_weighted(i)) and self.reads[i]:
                learnt = {v.blob for v in self.reads[i] if v.maker in learning}
                learnt = learnt or {self.reads[i][0].blob}
                predicted |= learnt
                labels |= {v.blob for v in self.reads[i]} - learnt
        return predicted, labels - predicted

    def roots(
        self, predicted: set[str], labels: set[str], given: Collection[str] = ()
    ) -> list[_Version]:
        """The versions worth computing: predictions, and what else nobody reads, labels apart; if
        there are such that need nothing but `given`, these alone."""
        sinks = {
            i for i, layer in enumerate(self.layers) if layer.type in SINKS or self._is_weighted(i)
        }
        others = self._besides(given) if given else set()
        if any(reads for i, reads in enumerate(self.reads) if i not in others):
            sinks |= others
        read = {v for i, versions in enumerate(self.reads) if i not in sinks for v in versions}
        made = [v for v in self.newest.values() if v.maker >= 0 and v.blob not in labels]
        unsound = self._computed(sinks)
        sound = [v for v in made if v.maker not in unsound]
        certain = [v for v in sound if v.blob in predicted]
        targets = self._inputs(self.newest[blob] for blob in labels & set(self.newest))
        labelled = self._computed((), targets - self._inputs(certain))
        leaves = [v for v in sound if v not in read and v.maker not in labelled]
        return sorted({*certain, *leaves})

    def needed(self, roots: Iterable[_Version]) -> tuple[list[Any], list[str]]:
        """The layers that the roots need, and the blobs these need from outside."""
        chosen: set[int] = set()
        waiting, given = list(roots), set()
        while waiting:
            version = waiting.pop()
            if version.maker < 0:
                given.add(version.blob)
            elif version.maker not in chosen:
                chosen.add(version.maker)
                waiting.extend(self.reads[version.maker])
        first_read = [v.blob for versions in self.reads for v in versions if v.blob in given]
        return [self.layers[i] for i in sorted(chosen)], list(dict.fromkeys(first_read))

    def _values(self, i: int) -> tuple[_Version, ...]:
        """What layer i computes with; Crop's reference gives a shape, no values."""
        return self.reads[i][:1] if self.layers[i].type == "Crop" else self.reads[i]

    def _inputs(self, versions: Iterable[_Version]) -> set[_Version]:
        """Those from outside that versions are computed from, or are."""
        waiting = list(versions)
        seen = set(waiting)
        while waiting:
            version = waiting.pop()
            if version.maker >= 0:
                new = set(self._values(version.maker)) - seen
                seen |= new
                waiting.extend(new)
        return {v for v in seen if v.maker < 0}

    def _computed(self, layers: Iterable[int], inputs: Collection[_Version] = ()) -> set[int]:
        """These layers and those that read these inputs, and all that compute with what they
        make."""
        found = set(layers)
        for i in range(len(self.layers)):
            if any(v.maker in found or v in inputs for v in self._values(i)):
                found.add(i)
        return found

    def _besides(self, given: Collection[str]) -> set[int]:
        """The layers that need a blob from outside that is not given."""
        others = {v for reads in self.reads for v in reads if v.maker < 0 and v.blob not in given}
        computed = self._computed((), others)
        return {
            i
            for i, reads in enumerate(self.reads)
            if any(v.maker in computed or v in others for v in reads)
        }

    def _is_weighted(self, i: int) -> bool:
        """Whether layer i has a loss weight, and tops that nobody reads."""
        layer = self.layers[i]
        if not any(layer.loss_weight):
            return False
        tops = {_Version(i, top) for top in layer.top}
        return all(tops.isdisjoint(versions) for versions in self.reads)


def is_data(layer: Any) -> bool:
    """Whether a layer brings data into the net: it reads no blob and learns nothing."""
    return not layer.bottom and layer.type not in LEARNT


def _check_inputs(
    source: Source, needed: Sequence[str], inputs: Collection[str], shape: Shapes | None
) -> Mapping[str, Sequence[int]]:
    """The shape of each input; GraphError where it is unclear what the inputs are."""
    listed = ", ".join(f"'{blob}'" for blob in needed)
    shapes = shape if isinstance(shape, Mapping) else {}
    for blob in (*inputs, *shapes):
        if blob not in needed:
            raise GraphError(
                f"the deployment net has no input '{blob}'",
                where=source.path,
                found=listed or "no input at all",
                remedy=did_you_mean(blob, needed),
            )
    known = {*(inputs or shapes or needed[:1]), *(blob for blob in needed if _own(source, blob))}
    missing = [blob for blob in needed if blob not in known]
    if missing:
        raise GraphError(
            f"the deployment net needs {len(needed)} inputs, {listed}, and it is not clear that "
            f"'{missing[0]}' is one of them",
            where=source.path,
            remedy="Give each a shape, in an Input layer or as an argument, name those alone that "
            "the prediction needs (inputs=[...]), or take out of the net what it does not need",
        )
    if shape is not None and not isinstance(shape, Mapping):
        if len(needed) != 1:
            raise GraphError(
                "one shape is given without saying for which input",
                where=source.path,
                found=f"the inputs {listed}",
                remedy="Give a shape for each by name",
            )
        shapes = {needed[0]: shape}
    for blob, dims in shapes.items():
        if any(dim < 1 for dim in dims):
            raise GraphError(f"the shape of input '{blob}' must be positive", found=tuple(dims))
    return shapes


def _input_layer(source: Source, kept: Sequence[Any], blob: str, dims: Sequence[int] | None) -> Any:
    name = blob if all(layer.name != blob for layer in kept) else f"{blob}_input"
    layer = schema.LayerParameter(name=name, type="Input", top=[blob])
    dims = _own(source, blob) if dims is None else dims
    if dims is not None:
        layer.input_param.shape.add(dim=dims)
    return layer


def _own(source: Source, blob: str) -> Sequence[int] | None:
    """The shape of a blob that the file itself states."""
    shapes = (stated(layer, blob) for layer in source.message.layer)
    return next((shape for shape in shapes if shape is not None), None)


def _softmax_layers(net: Any, outputs: Collection[str], layers: Iterable[Any]) -> list[Any]:
    """A Softmax layer for each score that a softmax loss read, unless the net has one already."""
    done = {blob for n in net.layer if n.type == "Softmax" for blob in n.bottom}
    losses = {
        loss.bottom[0]: loss
        for loss in layers
        if loss.type in _SOFTMAX_LOSSES and loss.bottom and loss.bottom[0] in outputs
    }
    taken = {layer.name for layer in net.layer} | {blob for n in net.layer for blob in n.top}
    result = []
    for score, loss in losses.items():
        if score in done:
            continue
        name = "prob" if len(losses) == 1 and "prob" not in taken else f"prob_{score}"
        layer = schema.LayerParameter(name=name, type="Softmax", bottom=[score], top=[name])
        axis = getattr(loss, _SOFTMAX_LOSSES[loss.type])
        if axis.HasField("axis"):
            layer.softmax_param.axis = axis.axis
        result.append(layer)
    return result
