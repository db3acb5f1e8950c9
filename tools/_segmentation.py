"""What segmenting one image will take: pages, rescaling, tiles, bytes; known before any work.

A plan is made from the image's header and the net's geometry alone.  What it would take is refused
above a limit, for a pixel size that is wrong by a factor of a hundred is a thousand times the work.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ImageError, MemoryBudgetError, ShapeError, counted
from ..imaging import averaging, tiff
from ..imaging.axes import volumes
from ..imaging.pixel_size import micrometres
from ..imaging.predict import default_budget
from ..imaging.rescale import Rescaling, rescaling
from ..net.limits import installed, room
from ._options import MOST_PAGES
from ._segmenting import reading

if TYPE_CHECKING:
    from ..imaging.deployed import Deployed
    from ..imaging.image import Image
    from ..imaging.predict import Predictor, Tiling

T = TypeVar("T", int, float)

FLOAT = 4  # bytes
MAX_TILES = 10_000  # of one page
UNLIKE = 4  # times larger or smaller pixels than the net's are pointed out


@dataclass(frozen=True)
class Plan:
    """How one image is segmented.

    samples: the pages of each array the net sees: one, or the slices of a volume; passes: the
    tilings of the versions that are averaged; bytes: of arrays held for one sample, about;
    size: micrometres of a pixel of the image and of the net, where they are compared; notes: what
    a user should know.
    """

    image: Image
    samples: tuple[tuple[int, ...], ...]
    rescaling: Rescaling
    tiling: Tiling
    passes: tuple[Tiling, ...]
    bytes: int
    sizes: tuple[tuple[float, ...], tuple[float, ...]] | None
    notes: tuple[str, ...]

    @property
    def pages(self) -> int:
        return sum(map(len, self.samples))

    @property
    def tiles(self) -> int:
        """Tiles computed for the whole image, over all samples and versions."""
        return len(self.samples) * sum(math.prod(t.counts) for t in self.passes)

    def lines(self) -> Iterator[str]:
        """The plan for the eye, a line for each thing."""
        if self.sizes:
            words = " -> ".join(f"{_product(s, 'g')} um" for s in self.sizes)
            yield f"pixel size  {words}{'' if self.rescaling.needed else ': as good as equal'}"
        if self.rescaling.needed:
            yield (
                f"rescaled    by {_product(self.rescaling.factors, '.4g')} to "
                f"{_product(self.rescaling.inner)} pixels"
            )
        what = "volume" if len(self.samples[0]) > 1 else "page"
        each = counted(len(self.samples), what)
        versions = f" x {len(self.passes)} versions" if len(self.passes) > 1 else ""
        yield f"tiles       {self.tiles:,}: {each}{versions}; {self.tiling}"
        greatest = max(t.memory for t in self.passes)
        yield (
            f"memory      {size(greatest)} of activations, about {size(self.bytes)} of images and "
            f"scores a {what}"
        )
        yield from (f"note: {note}" for note in self.notes)


def plan(deployed: Deployed, image: Image, args: Any) -> Plan:
    """The plan of an image; ImageError, ShapeError or MemoryBudgetError where there is none."""
    predictor, where = deployed.predictor, str(image.path)
    axes = predictor.axes
    check_channels(image, predictor.channels)
    samples = split(image, args.pages, axes)
    shape = (len(samples[0]),) * (axes - 2) + image.shape[-2:]
    sizes, notes = pixel_sizes(deployed, image, args)
    own, nets = sizes or (None, None)
    how = rescaling(shape, own, nets, where)
    held = held_bytes(predictor, image, how, args.average)
    limit = int(args.max_memory * 2**30) if args.max_memory else installed()
    if held > limit:
        raise MemoryBudgetError(
            "segmenting it takes more memory than is allowed",
            where=where,
            expected=f"at most {size(limit)}",
            found=f"about {size(held)} for {_product(how.inner)} pixels{_why(how, sizes)}",
            remedy=_remedy(how, "--max-memory"),
        )
    tiling = choose(predictor, how.inner, args)
    passes = tuple(v.tiling for v in averaging.versions(predictor, how.inner, tiling, args.average))
    made = Plan(image, samples, how, tiling, passes, held, sizes, notes)
    most = args.max_tiles or MAX_TILES
    if made.tiles > most * len(samples):
        raise MemoryBudgetError(
            "it would be cut into more tiles than is allowed",
            where=where,
            expected=f"at most {most:,} for a page",
            found=f"{made.tiles // len(samples):,} of {_product(tiling.inputs)} pixels for "
            f"{_product(how.inner)} pixels{_why(how, sizes)}",
            remedy=_remedy(how, "--max-tiles"),
        )
    return made


def opened(path: Path, args: Any) -> Image:
    """An image file, its header read as the options say; ImageError where they do not fit it."""
    image = tiff.read(
        path,
        **reading(args),
        max_bytes=int(args.max_memory * 2**30) if args.max_memory else None,
    )
    chosen_pages(args.pages, image)
    return image


def check_channels(image: Image, wanted: int) -> None:
    """ShapeError where the image has not the channels that the net wants."""
    found = image.shape[1]
    if found == wanted:
        return
    takes = "one" if wanted == 1 else str(wanted)
    more = f", --channel takes {takes} of them" if found > wanted else ""
    raise ShapeError(
        "the image has another number of channels than the net",
        where=str(image.path),
        expected=str(wanted),
        found=str(found),
        remedy=f"It was read as {image.layout.words()}; --axes says otherwise{more}",
    )


def split(image: Image, wanted: Sequence[int] | None, axes: int) -> tuple[tuple[int, ...], ...]:
    """The pages of each sample: every page, or for a net of three axes every volume along Z.

    Raises ImageError for a page that is not there, or where it is unclear what a volume is.
    """
    pages = tuple(chosen_pages(wanted, image))
    if axes == 2:
        return tuple((page,) for page in pages)
    found = volumes(image.layout, str(image.path))
    if wanted is None:
        return found
    if len(found) > 1:
        raise ImageError(
            "--pages would choose from several volumes",
            where=str(image.path),
            found=f"axes {image.axes}",
            remedy="Leave --pages out",
        )
    return (pages,)


def chosen_pages(wanted: Sequence[int] | None, image: Image) -> Sequence[int]:
    """The pages to segment; raises ImageError for a page that is not there, or too many."""
    if wanted is None and len(image) > MOST_PAGES:
        raise ImageError(
            "has more pages than one command segments",
            where=str(image.path),
            expected=f"at most {MOST_PAGES:,}",
            found=f"{len(image):,}",
            remedy="Choose some with --pages",
        )
    if wanted is None:
        return range(len(image))
    for number in wanted:
        if not 0 <= number < len(image):
            raise ImageError(
                f"has no page {number}",
                where=str(image.path),
                expected=f"0 to {len(image) - 1}",
            )
    return wanted


def pixel_sizes(
    deployed: Deployed, image: Image, args: Any
) -> tuple[tuple[tuple[float, ...], tuple[float, ...]] | None, tuple[str, ...]]:
    """Micrometres of a pixel of the image and of the net, None where they are not compared, and
    notes on what is unknown."""
    axes = deployed.predictor.axes
    net = deployed.pixel_size
    if args.model_pixel_size is not None:
        net = spread(args.model_pixel_size, axes, "--model-pixel-size")
    if args.pixel_size == "none" or not net:
        unused = args.pixel_size not in (None, "none") and not net
        note = "the net's pixel size is not known (--model-pixel-size), so nothing is rescaled"
        return None, (note,) if unused else ()
    if len(net) != axes:
        raise ImageError(
            "the net's pixel size has another number of axes than the net",
            where=deployed.weights,
            expected=axes,
            found=_product(net, "g"),
            remedy="Give --model-pixel-size, or --pixel-size none",
        )
    own = micrometres_of(as_said(image, args, axes), axes)
    known = tuple(s for s in own if s is not None)
    if len(known) < axes:
        note = (
            f"the image's pixel size is not known, the net's is {_product(net, 'g')} um: nothing "
            "is rescaled; --pixel-size gives it"
        )
        return None, (note,)
    return (known, net), unlike(known, net)


def unlike(own: Sequence[float], net: Sequence[float]) -> tuple[str, ...]:
    """A note where an image is rescaled so far that its pixel size is likely to be wrong."""
    factor = max((a / b for a, b in zip(own, net, strict=True)), key=lambda f: max(f, 1 / f))
    times = max(factor, 1 / factor)
    if times <= UNLIKE:
        return ()
    than = "larger" if factor > 1 else "smaller"
    return (
        f"the image's pixels are {times:.3g} times {than} than in training: if their size is "
        "wrong, --pixel-size gives it, or none, which rescales nothing",
    )


def as_said(image: Image, args: Any, axes: int) -> Image:
    """The image with the pixel size that the user says, if one is said."""
    if args.pixel_size in (None, "none"):
        return image
    sizes = spread(args.pixel_size, axes, "--pixel-size")
    depth = sizes[0] if axes == 3 else image.depth if image.unit == "um" else None
    return replace(image, pixel_size=(sizes[-2], sizes[-1]), unit="um", depth=depth)


def micrometres_of(image: Image, axes: int) -> tuple[float | None, ...]:
    """Of a pixel along the last axes; None where unknown."""
    plane = micrometres(image.pixel_size, image.unit)
    deep = micrometres((image.depth,), image.unit) if image.depth else None
    return (*(deep or (None,)), *(plane or (None, None)))[-axes:]


def known(sizes: tuple[float | None, ...]) -> tuple[float, ...] | None:
    """The sizes where all are known, else None."""
    found = tuple(s for s in sizes if s is not None)
    return found if len(found) == len(sizes) else None


def spread(given: Sequence[T], axes: int, option: str) -> tuple[T, ...]:
    """A size for every axis from one that holds for all, or from one each."""
    sizes = tuple(given) * axes if len(set(given)) == 1 and len(given) < axes else tuple(given)
    if len(sizes) != axes:
        raise ImageError(
            f"{option} has another number of axes than the net",
            expected=f"one size, or {axes}",
            found=_product(sizes, "g"),
        )
    return sizes


def held_bytes(predictor: Predictor, image: Image, how: Rescaling, kind: str) -> int:
    """Bytes of the arrays that one sample needs beside the net: the image as it is, rescaled,
    normalised and turned, and scores of one version, their sum, and on the image's grid."""
    outer, inner = math.prod(how.shape), math.prod(how.inner)
    turned = max(
        (
            math.prod((*how.inner[:-2], *averaging.canvas(how.inner[-2:], turn)))
            for turn in averaging.ROTATIONS.get(kind, ())
        ),
        default=inner,
    )
    raw = image.shape[1] * outer * image.dtype.itemsize
    seen = image.shape[1] * (inner + turned) * FLOAT
    scores = predictor.classes * (inner + turned + (outer if how.needed else 0)) * FLOAT
    return raw + seen + scores


