"""What a layer is.

    shapes     pure: bottom shapes -> top, parameter, saved and scratch shapes; raises ShapeError
    forward    bottom.data -> top.data
    backward   top.diff -> bottom.diff (written, never added), and blobs[i].diff (added to)

A layer owns no array.  The net allocates what `shapes` asks for and binds it before the first pass:
`self.blobs` (parameters), `self.saved` (written by forward, read by backward), `self.scratch`
(shared by all layers, garbage on entry).  What backward reads of the bottoms' and tops' *data* is
declared in `backward_reads`, because the net reuses every other array as soon as it can.

Shapes are settled once, when the net is built or given other inputs.  A layer whose tops may have
other shapes in every pass (they depend on the bottoms' data, or on what it reads) says `reshapes`
and is asked again before each of its forward passes, by `reshape`; `shapes` then tells what to plan
for.  The net infers everything behind it anew (net/dynamic.py).

Source: Caffe's include/caffe/layer.hpp; the declaration follows MXNet's backward dependencies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from ..errors import GraphError
from ..netspec.graph import AUTO_TOP
from .blob import Array as Array
from .blob import Blob as Blob
from .blob import HeldBlob as HeldBlob
from .blob import Shape as Shape
from .context import Context as Context

MOVE = 30  # multiplications in the time that memory takes for an element


@dataclass(frozen=True)
class Buffer:
    """A saved array: its shape, and its dtype (None: the net's)."""

    shape: Shape
    dtype: str | None = None


@dataclass(frozen=True)
class Shapes:
    """What a layer needs for given bottom shapes; scratch counts elements of the net's dtype."""

    tops: tuple[Shape, ...]
    params: tuple[Shape, ...] = ()
    saved: tuple[Buffer, ...] = ()
    scratch: int = 0


class Layer(ABC):
    """Base of all layers; concrete layers are final."""

    type: ClassVar[str]
    # how many blobs it takes and makes: an exact number, or (least, most); most None is unbounded
    bottoms: ClassVar[int | tuple[int, int | None]] = 1
    tops: ClassVar[int | tuple[int, int | None]] = 1
    in_place: ClassVar[bool] = False  # top 0 may be the same array as bottom 0
    shares_data: ClassVar[bool] = False  # every top shows bottom 0's data (Split)
    is_loss: ClassVar[bool] = False  # loss weight 1 where none is given; a missing top is made
    learns: ClassVar[bool] = True  # False: its parameters are statistics, not learned (BatchNorm)
    without_loss: ClassVar[bool] = False  # runs backward also where no loss asks (Parameter)
    sizes_only: ClassVar[frozenset[int]] = frozenset()  # bottoms whose data it never reads (Crop)
    picks: bool = False  # its top 0 is elements of bottom 0, and so is the gradient (MAX pooling)
    cuts: bool = False  # it can rectify its bottom's gradient by the bottom's sign, as it writes it
    repeats: bool = False  # may run forward twice in a pass: the same result, nothing else changes
    reshapes: bool = False  # its tops may have other shapes in every pass (Filter)
    on_host: ClassVar[bool] = False  # runs on arrays of the host, on every device (data, Python)
    any_layout: bool = False  # it takes arrays channels first and last (net/layout.py)
    records: bool = False  # it never waits for a device's values (net/captured.py)
    runs_ahead: ClassVar[bool] = True  # False: what it does must happen in its pass (net/ahead.py)
    # which bottoms' image sizes its tops' follow; None: all (net/ahead.py)
    shaped_by: ClassVar[tuple[int, ...] | None] = None
    no_gradient: frozenset[int] = frozenset()  # bottoms that get none (labels)
    backward_reads: Sequence[str] = ()  # of "bottom0", "bottom1", ..., "bottom*", "top0", "top*"

    rectifier: float = 1.0  # the slope of a ReLU that this layer applies on the way (net/fusion.py)
    rectified: bool = False  # backward, those who read its top have applied that ReLU already
    # it is one of these: one that picks makes its top's diff 0 where the top is not positive, one
    # that cuts its bottom's diff where the bottom is not
    rectifies: bool = False
    absorbed: bool = False  # the layer below does this one's work

    samples: int = 0  # of data that it reads over and over; 0: it does not know how many
    remarks: Sequence[str] = ()  # what the last forward pass has to say: lines for a log

    blobs: list[Blob]
    saved: list[Array]
    scratch: Array
    param_propagate_down: list[bool]  # which parameters want a gradient

    def __init__(self, spec: Any, context: Context) -> None:
        """spec: the LayerParameter message, upgraded; read once, here."""
        self.spec, self.context = spec, context
        self.name: str = spec.name
        self.blobs, self.saved, self.scratch, self.param_propagate_down = [], [], None, []
        for kind, allowed, names in (
            ("bottom", self.bottoms, spec.bottom),
            ("top", self.tops, spec.top),
        ):
            if kind == "top" and self.type in AUTO_TOP and not names:
                continue  # the net gives the loss a top that has no name
            least, most = (allowed, allowed) if isinstance(allowed, int) else allowed
            if len(names) < least or (most is not None and len(names) > most):
                wanted = least if least == most else f"{least} or more"
                if most is not None and most != least:
                    wanted = f"{least} to {most}"
                raise GraphError(
                    f"layer '{self.name}' ({self.type}) has the wrong number of {kind}s",
                    where=context.where,
                    expected=wanted,
                    found=f"{len(names)} ({', '.join(names)})" if names else "none",
                )

    @abstractmethod
    def shapes(self, *bottom: Shape) -> Shapes:
        """What the layer needs for these bottom shapes.  Pure.

        Behind them come the shapes of the blobs that it names for their shape alone (`Node.likes`).
        Of a layer that `reshapes`: what to plan for, best the most it can ever need.
        """

    def top_shapes(self, *bottom: Shape) -> tuple[Shape, ...]:
        """The tops of `shapes`; a layer whose scratch takes longer to find says them sooner."""
        return self.shapes(*bottom).tops

    def reshape(self, bottom: Sequence[Blob]) -> Shapes:
        """What the layer needs in this pass; asked before every forward of one that `reshapes`.

        It may read the bottoms' data.  Tops may be smaller or larger than `shapes` said, and may
        even be empty; how many there are, and the parameters, stay.  Called once a pass, directly
        before `forward`, which finds tops, saved arrays and scratch as asked for here.
        """
        return self.shapes(*(blob.shape for blob in bottom))

    @abstractmethod
    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Write every top's data."""

    @abstractmethod
    def backward(
        self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]
    ) -> None:
        """Write the diff of each bottom that propagates; add to the diff of each parameter."""

    def begin(self) -> None:  # noqa: B027 (most have nothing to do)
        """What a pass changes on the host.  `forward` calls it itself, unless the device records:
        then it is called before each run of the recorded pass (net/captured.py)."""

    def prepare(self, top: Sequence[Blob]) -> None:  # noqa: B027 (most have nothing to do)
        """Called once, where every blob keeps its arrays: write the tops that forward then leaves
        alone, because a caller may put something else there (Caffe's constant DummyData)."""

    def absorbs_rectifier(self, slope: float, *bottom: Shape) -> bool:
        """Whether it can apply the ReLU that follows it, forward and backward; if so, `rectifier`
        may be set, its top shows the rectified data, its backward reads that top, and may change
        the top's diff."""
        return False

    def slices(self, *bottom: Shape) -> Sequence[int | None]:
        """For each bottom that is one piece of top 0 in memory: from which element on, else None.
        The net may then let both share that memory, and nothing is copied (net/slices.py)."""
        return ()

    def work(self, *bottom: Shape) -> int:
        """How long forward takes, in multiplications: what is read and written takes MOVE each."""
        return MOVE * sum(prod(shape) for shape in (*bottom, *self.shapes(*bottom).tops))

    def fillers(self) -> Sequence[Any]:
        """The FillerParameter message of each parameter, or an array of its values, in the order of
        `blobs`."""
        return ()

    def state(self) -> Mapping[str, Any]:
        """What a snapshot must keep so that a resumed run repeats an uninterrupted one."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:  # noqa: B027 (most have no state)
        """Take back what `state` gave."""

    @property
    def label(self) -> str:
        """How messages name this layer."""
        return f"layer '{self.name}' ({self.type})"
