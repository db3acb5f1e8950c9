"""Objects out of a label map: connected pixels of one class, numbered from 1.

    label map -> holes filled -> connected components -> small ones removed -> numbered 1, 2, ...

    connectivity 4    pixels of an object share an edge (in a volume: a face)
    connectivity 8    or a corner
    min_size          objects of so many pixels, or fewer, are removed: "> 500 px" is 500
    border            objects that lie wholly in a zone of so many pixels along the edges are
                      removed: the field of interest of the Cell Tracking Challenge
    fill_holes        background that one class encloses joins it, before the sizes are taken

    seeds               objects that hang together by a bridge are told apart: each piece of their
                        pixels with a probability above `seeds` is the core of one, and the other
                        pixels belong to the nearest core, in one piece with it; pieces that
                        min_size would remove are no cores

Numbers follow the order in which a reader of the map meets the objects, class by class.

Source: trackCells2 of the authors' release of 2015 (> 500 pixels, FOI_E = 50, 8-connected); here 4
is the default, as everywhere in this program.
"""

from __future__ import annotations

import numpy as np

from ..errors import ImageError


def instances(
    labels: np.ndarray,
    *,
    connectivity: int = 4,
    min_size: int = 0,
    border: int = 0,
    fill_holes: bool = False,
    seeds: float | None = None,
    probabilities: np.ndarray | None = None,
    where: str = "",
) -> np.ndarray:
    """Object numbers (int32, the shape of `labels`) of a map of class indices, 0 background.

    Works on (height, width) and on (depth, height, width).  Raises ImageError where the border zone
    covers the whole image (where: its name).  probabilities: of each class, (classes, *size), for
    seeds.
    """
    from scipy import ndimage

    neighbours = ndimage.generate_binary_structure(
        labels.ndim, 1 if connectivity == 4 else labels.ndim
    )
    objects, count = np.zeros(labels.shape, np.int32), 0
    for c in np.unique(labels[labels > 0]):
        mask = labels == c
        if fill_holes:
            mask |= ndimage.binary_fill_holes(mask) & (labels == 0)
        found, n = ndimage.label(mask, neighbours)
        if seeds is not None:
            assert probabilities is not None
            core = mask & (probabilities[c] > seeds)
            if fill_holes:
                core = mask & ndimage.binary_fill_holes(core)
            found, n = told_apart(found, n, core, neighbours, min_size)
        objects[mask] = found[mask] + count
        count += n
    return select(objects, min_size=min_size, border=border, where=where)


def told_apart(
    objects: np.ndarray, count: int, core: np.ndarray, neighbours: np.ndarray, min_size: int
) -> tuple[np.ndarray, int]:
    """Objects 1 to count, each cut into as many as it has cores, and how many there are then."""
    from scipy import ndimage

    cores, _ = ndimage.label(core, neighbours)
    cores = np.where(np.bincount(cores.ravel())[cores] > min_size, cores, 0)
    for number, place in enumerate(ndimage.find_objects(objects), 1):
        mine = objects[place] == number
        inside = np.where(mine, cores[place], 0)
        ids = np.unique(inside[inside > 0])
        if len(ids) < 2:
            continue
        nearest = ndimage.distance_transform_edt(
            inside == 0, return_distances=False, return_indices=True
        )
        which = in_one_piece(
            np.searchsorted(ids, inside[tuple(nearest)]), inside, ids, mine, neighbours
        )
        numbers = np.array([number, *range(count + 1, count + len(ids))])
        objects[place][mine] = numbers[which[mine]]
        count += len(ids) - 1
    return objects, count


def in_one_piece(
    which: np.ndarray, inside: np.ndarray, ids: np.ndarray, mine: np.ndarray, neighbours: np.ndarray
) -> np.ndarray:
    """Which of the cores `ids` (in `inside`) each pixel of an object (`mine`) goes to, so that all
    of a core's are in one piece with it: the nearest may lie beyond a gap.  What is cut off goes to
    whom it touches, and so on."""
    from scipy import ndimage

    markers = np.where(mine, 0, -1).astype(np.int32)
    for k, place in enumerate(ndimage.find_objects(np.where(mine, which + 1, 0))):
        parts, _ = ndimage.label(mine[place] & (which[place] == k), neighbours)
        markers[place][parts == parts[inside[place] == ids[k]][0]] = k + 1
    if not (markers == 0).any():
        return which
    surface = np.where(mine, 0, 255).astype(np.uint8)
    # a rim of background, for SciPy's floods run from the end of a row into the next one
    rim = [np.pad(a, 1, constant_values=v) for a, v in ((surface, 255), (markers, -1))]
    found: np.ndarray = ndimage.watershed_ift(*rim, neighbours)
    return found[(slice(1, -1),) * found.ndim] - 1


def select(
    objects: np.ndarray, *, min_size: int = 0, border: int = 0, where: str = ""
) -> np.ndarray:
    """The objects that are large enough and reach out of the border zone, numbered anew from 1.

    objects: any integers from 0, 0 background; the order of the numbers stays.
    """
    ids, index, sizes = np.unique(objects, return_inverse=True, return_counts=True)
    keep = (ids > 0) & (sizes > min_size)
    if border > 0:
        keep[~np.isin(ids, visible(objects, border, where))] = False
    numbers = np.where(keep, np.cumsum(keep), 0).astype(np.int32)
    return numbers[index.reshape(objects.shape)]


def classes_of(objects: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The class of every pixel's object (the type of `labels`), 0 outside.

    It is that of the object's first pixel: holes that were filled have none in the label map.
    """
    inside = objects > 0
    _, first, index = np.unique(objects[inside], return_index=True, return_inverse=True)
    kinds = np.zeros_like(labels)
    kinds[inside] = labels[inside][first][index]
    return kinds


def visible(objects: np.ndarray, border: int, where: str = "") -> np.ndarray:
    """The numbers (sorted) of objects with a pixel in the field of interest: the image less
    `border` pixels along the edges of its last two axes."""
    height, width = objects.shape[-2:]
    if 2 * border >= min(height, width):
        raise ImageError(
            "the border zone covers the whole image",
            where=where,
            expected=f"a border below {min(height, width) / 2:g} pixels for an image of "
            f"{height} x {width}",
            found=border,
        )
    inner = objects[..., border : height - border, border : width - border]
    ids = np.unique(inner)
    return ids[ids > 0]


def storage(greatest: int) -> np.dtype:
    """The type an object map is stored in: uint16, or uint32 where a number exceeds 65,535."""
    return np.dtype(np.uint16 if greatest <= 65_535 else np.uint32)