def choose(predictor: Predictor, shape: Sequence[int], args: Any) -> Tiling:
    """The tiling that the options ask for; MemoryBudgetError where the machine is too small."""
    if args.tile_size:
        inputs = spread(args.tile_size, len(shape), "--tile-size")
        tiling = predictor.tiling(shape, inputs)
    elif args.tiles:
        tiling = predictor.choose(shape, count=args.tiles)
    else:
        if args.memory is None:
            return predictor.choose(shape, budget=default_budget(predictor.net))
        return predictor.choose(shape, budget=int(min(args.memory, 2.0**40) * 2**20))
    most = room(predictor.net)
    if tiling.memory > most:
        raise MemoryBudgetError(
            f"a tile of {_product(tiling.inputs)} pixels needs more memory than there is",
            expected=f"at most {most / 2**20:,.0f} MiB",
            found=f"{tiling.memory / 2**20:,.0f} MiB",
            remedy="Take smaller tiles: --memory or --tile-size",
        )
    return tiling


def size(count: int) -> str:
    """Bytes as MiB or GiB."""
    return f"{count / 2**20:,.3g} MiB" if count < 1 << 30 else f"{count / 2**30:,.1f} GiB"


def _product(values: Sequence[int] | Sequence[float], form: str = "d") -> str:
    return "x".join(f"{v:{form}}" for v in values)


def _why(how: Rescaling, sizes: Any) -> str:
    if not how.needed:
        return ""
    image, net = (_product(s, "g") for s in sizes)
    return (
        f" (the image has {_product(how.shape)}; its pixel is {image} um, the net's {net} um, so "
        f"it is rescaled by {_product(how.factors, '.4g')})"
    )


def _remedy(how: Rescaling, option: str) -> str:
    if not how.needed:
        return f"Cut the image in parts, or allow more: {option}"
    return (
        "Correct --pixel-size or --model-pixel-size, segment the image as it is with --pixel-size "
        f"none, or allow more: {option}"
    )
