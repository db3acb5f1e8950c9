"""All measures by name, and the loop that takes them.

Every measure has two functions: `part` makes numbers of one `Pair`, `score` a `Score` of the parts
of all.  So slices are looked at one by one and need not be held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ImageError, check_known
from . import classes, membranes, objects
from .score import Score
from .views import Pair

CLASS_NAMES = {"membrane": ("border", "interior"), "instances": ("background", "object")}


@dataclass(frozen=True)
class Settings:
    """What some measures need to know; distance in pixels; kind: one of DEFAULTS' keys, or
    ImageError."""

    distance: float = 3.0
    min_iou: float = 0.5
    kind: str = "membrane"

    def __post_init__(self) -> None:
        check_known(self.kind, DEFAULTS, "kind of comparison", ImageError)

    @property
    def class_names(self) -> tuple[str, ...]:
        return CLASS_NAMES.get(self.kind, ())


@dataclass(frozen=True)
class Measure:
    """title, digits: for tables; best: the perfect value; volumes: whether volumes have it; means:
    what its counts count, in words."""

    title: str
    best: int
    volumes: bool
    part: Callable[[Pair, Settings], Any]
    score: Callable[[Sequence[Any], Settings], Score]
    digits: int = 4
    means: Callable[[Settings], str] = lambda settings: ""


MEASURES = {
    "pixel_error": Measure(
        "pixel error",
        0,
        False,
        lambda pair, s: membranes.pixel_part(pair),
        lambda parts, s: membranes.summed(parts),
    ),
    "rand_error": Measure(
        "Rand error",
        0,
        False,
        lambda pair, s: membranes.rand_part(pair),
        lambda parts, s: membranes.summed(parts),
    ),
    "warping_error": Measure(
        "warping error",
        0,
        False,
        lambda pair, s: membranes.warping_part(pair),
        lambda parts, s: membranes.warped(parts),
        digits=6,
    ),
    "v_rand": Measure(
        "V_rand",
        1,
        False,
        lambda pair, s: membranes.v_rand_part(pair),
        lambda parts, s: membranes.averaged(parts),
    ),
    "v_info": Measure(
        "V_info",
        1,
        False,
        lambda pair, s: membranes.v_info_part(pair),
        lambda parts, s: membranes.averaged(parts),
    ),
    "seg": Measure(
        "SEG",
        1,
        True,
        lambda pair, s: objects.seg_part(pair),
        lambda parts, s: objects.seg_score(parts),
        means=lambda s: "matched: a prediction covers more than half of the object",
    ),
    "f1_detection": Measure(
        "F1 detection",
        1,
        True,
        lambda pair, s: objects.detection_part(pair, s.distance),
        lambda parts, s: objects.f1_score(parts, s.class_names),
        means=lambda s: f"true positives: centres within {s.distance:g} px",
    ),
    "f1_segmentation": Measure(
        "F1 segmentation",
        1,
        True,
        lambda pair, s: objects.segmentation_part(pair, s.min_iou),
        lambda parts, s: objects.f1_score(parts, s.class_names),
        means=lambda s: f"true positives: an IoU of at least {s.min_iou:g}",
    ),
    "iou": Measure(
        "mean IoU",
        1,
        True,
        lambda pair, s: classes.iou_part(pair),
        lambda parts, s: classes.iou_score(parts, s.class_names),
    ),
}
DEFAULTS = {
    "membrane": ("pixel_error", "rand_error", "warping_error", "v_rand", "v_info", "iou"),
    "classes": ("iou", "f1_detection", "f1_segmentation"),
    "instances": ("seg", "f1_detection", "f1_segmentation", "iou"),
}


def evaluate(
    pairs: Iterable[Pair], names: Sequence[str] | None = None, settings: Settings | None = None
) -> dict[str, Score]:
    """The measures `names` (keys of MEASURES; default: those of the settings' kind) of all pairs.

    With no pair at all the result is empty.  Raises ImageError for a measure that there is not.
    """
    settings = settings or Settings()
    names = DEFAULTS[settings.kind] if names is None else names
    for name in names:
        check_known(name, MEASURES, "measure", ImageError)
    parts: dict[str, list[Any]] = {name: [] for name in names}
    for pair in pairs:
        for name in names:
            parts[name].append(MEASURES[name].part(pair, settings))
    return {n: MEASURES[n].score(found, settings) for n, found in parts.items() if found}
