"""What the pages have from the code.

    python docs/made                       fills the parts of pages that are made from the code
    python docs/made --check               changes nothing, fails where that would
    python docs/made --pictures all        makes all pictures, in minutes
    python docs/made --pictures errors     or some: a word of PICTURES each

A part lies between two comments, `<!-- made: NAME -->` and `<!-- end -->`; NAME is a row of PARTS.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import alignment
import commands
import floors
import mistakes
import page
import prototxt
import readme
import speed
import training
import variances

DOCS = Path(__file__).resolve().parent.parent
PARTS: dict[str, Callable[[], str]] = {
    "verbs": commands.verbs,
    "commands": commands.options,
    "net": prototxt.net,
    "shared": prototxt.shared,
    "layers": prototxt.layers,
    "solver": prototxt.solver,
    "speed": speed.tables,
    "floors": floors.tables,
    "errors": mistakes.table,
    "thinned": mistakes.thinned,
    "variances": variances.table,
}
MEASURED = {"variances"}  # from another machine their last digit may differ
PICTURES: dict[str, Callable[[Path], None]] = {
    "net": readme.net,
    "alignment": alignment.draw,
    "errors": mistakes.draw,
    "variances": variances.draw,
    "demo": readme.segmented,
    "page": page.draw,
    "training": training.draw,
}
PART = re.compile(r"(<!-- made: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])\d[\d.]*(?:e-?\d+)?")


def filled(text: str) -> str:
    """A page with every part made anew."""

    def part(found: re.Match[str]) -> str:
        new = f"\n{PARTS[found[2]]()}\n\n"
        if found[2] in MEASURED and agree(found[3], new):
            new = found[3]
        return found[1] + new + found[4]

    return PART.sub(part, text)


def agree(a: str, b: str) -> bool:
    """Whether texts differ in nothing but numbers, and in these by a twentieth at most."""
    if NUMBER.sub("", a) != NUMBER.sub("", b):
        return False
    pairs = zip(NUMBER.findall(a), NUMBER.findall(b), strict=True)
    return all(math.isclose(float(x), float(y), rel_tol=0.05) for x, y in pairs)


def stale() -> dict[Path, str]:
    """{page: what it should be} of those that are not so."""
    pages = {path: path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
    return {path: new for path, text in pages.items() if (new := filled(text)) != text}


def main() -> int:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--check", action="store_true")
    p.add_argument("--pictures", nargs="+", choices=["all", *PICTURES], metavar="NAME", default=[])
    args = p.parse_args()
    os.chdir(DOCS.parent)
    if args.pictures:
        for name, draw in PICTURES.items():
            if name in args.pictures or "all" in args.pictures:
                print(name, flush=True)
                draw(DOCS / "images")
        return 0
    found = stale()
    for path, text in found.items():
        print(f"{path.relative_to(DOCS.parent)}: {'is stale' if args.check else 'made'}")
        if not args.check:
            path.write_text(text, encoding="utf-8")
    return int(args.check and bool(found))


if __name__ == "__main__":
    sys.exit(main())
