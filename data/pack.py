"""Images and labels cut into the HDF5 files that an HDF5Data layer reads.

    /data    (N, C, H, W) float32   input tiles, normalised, mirrored beyond the image's edge
    /label   (N, 1, h, w) uint8     class indices of the tile's centre, 255 where ignored
    /weight  (N, 1, h, w) float32   equation 2 of the paper; 0 where ignored or outside the image

and a list file naming them.  The datasets are contiguous: an HDF5Data layer reads a file at a
stretch, and packing would cost more time in every epoch than it saves on the disk.  What deployment
must repeat stands in the root's attributes: normalization, padding, class_names, pixel_size,
input_channels, input_size, output_size; and where the data came from: origin.

Images and labels are sequences that may load on access; a slice is held while its tiles are cut.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..errors import DataError, counted
from ..files import check_writable, replacing
from ..texts import utf8
from . import crops
from .census import Census, ClassShare, Tally
from .cut import Recipe, cut, load
from .weight_map import class_balance

FILE_BYTES = 256 << 20
_ATTRIBUTE_BYTES = 60_000  # HDF5 keeps an attribute of up to 64 kB in the object's header

Track = Callable[[Iterable[int], int, str], Iterable[int]]
Place = tuple[int, tuple[int, ...] | None]  # slice, and first output pixel or None for random


@dataclass(frozen=True)
class Summary:
    """What was written."""

    tiles: int
    slices: int
    files: tuple[Path, ...]
    list_file: Path
    bytes: int
    classes: tuple[ClassShare, ...]
    ignored: float  # share of all output pixels
    mean_weight: float  # over labelled pixels
    warnings: tuple[str, ...]


def pack(
    images: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    output: str | Path,
    recipe: Recipe,
    *,
    names: Sequence[str] = (),
    places: Sequence[Place] | None = None,
    origin: Mapping[str, Any] | None = None,
    pixel_size: tuple[float, float] | None = None,
    unit: str = "",
    overwrite: bool = False,
    track: Track | None = None,
) -> Summary:
    """Write output (x.h5, or x-000.h5, x-001.h5, ...) and the list file x.txt beside it.

    images: (H, W) or (C, H, W) each; labels: (H, W) each; names: of the slices, for messages;
    places: the tiles' slices and first output pixels, where not those of the recipe;
    origin: a JSON-able record of the sources; pixel_size: (y, x) in `unit`; track(indices, total,
    what) shows progress.  Raises DataError, ImageError or OutputError, and then writes nothing.
    """
    output = Path(output)
    if len(images) != len(labels):
        raise DataError(
            "images and labels do not come in pairs",
            expected=f"{len(images)} label slices, one for each image",
            found=len(labels),
        )
    if not len(images):
        raise DataError("there is no image to pack")
    names = names or [f"slice {i}" for i in range(len(images))]
    follow: Track = track or (lambda indices, _total, _what: indices)
    check_output(output, overwrite=overwrite)

    census = Census(recipe.class_names, len(recipe.rule.values))
    for i in follow(range(len(labels)), len(labels), "reading labels"):
        census.add(recipe.rule(labels[i], where=names[i]).classes, names[i])
    census.finish(recipe.rule.ignore)
    balance = class_balance(census.counts)
    places = _places(recipe, census.shapes) if places is None else places
    channels = _channels(images[0], names[0])
    paths, per_file = _files(output, recipe, channels, len(places))
    for path in paths:
        check_writable(path, overwrite=overwrite)

    attributes = {
        "normalization": recipe.normalization.to_json(),
        "padding": "mirror",
        "class_names": census.names,
        "pixel_size": pixel_size,
        "pixel_unit": unit if pixel_size else "",
        "input_channels": channels,
        "input_size": recipe.pair.input,
        "output_size": recipe.pair.output,
        "origin": _origin(origin or {}, recipe),
    }
    tally = Tally(len(census.names))
    with ExitStack() as stack:
        parts = []
        for number, path in enumerate(paths):
            count = min(per_file, len(places) - number * per_file)
            temporary = stack.enter_context(replacing(path, overwrite=overwrite))
            parts.append(stack.enter_context(_Part(temporary, recipe, channels, count, attributes)))
        of_slice = _by_slice(places, len(labels))
        for i in follow(range(len(labels)), len(labels), "cutting tiles"):
            if not of_slice[i]:
                continue
            loaded = load(images[i], labels[i], names[i], recipe, balance, channels)
            census.saw(loaded.image, names[i])
            for place in of_slice[i]:
                tile = cut(loaded, recipe, place, places[place][1])
                parts[place // per_file].write(place % per_file, *tile)
                tally.add(*tile)
    list_file = output.with_suffix(".txt")
    with replacing(list_file, overwrite=overwrite) as temporary:
        temporary.write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")

    total = max(int(tally.counts.sum()), 1)
    return Summary(
        tiles=len(places),
        slices=len(labels),
        files=tuple(paths),
        list_file=list_file,
        bytes=sum(path.stat().st_size for path in paths),
        classes=tuple(
            ClassShare(name, float(n / total), float(w))
            for name, n, w in zip(census.names, tally.counts, balance, strict=True)
        ),
        ignored=tally.ignored / max(tally.pixels, 1),
        mean_weight=tally.weight / total,
        warnings=(*census.warnings(balance), *_small(census.shapes, recipe.pair)),
    )


def check_output(output: Path, *, overwrite: bool) -> None:
    """Raise DataError or OutputError now if `output` and its list file could not be written."""
    if output.suffix.lower() not in (".h5", ".hdf5"):
        raise DataError("the output is an HDF5 file", expected="a name ending in .h5", found=output)
    if utf8(str(output)) != str(output):
        raise DataError(
            "a list file cannot name this file: it is not UTF-8",
            where=str(output),
            remedy="Change into that folder and give the name alone, or name another folder",
        )
    if len(str(output).split()) != 1:
        raise DataError(
            "a list file cannot name this file: like Caffe's, it is split at white space",
            where=str(output),
            remedy="Change into that folder and give the name alone, or name another folder",
        )
    check_writable(output, overwrite=overwrite)
    check_writable(output.with_suffix(".txt"), overwrite=overwrite)


class _Part:
    """One HDF5 file being written, its datasets at full size from the start."""

    def __init__(
        self,
        path: Path,
        recipe: Recipe,
        channels: int,
        count: int,
        attributes: Mapping[str, Any],
    ) -> None:
        import h5py

        self._file = h5py.File(path, "w")
        pair = recipe.pair
        self._data = self._file.create_dataset("data", (count, channels, *pair.input), "f4")
        self._label = self._file.create_dataset("label", (count, 1, *pair.output), "u1")
        self._weight = self._file.create_dataset("weight", (count, 1, *pair.output), "f4")
        for key, value in attributes.items():
            if key == "class_names":
                value = np.array(value, dtype=h5py.string_dtype())
            if value is not None:
                self._file.attrs[key] = value

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, i: int, data: np.ndarray, label: np.ndarray, weight: np.ndarray) -> None:
        self._data[i], self._label[i, 0], self._weight[i, 0] = data, label, weight


def _places(recipe: Recipe, shapes: Sequence[tuple[int, ...]]) -> list[Place]:
    """Where each tile comes from, in the order in which they are written."""
    if recipe.tiles is None:
        return [
            (i, at)
            for i, shape in enumerate(shapes)
            for at in crops.cover(shape, recipe.pair.output)
        ]
    # every slice equally often, but in random order, so that batches are mixed without shuffling
    rng = np.random.Generator(np.random.Philox(recipe.seed))
    rounds = -(-recipe.tiles // len(shapes))
    order = np.concatenate([rng.permutation(len(shapes)) for _ in range(rounds)])
    return [(int(i), None) for i in order[: recipe.tiles]]


def _by_slice(places: Sequence[Place], slices: int) -> list[list[int]]:
    tiles: list[list[int]] = [[] for _ in range(slices)]
    for number, (i, _) in enumerate(places):
        tiles[i].append(number)
    return tiles


def _channels(image: np.ndarray, name: str) -> int:
    shape = np.shape(image)
    if len(shape) not in (2, 3):
        raise DataError("an image is (height, width) or (channels, height, width)", where=name)
    return 1 if len(shape) == 2 else int(shape[0])


def _files(output: Path, recipe: Recipe, channels: int, tiles: int) -> tuple[list[Path], int]:
    pair = recipe.pair
    size = 4 * channels * pair.input[0] * pair.input[1] + 5 * pair.output[0] * pair.output[1]
    per_file = recipe.per_file or max(1, FILE_BYTES // size)
    number = -(-tiles // per_file)
    if number == 1:
        return [output], per_file
    return [output.with_stem(f"{output.stem}-{i:03d}") for i in range(number)], per_file


def _origin(origin: Mapping[str, Any], recipe: Recipe) -> str:
    record = {
        "program": f"demitasse {__version__}",
        **origin,
        "labels": {"kind": recipe.rule.kind, "ignore": recipe.rule.ignore},
        "tiles": recipe.tiles or "cover",
        "augment": list(recipe.augment),
        "seed": recipe.seed,
        "weights": {"w0": recipe.w0, "sigma": recipe.sigma, "inside": recipe.border_inside},
    }
    return origin_text(record)


def origin_text(record: dict[str, Any]) -> str:
    """The record as JSON that fits into an attribute: too many sources become a checksum."""
    text = utf8(json.dumps(record, sort_keys=True, ensure_ascii=False))
    if len(text.encode()) > _ATTRIBUTE_BYTES:
        listed = json.dumps(record.get("sources"), sort_keys=True)
        digest = hashlib.sha256(listed.encode()).hexdigest()
        record["sources"] = f"too many files to name; sha256 of their list {digest}"
        text = utf8(json.dumps(record, sort_keys=True, ensure_ascii=False))
    return text


def _small(shapes: Sequence[tuple[int, ...]], pair: crops.Pair) -> list[str]:
    small = [s for s in shapes if s[0] < pair.output[0] or s[1] < pair.output[1]]
    if not small:
        return []
    height, width = small[0]
    which = f"{counted(len(small), 'image')} {'is' if len(small) == 1 else 'are'}"
    return [
        f"{which} smaller than the output tile, the first {height} x {width}: the rest of these "
        "tiles is mirrored and weighs 0"
    ]
