"""Let the Fiji plugin work with demitasse: `python tools/fiji.py --install ~/unet`.

The plugin "U-Net Segmentation" (Falk et al., Nature Methods 2019) is a front end: it starts two
programs, caffe_unet to predict and caffe to train, and reads what they write.  These are written
here, as launchers of this installation.  They name it by absolute paths and need neither PATH nor
LD_LIBRARY_PATH.  In the plugin, set the path of caffe_unet to the one that is printed; it looks for
caffe beside it.
"""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("fiji")

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import DemitasseError, OutputError
from ..files import check_writable, replacing
from . import _options

# the program, the command behind it, and flags that the plugin counts on but does not give
PROGRAMS = {
    "caffe_unet": ("caffe_unet", ()),
    "caffe": ("caffe", ("-adapt_classes", "-first_of_all")),
}

EPILOG = """\
examples:
  python tools/fiji.py --install ~/unet
        then, in Fiji: Plugins > U-Net > U-Net Segmentation, caffe_unet binary: ~/unet/caffe_unet
  python tools/fiji.py --install ~/unet --overwrite
        again, after demitasse or its Python has moved
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="fiji.py",
        description="Write the programs caffe_unet and caffe that the Fiji plugin starts.",
        epilog=EPILOG,
    )
    p.add_argument("--install", metavar="DIR", help="folder to write them into")
    p.add_argument("--overwrite", action="store_true", help="replace what is there")
    return p


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    if args.install is None:
        parser().print_help()
        return 0
    folder = Path(args.install).expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise OutputError("is a file, not a folder", where=str(folder)) from None
    for name in PROGRAMS:
        check_writable(folder / name, overwrite=args.overwrite)
    for name in PROGRAMS:
        install(folder / name)
        print(f"{folder / name}: works")
    print(f"in Fiji, give {folder / 'caffe_unet'} where the plugin asks for caffe_unet")
    return 0


def launcher(program: str) -> str:
    """The text of a launcher: a shell that becomes this Python, so that a signal reaches it."""
    command, flags = PROGRAMS[program]
    script = Path(__file__).resolve().with_name(f"{command}.py")
    words = [sys.executable, "-E", str(script), *flags]
    return f'#!/bin/sh\n# written by demitasse\nexec {shlex.join(words)} "$@"\n'


def install(path: Path) -> None:
    """Write a launcher, and start it as the plugin does to see whether it is there."""
    with replacing(path) as temporary:
        temporary.write_text(launcher(path.name), encoding="utf-8")
        os.chmod(temporary, 0o755)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run([path], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemitasseError(
            f"was written, but ends with exit code {done.returncode}",
            where=str(path),
            found=(done.stderr.strip().splitlines() or ["nothing on stderr"])[-1],
        )
