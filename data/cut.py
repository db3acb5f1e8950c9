"""Tiles out of one labelled slice: what a training sample is made of.

    data (C, H, W)   the normalised image, mirrored beyond its edge, perhaps bent, turned, re-lit
    label (h, w)     the class indices at the tile's centre
    weight (h, w)    equation 2 of the paper there; 0 where ignored or outside the image

Whatever moves pixels moves all three; grey values change the data alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..errors import DataError
from . import augment, crops
from .labels import IGNORED, LabelRule, Target
from .normalize import Normalization
from .weight_map import SIGMA, W0, border_term, weighted


@dataclass(frozen=True)
class Recipe:
    """How tiles are made.

    tiles: how many random ones; None: regular ones that cover every image.  augment: of
    augment.KINDS, for random tiles only.  per_file: tiles in a file; None: about 256 MiB.
    """

    pair: crops.Pair
    rule: LabelRule = field(default_factory=LabelRule)
    normalization: Normalization = field(default_factory=Normalization)
    nonfinite: str = "refuse"
    class_names: tuple[str, ...] = ()
    tiles: int | None = None
    augment: tuple[str, ...] = ()
    seed: int = 0
    per_file: int | None = None
    w0: float = W0
    sigma: float = SIGMA
    border_inside: bool = True

    def __post_init__(self) -> None:
        for kind in self.augment:
            if kind not in augment.KINDS:
                raise DataError(
                    f"there is no augmentation '{kind}'",
                    expected=f"some of {', '.join(augment.KINDS)}",
                )
        if self.augment and self.tiles is None:
            raise DataError(
                "augmentation is for random tiles",
                remedy="Say how many with --tiles, or leave --augment away",
            )
        for name, number in (("tiles", self.tiles), ("tiles in a file", self.per_file)):
            if number is not None and number < 1:
                raise DataError(f"the number of {name} must be at least 1", found=number)
        if self.sigma <= 0 or self.w0 < 0:
            raise DataError(
                "the weight map needs sigma > 0 and w0 >= 0",
                found=f"sigma {self.sigma}, w0 {self.w0}",
            )
        if self.seed < 0:
            raise DataError("the seed must not be negative", found=self.seed)


@dataclass(frozen=True)
class Slice:
    image: np.ndarray  # (C, H, W) float32, normalised
    target: Target
    border: np.ndarray  # (H, W) the border term, float32
    balance: np.ndarray  # w_c by class

    def weight(self, recipe: Recipe) -> np.ndarray:
        """Equation 2, (H, W) float32."""
        return weighted(
            self.target.classes,
            self.balance,
            self.border,
            ignore=self.target.ignored,
            inside=recipe.border_inside,
        )


def load(
    image: np.ndarray,
    labels: np.ndarray,
    name: str,
    recipe: Recipe,
    balance: np.ndarray,
    channels: int,
) -> Slice:
    image = np.asarray(image)
    image = image[None] if image.ndim == 2 else image
    target = recipe.rule(labels, where=name)
    if image.shape[1:] != target.classes.shape:
        raise DataError(
            "image and label image have different sizes (height, width)",
            where=name,
            expected=image.shape[1:],
            found=target.classes.shape,
        )
    if len(image) != channels:
        raise DataError(
            "the images have different numbers of channels",
            where=name,
            expected=channels,
            found=len(image),
        )
    normal = recipe.normalization(image, nonfinite=recipe.nonfinite, where=name)
    border = border_term(target.objects, w0=recipe.w0, sigma=recipe.sigma)
    return Slice(normal, target, border, np.asarray(balance, np.float64))


def cut(
    source: Slice, recipe: Recipe, tile: int, at: tuple[int, ...] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tile number `tile`: data (C, H, W), label (h, w), weight (h, w)."""
    pair, shape = recipe.pair, source.target.classes.shape
    rng = augment.generator(recipe.seed, tile)
    if at is None:
        at = augment.corner(rng, (shape[0], shape[1]), pair.output)
    start = at[0] - pair.border[0], at[1] - pair.border[1]
    if "elastic" in recipe.augment:
        data, label, weight = _bent(source, recipe, start, rng)
    else:
        data = crops.window(source.image, start, pair.input)
        label = crops.window(source.target.classes, at, pair.output)
        weight = crops.window(source.weight(recipe), at, pair.output)
        weight[~crops.inside(at, pair.output, (shape[0], shape[1]))] = 0
    if "flips" in recipe.augment:
        number = augment.random_symmetry(rng, square=pair.square)
        data, label, weight = (augment.symmetry(a, number) for a in (data, label, weight))
    if "grey" in recipe.augment:
        data = augment.grey(data, rng)
    return data, label, weight


def _bent(
    source: Slice, recipe: Recipe, start: tuple[int, int], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An elastically deformed tile: data and border term interpolated, labels from nearest pixels,
    so that weights fit the labels pixel by pixel."""
    pair, (by, bx) = recipe.pair, recipe.pair.border
    moved = augment.elastic(rng, pair.input)
    rows = start[0] + np.arange(pair.input[0])[:, None] + moved[0]
    columns = start[1] + np.arange(pair.input[1])[None, :] + moved[1]
    data = np.stack([augment.sample(plane, rows, columns, order=3) for plane in source.image])
    centre = slice(by, by + pair.output[0]), slice(bx, bx + pair.output[1])
    rows, columns = rows[centre], columns[centre]
    height, width = source.target.classes.shape
    nearest = (
        crops.mirror(np.rint(rows).astype(np.int64), height),
        crops.mirror(np.rint(columns).astype(np.int64), width),
    )
    label = source.target.classes[nearest]
    if recipe.rule.kind == "instances":
        # the gaps of one pixel are cut anew, for bending may close them
        label = LabelRule("instances").classes(source.target.objects[nearest])
        label[source.target.classes[nearest] == IGNORED] = IGNORED
    border = augment.sample(source.border, rows, columns, order=1)
    weight = weighted(label, source.balance, border, ignore=None, inside=recipe.border_inside)
    outside = (rows < -0.5) | (rows > height - 0.5) | (columns < -0.5) | (columns > width - 0.5)
    weight[outside | (label == IGNORED)] = 0
    return data, label, weight
