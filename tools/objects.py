"""Outline and measure the objects of a label image: `python tools/objects.py img.labels.tif`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("objects")

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..errors import ImageError, OutputError, counted
from ..files import check_writable
from ..texts import utf8
from . import _options
from ._batch import Batch, Done, say_notes
from ._findings import Findings, listed, named, told
from ._maps import find_maps, kind_told, plane, refuse_of_classes, surveyed
from ._results import OBJECTS, parted

if TYPE_CHECKING:
    from ..imaging.image import Image

KINDS = ("classes", "instances")
EPILOG = """\
In a label image every value besides 0 is a class, whose connected pixels are the objects, or the
number of an object: that is told by --kind, by what deploy wrote into its maps, by the name
NAME.instances.tif, or from the values.  Of results of deploy NAME.instances.tif are taken, else
NAME.labels.tif, and no other files.

  --measure   img.objects.csv: page, number, class, area in pixels and um^2, centre, box; in volumes
              the volume.  The middle of the first pixel is 0.  What is not known is empty
  --rois      img.rois.zip: each object for ImageJ's ROI Manager (extra rois)
  --instances img.instances.tif: the number of an object in each pixel, also of what was outlined
              in ImageJ (a .zip of its ROI Manager, or a .roi)
  --overlay   img.overlay.png: the image and the contours of the objects; of a stack, one for each
              page

examples:
  python tools/objects.py cells.labels.tif
        cells.objects.csv
  python tools/objects.py 'plate/*.labels.tif' --rois --overlay --min-size 50
        contours on plate/NAME.tif or .png
  python tools/objects.py found/ --overlay --image plate/
        the results of deploy -o found/
  python tools/objects.py rois/ --instances --image plate/ -o labels/
        labels from ImageJ's ROIs, rois/NAME.zip, as large as plate/NAME.tif
  python tools/objects.py mask.tif --image img.tif --prob mask.prob.tif --measure --pixel-size 0.19
        a mask by anybody, with the mean probability of each object
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="objects.py",
        description="Outline and measure the objects of label images.",
        epilog=EPILOG,
    )
    p.add_argument(
        "maps",
        nargs="+",
        metavar="LABELS",
        help="TIFF, PNG or ImageJ's ROIs, folders, patterns",
    )
    p.add_argument("--measure", action="store_true", help="a table (default, if nothing is said)")
    p.add_argument("--rois", action="store_true", help="regions for ImageJ")
    p.add_argument("--overlay", action="store_true", help="a picture of the contours")
    p.add_argument("--instances", action="store_true", help="a number for each object, as TIFF")
    p.add_argument(
        "--image",
        metavar="PATH",
        help="the micrograph, or the folder of several (default: beside its labels)",
    )
    p.add_argument("--prob", metavar="FILE", help="probabilities, for their mean")
    p.add_argument("--kind", choices=KINDS, help="what the values are (default: told, see below)")
    p.add_argument(
        "--class-names", type=utf8, default="", metavar="NAME,NAME,...", help="from class 0 on"
    )
    p.add_argument(
        "--volumes", action="store_true", help="objects of volumes: the pages of a file along Z"
    )
    p.add_argument("--axes", help="how to read the labels' axes, for example ZYX or TYX")
    p.add_argument(
        "--pixel-size",
        type=_options.pixel_size,
        metavar="UM",
        help="micrometres: one number, YxX or ZxYxX, instead of what the files say",
    )
    p.add_argument("-o", "--folder", help="where results go (default: beside the labels)")
    p.add_argument("--overwrite", action="store_true", help="replace results that exist")
    _options.add_instances(p)
    return p


