"""Images to a database: `python tools/convert_imageset.py images/ list.txt train_lmdb`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("convert_imageset")

import os
import sys
from collections.abc import Sequence

import numpy as np

from ..errors import DataError, DemitasseError
from . import _options
from ._progress import follow

EPILOG = """\
LISTFILE has lines such as `cat/1.png 3`: a path below ROOTFOLDER, and a label.  The database is for
  layer { type: "Data" top: "data" top: "label"
          data_param { source: "train_lmdb" backend: LMDB batch_size: 64 } }

examples:
  python tools/convert_imageset.py --shuffle --resize_height 256 --resize_width 256 \\
      images/ train.txt train_lmdb
        colour images (blue, green, red) of one size, in random order
  python tools/convert_imageset.py --gray --encoded --encode_type png images/ train.txt train_lmdb
        the images as PNG files inside the database, which is smaller and slower
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="convert_imageset.py",
        description="Put images and labels into an LMDB database, as Caffe's tool of this name.",
        epilog=EPILOG,
    )
    p.add_argument("root", metavar="ROOTFOLDER/", help="put before each path, as it stands")
    p.add_argument("list", metavar="LISTFILE", help="a path and a label in each line")
    p.add_argument("database", metavar="DB_NAME", help="a folder that does not exist yet")
    add_reading(p)
    p.add_argument("-shuffle", "--shuffle", action="store_true", help="store in random order")
    p.add_argument("--seed", type=int, default=0, help="of the random order (default 0)")
    add_backend(p)
    p.add_argument(
        "-check_size", "--check_size", action="store_true", help="refuse images of unequal size"
    )
    p.add_argument(
        "-encoded", "--encoded", action="store_true", help="store picture files, not pixels"
    )
    p.add_argument(
        "-encode_type", "--encode_type", default="", metavar="EXT", help="as png or jpg files"
    )
    p.add_argument(
        "--skip-unreadable",
        action="store_true",
        help="name images that cannot be read and go on, as Caffe does, instead of stopping",
    )
    return p


def add_reading(p: _options.Parser) -> None:
    """How images are read: in grey, at which size."""
    p.add_argument("-gray", "--gray", action="store_true", help="read images in grey")
    for side in ("height", "width"):
        name = f"resize_{side}"
        p.add_argument(
            f"-{name}", f"--{name}", type=int, default=0, metavar="N", help="pixels; 0 as they are"
        )


def add_backend(p: _options.Parser) -> None:
    """`-backend`, of which only lmdb is there."""
    p.add_argument("-backend", "--backend", default="lmdb", metavar="lmdb", help="only lmdb")


def check_backend(name: str) -> None:
    """Refuse LevelDB."""
    if name != "lmdb":
        raise DemitasseError("there is no such database", expected="--backend lmdb", found=name)


def size_of(height: int, width: int) -> tuple[int, int] | None:
    """The size to make images; both sides or none."""
    if min(height, width) < 0 or bool(height) != bool(width):
        raise DemitasseError(
            "--resize_height and --resize_width go together",
            expected="both above 0, or neither",
            found=f"{height} and {width}",
        )
    return (height, width) if height else None


def main(argv: Sequence[str]) -> int:
    from ..data import records
    from ..data.image_list import read_image_list
    from ..errors import ImageError

    args = parser().parse_args(argv)
    check_backend(args.backend)
    size = size_of(args.resize_height, args.resize_width)
    records.check_new(args.database)
    entries = read_image_list(args.list)
    if args.shuffle:
        order = np.random.default_rng(args.seed).permutation(len(entries))
        entries = [entries[i] for i in order]
    written, shape = 0, None
    with records.create(args.database) as put:
        for i, (name, label) in enumerate(follow(entries, len(entries), "Storing")):
            path = args.root + name
            kind = args.encode_type or (name.rpartition(".")[2] if args.encoded else "")
            try:
                value, found = datum(path, label, size, not args.gray, kind.lower())
            except ImageError as error:
                if not args.skip_unreadable:
                    error.remedy = error.remedy or "--skip-unreadable goes on without it"
                    raise
                print(f"skipped: {error}", file=sys.stderr)
                continue
            shape = shape or found
            if args.check_size and found != shape:
                raise DataError(
                    "has another size than the images before",
                    where=path,
                    expected=" x ".join(map(str, shape)),
                    found=" x ".join(map(str, found)),
                    remedy="Give --resize_height and --resize_width",
                )
            put(os.fsencode(f"{i:08d}_{name}"), value)
            written += 1
        if not written:
            raise DataError("no image could be read", where=args.list)
    print(f"{args.database}: {written} images")
    return 0


def datum(
    path: str, label: int, size: tuple[int, int] | None, colour: bool, kind: str
) -> tuple[bytes, tuple[int, ...]]:
    """A row of the database, and the image's shape.

    kind: store a picture file of this kind; the file itself where it is of the kind already, in
    colour and of the right size.
    """
    from ..data.datum import pack, pack_encoded
    from ..data.pictures import encode, read, read_file

    picture = read(path, colour=colour, size=size)
    if not kind:
        return pack(picture.transpose(2, 0, 1), label), picture.shape
    same = path.rpartition(".")[2].lower().replace("jpeg", "jpg") == kind.replace("jpeg", "jpg")
    if same and size is None and colour:
        return pack_encoded(read_file(path), label), picture.shape
    return pack_encoded(encode(picture, kind, where=path), label), picture.shape
