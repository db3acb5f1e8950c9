"""A page to drop images on: `python tools/serve.py --weights unet.h5`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("serve")

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import DeviceError
from . import _device, _options, _segmenting

EPILOG = """\
The page is for this computer alone: it is served on 127.0.0.1, under an address with a random word
that the terminal shows, and asks no other server for anything.  The last 16 images and their
results are kept in a temporary folder until they are removed in the page or the server ends
(Ctrl-C); older ones make room for new ones.

examples:
  python tools/serve.py --weights unet.h5
        opens the page in the browser: drop a TIFF or PNG on it
  python tools/serve.py --weights unet.h5 --no-browser --port 8080
        on a machine without a screen; then, on your own: ssh -L 8080:127.0.0.1:8080 that-machine
        and open the address that was shown
  python tools/serve.py --weights old.caffemodel.h5 --model deploy.prototxt --average rotate
        how to segment, and what an object is, is said as to demitasse deploy
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="serve.py",
        description="Segment images in the browser: drop a TIFF or PNG, move the threshold, save "
        "the result.",
        epilog=EPILOG,
    )
    _segmenting.add_model(p)
    p.add_argument(
        "--port", type=port, default=0, metavar="N", help="of the page (default: a free one)"
    )
    p.add_argument("--no-browser", action="store_true", help="only say the address")
    p.add_argument(
        "--max-upload",
        type=_options.mebibytes,
        default=1 << 30,
        metavar="MIB",
        help="the largest image that is taken (default 1024)",
    )
    _segmenting.add(p)
    _segmenting.add_rest(p)
    p.set_defaults(overwrite=False)
    return p


def port(text: str) -> int:
    """A port of this machine."""
    number = _options.positive_int(text)
    if number > 65_535:
        raise argparse.ArgumentTypeError(f"'{text}' is not a port from 1 to 65535")
    return number


def main(argv: Sequence[str]) -> int:
    from ..imaging.deployed import load_deployed
    from ._model import print_note

    args = parser().parse_args(argv)
    rule = _segmenting.normalization(args)
    _device.started(args)
    options = _options.net_options(args)
    deployed = load_deployed(args.weights, args.model, rule, said=print_note, **options)
    with ended_by_sigterm(), tempfile.TemporaryDirectory(prefix="demitasse-") as folder:
        serve(deployed, args, Path(folder))
    return 0


def serve(deployed: Any, args: Any, folder: Path) -> None:
    """Until Ctrl-C."""
    from ._http import Server
    from ._jobs import Jobs

    jobs = Jobs(deployed, args, folder)
    try:
        server = Server(args.port, jobs, folder, args.max_upload)
    except OSError as error:
        jobs.end()
        raise DeviceError(
            f"port {args.port} cannot be opened ({error.strerror})",
            remedy="Name another: --port; or leave it out",
        ) from error
    try:
        print(f"{args.weights}: open {server.url}", flush=True)
        print("Ctrl-C ends it.", flush=True)
        if not args.no_browser and has_screen():
            import webbrowser

            webbrowser.open(server.url)
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        print("stopping after the tile being computed", file=sys.stderr, flush=True)
    finally:
        server.server_close()
        jobs.end()


def has_screen() -> bool:
    """Whether a browser would open a window, and not take the terminal."""
    return sys.platform != "linux" or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


@contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM meanwhile is what Ctrl-C is, so that nothing is left behind."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