def main(argv: Sequence[str]) -> int:
    from ..imaging import roi_labels

    args = parser().parse_args(argv)
    kinds = [kind for kind in ("overlay", "rois", "instances") if getattr(args, kind)]
    kinds += ["objects"] if args.measure or not kinds else []
    if args.rois:
        from ..imaging.rois import library

        library()
    batch = Batch(find_maps(args.maps, roi_labels.SUFFIXES))
    one = args.prob or (args.image and not Path(args.image).is_dir())
    if len(batch.paths) > 1 and one:
        raise OutputError(
            "--image FILE and --prob are for one label image",
            found=f"{len(batch.paths)} of them",
            remedy="Give --image the folder of the images: that of NAME.labels.tif is NAME.tif or "
            "NAME.png",
        )
    opened, targets = {}, {}
    for path in batch.paths:
        with batch.sparing(path):
            opened[path] = open_labels(path, args)
            names = named(kinds, range(len(opened[path])))
            folder = Path(args.folder) if args.folder else path.parent
            targets[path] = {k: folder / f"{name_of(path)}.{end}" for k, end in names.items()}
            for target in targets[path].values():
                check_writable(target, overwrite=args.overwrite)
    taken: dict[Path, Path] = {}
    for path in batch.left:
        other = taken.setdefault(next(iter(targets[path].values())).resolve(), path)
        if other is not path:
            raise OutputError(
                "two label images would be written to one file",
                where=str(next(iter(targets[path].values()))),
                found=f"{other} and {path}",
                remedy="Take one after the other, into different folders (-o)",
            )
    notes: dict[Path, Sequence[str]] = {}
    for path in batch.left:
        with batch.sparing(path):
            batch.done[path] = look(opened[path], targets[path], args, notes)
    say_notes(notes)
    return batch.end()


def look(
    labels: Image, targets: dict[str, Path], args: Any, notes: dict[Path, Sequence[str]]
) -> Done:
    """Find, measure and outline the objects of one file; notes: of all files read are added."""
    from ..imaging import tiff
    from ..imaging.axes import volumes
    from ..imaging.instances import storage
    from ._segmentation import as_said, known, micrometres_of

    began = time.monotonic()
    axes = 3 if args.volumes else 2
    where = str(labels.path)
    image = micrograph(labels, args)
    if image.pixel_size is None:
        image = replace(image, pixel_size=labels.pixel_size, unit=labels.unit, depth=labels.depth)
    image = as_said(image, args, axes)
    sure = tiff.read(args.prob) if args.prob else None
    if sure is not None:
        check_same(sure, labels)
    notes |= {read.path: read.notes for read in (labels, image, sure) if read}
    kind, why = (args.kind, "as told") if args.kind else kind_of(labels)
    names = args.class_names.split(",")
    if kind == "instances" and not args.class_names:
        names = ["background", "object"]  # no class is known
    findings = Findings(image, names, known(micrometres_of(image, axes)), targets)
    if kind == "instances" and sure is not None and sure.shape[1] > 2:
        print(f"note: {where} does not say the objects' classes: their probability is not known")
        sure = None
    total, numbered = 0, list[np.ndarray]()
    pages = [(page,) for page in range(len(labels))]
    for sample in volumes(labels.layout, where) if args.volumes else pages:
        found = np.stack([plane(labels, page) for page in sample])
        each = None if sure is None else np.stack([sure.page(page) for page in sample], axis=1)
        if not args.volumes:
            found, each = found[0], None if each is None else each[:, 0]
        classes, objects = apart(found, kind, args, where)
        total += len(np.unique(objects[objects > 0]))
        findings.add(sample, classes, objects, each)
        numbered += list(objects) if args.volumes else [objects]
    findings.write(overwrite=args.overwrite)
    if "instances" in targets:
        stored = storage(max(int(page.max(initial=0)) for page in numbered))
        tiff.write(
            targets["instances"],
            (page.astype(stored) for page in numbered),
            count=len(numbered),
            pixel_size=image.pixel_size,
            unit=image.unit,
            info=f"demitasse {__version__}: instances of {labels.path.name}",
            overwrite=args.overwrite,
        )
    many = counted(total, "object")
    print(f"{where}: {labels.summary(notes=False)}; values are {kind} ({why}); {many}")
    for kind, files in told(targets):
        print(f"{files}: {kind}")
    seconds = time.monotonic() - began
    return Done(len(labels), 0, seconds, f"{listed(targets)} ({many})")


