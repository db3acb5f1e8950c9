"""The command `demitasse VERB ...`: each verb is one of the scripts in tools/.

demitasse fiji --install ~/unet    is    python tools/fiji.py --install ~/unet

A new verb is a row of VERBS and a module with `parser()` and `main(argv)`, whose help ends in
examples; tests/tools/test_examples.py runs these.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

from .. import __version__
from ._main import guarded, leave

VERBS = {  # verb: (module, what it does)
    "pack": ("pack", "make training data from images and labels"),
    "train": ("solve", "train from a solver's prototxt"),
    "report": ("report", "make a page about a training"),
    "test": ("score_net", "score a net on its test data"),
    "deploy": ("deploy", "segment images"),
    "serve": ("serve", "segment images in the browser"),
    "evaluate": ("evaluate", "compare a segmentation with the truth"),
    "objects": ("objects", "outline and measure the objects of label images"),
    "track": ("track", "follow objects through a time series"),
    "check": ("check", "find what is wrong in a net's prototxt"),
    "plan": ("plan", "print sizes and memory of a net"),
    "time": ("time_net", "time every layer of a net"),
    "draw": ("draw", "draw a net as SVG, a U-Net as a U"),
    "port": ("port", "bring back old Caffe weights"),
    "export": ("export", "take a net out of Caffe: ONNX, PyTorch, ..."),
    "modeldef": ("modeldef", "make a model definition of the Fiji plugin"),
    "fiji": ("fiji", "let the Fiji plugin work with demitasse"),
    "caffe": ("caffe", "train, test, time, device_query, with Caffe's flags and log"),
    "doctor": ("doctor", "check this installation, and files"),
    "demo": ("demo", "train and segment drawn images"),
    "completion": ("completion", "let the shell complete verbs and options"),
}
ALIASES = {"solve": "train"}  # other names that verbs have had


def usage() -> str:
    lines = [f"  {verb:<12}{what}" for verb, (_, what) in VERBS.items()]
    return "\n".join(
        [
            "usage: demitasse VERB [options]",
            "",
            *lines,
            "",
            "demitasse VERB --help says more; demitasse --version says which this is",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; returns its exit code."""
    return guarded(_run, list(sys.argv[1:] if argv is None else argv))


def command() -> None:
    """What the installed command runs."""
    leave(main())


def _run(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if words[0] in ("--version", "version"):
        print(f"demitasse {__version__}")
        return 0
    verb = ALIASES.get(words[0], words[0])
    if verb not in VERBS:
        near = difflib.get_close_matches(words[0], VERBS, 1)
        meant = f"; did you mean {near[0]}?" if near else f"; expected one of {', '.join(VERBS)}"
        print(f"error: demitasse has no verb '{words[0]}'{meant}", file=sys.stderr)
        return 2
    module = importlib.import_module(f".{VERBS[verb][0]}", __package__)
    code: int = module.main(words[1:])
    return code


if __name__ == "__main__":
    command()
