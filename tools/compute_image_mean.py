"""The mean of images: `python tools/compute_image_mean.py train_lmdb mean.binaryproto`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("compute_image_mean")

import os
from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import DataError
from . import _options
from ._progress import follow
from .convert_imageset import add_backend, add_reading, check_backend, size_of

EPILOG = """\
INPUT is an LMDB database of images, or a text file with lines such as `cat/1.png 3`.  The mean is
for transform_param { mean_file: "mean.binaryproto" }; the mean of each channel, which is printed,
for transform_param { mean_value: ... }.

examples:
  python tools/compute_image_mean.py train_lmdb mean.binaryproto
  python tools/compute_image_mean.py --root images/ --resize_height 256 --resize_width 256 \\
      train.txt mean.binaryproto
"""
STEP = 256  # rows read together


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="compute_image_mean.py",
        description="The mean image of a data set, as Caffe's tool of this name computes it.",
        epilog=EPILOG,
    )
    p.add_argument("input", metavar="INPUT", help="an LMDB database, or a list of images")
    p.add_argument("output", nargs="?", metavar="OUTPUT_FILE", help="a .binaryproto")
    add_backend(p)
    g = p.add_argument_group("where INPUT is a list of images")
    g.add_argument("--root", default="", metavar="FOLDER/", help="put before each path")
    add_reading(p)
    return p


def main(argv: Sequence[str]) -> int:
    from ..data.blobproto import write_blob
    from ..files import check_writable

    args = parser().parse_args(argv)
    check_backend(args.backend)
    if args.output:
        check_writable(args.output)
    size = size_of(args.resize_height, args.resize_width)
    if os.path.isdir(args.input) or args.input.endswith(".mdb"):
        if size or args.gray or args.root:
            raise DataError(
                "is a database: its images are taken as they are",
                where=args.input,
                remedy="Leave out --root, --gray and --resize_*",
            )
        mean = mean_of(stored(args.input))
    else:
        mean = mean_of(listed(args.input, args.root, not args.gray, size))
    if args.output:
        write_blob(args.output, mean[None], legacy=True)
    print(f"Number of channels: {len(mean)}")
    for c, value in enumerate(mean.mean(axis=(1, 2), dtype=np.float64)):
        print(f"mean_value channel [{c}]: {value:g}")
    return 0


def mean_of(images: Iterator[tuple[np.ndarray, str]]) -> np.ndarray:
    """The float32 mean of (image, name); summed in double, so also of many."""
    total, count = np.zeros(0), 0
    for image, name in images:
        if not count:
            total = np.zeros(image.shape, np.float64)
        if image.shape != total.shape:
            raise DataError(
                "has another size than the images before",
                where=name,
                expected=" x ".join(map(str, total.shape)),
                found=" x ".join(map(str, image.shape)),
                remedy="Make all images of one size: --resize_height, --resize_width",
            )
        total += image
        count += 1
    return (total / count).astype(np.float32)


def stored(path: str) -> Iterator[tuple[np.ndarray, str]]:
    """The images of a database."""
    from ..data.datum import unpack
    from ..data.records import Records

    records = Records(path)
    steps = range(0, records.count, STEP)
    for start in follow(steps, len(steps), "Summing"):
        for key, value in records.read(start, min(STEP, records.count - start)):
            yield unpack(value, where=records.where(key))[0], records.where(key)


def listed(
    path: str, root: str, colour: bool, size: tuple[int, int] | None
) -> Iterator[tuple[np.ndarray, str]]:
    """The images a text file lists."""
    from ..data.image_list import read_image_list
    from ..data.pictures import read

    entries = read_image_list(path)
    for name, _ in follow(entries, len(entries), "Summing"):
        yield read(root + name, colour=colour, size=size).transpose(2, 0, 1), root + name