def open_labels(path: Path, args: Any) -> Image:
    """A map; ImageJ's selections are drawn as large as their image."""
    from ..imaging import roi_labels, tiff

    if not roi_labels.is_named(path):
        return tiff.read(path, axes=args.axes)
    there = [image for image in images_of(path, args) if image.exists()]
    if not there:
        raise without_image("to draw these selections in", path, args)
    return roi_labels.read_rois(path, tiff.read(there[0]))


def name_of(path: Path) -> str:
    """The name of the image that a map belongs to."""
    name = parted(path)[0]
    return name.removesuffix(".rois") if path.suffix.lower() == ".zip" else name


def images_of(path: Path, args: Any) -> list[Path]:
    """Where the image of a map may be."""
    from ..imaging import tiff

    folder = Path(args.image) if args.image else path.parent
    if args.image and not folder.is_dir():
        return [folder]
    return [image for end in tiff.SUFFIXES if (image := folder / (name_of(path) + end)) != path]


def without_image(what: str, path: Path, args: Any) -> ImageError:
    return ImageError(
        f"there is no image {what}",
        where=str(path),
        expected=", ".join(map(str, images_of(path, args))),
        remedy="Name it, or its folder: --image",
    )


def micrograph(labels: Image, args: Any) -> Image:
    """The image to draw on, of the size of its labels; the labels where none is needed and none
    fits, or they say all that is wanted of it."""
    from ..imaging import tiff

    if args.image and not Path(args.image).is_dir():
        image = tiff.read(args.image)
    else:
        there = [path for path in images_of(labels.path, args) if path.exists()]
        wanted = args.overlay or args.rois or labels.pixel_size is None
        if not there or not wanted:
            if not args.overlay:
                return labels
            raise without_image("to draw its contours on", labels.path, args)
        try:
            image = tiff.read(there[0])
        except ImageError:
            if args.overlay:
                raise
            return labels
        if not args.overlay and pages_of(image) != pages_of(labels):
            return labels
    check_same(image, labels)
    return image


def pages_of(image: Image) -> tuple[int, int, int]:
    """Their number, height and width."""
    pages, _, height, width = image.shape
    return pages, height, width


def check_same(image: Image, labels: Image) -> None:
    """Raise ImageError unless both have the same pages, of the same size."""
    if pages_of(image) != pages_of(labels):
        raise ImageError(
            f"has other pages than {labels.path} (pages, height, width)",
            where=str(image.path),
            expected=pages_of(labels),
            found=pages_of(image),
        )


def kind_of(labels: Image) -> tuple[str, str]:
    """What the values are, and why; ImageError where neither the file nor they tell."""
    if kind := kind_told(labels):
        return kind, "as the file says"
    seen = surveyed(labels)
    if seen.scattered:
        raise ImageError(
            "looks like an image, not like labels",
            where=str(labels.path),
            found=f"{len(seen.values)} values in scattered pixels",
            remedy="Segment it first (demitasse deploy), or say --kind classes",
        )
    kind, why = seen.kind(labels=True)
    if kind in ("binary", "classes"):
        return "classes", why
    if kind != "instances":
        raise ImageError(
            "the values do not tell whether they are classes or objects",
            where=str(labels.path),
            found=why,
            remedy="Say --kind classes or --kind instances",
        )
    return kind, why


def apart(values: np.ndarray, kind: str, args: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Classes and objects of one page or volume."""
    from ..imaging.instances import instances, select

    given = {name: getattr(args, name) for name in OBJECTS if getattr(args, name, None) is not None}
    if kind == "classes":
        return values, instances(values, **given, where=where)
    refuse_of_classes(args, where, "Leave it out, or say --kind classes")
    keep = select(values, **given, where=where) > 0
    return (values > 0).astype(np.uint8), np.where(keep, values, 0)
