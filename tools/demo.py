"""From nothing to a segmented image: `make demo`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("demo")

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from . import _options, deploy, evaluate, solve

SEED = 2015  # of the held-out image; the training images have other seeds
SIZE = (512, 512)
PIXEL = (0.004, 0.004)  # micrometres, as in the paper's electron micrographs


EPILOG = """\
examples:
  python tools/demo.py
        two minutes; then look at demo/image.overlay.png
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="demo.py",
        description="Draw synthetic membranes, train a small U-Net on them, segment a held-out "
        "image, and print how good it is.",
        epilog=EPILOG,
    )
    p.add_argument("--folder", type=Path, default=Path("demo"), help="where results go")
    p.add_argument("--max-iter", help="iterations, instead of the solver's")
    return p


def main(argv: Sequence[str]) -> int:
    from ..data import synthetic
    from ..imaging import tiff

    args = parser().parse_args(argv)
    began = time.monotonic()
    args.folder.mkdir(parents=True, exist_ok=True)
    image, labels = args.folder / "image.tif", args.folder / "truth.tif"
    drawn = synthetic.image(SEED, SIZE)
    for path, pixels in ((image, drawn.pixels), (labels, drawn.interior)):
        tiff.write(path, pixels[np.newaxis], pixel_size=PIXEL, overwrite=True)

    for name in ("solver-small.prototxt", "unet-small.prototxt"):
        bring(Path("models") / name)
    model = args.folder / "unet-small"
    shorter = ["--max-iter", args.max_iter] if args.max_iter else []
    run(
        "solve",
        solve.main,
        ["models/solver-small.prototxt", "--prefix", str(model), "--overwrite", *shorter],
    )
    weights = ["--weights", f"{model}.h5"]
    run(
        "deploy",
        deploy.main,
        [*weights, str(image), "--output", "labels,prob", "--overlay", "--overwrite"],
    )
    run("evaluate", evaluate.main, [str(labels), str(args.folder / "image.prob.tif")])
    print(f"\nLook at {args.folder / 'image.overlay.png'}: the cells that were found.")
    print(f"All of it took {time.monotonic() - began:.0f} s.")
    return 0


def bring(path: Path) -> None:
    """Put a file of the installation here, where this is not the repository."""
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((Path(__file__).parent.parent / path).read_bytes())
        print(f"{path}: copied from the installation")


def run(name: str, main: object, argv: list[str]) -> None:
    """Show the command a user would type, then run it."""
    print(_options.spoken(f"\n$ python tools/{name}.py {' '.join(argv)}"), flush=True)
    assert callable(main)
    main(argv)
