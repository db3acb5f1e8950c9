"""Settings and objects that `pack.py --convention plugin` takes from other files: a model of the
plugin, and points."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import DataError

if TYPE_CHECKING:
    from ..data.plugin_frames import Point


def follow_model(args: argparse.Namespace) -> None:
    """Fill in what the options leave open from a model definition."""
    if args.modeldef is None:
        return
    from ..weights import read_modeldef

    model = read_modeldef(args.modeldef)
    weigh = model.loss_weights
    for name, value in (
        ("element_size", model.element_size_um),
        ("normalization", model.normalization),
        ("class_names", model.class_names),
        ("border_weight_factor", weigh.border_factor),
        ("border_weight_sigma", weigh.border_sigma),
        ("foreground_background_ratio", weigh.foreground_background_ratio),
        ("sigma1", weigh.sigma1),
        ("disk_radius", model.disk_radius_px),
        ("input_dataset_name", model.input_dataset_name),
        ("input_blob_name", model.input_blob_name),
    ):
        if not getattr(args, name) and value != ():
            setattr(args, name, value)
    args.volumes |= model.axes == 3
    print(f"settings: {args.modeldef}: {model.name}, {model.axes}-D, {model.normalization}")
    for note in model.notes:
        print(f"  note: {note}")


def points_of(
    args: argparse.Namespace, chosen: Sequence[Sequence[int]]
) -> list[list[Point]] | None:
    """The points of each chosen group of pages."""
    if args.points is None:
        return None
    from ..data import points

    place = {page: (i, z) for i, group in enumerate(chosen) for z, page in enumerate(group)}
    found: list[list[Point]] = [[] for _ in chosen]
    marks = points.read(args.points, args.class_names)
    for mark in marks:
        if mark.page in place:
            i, z = place[mark.page]
            deep = (float(z),) if args.volumes else ()
            found[i].append((mark.class_, (*deep, mark.y, mark.x)))
    count = sum(map(len, found))
    if not count:
        raise DataError(
            "no point lies on the pages that are packed",
            where=args.points,
            found=f"slices {', '.join(str(m.page + 1) for m in marks[:5])}",
            remedy="Slices count from 1, through all pages of all images",
        )
    print(f"points: {args.points}: {count} of {len(marks)} on the pages that are packed")
    return found
