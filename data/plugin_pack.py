"""Images and annotation masks packed as Freiburg's Fiji plugin of 2019 packs them.

    rescale to the model's pixel size -> normalise each frame -> labels, weights, pdf -> files

A frame is (channels, height, width), or (channels, depth, height, width) for a net of volumes; its
mask has no channels.  Augmentation is no part of it: the net's own CreateDeformation layer cuts
tiles at random places and bends them.  Layouts: `plugin_files`; formulas: `rescale`, `normalize`,
`plugin_weights`; meaning of the masks: `masks`.  A list file names what was written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .. import __version__
from ..errors import DataError, MemoryBudgetError
from ..files import check_writable, replacing
from ..h5 import write_h5
from . import crops, plugin_files, rescale
from .census import Census
from .labels import IGNORED
from .masks import MaskRule
from .normalize import TYPES, Normalization, check_finite
from .pack import FILE_BYTES, Track, check_output, origin_text
from .plugin_frames import Frames
from .plugin_weights import (
    Maps,
    WeightParameters,
    draw_points,
    split_classes,
    training_maps,
)

PURPOSES = ("train", "validation", "predict")
RADIUS = 2  # the plugin's
MAX_BYTES = 8 << 30  # of one frame after rescaling: more is a mistake in a pixel size


@dataclass(frozen=True)
class PluginRecipe:
    """How frames are packed.

    element_size: um of a pixel, [z,] y, x, to rescale to; None: as the images are.  pair: tile
    sizes, for validation; dataset, blob: the names of the training data and of the net's input
    blob; radius: pixels of an object known by a point alone (the model's diskRadiusPx); per_file:
    frames in a file, None: those of an image, up to about 256 MiB.
    """

    purpose: str = "train"
    rule: MaskRule = field(default_factory=MaskRule)
    normalization: Normalization = field(default_factory=lambda: Normalization("minmax"))
    nonfinite: str = "refuse"
    class_names: tuple[str, ...] = ()
    weights: WeightParameters = field(default_factory=WeightParameters)
    element_size: tuple[float, ...] | None = None
    pair: crops.Pair | None = None
    dataset: str = plugin_files.DATA
    blob: str = plugin_files.BLOB
    radius: int = RADIUS
    per_file: int | None = None

    def __post_init__(self) -> None:
        if self.purpose not in PURPOSES:
            raise DataError(
                f"there is no '{self.purpose}' file", expected=f"one of {', '.join(PURPOSES)}"
            )
        if self.normalization.name not in TYPES:
            raise DataError(
                f"the plugin does not know the normalization '{self.normalization.name}'",
                expected=f"one of {', '.join(TYPES)}",
            )
        if self.radius < 1:
            raise DataError("the radius of a point is at least 1 pixel", found=self.radius)
        if self.purpose == "validation" and self.pair is None:
            raise DataError("validation tiles need an input and an output size")
        if self.per_file is not None and self.per_file < 1:
            raise DataError("frames in a file must be at least 1", found=self.per_file)


@dataclass(frozen=True)
class ClassWeight:
    """A class: its pixels by all labelled ones, its mean weight, its share of all weight."""

    name: str
    share: float
    mean_weight: float
    weight_share: float


@dataclass(frozen=True)
class PluginSummary:
    """What was written."""

    frames: int
    files: tuple[Path, ...]
    list_file: Path
    bytes: int
    classes: tuple[ClassWeight, ...]
    ignored: float  # share of all pixels
    warnings: tuple[str, ...]


def pack(
    frames: Frames,
    output: str | Path,
    recipe: PluginRecipe,
    *,
    origin: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    track: Track | None = None,
) -> PluginSummary:
    """Write output (x.h5, or x-000.h5, x-001.h5, ...) and the list file x.txt beside it.

    origin: a JSON-able record of the sources; track(indices, total, what) shows progress.
    Raises DataError, ImageError, MemoryBudgetError or OutputError, and then writes nothing.
    """
    output = Path(output)
    total = len(frames.images)
    if not total:
        raise DataError("there is no image to pack")
    follow: Track = track or (lambda indices, _total, _what: indices)
    check_output(output, overwrite=overwrite)
    census = Census(recipe.class_names, len(recipe.rule.values))
    if recipe.purpose != "predict":
        for i in follow(range(total), total, "reading labels"):
            census.add(frames.counted(i, recipe.rule), frames.names[i])
        census.finish(recipe.rule.ignore or None)  # 0 is warned of, for nobody gave it
        _check_background(census, recipe.rule)
    packer = _Packer(frames, recipe, census, _origin(origin or {}, recipe))
    files = _named(output, sum(packer.count(job) for job in packer.jobs))
    for path in files:
        check_writable(path, overwrite=overwrite)
    list_file = output.with_suffix(".txt")
    with ExitStack() as stack:
        places = iter([stack.enter_context(replacing(p, overwrite=overwrite)) for p in files])
        for k in follow(range(len(packer.jobs)), len(packer.jobs), "packing"):
            packer.write(packer.jobs[k], places)
        temporary = stack.enter_context(replacing(list_file, overwrite=overwrite))
        temporary.write_text("".join(f"{path}\n" for path in files), encoding="utf-8")
    return PluginSummary(
        frames=total,
        files=tuple(files),
        list_file=list_file,
        bytes=sum(path.stat().st_size for path in files),
        classes=packer.tally.classes(census.names),
        ignored=packer.tally.ignored / max(packer.tally.pixels, 1),
        warnings=_warnings(census, packer.tally, recipe.rule),
    )


class _Packer:
    """Frames made ready one by one, and written."""

    def __init__(self, frames: Frames, recipe: PluginRecipe, census: Census, origin: str) -> None:
        self.frames, self.recipe, self.origin = frames, recipe, origin
        self._census = census
        self.names = census.names or list(recipe.class_names)
        self._masks = census.shapes
        self.tally = _Tally(len(census.names))
        self._channels = int(frames.images[0].shape[0])
        self._shapes = self._planned(census.shapes)
        self.jobs = list(self._jobs())

    def _planned(self, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """The size of each frame after rescaling, within reason."""
        frames = self.frames
        planned: list[tuple[int, ...]] = []
        for i, name in enumerate(frames.names):
            # all frames of an image file are alike
            if i and frames.files[i] == frames.files[i - 1] and not shapes:
                planned.append(planned[-1])
                continue
            shape = shapes[i] if shapes else frames.images[i].shape[1:]
            new = rescale.new_shape(shape, self._scale(i))
            size = 4 * self._channels * math.prod(new)
            if size > MAX_BYTES:
                raise MemoryBudgetError(
                    "the image at the wanted pixel size takes too much memory",
                    where=name,
                    expected=f"at most {MAX_BYTES >> 30} GiB for one",
                    found=f"{size / 2**30:.3g} GiB for {' x '.join(map(str, new))} pixels",
                    remedy="Is the image's pixel size right? --pixel-size tells it",
                )
            planned.append(new)
        return planned

    def _scale(self, i: int) -> rescale.Scale:
        now = self.frames.pixel_sizes[i]
        return rescale.scale(now, self.recipe.element_size or now)

    def _jobs(self) -> Iterator[list[int]]:
        """The frames that share a file; a validation tile is of one frame."""
        job: list[int] = []
        for i, file in enumerate(self.frames.files):
            size = 4 * (self._channels + 3) * math.prod(self._shapes[i])
            most = self.recipe.per_file or max(1, FILE_BYTES // size)
            if self.recipe.purpose == "validation":
                most = 1
            alike = job and (
                self.frames.files[job[-1]] == file and self._shapes[job[-1]] == self._shapes[i]
            )
            if job and (not alike or len(job) >= most):
                yield job
                job = []
            job.append(i)
        yield job

    def count(self, job: Sequence[int]) -> int:
        """How many files a job gives."""
        if self.recipe.pair is None or self.recipe.purpose != "validation":
            return 1
        return len(crops.grid(self._shapes[job[0]], self.recipe.pair.output))

    def write(self, job: Sequence[int], places: Iterator[Path]) -> None:
        if self.recipe.purpose == "validation":
            self._write_tiles(job[0], places)
        else:
            self._write_frames(job, next(places))

    def _write_frames(self, job: Sequence[int], path: Path) -> None:
        recipe, shape = self.recipe, self._shapes[job[0]]
        size = recipe.element_size or self.frames.pixel_sizes[job[0]]
        maps = plugin_files.LABELS, plugin_files.WEIGHTS, plugin_files.PDF
        with write_h5(path) as file:
            self._describe(file, size)
            data = plugin_files.add_blob(
                file, recipe.dataset, (len(job), self._channels, *shape), size
            )
            blobs = []
            if recipe.purpose == "train":
                blobs = [
                    plugin_files.add_blob(file, name, (len(job), 1, *shape), size) for name in maps
                ]
                plugin_files.add_parameters(file, recipe.weights, recipe.normalization, self.names)
            for row, i in enumerate(job):
                data[row] = self._image(i)
                if blobs:
                    made = self._maps(i)
                    for blob, plane in zip(
                        blobs, (made.labels, made.weights, made.pdf), strict=True
                    ):
                        blob[row, 0] = plane

    def _write_tiles(self, i: int, places: Iterator[Path]) -> None:
        pair = self.recipe.pair
        assert pair is not None
        image, made = self._image(i), self._maps(i)
        size = self.recipe.element_size or self.frames.pixel_sizes[i]
        shape = self._shapes[i]
        for at in crops.grid(shape, pair.output):
            start = [a - b for a, b in zip(at, pair.border, strict=True)]
            weights = crops.window(made.weights, at, pair.output)
            weights[~crops.inside(at, pair.output, shape)] = 0
            with write_h5(next(places)) as file:
                self._describe(file, size)
                for name, tile in (
                    (self.recipe.blob, crops.window(image, start, pair.input)),
                    (plugin_files.LABELS, crops.window(made.labels, at, pair.output)[None]),
                    (plugin_files.WEIGHTS, weights[None]),
                ):
                    plugin_files.add_blob(file, name, (1, *tile.shape), size)[0] = tile

    def _image(self, i: int) -> np.ndarray:
        """The frame rescaled and normalised, float32."""
        recipe, name = self.recipe, self.frames.names[i]
        image = np.asarray(self.frames.images[i])
        if len(image) != self._channels:
            raise DataError(
                "the images have different numbers of channels",
                where=name,
                expected=self._channels,
                found=len(image),
            )
        if self._masks and image.shape[1:] != self._masks[i]:
            raise DataError(
                "image and label image have different sizes ([depth,] height, width)",
                where=name,
                expected=image.shape[1:],
                found=self._masks[i],
            )
        check_finite(image, nonfinite=recipe.nonfinite, where=name)  # by its own pixels
        image = rescale.linear(image, self._scale(i))
        normal = recipe.normalization(image, nonfinite=recipe.nonfinite, where=name)
        self._census.saw(normal, name)
        return normal

    def _maps(self, i: int) -> Maps:
        target, scale = self.frames.target(i, self.recipe.rule), self._scale(i)
        classes = rescale.nearest(target.classes, scale)
        objects = rescale.nearest(target.objects, scale)
        masks = split_classes(classes, objects, len(self.names) - 1)
        points = [(c, rescale.place(at, scale)) for c, at in self.frames.points_of(i)]
        draw_points(classes, masks, points, radius=self.recipe.radius)
        made = training_maps(classes, masks, self.recipe.weights)
        self.tally.add(made, classes == IGNORED)
        return made

    def _describe(self, file: h5py.File, size: Sequence[float]) -> None:
        plugin_files.add_attributes(
            file,
            {
                "normalization": self.recipe.normalization.to_json(),
                "padding": "mirror",
                "class_names": self.names,
                "pixel_size": tuple(size),
                "pixel_unit": "um",
                "input_channels": self._channels,
                "origin": self.origin,
            },
        )


class _Tally:
    """Sums over the frames."""

    def __init__(self, classes: int) -> None:
        self._counts, self._weights = np.zeros(classes, np.int64), np.zeros(classes)
        self.ignored = self.pixels = 0

    def add(self, made: Maps, ignored: np.ndarray) -> None:
        labels = made.labels[~ignored].astype(np.intp)
        self._counts += np.bincount(labels, minlength=len(self._counts))
        weights = made.weights[~ignored]
        self._weights += np.bincount(labels, weights, minlength=len(self._counts))
        self.pixels += ignored.size
        self.ignored += int(ignored.sum())

    def classes(self, names: Sequence[str]) -> tuple[ClassWeight, ...]:
        pixels, weight = max(int(self._counts.sum()), 1), float(self._weights.sum()) or 1.0
        return tuple(
            ClassWeight(name, n / pixels, w / max(n, 1), w / weight)
            for name, n, w in zip(names, self._counts.tolist(), self._weights.tolist(), strict=True)
        )


def _named(output: Path, number: int) -> list[Path]:
    if number == 1:
        return [output]
    return [output.with_stem(f"{output.stem}-{i:03d}") for i in range(number)]


def _check_background(census: Census, rule: MaskRule) -> None:
    """Refuse masks written in another convention: all that is no object would be ignored."""
    if census.counts[0] == 0 and not rule.values:
        raise DataError(
            f"no pixel of the label images is background (value {rule.background})",
            remedy="The plugin's masks have 0 for pixels to ignore, 1 for background; where 0 is "
            "background, give --background 0",
        )


def _warnings(census: Census, tally: _Tally, rule: MaskRule) -> tuple[str, ...]:
    if not census.names:
        return tuple(census.flat())
    said = census.warnings(np.ones(len(census.names)))
    if rule.ignore == 0 and tally.ignored > tally.pixels / 2:
        said.append(
            "more than half of the pixels are ignored, those labelled 0: if 0 is background, give "
            "--background 0"
        )
    return tuple(said)


def _origin(origin: Mapping[str, Any], recipe: PluginRecipe) -> str:
    return origin_text(
        {
            "program": f"demitasse {__version__}",
            **origin,
            "convention": f"plugin, {recipe.purpose}",
            "labels": asdict(recipe.rule),
            "weights": asdict(recipe.weights),
        }
    )
