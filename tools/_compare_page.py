"""The page about several trainings: their curves on the same axes, and the settings that differ."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from . import _page as h
from ._chart import Series
from ._page import Html, tag
from ._run_page import Panel, by_output, charts, is_loss, number4, of_steps, of_values, pairs, span
from ._runs import Run, text

COLOURS, MOST_LINES = 6, 400  # of charts; of a difference between two nets
_FIELD = re.compile(r"(\w+): (.*)")


def page(runs: Sequence[Run]) -> str:
    names = labels(runs)
    title = " and ".join(names) if len(names) == 2 else f"{len(names)} trainings"
    sections = [
        ("Results", results(runs, names)),
        ("Curves", curves(runs, names)),
        ("Settings that differ", differing(runs, names)),
        ("Nets that differ", nets(runs, names)),
    ]
    there = [(name, body) for name, body in sections if body]
    links = tag("nav", *(tag("a", t, href=f"#{h.anchor(t)}") for t, _ in there))
    top = tag("header", tag("h1", title), links)
    return h.page(f"{title} - demitasse", top, *(h.section(t, body) for t, body in there))


def labels(runs: Sequence[Run]) -> list[str]:
    """A name for each run, of its own."""
    names = [run.name for run in runs]
    return [
        name if names.count(name) == 1 else f"{name} ({run.path}, {text(run.start.get('run'))})"
        for name, run in zip(names, runs, strict=True)
    ]


def results(runs: Sequence[Run], names: Sequence[str]) -> Html:
    """A row for each run: how far, how long, how good."""
    outputs = [by_output(run) for run in runs]
    tested = list(dict.fromkeys(name for found in outputs for name in found))
    head = ["run", "iterations", "time", "loss at the end", *(f"best {name}" for name in tested)]
    rows = []
    for name, run, found in zip(names, runs, outputs, strict=True):
        best = []
        for output in tested:
            values = [v for _, v in found.get(output, []) if v == v]  # NaN is never the best
            least = is_loss(output)
            best.append(number4((min if least else max)(values)) if values else "-")
        loss = number4(run.steps[-1].smoothed) if run.steps else "-"
        spent = span(run.seconds) if run.seconds == run.seconds else "-"
        rows.append((name, f"{run.iterations:,}", spent, loss, *best))
    return h.table(rows, head)


def curves(runs: Sequence[Run], names: Sequence[str]) -> Html:
    def of(field: str) -> list[Series]:
        several = enumerate(zip(runs, names, strict=True))
        return [of_steps(run, field, k % COLOURS, name) for k, (run, name) in several]

    panels = [Panel("Loss", of("smoothed"), "loss", "mean over average_loss")]
    outputs = [by_output(run) for run in runs]
    for output in dict.fromkeys(name for found in outputs for name in found):
        series = [
            of_values(name, found.get(output, []), k % COLOURS)
            for k, (name, found) in enumerate(zip(names, outputs, strict=True))
        ]
        panels.append(Panel(f"Test {output}", series, "mean over test_iter"))
    panels.append(Panel("Learning rate", of("rate"), "rate"))
    panels.append(Panel("Gradient norm", of("norm"), "L2 norm", "before clip_gradients"))
    return charts(*panels)


def flat(run: Run) -> dict[str, str]:
    """Every setting by name: the solver's fields, options, versions, hashes."""
    found: dict[str, str] = {}
    solver = run.start.get("solver")
    depth = 0
    for line in text(solver.get("text")).splitlines() if isinstance(solver, Mapping) else []:
        field = _FIELD.match(line)
        if field and depth == 0:
            known = found.get(f"solver: {field[1]}")
            found[f"solver: {field[1]}"] = f"{known}, {field[2]}" if known else field[2]
        depth += line.endswith("{") - (line.strip() == "}")
    found |= {
        name: str(run.start[name]) for name in ("seed", "folder", "device") if name in run.start
    }
    for group in ("options", "versions", "machine"):
        found |= {f"{group}: {name}": str(value) for name, value in pairs(run.start.get(group))}
    for path, known in pairs(run.start.get("files")):
        digest = text(known.get("sha256")) if isinstance(known, Mapping) else ""
        found[f"file: {path}"] = digest[:16] or "no hash"
    return found


def differing(runs: Sequence[Run], names: Sequence[str]) -> Html:
    settings = [flat(run) for run in runs]
    keys = dict.fromkeys(key for found in settings for key in found)
    rows = [
        (key, *(found.get(key, "-") for found in settings))
        for key in keys
        if len({found.get(key) for found in settings}) > 1
    ]
    if not rows:
        return tag("p", "None that the logs tell of.", class_="soft")
    return h.table(rows, ("setting", *names))


def nets(runs: Sequence[Run], names: Sequence[str]) -> Html:
    """The first run's nets against each other's, line by line."""
    first, *others = ["\n".join(text(t) for _, t in pairs(run.start.get("nets"))) for run in runs]
    parts = []
    for name, other in zip(names[1:], others, strict=True):
        lines = list(
            difflib.unified_diff(
                first.splitlines(), other.splitlines(), names[0], name, lineterm=""
            )
        )
        if not lines:
            continue
        shown = [tag("span", f"{line}\n", class_=kind(line)) for line in lines[:MOST_LINES]]
        rest = len(lines) - MOST_LINES
        more = tag("p", f"and {rest:,} lines more", class_="soft") if rest > 0 else ""
        parts += [tag("h3", f"{names[0]} and {name}"), tag("pre", *shown), more]
    return h.join(parts)


def kind(line: str) -> str:
    return {"+": "added", "-": "removed"}.get(line[:1], "same")
