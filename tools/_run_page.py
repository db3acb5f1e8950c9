"""The page about one training: how it went, what it gives, on what, with what."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import DemitasseError
from . import _page as h
from ._chart import Series, chart, extent, legend
from ._options import spoken
from ._page import Html, figure, tag
from ._runs import Run, text

PREVIEWS = 4  # deformations that are drawn


def page(run: Run, tiles: int, *, allow_python: bool = False) -> str:
    """tiles: how many worst and best of the test data; 0 runs no net; allow_python: run the code of
    Python layers."""
    code = allow_python
    ours = bool(run.start.get("run"))  # Caffe's log tells too little to build the nets again
    sections = [
        ("Curves", curves(run)),
        ("Tests", tests(run)),
        ("Tiles", shown(lambda: tile_pictures(run, tiles, code)) if ours and tiles else Html()),
        ("Augmentation", shown(lambda: deformations(run, code)) if ours else Html()),
        ("Weights", shown(lambda: weights(run, code)) if ours else Html()),
        ("Settings", settings(run)),
        ("Environment", environment(run)),
        ("Files", files(run)),
    ]
    there = [(title, body) for title, body in sections if body]
    links = tag("nav", *(tag("a", t, href=f"#{h.anchor(t)}") for t, _ in there))
    top = tag("header", tag("h1", run.name), tag("p", summary(run), class_="soft"), cards(run))
    return h.page(f"{run.name} - demitasse", top, links, *(h.section(t, body) for t, body in there))


# ---------------------------------------------------------------------- in a few words


def summary(run: Run) -> str:
    net = run.start.get("net")
    name = text(net.get("name")) if isinstance(net, Mapping) else ""
    words = [f"{name or 'A net'}, {run.iterations:,} iterations"]
    solver = run.start.get("solver")
    if isinstance(solver, Mapping) and text(solver.get("type")):
        words[0] += f" of {text(solver.get('type'))}"
    if math.isfinite(run.seconds) and run.seconds:
        words[0] += f" in {span(run.seconds)}"
    if text(run.start.get("time")):
        begun = text(run.start.get("time")).replace("T", " ").replace("+00:00", " UTC")
        words.append(f"begun {begun}")
    if run.parts > 1:
        words.append(f"{run.parts} parts, each from a snapshot of the one before")
    reason = text(run.end.get("reason"))
    ended = {"finished": "finished", "stopped": "stopped by hand or by --time"}.get(reason, reason)
    why = text(run.end.get("error"))
    words.append((ended or "the log does not say how it ended") + (f": {why}" if why else ""))
    return "; ".join(words) + ("" if words[-1].endswith(".") else ".")


def span(seconds: float) -> str:
    """ "0.3 s", "41 s", "12 min 3 s", "5 h 7 min"."""
    if seconds < 9.5:
        return f"{seconds:.1f} s"
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    if hours:
        return f"{hours} h {m} min"
    return f"{m} min {s} s" if m else f"{s} s"


def cards(run: Run) -> Html:
    """The figures that one looks for first."""
    found: list[tuple[str, str]] = []
    if run.steps:
        found.append((number4(run.steps[-1].smoothed), "loss at the end, smoothed"))
    for name, values in by_output(run).items():
        best = (min if is_loss(name) else max)(values, key=lambda p: p[1])
        found.append((number4(best[1]), f"best test {name}, at {best[0]:,}"))
    if run.seconds and math.isfinite(run.seconds) and run.iterations:
        speed = run.iterations / run.seconds
        found.append((f"{speed:.3g}" if speed < 1000 else f"{speed:,.0f}", "iterations per second"))
    memory = max((s.resident for s in run.steps if s.resident == s.resident), default=0)
    if memory:
        found.append((f"{memory / 2**20:,.0f} MiB", "memory of the process, at most"))
    net = run.start.get("net")
    if isinstance(net, Mapping) and isinstance(net.get("parameters"), int):
        found.append((f"{net['parameters']:,}", "parameters"))
    shown = (tag("div", tag("b", big), tag("span", small), class_="card") for big, small in found)
    return tag("div", *shown, class_="cards")


def number4(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"


# ---------------------------------------------------------------------- curves


def curves(run: Run) -> Html:
    """Loss, learning rate, gradient norm and test outputs over iterations."""
    tested = scores(run)
    title = f"Test {tested[0].name}" if len(tested) == 1 else "Test outputs"
    faint = "mean over average_loss; the faint line is each one"
    return charts(
        Panel("Loss", losses(run), "loss", faint),
        Panel("Learning rate", [of_steps(run, "rate")], "rate"),
        Panel(title, tested, "mean over test_iter"),  # in two columns below the loss
        Panel("Gradient norm", [of_steps(run, "norm", 2)], "L2 norm", "before clip_gradients"),
    )


class Panel(NamedTuple):
    """A chart to be: its title, curves, y axis, and what more the caption says."""

    title: str
    series: Sequence[Series]
    y: str
    words: str = ""


def charts(*panels: Panel) -> Html:
    """Figures with legends on one x axis, so that what happened at the same time lies one above
    the other; without those of which nothing is known."""
    span = extent(series for panel in panels for series in panel.series)
    figures = []
    for title, series, y, words in panels:
        if svg := chart(title, series, y=y, span=span):
            caption = h.join([title, tag("span", f" {words}", class_="soft") if words else ""])
            figures.append(figure(caption, Html(svg), Html(legend(series))))
    return tag("div", *figures, class_="charts") if figures else Html()


def of_steps(run: Run, field: str, colour: int = 0, name: str = "", style: str = "line") -> Series:
    xs, ys = [s.iter for s in run.steps], [getattr(s, field) for s in run.steps]
    return Series(name, xs, ys, colour, style)


def of_values(name: str, values: Sequence[tuple[int, float]], colour: int) -> Series:
    return Series(name, [x for x, _ in values], [y for _, y in values], colour, "marks")


def losses(run: Run) -> list[Series]:
    found = [of_steps(run, "smoothed", 0, "training")]
    if any(s.loss != s.smoothed for s in run.steps if s.loss == s.loss):
        found.insert(0, of_steps(run, "loss", 0, "one iteration", "faint"))
    for k, (name, values) in enumerate(by_output(run).items()):
        if is_loss(name) and k < 5:
            found.append(of_values(f"test {name}", values, 1 + k))
    return found


def is_loss(name: str) -> bool:
    """Whether an output is one of those that training makes small."""
    return "loss" in name.lower() or "error" in name.lower()


def by_output(run: Run) -> dict[str, list[tuple[int, float]]]:
    """(iteration, value) of every element of every test output."""
    found: dict[str, list[tuple[int, float]]] = {}
    for score in run.scores:
        for name, values in score.outputs.items():
            for i, value in enumerate(values):
                key = f"{name}[{i}]" if len(values) > 1 else name
                key += f" (net #{score.net})" if score.net else ""
                if math.isfinite(value):
                    found.setdefault(key, []).append((score.iter, value))
    return found


def scores(run: Run) -> list[Series]:
    """The test outputs that are no losses."""
    measured = [(k, v) for k, v in by_output(run).items() if not is_loss(k)]
    return [of_values(name, values, (k + 3) % 6) for k, (name, values) in enumerate(measured[:6])]


def tests(run: Run) -> Html:
    """The last and the best of every output."""
    rows = []
    for name, values in by_output(run).items():
        best = (min if is_loss(name) else max)(values, key=lambda p: p[1])
        last = f"{number4(values[-1][1])} at {values[-1][0]:,}"
        rows.append((name, last, f"{number4(best[1])} at {best[0]:,}", len(values)))
    return h.table(rows, ("output", "last", "best", "tests")) if rows else Html()


# ---------------------------------------------------------------------- pictures


def shown(make: Callable[[], Html]) -> Html:
    """A section, or why there is none."""
    try:
        return make()
    except (DemitasseError, MemoryError, OSError) as error:
        return tag("p", f"Not to be shown: {error}", class_="soft")


def tile_pictures(run: Run, count: int, allow_python: bool) -> Html:
    from ..imaging.picture import COMPARED
    from . import _gallery, _samples

    found, seen, path, tests, only = _samples.tiles(run, count, allow_python)
    worst = found[:count]
    best = found[max(count, len(found) - count) :][::-1]
    kind = "test" if tests else "training"
    labels = [labels for one in found for labels in (one.predicted, one.truth)]
    several = any((one > 1).any() for one in labels)
    panels = (
        "in the middle the contours of the classes that are predicted, right those of the truth"
        if several
        else "right the contours of prediction and truth"
    )
    intro = (
        f"{seen} {kind} tiles through the net with the parameters of {path}, by the part of their "
        f"pixels that is wrong. Left the image, {panels}."
    )
    colours = h.keys(_gallery.classes(labels) if several else COMPARED)

    alone = f"The net predicts one class everywhere: {only}."
    warned = [tag("p", tag("b", alone))] if only is not None else []

    def pictures(title: str, tiles: Sequence[Any]) -> Iterator[Html]:
        for k, one in enumerate(tiles):
            words = f" {100 * one.error:.2f} % of the pixels wrong, tile {one.number}"
            caption = h.join([f"{title} {k + 1}:", tag("span", words, class_="soft")])
            picture = _gallery.tile(one, several=several)
            yield figure(caption, h.image(picture, f"{title} tile {one.number}"))

    figures = [*pictures("Worst", worst), *pictures("Best", best)]
    return h.join([tag("p", intro), *warned, colours, tag("div", *figures, class_="tiles")])


def deformations(run: Run, allow_python: bool) -> Html:
    from . import _gallery, _samples

    drawn = _samples.deformations(run, PREVIEWS, allow_python)
    if not drawn:
        return Html()
    words = (
        "Above the tiles as they were bent when they were packed, below what such deformations, "
        "drawn anew, make of a regular grid. The border of an unbent tile is orange; beyond it "
        "lies more of the image, here the grid's mirror image."
        if drawn[0].packed
        else "The deformations of the recipe, drawn anew: above the image as it is packed, in the "
        "middle a regular grid seen through the deformation, below the image seen through it. The "
        "image's border is orange; beyond it "
        + ("the image is mirrored." if drawn[0].mirror else "there is nothing.")
    )
    picture = h.image(_gallery.deformations(drawn), "images and grids, deformed")
    return h.join([tag("p", words), h.keys(_gallery.BENT), figure("", picture, class_="wide")])


def weights(run: Run, allow_python: bool) -> Html:
    from ..imaging.picture import png
    from ..imaging.preview import preview
    from . import _gallery, _samples

    found = _samples.weighted(run, 2, allow_python)
    if not found:
        return Html()
    words = "What a pixel's error counts in the loss, of the first training samples."
    picture, keys = h.image(png(preview(found)), "images, labels and weights"), _gallery.weights
    return h.join([tag("p", words), h.keys(keys(found)), figure("", picture, class_="wide")])


# ---------------------------------------------------------------------- what was it made with


def settings(run: Run) -> Html:
    """Solver and nets as prototxt; what the command line said."""
    parts: list[Html] = []
    command = run.start.get("command")
    rows: list[tuple[object, object]] = []
    if isinstance(command, list) and command:
        rows.append(("command", tag("code", "demitasse " + " ".join(map(str, command)))))
    for name in ("seed", "max_iter", "prefix", "device"):
        if run.start.get(name) is not None:
            rows.append((name, run.start[name]))
    rows += [(name, value) for name, value in pairs(run.start.get("options")) if value is not None]
    if rows:
        parts.append(h.table(rows))
    solver = run.start.get("solver")
    if isinstance(solver, Mapping) and text(solver.get("text")):
        parts.append(h.folded(f"Solver: {text(solver.get('path'))}", text(solver.get("text"))))
    for path, words in pairs(run.start.get("nets")):
        parts.append(h.folded(f"Net: {path}", text(words)))
    return h.join(parts)


def environment(run: Run) -> Html:
    rows = [*pairs(run.start.get("versions")), *pairs(run.start.get("machine"))]
    shown = [
        (name, f"{value / 2**30:.1f} GiB" if name == "memory" and isinstance(value, int) else value)
        for name, value in rows
    ]
    return h.table(shown) if shown else Html()


def files(run: Run) -> Html:
    """What was read, with hashes, and what was written."""
    rows = []
    for path, known in pairs(run.start.get("files")):
        known = known if isinstance(known, Mapping) else {}
        size = known.get("bytes")
        digest = text(known.get("sha256"))
        told = digest or (f"too large to hash; {text(known.get('changed'))}" if known else "gone")
        shown = f"{size:,}" if isinstance(size, int) else "-"
        rows.append((path, shown, tag("span", told, class_="mono")))
    parts = [h.table(rows, ("read", "bytes", "SHA-256"))] if rows else []
    written = [(path, f"iteration {when:,}") for when, path in run.states[-20:]]
    if run.model:
        written.append((run.model, f"the model, for {spoken('tools/deploy.py')}"))
    if written:
        parts.append(h.table(written, ("written", "")))
    return h.join(parts)


def pairs(value: Any) -> list[tuple[str, Any]]:
    """The entries of a JSON object; none of anything else."""
    return [(str(k), v) for k, v in value.items()] if isinstance(value, Mapping) else []
