"""What each part of the U-Net's recipe is good for: isbi2012.py again, with one part left out.

    python benchmarks/ablations.py --data examples/isbi2012 --hours 4

    recipe                     as isbi2012.py has it, narrower
    without averaging          the same parameters; one version of each image instead of seven
    without deformation        tiles mirrored, turned and re-lit, but not bent
    without weight map         every pixel weighs the same
    xavier                     Caffe's filler: U(-a, a), a = sqrt(3 / inputs), instead of He's
    momentum 0.9               at the same rate, which makes a tenth of the way
    momentum 0.9, rate x 10    as far in the long run
    without crop and concat    the expansive path sees what comes from below alone

All are trained equally long, from the same seed.  Slices and scores are those of isbi2012.py; a
difference is worth what it is for one seed (seeds.py tells how much that scatters).  --hours are
shared out equally, which sets the length, unless --max-iter does; a second call goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import isbi2012
from _experiment import Recipe, keep, parser, settle, write_net
from _series import having, state, trained
from demitasse.tools._table import Table, show

AVERAGE = "rotate7"


@dataclass(frozen=True)
class Variant:
    """What differs from the recipe."""

    edit: Callable[[Any], None] = lambda message: None
    momentum: float = 0.99
    rate: float = 1.0
    augment: str = "flips,elastic,grey"


def without_weights(message: Any) -> None:
    for layer in message.layer:
        if layer.type == "SoftmaxWithLoss":
            del layer.bottom[2]


def xavier(message: Any) -> None:
    for layer in message.layer:
        if layer.convolution_param.weight_filler.type == "msra":
            layer.convolution_param.weight_filler.type = "xavier"


def without_skips(message: Any) -> None:
    from_below = {la.top[0]: la.bottom[0] for la in message.layer if la.type == "Concat"}
    for i in reversed(range(len(message.layer))):
        layer = message.layer[i]
        if layer.type in ("Crop", "Concat"):
            del message.layer[i]
        elif layer.bottom and layer.bottom[0] in from_below:
            layer.bottom[0] = from_below[layer.bottom[0]]


VARIANTS = {
    "recipe": Variant(),
    "without deformation": Variant(augment="flips,grey"),
    "without weight map": Variant(without_weights),
    "xavier": Variant(xavier),
    "momentum 0.9": Variant(momentum=0.9),
    "momentum 0.9, rate x 10": Variant(momentum=0.9, rate=10),
    "without crop and concat": Variant(without_skips),
}


def main() -> int:
    args = arguments()
    work: Path = args.folder
    names = ("tiles", "base", "base_lr", "seed")
    settle(work, {"slices": isbi2012.TRAINED} | {name: getattr(args, name) for name in names})
    runs, named = {}, {}
    for name, variant in VARIANTS.items():
        tiles = work / f"tiles-{variant.augment.replace(',', '-')}"
        isbi2012.prepare(args, tiles, variant.augment)
        folder = work / name.replace(",", "").replace(" ", "-")
        options = having(args, base_lr=args.base_lr * variant.rate)
        runs[folder], named[folder] = (options, recipe(variant, tiles)), name
    found = {named[folder]: record for folder, record in trained(args, runs).items()}
    for folder, name in named.items():
        if name in found and found[name]["complete"] and not found[name]["failed"]:
            found[name]["scores"] = isbi2012.scored(args, folder, AVERAGE)
            if name == "recipe":
                alone = {"of": name, "scores": isbi2012.scored(args, folder, "none")}
                found["without averaging"] = {**found[name], **alone}
    show(Table(["", *isbi2012.HEAD, "last loss", ""], [row(*item) for item in found.items()]))
    complete = all(name in found and found[name]["complete"] for name in VARIANTS)
    if not complete:
        print("not finished yet: the same command goes on")
    result = {"tiles": args.tiles, "complete": complete, "average": AVERAGE, "variants": found}
    print(keep(args, "ablations", result))
    return 0


def arguments() -> Any:
    return parser(__doc__, "examples/ablations-run", base_lr=0.002, tiles=600, base=8).parse_args()


def recipe(variant: Variant, tiles: Path) -> Recipe:
    def write(folder: Path, base: int) -> None:
        write_net(folder, base, variant.edit, tiles)

    return Recipe(write=write, momentum=variant.momentum)


def row(name: str, record: dict[str, Any]) -> list[str]:
    scored = isbi2012.cells(record.get("scores"))
    loss = f"{record['loss']['last']:.3f}" if "loss" in record else "-"
    return [name, *scored, loss, state(record)]


if __name__ == "__main__":
    raise SystemExit(main())
