"""Let the shell complete what is typed: `demitasse completion bash`."""

from __future__ import annotations

if __name__ == "__main__":  # as a script, or python -m
    from importlib import import_module

    import_module("._root" if __package__ else "_root", __package__).run("completion")

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path

from . import _options

SHELLS = ("bash", "zsh", "fish")
EPILOG = """\
examples:
  demitasse completion bash > ~/.local/share/bash-completion/completions/demitasse
  demitasse completion zsh > ~/.zfunc/_demitasse
        with `fpath+=~/.zfunc` ahead of `compinit` in ~/.zshrc
  demitasse completion fish > ~/.config/fish/completions/demitasse.fish
"""


def parser() -> _options.Parser:
    p = _options.Parser(
        prog="completion.py",
        description="Print a script that lets a shell complete verbs, options and file names.",
        epilog=EPILOG,
    )
    p.add_argument("shell", choices=SHELLS, help="whose script to print")
    return p


def main(argv: Sequence[str]) -> int:
    args = parser().parse_args(argv)
    import shtab

    print(shtab.complete(everything(), shell=args.shell))
    return 0


def everything() -> argparse.ArgumentParser:
    """One parser of all verbs."""
    import shtab

    from .cli import VERBS

    whole = _options.Parser(prog="demitasse")
    verbs = whole.add_subparsers(dest="verb")
    for verb, (name, what) in VERBS.items():
        module = importlib.import_module(f".{name}", __package__)
        one = module.parser()
        for action in one._actions:
            if completes_files(action):
                action.complete = shtab.FILE
        verbs.add_parser(verb, parents=[one], add_help=False, help=what)
    return whole


def completes_files(action: argparse.Action) -> bool:
    """Whether a file's name may stand there: any text or path that is not one of a few words."""
    return action.nargs != 0 and not action.choices and action.type in (None, str, Path)
