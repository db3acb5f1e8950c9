"""Which axis of a file is what: from the letters of its metadata, or from the user's.

    Y X      height and width
    C S      channels: C stored as planes, S as samples of a pixel (RGB)
    others   pages, in the order of the file: T time, Z depth, Q unknown, I image, P position, ...

Axes of length 1 are not listed.  What was assumed is always said: `Layout.words`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..errors import ImageError, counted

SPATIAL, CHANNELS = "YX", "CS"
_KNOWN = "TZQIPRAHEMLVGW" + SPATIAL + CHANNELS


@dataclass(frozen=True)
class Layout:
    """An array of `shape` whose axes have the letters `axes`, read as (pages, channels, Y, X).

    samples: how many of the S axis to use (an alpha channel is left out); None: all.  chosen: which
    channels, in this order; None: all.
    """

    shape: tuple[int, ...]
    axes: str
    samples: int | None = None
    chosen: tuple[int, ...] | None = None

    def only(self, channels: Sequence[int], where: str = "") -> Layout:
        """The same with some of its channels; ImageError for one that is not there."""
        there = self.channels
        for channel in channels:
            if not 0 <= channel < there:
                raise ImageError(
                    f"has no channel {channel}",
                    where=where,
                    expected=f"0 to {there - 1}" if there > 1 else "0",
                    found=self.words(),
                )
        return replace(self, chosen=tuple(channels))

    @property
    def pages(self) -> int:
        return math.prod(self._lengths(self.page_axes))

    @property
    def channels(self) -> int:
        return self._stored if self.chosen is None else len(self.chosen)

    @property
    def height(self) -> int:
        return self.shape[self.axes.index("Y")]

    @property
    def width(self) -> int:
        return self.shape[self.axes.index("X")]

    def planes(
        self, page: int, rows: slice = slice(None), columns: slice = slice(None)
    ) -> Iterator[tuple[int | slice, ...]]:
        """The array index of each channel's plane of a page, or of a part of it, in order."""
        at: list[int | slice] = [rows if a == "Y" else columns for a in self.axes]
        for axis in reversed(self.page_axes):
            page, at[axis] = divmod(page, self.shape[axis])
        lengths = self._lengths(self._channel_axes)
        for channel in range(self._stored) if self.chosen is None else self.chosen:
            for axis, length in zip(reversed(self._channel_axes), reversed(lengths), strict=True):
                channel, at[axis] = divmod(channel, length)
            yield tuple(at)

    @property
    def transposed(self) -> bool:
        """Whether a plane comes as (X, Y)."""
        return self.axes.index("X") < self.axes.index("Y")

    def words(self) -> str:
        """What was read as what: "24 pages, 1 channel, 512 x 512 pixels (axes QYX; Q = pages)"."""
        parts = [counted(self.pages, "page"), counted(self.channels, "channel")]
        roles = [f"{self.axes[a]} = pages" for a in self.page_axes]
        roles += [f"{self.axes[a]} = channels" for a in self._channel_axes]
        if self.chosen is not None:
            roles.append(f"only channel {', '.join(map(str, self.chosen))} of {self._stored}")
        how = f"axes {self.axes}" + (f"; {', '.join(roles)}" if roles else "")
        return f"{', '.join(parts)}, {self.height} x {self.width} pixels ({how})"

    @property
    def page_axes(self) -> list[int]:
        """The axes that pages lie along, the fastest last."""
        return [i for i, a in enumerate(self.axes) if a not in SPATIAL + CHANNELS]

    @property
    def _stored(self) -> int:
        """How many channels there are, chosen or not."""
        return math.prod(self._lengths(self._channel_axes))

    @property
    def _channel_axes(self) -> list[int]:
        return [i for i, a in enumerate(self.axes) if a in CHANNELS]

    def _lengths(self, axes: list[int]) -> list[int]:
        used = {"S": self.samples} if self.samples else {}
        return [used.get(self.axes[a]) or self.shape[a] for a in axes]


def layout(
    shape: tuple[int, ...],
    axes: str,
    *,
    override: str | None = None,
    samples: int | None = None,
    where: str = "",
) -> Layout:
    """The layout of an array with the file's `axes`, or with the user's `override`."""
    if override is not None:
        letters = override.upper()
        strange = [a for a in letters if a not in _KNOWN]
        wrong = (
            len(letters) != len(shape)
            or bool(strange)
            or letters.count("Y") != 1
            or letters.count("X") != 1
        )
        if wrong:
            raise ImageError(
                f"the axes '{override}' do not fit the file",
                where=where,
                expected=f"{len(shape)} letters for its shape {shape}, among them one Y and one X; "
                "C or S for channels, Z, T or Q for pages",
                remedy=f"The file itself says {axes}",
            )
        # a user who renames the samples means all of them
        return Layout(shape, letters, samples if "S" in letters else None)
    if "Y" not in axes or "X" not in axes:
        raise ImageError(
            "this is no stack of images", where=where, found=f"axes {axes}, shape {shape}"
        )
    return Layout(shape, axes, samples)


def volumes(at: Layout, where: str = "", option: str = "--axes") -> tuple[tuple[int, ...], ...]:
    """The pages of every volume along Z, in their order; ImageError where it is unclear what a
    volume is, which names the option that says the axes."""
    letters = "".join(at.axes[a] for a in at.page_axes)
    if letters == "T":
        raise ImageError(
            "it is a series of images, and volumes are wanted",
            where=where,
            found=f"axes {at.axes}",
            remedy=f"If its pages are slices, say so: {option} {at.axes.replace('T', 'Z')}",
        )
    if len(letters) > 1 and letters[-1] != "Z":
        raise ImageError(
            "it is not clear which of its pages make a volume",
            where=where,
            expected="Z as the last axis of pages",
            found=f"axes {at.axes}",
            remedy=f"Say which axis is Z with {option}",
        )
    depth = at.shape[at.page_axes[-1]] if letters else 1
    return tuple(tuple(range(i, i + depth)) for i in range(0, at.pages, depth))
