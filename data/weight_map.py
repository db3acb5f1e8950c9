"""How much each pixel counts in the loss: equation 2 of the U-Net paper.

    w(x) = w_c(x) + w0 * exp(-(d1(x) + d2(x))^2 / (2 sigma^2))        w0 = 10, sigma = 5 px

d1, d2: Euclidean distances in pixels, centre to centre, to the border of the nearest and of the
second nearest object.  An object's border are those of its pixels that have a 4-neighbour outside
it, so for a pixel outside all objects d1 and d2 are the distances to the objects themselves.

w_c balances the classes; the paper gives no formula.  Here it is the inverse class frequency with
mean 1 over the labelled pixels:  w_c = n / (K n_c),  n labelled pixels, n_c of class c, K classes
present.  So a map without narrow gaps leaves the learning rate what it was.

Fewer than two objects: no border term.  Ignored pixels: weight 0, and no part of the frequencies.
Source: Ronneberger, Fischer, Brox, arXiv 1505.04597, section 3.  (Freiburg's later plugin has the
border term in the background only: `inside=False`.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .distances import compact, nearest_two

W0 = 10.0
SIGMA = 5.0

# beyond this many sigma, w0 exp(-d^2 / 2 sigma^2) is below 3e-10: nothing beside a float32 weight
_REACH = 7.0


def weight_map(
    instances: np.ndarray,
    classes: np.ndarray,
    balance: Sequence[float] | np.ndarray,
    *,
    ignore: np.ndarray | None = None,
    w0: float = W0,
    sigma: float = SIGMA,
    inside: bool = True,
) -> np.ndarray:
    """Equation 2 for one slice, float32 (height, width).

    instances: object ids (height, width), 0 outside all; classes: class indices, same shape;
    balance: w_c by class index, see `class_balance`; ignore: bool mask of pixels to weigh 0;
    inside: whether pixels of objects get the border term as well, or those of class 0 alone: the
    background and the gaps that part touching objects.
    """
    table = np.asarray(balance, dtype=np.float64)
    return weighted(
        classes, table, border_term(instances, w0=w0, sigma=sigma), ignore=ignore, inside=inside
    )


def weighted(
    classes: np.ndarray,
    balance: np.ndarray,
    border: np.ndarray,
    *,
    ignore: np.ndarray | None,
    inside: bool,
) -> np.ndarray:
    """The two terms joined; border: the second one, of any place, also where it does not count."""
    # an ignored pixel may hold any value, 255 for instance: it is overwritten below
    weight = balance[np.minimum(classes, len(balance) - 1)]
    weight += border if inside else np.where(classes == 0, border, 0)
    if ignore is not None:
        weight[ignore] = 0
    return weight.astype(np.float32)


def class_balance(counts: Sequence[int] | np.ndarray) -> np.ndarray:
    """w_c by class index from the pixel counts n_c: n / (K n_c), and 0 for an absent class."""
    n = np.asarray(counts, dtype=np.float64)
    present = n > 0
    weights = np.zeros(len(n))
    if present.any():
        weights[present] = n.sum() / (present.sum() * n[present])
    return weights


def border_term(instances: np.ndarray, *, w0: float = W0, sigma: float = SIGMA) -> np.ndarray:
    """w0 exp(-(d1 + d2)^2 / (2 sigma^2)), float64 (height, width); 0 with less than two objects."""
    labels, count = compact(instances)
    d1, d2 = nearest_two(labels, count, reach=_REACH * sigma, part=object_borders(labels))
    with np.errstate(over="ignore"):
        term: np.ndarray = w0 * np.exp(-((d1 + d2) ** 2) / (2 * sigma**2))
    return term


def object_borders(labels: np.ndarray) -> np.ndarray:
    """Pixels of an object that have a 4-neighbour in the image which is not of that object."""
    edge = np.zeros(labels.shape, bool)
    down = labels[1:] != labels[:-1]
    right = labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge & (labels != 0)


def components(foreground: np.ndarray) -> np.ndarray:
    """Objects of a binary map: its 4-connected components, numbered from 1 (int32)."""
    from scipy import ndimage

    labels, _ = ndimage.label(foreground)
    return labels.astype(np.int32, copy=False)


def class_objects(classes: np.ndarray) -> np.ndarray:
    """Objects of a class map: the 4-connected components of every class above 0 (int32)."""
    objects = np.zeros(classes.shape, np.int32)
    for c in np.unique(classes[classes > 0]):
        found = components(classes == c)
        objects[found > 0] = found[found > 0] + objects.max()
    return objects


def separate(instances: np.ndarray) -> np.ndarray:
    """Foreground (bool) of an instance map with a gap of one pixel where two objects touch.

    In reading order, a pixel gives way to a pixel of another object that is still there at its
    upper left, upper, upper right or left; so afterwards objects do not even touch at corners.
    """
    foreground: np.ndarray = instances != 0
    padded = np.zeros((instances.shape[0] + 1, instances.shape[1] + 2), instances.dtype)
    padded[1:, 1:-1] = instances
    here = padded[1:, 1:-1]
    touching = np.zeros(instances.shape, bool)
    for other in (padded[:-1, :-2], padded[:-1, 1:-1], padded[:-1, 2:], padded[1:, :-2]):
        touching |= (other != here) & (other != 0)
    touching &= foreground
    # one by one, for whether a pixel stays depends on those before it; contacts are few
    for y, x in np.argwhere(touching).tolist():
        mine = padded[y + 1, x + 1]
        before = (padded[y, x], padded[y, x + 1], padded[y, x + 2], padded[y + 1, x])
        if any(v != mine and v != 0 for v in before):
            padded[y + 1, x + 1] = 0
    kept: np.ndarray = here != 0
    return kept
