"""The command `demitasse VERB ...`: each verb is one of the scripts in tools/.

demitasse fiji --install ~/unet    is    python tools/fiji.py --install ~/unet
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

from ._main import guarded

VERBS = {  # verb: (module, what it does)
    "deploy": ("deploy", "segment images"),
    "solve": ("solve", "train from a solver's prototxt"),
    "caffe": ("caffe", "train, test, time, device_query, with Caffe's flags"),
    "pack": ("pack", "make training data from images and labels"),
    "report": ("report", "make a page about a training"),
    "evaluate": ("evaluate", "compare a segmentation with the truth"),
    "track": ("track", "follow objects through a time series"),
    "plan": ("plan", "print sizes and memory of a net"),
    "port": ("port", "bring back old Caffe weights"),
    "modeldef": ("modeldef", "make a model definition of the Fiji plugin"),
    "fiji": ("fiji", "let the Fiji plugin work with demitasse"),
    "draw": ("draw_net", "draw a net"),
    "demo": ("demo", "train and segment drawn images"),
}


def usage() -> str:
    lines = [f"  {verb:<10}{what}" for verb, (_, what) in VERBS.items()]
    return "\n".join(
        ["usage: demitasse VERB [options]", "", *lines, "", "demitasse VERB --help says more"]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; returns its exit code."""
    return guarded(_run, list(sys.argv[1:] if argv is None else argv))


def _run(words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(usage(), flush=True)
        return 0
    if words[0] not in VERBS:
        near = difflib.get_close_matches(words[0], VERBS, 1)
        meant = f"; did you mean {near[0]}?" if near else f"; expected one of {', '.join(VERBS)}"
        print(f"error: demitasse has no verb '{words[0]}'{meant}", file=sys.stderr)
        return 2
    module = importlib.import_module(f".{VERBS[words[0]][0]}", __package__)
    code: int = module.main(words[1:])
    return code
