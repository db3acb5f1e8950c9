"""From an image's pages to the pages of each result.

pages -> rescaled -> normalised -> scores -> back on the image's grid -> labels, prob, ...
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from ..errors import ImageError, WeightsError

if TYPE_CHECKING:
    from ..imaging.deployed import Deployed
    from ._segmentation import Plan

OUTPUTS = ("labels", "prob", "score", "instances", "ome")
# NAME.labels.tif, NAME.overlay-3.png, and NAME.labels-0.25.tif of serve
_RESULT = re.compile(rf"(.+)\.({'|'.join(OUTPUTS)}|overlay)(-[\d.]+)?", re.DOTALL)
# arguments of imaging.instances
OBJECTS = ("min_size", "connectivity", "border", "fill_holes", "seeds")


def parted(path: Path) -> tuple[str, str]:
    """The name of the image that a file belongs to, and which result of it the file is: of
    img.labels.tif "img" and "labels".  A file that is no result has its own name, and ""."""
    found = _RESULT.fullmatch(path.stem)
    return (found[1], found[2]) if found else (path.stem, "")


def each_score(
    deployed: Deployed, plan: Plan, args: Any, advance: Callable[[], None]
) -> Iterator[np.ndarray]:
    """The scores (classes, *spatial) of each sample; WeightsError where they are not finite."""
    from ..imaging import averaging

    for pages in plan.samples:
        where = f"{plan.image.path}, page {pages[0]}" + (f"-{pages[-1]}" if pages[1:] else "")
        score = plan.rescaling.back(
            averaging.predict(
                deployed.predictor,
                prepared(deployed, plan, pages, args.nonfinite, where),
                plan.tiling,
                args.average,
                lambda done, n: advance(),
                where=str(plan.image.path),
            )
        )
        if not np.isfinite(score).all():
            raise WeightsError(
                f"the scores of {where}, are not finite",
                where=deployed.weights,
                remedy="The training may have diverged: take an earlier snapshot; or the pixels are"
                " far from those it saw: see --normalization",
            )
        yield score


def prepared(
    deployed: Deployed, plan: Plan, pages: Sequence[int], nonfinite: str, where: str
) -> np.ndarray:
    """A sample (channels, *spatial) as the net wants it: rescaled, then normalised."""
    from ..data.normalize import check_finite

    rule = deployed.normalization
    raw = [plan.image.page(page) for page in pages]
    pixels = raw[0] if deployed.predictor.axes == 2 else np.stack(raw, axis=1)
    if check_finite(pixels, nonfinite=nonfinite, where=where) is not None:
        print(f"warning: {where}: pixels that are not finite count as 0", file=sys.stderr)
    # of a rescaled image the type no longer says the depth
    fitted = rule.fit(pixels, nonfinite="zero") if rule.name == "depth" else None
    pixels = plan.rescaling.there(pixels)
    bad = check_finite(pixels, nonfinite="zero")
    values = pixels if bad is None else pixels[~bad]
    if not values.size or values.min() == values.max():
        level = f"is {values.flat[0]:g}" if values.size else "is not finite"
        print(
            f"warning: {where}: every pixel {level}: there is nothing to tell apart",
            file=sys.stderr,
        )
    offset, scale = fitted or rule.fit(pixels, nonfinite="zero")
    made = rule.apply(pixels, offset, scale, bad)
    if not np.isfinite(made).all():
        raise ImageError(
            "normalised, it holds values beyond what the net computes with",
            where=where,
            expected=f"at most {np.finfo(made.dtype).max:.3g}",
            found=f"pixels up to {np.abs(values).max():.3g}",
            remedy="Scale the pixels down, or choose another --normalization",
        )
    return made


def result(kind: str, score: np.ndarray, args: Any = None, where: str = "") -> np.ndarray:
    """One sample of a kind of output; its own memory."""
    from ..imaging.predict import largest, softmax

    if kind in ("labels", "instances"):
        labels = largest(score)
        if kind == "labels":
            return labels
        sure = softmax(score.astype(np.float32)) if args.seeds is not None else None
        return objects(labels, args, where, sure)
    values = score.astype(np.float32)
    if kind == "score":
        return values
    prob = softmax(values)
    if kind == "prob" and getattr(args, "area_opening", None):
        open_objects(prob, args)
    return prob[1].copy() if len(prob) == 2 and kind == "prob" else prob


def open_objects(prob: np.ndarray, args: Any) -> None:
    """Lower the small pieces of every class above 0; class 0 has what they lose."""
    from ..imaging.opening import area_opening

    for one in prob[1:]:
        one[...] = area_opening(one, args.area_opening, connectivity=args.connectivity or 4)
    prob[0] = 1 - prob[1:].sum(axis=0)


def objects(
    labels: np.ndarray, args: Any, where: str = "", probabilities: np.ndarray | None = None
) -> np.ndarray:
    """The objects of a map of classes, as the options say what one is; probabilities: of each
    class, where they say `seeds`."""
    from ..imaging.instances import instances

    given = {name: getattr(args, name) for name in OBJECTS}
    wanted = {name: value for name, value in given.items() if value is not None}
    return instances(labels, **wanted, probabilities=probabilities, where=where)


def stored(samples: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Object maps in the one type that holds all of them."""
    from ..imaging.instances import storage

    kind = storage(max(int(sample.max(initial=0)) for sample in samples))
    return [sample.astype(kind) for sample in samples]


def planes(sample: np.ndarray, volume: bool) -> Iterator[np.ndarray]:
    """The pages (..., height, width) of a sample: itself, of a volume one for each slice."""
    if not volume:
        yield sample
        return
    for z in range(sample.shape[-3]):
        yield sample[..., z, :, :]


def info(deployed: Deployed, plan: Plan, kind: str, args: Any) -> str:
    """How a result came about, a line for each thing, to be kept with it."""
    rule = deployed.normalization
    lines = [
        f"demitasse {__version__}: {kind} of {plan.image.path.name}",
        f"weights: {deployed.weights}",
        f"normalization: {rule.to_json()}",
        f"average: {args.average}",
        *plan.lines(),
    ]
    if kind == "prob" and args.area_opening:
        lines.append(f"area opening: {args.area_opening}")
    if kind == "instances":
        lines += [f"{name}: {v}" for name in OBJECTS if (v := getattr(args, name)) is not None]
    return "\n".join(lines)
