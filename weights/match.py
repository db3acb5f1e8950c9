"""Which blobs of a file go into which blobs of a net.

Caffe's rules: a layer of the file goes into the layer of the same name; the number of blobs and
their shapes must be equal; other layers of the file are left aside, and other layers of the net
keep what their fillers made.  Caffe says nothing of the last two; here the report does.

Old files give four axes, 1-padded on the left: (1, 1, 1, n) fits a bias (n,).
There is no transposing or other reshaping.

Source: Caffe's src/caffe/net.cpp (CopyTrainedLayersFrom) and blob.cpp (ShapeEquals).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..errors import WeightsError, did_you_mean
from .base import Shape, Weights


@dataclass(frozen=True)
class Mismatch:
    """Blob `blob` of a layer that both have: the net wants `expected`, the file has `found`.

    None where one of them has no such blob.
    """

    layer: str
    blob: int
    expected: Shape | None
    found: Shape | None

    def __str__(self) -> str:
        if self.found is None:
            return f"layer {self.layer}: the file has no blob {self.blob}"
        if self.expected is None:
            return f"layer {self.layer}: the net has no blob {self.blob}"
        return (
            f"layer {self.layer}, blob {self.blob}: "
            f"file has {_shape(self.found)}, net wants {_shape(self.expected)}"
        )


@dataclass(frozen=True)
class Report:
    """What matching found; layer names in the order of the net, then of the file.

    loaded: (layer, blob) pairs that fit, and every blob of their layer does; missing: layers of the
    net that the file lacks; unused: layers of the file, with parameters, that the net lacks.
    """

    path: str
    loaded: tuple[tuple[str, int], ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    mismatched: tuple[Mismatch, ...]
    duplicates: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every parameter of the net is in the file."""
        return not self.missing and not self.mismatched

    def table(self) -> list[str]:
        """The report as lines of text, empty parts left out."""
        layers = tuple(dict.fromkeys(name for name, _ in self.loaded))
        lines = [f"loaded      {len(self.loaded)} blobs of {len(layers)} layers from {self.path}"]
        for title, entries in (
            ("missing", self.missing),
            ("unused", self.unused),
            ("mismatched", tuple(str(m) for m in self.mismatched)),
            ("duplicates", self.duplicates),
        ):
            for i, entry in enumerate(entries):
                lines.append(f"{title if i == 0 else '':12}{entry}")
        return lines

    def require(self, *, complete: bool) -> None:
        """Raise WeightsError where the file does not fit the net.

        complete: every layer of the net must be there (for deploying); without it (for finetuning)
        layers may be missing, but not all.  What is there must fit in any case.
        """
        if self.mismatched:
            raise WeightsError(
                "; ".join(str(m) for m in self.mismatched[:5]) + _more(self.mismatched, 5),
                where=self.path,
                remedy="To learn a layer from scratch instead of loading it, rename it in the net",
            )
        if self.missing and (complete or not self.loaded):
            some = ", ".join(self.missing[:8]) + _more(self.missing, 8)
            extra = ", ".join(self.unused[:8]) + _more(self.unused, 8)
            near = did_you_mean(self.missing[0], self.unused)
            raise WeightsError(
                f"has no parameters for layers {some}",
                where=self.path,
                found=f"layers the net lacks: {extra}" if extra else None,
                remedy=near or ("" if self.loaded else "It seems to belong to another net"),
            )


def match(
    expected: Mapping[str, Sequence[Shape]],
    weights: Weights,
    *,
    shared: Collection[tuple[str, int]] = (),
) -> Report:
    """Compare the parameters of a net, by layer, with those of a file.

    shared: (layer, blob) pairs that another layer owns; HDF5 files leave them out.
    """
    loaded: list[tuple[str, int]] = []
    missing: list[str] = []
    mismatched: list[Mismatch] = []
    for name, shapes in expected.items():
        if not shapes:
            continue
        blobs = weights.layers.get(name, [])
        if not any(blob is not None for blob in blobs):
            if any((name, i) not in shared for i in range(len(shapes))):
                missing.append(name)
            continue
        wrong: list[Mismatch] = []
        fits: list[tuple[str, int]] = []
        for i in range(max(len(shapes), len(blobs))):
            blob = blobs[i] if i < len(blobs) else None
            want, found = shapes[i] if i < len(shapes) else None, getattr(blob, "shape", None)
            if want is not None and found is not None and fits_shape(want, found, weights.legacy):
                fits.append((name, i))
            elif found is not None or (want is not None and (name, i) not in shared):
                wrong.append(Mismatch(name, i, want, found))
        mismatched += wrong
        loaded += [] if wrong else fits
    unused = [
        name
        for name, blobs in weights.layers.items()
        if not expected.get(name) and any(blob is not None for blob in blobs)
    ]
    return Report(
        weights.path,
        tuple(loaded),
        tuple(missing),
        tuple(unused),
        tuple(mismatched),
        weights.duplicates,
    )


def fits_shape(expected: Shape, found: Shape, legacy: bool = False) -> bool:
    """Whether a file's blob of shape `found` may be copied into a net's blob, in order."""
    if legacy and len(found) == 4 and len(expected) <= 4:
        return (1,) * (4 - len(expected)) + tuple(expected) == tuple(found)
    return tuple(expected) == tuple(found)


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape)) if shape else "a single number"


def _more(entries: Sequence[object], shown: int) -> str:
    return f" and {len(entries) - shown} more" if len(entries) > shown else ""
