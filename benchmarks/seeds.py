"""Is training steady?  The recipe of isbi2012.py from several seeds, one after the other.

    python benchmarks/seeds.py --data examples/isbi2012 --hours 2

With momentum 0.99 and one tile a batch a step of the wrong size is felt for a hundred iterations.
The tiles are the same for all; a seed decides the first weights, the order of the tiles and what
dropout drops.  --hours are shared out equally, which sets the length, unless --max-iter does.  Each
training's loss and gradient norm are recorded every 20 iterations; it has diverged if they were not
finite, or if the loss ended above where it began.  A second call goes on.  What has ended is scored
on slices 20-23 as isbi2012.py does, which tells how much scores scatter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import isbi2012
from _experiment import Recipe, keep, parser, settle, write_net
from _series import HEAD, cells, having, trained
from demitasse.tools._table import Table, show


def main() -> int:
    args = arguments()
    work: Path = args.folder
    names = ("tiles", "base", "base_lr", "seed", "seeds")
    settle(work, {"slices": isbi2012.TRAINED} | {name: getattr(args, name) for name in names})
    tiles = work / "tiles"
    isbi2012.prepare(args, tiles)
    recipe = Recipe(write=lambda folder, base: write_net(folder, base, tiles=tiles))
    seeds = range(args.seed, args.seed + args.seeds)
    runs = {work / f"seed-{seed}": (having(args, seed=seed), recipe) for seed in seeds}
    found = {folder.name: record for folder, record in trained(args, runs).items()}
    for name, record in found.items():
        if record["complete"] and not record["failed"]:
            record["scores"] = isbi2012.scored(args, work / name)
    show(Table(["", *HEAD, *isbi2012.HEAD], [row(*item) for item in found.items()]))
    diverged = [name for name, record in found.items() if record["diverged"]]
    complete = len(found) == args.seeds and all(record["complete"] for record in found.values())
    print(f"{len(diverged)} of {len(found)} diverged" + ("" if complete else "; not finished yet"))
    result = {"tiles": args.tiles, "complete": complete, "diverged": diverged, "runs": found}
    print(keep(args, "seeds", result))
    return 0


def row(name: str, record: dict[str, Any]) -> list[str]:
    return [name, *cells(record), *isbi2012.cells(record.get("scores"))]


def arguments() -> Any:
    p = parser(__doc__, "examples/seeds-run", base_lr=0.002, tiles=600)
    p.add_argument("--seeds", type=int, default=5, help="how many, from --seed on (5)")
    return p.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
