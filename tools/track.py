"""Follow objects through time: `python tools/track.py masks.tif -o tracks/`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("track")

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ImageError, counted
from ..files import check_writable, replacing
from . import _options
from ._batch import say_notes
from ._maps import find_maps, kind_told, plane, refuse_of_classes, surveyed
from ._progress import follow

if TYPE_CHECKING:
    from ..imaging.image import Image
    from ..imaging.tracking import Track

EPILOG = """\
The masks are the frames of a time series in their order: pages of a stack, or files (2 before 10).
Of results of deploy NAME.instances.tif are taken, else NAME.labels.tif, and no other files.
Every value above 0 is an object; with --components, in maps of classes by deploy, and where no
frame has more than one value, the connected pixels of each value are.  Written is what the Cell
Tracking Challenge takes: mask000.tif, mask001.tif, ... with the number of a track in each pixel,
and res_track.txt with a line for each track: its number, first and last frame, and the track it
continues (0: none).

Every object takes over the number of the one in the frame before that overlaps it most (greatest
intersection over union), one to one, as in the release of the U-Net of 2015.

examples:
  python tools/track.py img.instances.tif -o tracks/
  python tools/track.py 'seg/*.labels.tif' -o tracks/ --components --min-size 500 --border 50
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="track.py",
        description="Give objects of a time series the same number in all frames.",
        epilog=EPILOG,
    )
    p.add_argument("masks", nargs="+", metavar="MASK", help="TIFF or PNG, folders, patterns")
    p.add_argument("-o", "--folder", required=True, type=Path, help="where results go; made")
    p.add_argument("--overwrite", action="store_true", help="replace results that exist")
    p.add_argument("--axes", help="how to read the masks' axes, for example TYX")
    p.add_argument("--components", action="store_true", help="the masks hold classes, not objects")
    _options.add_instances(p)
    return p


def main(argv: Sequence[str]) -> int:
    from ..imaging import instances, tiff
    from ..imaging.tracking import Tracker, lines

    args = parser().parse_args(argv)
    images = [tiff.read(path, axes=args.axes) for path in find_maps(args.masks)]
    count = sum(map(len, images))
    digits = max(3, len(str(count - 1)))
    targets = [args.folder / f"mask{t:0{digits}d}.tif" for t in range(count)]
    table = args.folder / "res_track.txt"
    args.folder.mkdir(parents=True, exist_ok=True)
    for target in (*targets, table):
        check_writable(target, overwrite=args.overwrite)
    check_frames(images)
    say_notes({image.path: image.notes for image in images})

    pieces = args.components or in_pieces(images)
    if not pieces:
        refuse_of_classes(args, str(images[0].path), "Leave it out, or give --components")
    tracker = Tracker(args.border or 0)
    seen = []
    for target, (image, i) in zip(targets, follow(frames(images), count, "frames"), strict=True):
        where = f"{image.path}, page {i}"
        found = objects(plane(image, i), pieces, args, where)
        tracked = tracker.follow(found, where)
        seen.append(int((np.unique(tracked) > 0).sum()))
        tiff.write(
            target,
            iter([tracked.astype(instances.storage(int(tracked.max(initial=0))))]),
            count=1,
            pixel_size=image.pixel_size,
            unit=image.unit,
            overwrite=args.overwrite,
        )
    with replacing(table, overwrite=args.overwrite) as temporary:
        temporary.write_text("".join(lines(tracker.tracks)), encoding="ascii")
    print("\n".join(report(tracker.tracks, seen, targets, table)))
    return 0


def frames(images: Sequence[Image]) -> Iterator[tuple[Image, int]]:
    """Every page of every image."""
    for image in images:
        for i in range(len(image)):
            yield image, i


def check_frames(images: Sequence[Image]) -> None:
    """Raise ImageError where frames differ in size or their order is not clear, before any work."""
    for image in images:
        if len(image.layout.page_axes) > 1:
            raise ImageError(
                "it is not clear which of its pages are the frames",
                where=str(image.path),
                expected="one axis of pages, in time",
                found=f"axes {image.axes}",
                remedy="Save one slice of the volumes, or a projection, as a stack of its own",
            )
        if image.shape[-2:] != images[0].shape[-2:]:
            raise ImageError(
                "has another size (height, width) than the first mask",
                where=str(image.path),
                expected=f"{images[0].shape[-2:]} as in {images[0].path}",
                found=image.shape[-2:],
            )


def in_pieces(images: Sequence[Image]) -> bool:
    """Whether the connected pixels of each value are the objects, as some files tell of all or,
    where none does, the values; ImageError where one file says so and another does not."""
    told = {kind: image.path for image in images if (kind := kind_told(image))}
    if len(told) > 1:
        raise ImageError(
            "some masks hold classes and others objects, as the files say",
            found=f"{told['classes']} and {told['instances']}",
            remedy="Name those of one kind",
        )
    if told:
        if "classes" in told:
            print("the masks hold classes, as deploy wrote: their connected pixels are the objects")
        return "classes" in told
    if any(len(np.setdiff1d(plane(*frame), 0)) > 1 for frame in frames(images)):
        seen = surveyed(images[0])
        if seen.scattered:
            print(
                f"warning: {images[0].path} looks like an image, not like labels "
                f"({len(seen.values)} values in scattered pixels). Segment it first: "
                "demitasse deploy --instances"
            )
        return False
    print("no frame has more than one value: its connected pixels are the objects")
    return True


def objects(labels: np.ndarray, pieces: bool, args: Any, where: str) -> np.ndarray:
    """The objects of a frame; those in the border zone too, for they are followed as well."""
    from ..imaging.instances import instances, select

    if not pieces:
        return select(labels, min_size=args.min_size or 0, where=where)
    return instances(
        labels,
        connectivity=args.connectivity or 4,
        min_size=args.min_size or 0,
        fill_holes=bool(args.fill_holes),
        where=where,
    )


def report(
    tracks: Sequence[Track], seen: Sequence[int], targets: Sequence[Path], table: Path
) -> Iterator[str]:
    """What was found, for the eye."""
    yield ", ".join(
        counted(n, what)
        for n, what in ((len(seen), "frame"), (sum(seen), "object"), (len(tracks), "track"))
    )
    if tracks:
        lengths = sorted(one.end - one.begin + 1 for one in tracks)
        whole = sum(n == len(seen) for n in lengths)
        middle = lengths[len(lengths) // 2]
        yield f"a track lasts {counted(middle, 'frame')} (median); {whole} last from first to last"
    else:
        yield "warning: there is no object in any frame"
    yield f"{targets[0]} ... {targets[-1].name}: track numbers"
    yield f"{table}: {counted(len(tracks), 'track')}"
