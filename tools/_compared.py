"""Truth and prediction, read frame by frame and understood as one kind of data."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..data.labels import LabelRule, whole_numbers
from ..errors import DemitasseError, ImageError, counted
from ..imaging.image import one_channel
from ..imaging.recognise import Survey
from ..imaging.views import Pair, View
from ._maps import kind_told
from ._options import spoken

if TYPE_CHECKING:
    from ..imaging.image import Image
    from ._frames import Files, Frame, Side

COMPARED = ("membrane", "classes", "instances")
MOST_CLASSES = 256
MASKS = re.compile("man_(seg|track)")  # the Cell Tracking Challenge's names of instance masks


@dataclass(frozen=True)
class Options:
    """What the command line says about the reading."""

    kind: str | None = None
    threshold: float = 0.5
    channel: int | None = None
    invert: bool = False
    ignore: int | None = None
    classes: tuple[int, ...] = ()


@dataclass
class Compared:
    """Frames of two sides.  `understand` first, then `pair` each frame that did not fail.

    failed: the refusal of each frame that cannot be compared, by name.
    """

    frames: Sequence[Frame]
    truth: Files
    guess: Files
    options: Options
    kind: str = ""
    read_as: dict[str, str] = field(default_factory=dict)
    failed: dict[int | str, DemitasseError] = field(default_factory=dict)
    _argmax: bool = False
    _views: tuple[str, str] = ("", "")

    # ------------------------------------------------------------------ what the data are

    def understand(self) -> None:
        """Look at all values and decide what is compared; ImageError where that is unclear."""
        o = self.options
        truth = self._survey(lambda frame: (self.labels(frame)[0], frame.truth))
        is_a, why = truth.kind(labels=True)
        self._refuse_empty(truth, "truth", str(self.frames[0].truth.path))
        if o.classes:
            is_a, why = "classes", f"--classes {', '.join(map(str, o.classes))}"
        self._argmax = o.channel is None and "classes" in (is_a, o.kind)
        named = all(MASKS.match(frame.truth.path.name) for frame in self.frames)
        if named and o.kind in (None, "instances"):
            is_a, why = "instances", "man_seg files hold objects"
        told = set()

        def plane(frame: Frame) -> tuple[np.ndarray, Side]:
            told.add(kind_told(self.guess.open(frame.guess.path)))
            return self.plane(frame), frame.guess

        guess = self._survey(plane)
        guess_is, guess_why = guess.kind(labels=False)
        if told == {"instances"}:
            guess_is, guess_why = "instances", "as the file says"
        self._refuse_empty(guess, "prediction", str(self.frames[0].guess.path))
        asked = o.kind or ("instances" if named else None)
        if asked == "instances" and guess_is == "probability" and guess.numbered:
            guess_is, guess_why = "instances", f"{guess_why}; numbered from 1"
        self.kind = asked or self._decide(is_a, why, guess_is, guess_why)
        self._views = self._truth_view(is_a, truth), self._guess_view(guess_is, guess, guess_why)
        said = f"{self._views[1]} ({guess_why})"
        if self._views[1] == "probability":
            dtype = self.guess.open(self.frames[-1].guess.path).dtype
            scaled = "" if dtype.kind == "f" else f" divided by {np.iinfo(dtype).max}"
            said = f"probability ({guess_why}), {dtype}{scaled}"
        said += ", inverted" if o.invert else ""
        self.read_as = {"truth": f"{self._views[0]} ({why})", "prediction": said}

    def _survey(self, get: Callable[[Frame], tuple[np.ndarray, Side]]) -> Survey:
        """Look at all frames; those that cannot be read fail; raises where none can be."""
        survey = Survey()
        for frame in self.frames:
            if frame.name in self.failed:
                continue
            try:
                pixels, side = get(frame)
                survey.add(pixels, str(side))
            except DemitasseError as error:
                self.fail(frame, error)
        return survey

    def fail(self, frame: Frame, error: DemitasseError) -> None:
        """Note it; raises it where no frame is left."""
        self.failed[frame.name] = error
        if len(self.failed) == len(self.frames):
            raise next(iter(self.failed.values()))

    def _refuse_empty(self, survey: Survey, what: str, where: str) -> None:
        if survey.constant:
            empty = survey.low == 0
            ignoring = what == "truth" and self.options.ignore is not None
            unless = " that is not ignored" if ignoring else ""
            raise ImageError(
                f"the {what} is {'empty' if empty else 'constant'}",
                where=where,
                expected="objects and background",
                found=f"{survey.low:g} in every pixel{unless}",
            )

    @staticmethod
    def _decide(truth: str, why: str, guess: str, guess_why: str) -> str:
        if truth == "binary" and guess:
            return "membrane" if guess in ("probability", "binary") else guess
        if truth == "classes" or (truth == "instances" and guess != "classes"):
            return truth
        raise ImageError(
            "it cannot be told what is compared",
            found=f"truth with {why}; prediction with {guess_why}",
            remedy=f"Say it with --kind {', '.join(COMPARED[:-1])} or {COMPARED[-1]}",
        )

    def _truth_view(self, is_a: str, survey: Survey) -> str:
        if self.kind == "classes":
            return self._classes_view(survey, str(self.frames[0].truth.path))
        if is_a == "binary" or (self.kind == "membrane" and is_a != "instances"):
            return "binary"
        return "instances"

    def _guess_view(self, is_a: str, survey: Survey, why: str) -> str:
        where = str(self.frames[0].guess.path)
        if self.kind == "classes" and is_a != "probability" and not self.options.invert:
            return self._classes_view(survey, where)
        if is_a in ("probability", "binary"):
            return is_a
        if self.options.invert:
            raise ImageError("only a map of membranes can be inverted", where=where, found=why)
        if self.kind == "membrane" and is_a != "instances":
            raise ImageError(
                "the prediction looks like a map of classes or objects, not of probabilities",
                where=where,
                found=why,
                remedy=spoken("tools/deploy.py writes probabilities with --output prob"),
            )
        return "instances"

    def _classes_view(self, survey: Survey, where: str) -> str:
        """A mask of 0 and 1, or 0 and 255, is one class beside the background."""
        known = survey.values - {0}
        if not self.options.classes and (known <= {1} or known <= {MOST_CLASSES - 1}):
            return "binary"
        greatest = max(known, default=0)
        if greatest >= MOST_CLASSES or survey.low < 0:
            raise ImageError(
                "these are no classes",
                where=where,
                expected=f"values from 0 to {MOST_CLASSES - 1}",
                found=f"{survey.low:g} to {greatest}",
                remedy="If they are objects, say --kind instances",
            )
        return "classes"

    # ------------------------------------------------------------------ arrays

    def pair(self, frame: Frame) -> Pair:
        """What is compared of a frame; ImageError or DataError where it cannot be."""
        labels, ignored = self.labels(frame)
        plane, kind = self.plane(frame), self._views[1]
        if kind == "probability":
            if plane.dtype.kind != "f":
                plane = plane / np.iinfo(plane.dtype).max
            if self.options.invert:
                plane = 1 - plane
        elif kind == "binary":
            plane = (plane > 0) ^ self.options.invert
        else:
            plane = _whole(plane, str(frame.guess))
        return Pair(
            View(labels, self._views[0]),
            View(plane, kind, self.options.threshold),
            ignored,
            str(frame.guess),
        )

    def labels(self, frame: Frame) -> tuple[np.ndarray, np.ndarray | None]:
        """The truth of a frame as whole numbers, and which pixels are ignored (their label 0)."""
        image, where, o = self.truth.open(frame.truth.path), str(frame.truth), self.options
        planes = [
            one_channel(p, where, image.axes, "--truth-axes") for p in self.truth.pages(frame.truth)
        ]
        labels = _whole(_joined(planes, frame.truth), where, o.ignore)
        ignored = None if o.ignore is None else labels == o.ignore
        if o.classes:
            rule = LabelRule("classes", o.ignore, o.classes)
            labels = rule.classes(labels, where=where)
        if ignored is not None:
            labels = np.where(ignored, 0, labels)
        return labels, ignored

    def plane(self, frame: Frame) -> np.ndarray:
        """The prediction of a frame: one channel of it, or the class whose channel is highest."""
        image = self.guess.open(frame.guess.path)
        pages = self.guess.pages(frame.guess)
        channels = image.shape[1]
        if channels > 2 and self._argmax and image.dtype.kind == "f":
            for page in pages:
                if not np.isfinite(page).all():
                    raise ImageError("holds values that are not finite", where=str(frame.guess))
            return _joined([p.argmax(axis=0).astype(np.uint8) for p in pages], frame.guess)
        if channels > 1 and image.dtype.kind != "f" and self.options.channel is None:
            planes = [one_channel(p, str(frame.guess), image.axes) for p in pages]
        else:
            channel = choose_channel(image, self.options.channel)
            planes = [p[channel] for p in pages]
        return _joined(planes, frame.guess)


def choose_channel(prediction: Image, asked: int | None) -> int:
    """The channel that holds the probability of interior; ImageError where it cannot be told, or
    is not there."""
    channels = prediction.shape[1]
    if asked is None and channels <= 2:
        return channels - 1  # of the two classes, interior is number 1
    what = "it is not clear which channel is the probability of interior"
    remedy = "If these are pages and not channels, say so with --axes, for example ZYX"
    if asked is not None:
        what, remedy = f"has no channel {asked}", ""
    if asked is None or not 0 <= asked < channels:
        raise ImageError(
            what,
            where=str(prediction.path),
            expected="--channel 0" + (f" to {channels - 1}" if channels > 1 else ""),
            found=f"{counted(channels, 'channel')} (axes {prediction.axes})",
            remedy=remedy,
        )
    return asked


def _joined(planes: Sequence[np.ndarray], side: Side) -> np.ndarray:
    """One plane, or the volume of all planes."""
    return np.stack(planes) if side.volume else planes[0]


def _whole(labels: np.ndarray, where: str, ignore: int | None = None) -> np.ndarray:
    """whole_numbers of a plane or a volume."""
    return whole_numbers(labels, where=where, dimensions=labels.ndim, ignore=ignore)
