"""What Freiburg's Fiji plugin of 2019 makes of annotated objects: labels, weights, a sampling pdf.

    pixel               label      weight    pdf
    ignored             0          0         0
    object of class c   c          1         1
    gap                 0          w         v
    background          0          w         v

    w(x) = v + sum_c [ L exp(-(d1 + d2)^2 / 2 s_sep^2) + (1 - v) exp(-d1^2 / 2 s_bal^2) ]

A gap is an object's pixel that has another object of its class among the neighbours before it in
reading order: upper left, upper, upper right and left in an image, 13 in a volume.  So where two
objects touch one pixel of the later one becomes background, and a net can learn to part them.

d1, d2: pixels to the nearest and second nearest object of class c, gaps not yet cut; so d1 = 0 in a
gap.  With one object of a class the first term is 0, with none both.

    v      foreground_background_ratio   0.1   far from all objects the weight is v
    L      border_weight_factor          50    height of the ridge between two objects
    s_sep  border_weight_sigma_px        6     its width
    s_bal  sigma1_px                     10    how far around an object the background counts fully

Unlike equation 2 of the paper (`weight_map`) it knows no class frequencies, and an object's own
pixels weigh 1.  Source: TrainingSample.java of lmb-freiburg/Unet-Segmentation, commit 870e5036.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from .distances import compact, nearest_two
from .labels import IGNORED

# beyond this many sigma, L exp(-d^2 / 2 sigma^2) is nothing beside v as a float32
_REACH = 7.0


@dataclass(frozen=True)
class WeightParameters:
    """The four numbers of the formula; lengths in pixels of the packed image."""

    border_weight_factor: float = 50.0
    border_weight_sigma_px: float = 6.0
    foreground_background_ratio: float = 0.1
    sigma1_px: float = 10.0

    def __post_init__(self) -> None:
        finite = all(math.isfinite(value) for value in vars(self).values())
        sigmas = min(self.border_weight_sigma_px, self.sigma1_px)
        ratio = self.foreground_background_ratio
        if not finite or sigmas <= 0 or self.border_weight_factor < 0 or not 0 <= ratio <= 1:
            raise DataError(
                "the plugin's weights cannot be computed",
                expected="both sigmas > 0, border weight factor >= 0, ratio from 0 to 1",
                found=f"sigmas {self.border_weight_sigma_px:g} and {self.sigma1_px:g}, border "
                f"weight factor {self.border_weight_factor:g}, ratio {ratio:g}",
            )


@dataclass(frozen=True)
class Maps:
    """labels, weights and the sampling pdf, float32, all of the image's shape."""

    labels: np.ndarray
    weights: np.ndarray
    pdf: np.ndarray


def training_maps(
    classes: np.ndarray, masks: Sequence[np.ndarray], parameters: WeightParameters
) -> Maps:
    """The maps of one image or volume.

    classes: 0 background, 1, 2, ... the classes, IGNORED where not to learn; masks: for each class
    from 1 on, object ids, 0 outside the objects of this class.  All of one shape, any dimension.
    """
    ratio = parameters.foreground_background_ratio
    labels = np.zeros(classes.shape, np.float32)
    extra = np.zeros(classes.shape)
    for c, mask in enumerate(masks, start=1):
        if mask.shape != classes.shape:
            raise DataError(
                "classes and object masks have different sizes",
                expected=classes.shape,
                found=f"{mask.shape} for class {c}",
            )
        labels[(classes == c) & ~gaps(mask)] = c
        extra += _extra(mask, parameters)
    ignored = classes == IGNORED
    learnt = labels > 0
    weights = (ratio + extra).astype(np.float32)
    weights[learnt], weights[ignored] = 1, 0
    pdf = np.full(classes.shape, ratio, np.float32)
    pdf[learnt], pdf[ignored] = 1, 0
    return Maps(labels, weights, pdf)


def gaps(mask: np.ndarray) -> np.ndarray:
    """Pixels (bool) that have an object other than their own among their earlier neighbours."""
    gap = np.zeros(mask.shape, bool)
    for later, earlier in _earlier(mask.ndim):
        other = mask[earlier]
        gap[later] |= (other != 0) & (other != mask[later])
    return gap


def _earlier(dimensions: int) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """For each earlier neighbour: the part of an array that has it, and the part that is it."""
    here = {-1: slice(1, None), 0: slice(None), 1: slice(None, -1)}
    there = {-1: slice(None, -1), 0: slice(None), 1: slice(1, None)}
    for step in itertools.product((-1, 0, 1), repeat=dimensions):
        if step < (0,) * dimensions:  # the order of tuples is the reading order
            yield tuple(here[s] for s in step), tuple(there[s] for s in step)


def _extra(mask: np.ndarray, parameters: WeightParameters) -> np.ndarray:
    """What the objects of one class add to v, float64."""
    from scipy import ndimage

    objects, count = compact(mask)
    if count == 0:
        return np.zeros(mask.shape)
    # the ridge needs both distances, but within its reach; the nearest object matters further away
    nearest = ndimage.distance_transform_edt(objects == 0)
    d1, d2 = nearest_two(objects, count, reach=_REACH * parameters.border_weight_sigma_px)
    v, height = parameters.foreground_background_ratio, parameters.border_weight_factor
    ridge = height * np.exp(-((d1 + d2) ** 2) / (2 * parameters.border_weight_sigma_px**2))
    halo = (1 - v) * np.exp(-(nearest**2) / (2 * parameters.sigma1_px**2))
    total: np.ndarray = ridge + halo
    return total


def split_classes(classes: np.ndarray, objects: np.ndarray, count: int) -> list[np.ndarray]:
    """The masks of `training_maps` for classes 1..count from one map of object ids."""
    return [np.where(classes == c, objects, 0) for c in range(1, count + 1)]


def draw_points(
    classes: np.ndarray,
    masks: Sequence[np.ndarray],
    points: Sequence[tuple[int, Sequence[int]]],
    *,
    radius: int = 2,
) -> None:
    """Objects known by a point alone, drawn into `classes` and `masks`.

    Each point (class, position) becomes an object of its own: a disk (a ball in a volume) of
    `radius` pixels, and around it, up to twice the radius, background is ignored, for nobody knows
    where the object ends.  radius: diskRadiusPx of the model.
    """
    ids = [int(mask.max(initial=0)) for mask in masks]
    for c, position in points:
        box = tuple(
            slice(max(p - 2 * radius, 0), max(p + 2 * radius + 1, 0)) for p in map(int, position)
        )
        grid = np.ogrid[
            tuple(slice(b.start, min(b.stop, n)) for b, n in zip(box, classes.shape, strict=True))
        ]
        squared = sum((g - p) ** 2 for g, p in zip(grid, position, strict=True))
        disk, ring = squared <= radius**2, squared <= (2 * radius) ** 2
        ids[c - 1] += 1
        around = classes[box]
        around[ring & ~disk & (around == 0)] = IGNORED
        around[disk] = c
        masks[c - 1][box][disk] = ids[c - 1]
