"""The verbs of `demitasse` and their options, from the parsers that read them."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator

from demitasse.tools import cli


def parser(verb: str) -> argparse.ArgumentParser:
    module = importlib.import_module(f"demitasse.tools.{cli.VERBS[verb][0]}")
    found: argparse.ArgumentParser = module.parser()
    return found


def verbs() -> str:
    """A table of all verbs."""
    rows = [f"| [`{verb}`](#{verb}) | {what} |" for verb, (_, what) in cli.VERBS.items()]
    return "\n".join(["| verb | what it does |", "|---|---|", *rows])


def options() -> str:
    """A section for each verb."""
    return "\n\n".join(section(verb) for verb in cli.VERBS)


def section(verb: str) -> str:
    made = parser(verb)
    parts = [f"## {verb}", cell(made.description or cli.VERBS[verb][1])]
    rows = [row for action in made._actions for row in rows_of(action)]
    if rows:
        parts.append("\n".join(["| option | what it does |", "|---|---|", *rows]))
    if made.epilog:
        parts.append(f"```text\n{made.epilog.strip()}\n```")
    return "\n\n".join(parts)


def rows_of(action: argparse.Action) -> Iterator[str]:
    """The row of an option; none for --help and hidden ones."""
    if isinstance(action, argparse._HelpAction) or action.help == argparse.SUPPRESS:
        return
    if isinstance(action, argparse._SubParsersAction):
        for name, one in action.choices.items():
            yield f"| `{name}` | {cell(one.description or '')} |"
            for nested in one._actions:
                yield from rows_of(nested)
        return
    name = action.option_strings[-1] if action.option_strings else ""
    words = " ".join(word for word in (name, value(action)) if word)
    yield f"| <code>{cell(words)}</code> | {cell(said(action))} |"


def value(action: argparse.Action) -> str:
    """What is to be given behind an option's name."""
    if action.nargs == 0:
        return ""
    if action.metavar:
        return str(action.metavar)
    if action.choices:
        return "{" + ",".join(map(str, action.choices)) + "}"
    return action.dest.upper() if action.option_strings else action.dest


def said(action: argparse.Action) -> str:
    fields = {**vars(action), "prog": "demitasse"}
    return (action.help or "") % fields


def cell(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;").replace("|", "&#124;")
