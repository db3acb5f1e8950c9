"""Grey values made comparable, in the same way for training and for deployment.

    y = (x + offset) * scale                  float32, one offset and scale for the whole image

    name         offset      scale            range of y
    none         0           1                as it was
    depth        0           1 / type's max   [0, 1]: uint8 / 255 and so on (im2double of 2015)
    minmax       -min        1 / (max - min)  [0, 1]
    zscore       -mean       1 / std          mean 0, standard deviation 1
    max          0           1 / max norm     pixel norm over the channels at most 1
    percentile   -P(low)     1 / (P(high) - P(low))   about [0, 1], not clipped

The default is zscore: one hot pixel hardly moves it, bit depth does not matter, and E[y^2] = 1 is
what the He initialisation N(0, sqrt(2 / N)) assumes of a net's input.  A net that starts with
ValueAugmentation needs values in [0, 1]: pack its data with minmax.

The statistics are those of one whole image, all its channels together, never of a tile; so a tile
has the same values however the image was cut.  (caffe_unet pools the channels as well, and in 3-D
all slices of a volume.)  A constant image has scale 1: no division by zero.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..errors import DataError, ImageError, did_you_mean
from ..texts import parsed

NAMES = ("none", "depth", "minmax", "zscore", "max", "percentile")
DEFAULT = "zscore"
TYPES = ("none", "minmax", "zscore", "max")  # caffe_unet's normalization_type 0, 1, 2, 3
SPELLINGS = {"min-max": "minmax", "z-score": "zscore", "max-norm": "max"}  # of the same names
PERCENTILES: Mapping[str, float] = {"low": 1.0, "high": 99.0}


@dataclass(frozen=True)
class Normalization:
    """A rule of the table above; `parameters` are the percentiles low and high, else empty."""

    name: str = DEFAULT
    parameters: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", SPELLINGS.get(self.name, self.name))
        if self.name not in NAMES:
            raise DataError(
                f"there is no normalization '{self.name}'",
                expected=f"one of {', '.join(NAMES)}",
                remedy=did_you_mean(self.name, NAMES),
            )
        allowed = PERCENTILES if self.name == "percentile" else {}
        for key, value in self.parameters.items():
            if key not in allowed:
                raise DataError(
                    f"normalization '{self.name}' has no parameter '{key}'",
                    expected=" and ".join(allowed) or "no parameter",
                )
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise DataError(
                    f"parameter '{key}' of normalization '{self.name}' is not a number",
                    found=repr(value),
                )
        object.__setattr__(self, "parameters", {**allowed, **self.parameters})
        if allowed and not 0 <= self.parameters["low"] < self.parameters["high"] <= 100:
            raise DataError(
                "the percentiles do not enclose anything",
                expected="0 <= low < high <= 100",
                found=f"low {self.parameters['low']}, high {self.parameters['high']}",
            )

    def __call__(
        self, image: np.ndarray, *, nonfinite: str = "refuse", where: str = ""
    ) -> np.ndarray:
        """The image (channels, [depth,] height, width) or (height, width), normalised, as float32.

        nonfinite "refuse": NaN and infinity raise ImageError; "zero": they are left out of the
        statistics and become 0.  where: the file and page, for the message.
        """
        image = np.asarray(image)
        bad = check_finite(image, nonfinite=nonfinite, where=where)
        return self.apply(image, *self._fit(image, bad), bad)

    def fit(
        self, image: np.ndarray, *, nonfinite: str = "refuse", where: str = ""
    ) -> tuple[float, float]:
        """(offset, scale) of a whole image, to be given to `apply` for each of its tiles."""
        image = np.asarray(image)
        return self._fit(image, check_finite(image, nonfinite=nonfinite, where=where))

    @staticmethod
    def apply(
        part: np.ndarray, offset: float, scale: float, bad: np.ndarray | None = None
    ) -> np.ndarray:
        """(part + offset) * scale as float32; where `bad` (bool, part's shape), 0."""
        part = np.asarray(part)
        # float32 holds 16-bit integers exactly; wider types would lose digits in the subtraction
        work = np.float32 if part.dtype.itemsize <= 2 else np.float64
        result: np.ndarray = part.astype(work)
        with np.errstate(invalid="ignore", over="ignore"):
            np.add(result, work(offset), out=result)
            np.multiply(result, work(scale), out=result)
        if bad is not None:
            result[bad] = 0
        with np.errstate(over="ignore"):
            return result.astype(np.float32, copy=False)

    def _fit(self, image: np.ndarray, bad: np.ndarray | None) -> tuple[float, float]:
        if self.name == "none" or image.size == 0:
            return 0.0, 1.0
        if self.name == "depth":
            return 0.0, 1.0 / np.iinfo(image.dtype).max if image.dtype.kind in "iu" else 1.0
        if self.name == "max":
            return 0.0, inverse(greatest_norm(image, bad))
        values = image if bad is None else image[~bad]
        if values.size == 0:
            return 0.0, 1.0
        if self.name == "zscore":
            mean = float(values.mean(dtype=np.float64))
            return -mean, inverse(float(values.std(dtype=np.float64)), mean)
        if self.name == "minmax":
            low, high = float(values.min()), float(values.max())
        else:
            share = [self.parameters["low"], self.parameters["high"]]
            low, high = (float(p) for p in np.percentile(values, share))
        return -low, inverse(high - low, low)

    def to_json(self) -> str:
        """One line, as stored in the attribute `normalization` of data and model files."""
        return json.dumps({"name": self.name, "parameters": dict(self.parameters)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str | bytes, where: str = "") -> Normalization:
        """The inverse of `to_json`; a bare name is understood as well.  where: for messages."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        if text.strip() in NAMES:
            return cls(text.strip())
        try:
            record = parsed(text)
            name, parameters = record["name"], record.get("parameters", {})
            if not isinstance(name, str) or not isinstance(parameters, dict):
                raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                "a normalization is not written as it should be",
                where=where,
                expected='{"name": "zscore", "parameters": {}}',
                found=repr(text[:80]),
            ) from error
        try:
            return cls(name, parameters)
        except DataError as error:
            error.where = where
            raise


def check_finite(
    image: np.ndarray, *, nonfinite: str = "refuse", where: str = ""
) -> np.ndarray | None:
    """A mask of the NaN and infinite pixels, None without any; "refuse" raises ImageError."""
    if nonfinite not in ("refuse", "zero"):
        raise ValueError(f"nonfinite must be 'refuse' or 'zero', not {nonfinite!r}")
    if image.dtype.kind not in "fc":
        return None
    bad: np.ndarray = ~np.isfinite(image)
    count = int(bad.sum())
    if count == 0:
        return None
    if nonfinite == "refuse":
        first = np.unravel_index(int(bad.argmax()), bad.shape)
        names = ("channel", *("z", "y", "x")[4 - image.ndim :]) if image.ndim > 2 else ("y", "x")
        place = ", ".join(f"{n} {int(i)}" for n, i in zip(names, first, strict=False))
        raise ImageError(
            f"{count} of {image.size} pixels are not finite numbers; the first is "
            f"{image[first]} at {place}",
            where=where,
            remedy="Repair the image (Fiji: Process > Noise > Remove NaNs), or have 0 in their "
            "place (--nonfinite zero)",
        )
    return bad


def inverse(spread: float, level: float = 0.0) -> float:
    """1 / spread; 1 where the spread is nothing but the rounding of a constant image."""
    return 1.0 / spread if spread > 1e-12 * abs(level) and np.isfinite(spread) else 1.0


def greatest_norm(image: np.ndarray, bad: np.ndarray | None) -> float:
    values = image.astype(np.float64)
    if bad is not None:
        values[bad] = 0
    if image.ndim == 2:
        return float(np.abs(values).max())
    return float(np.sqrt((values**2).sum(axis=0)).max())
