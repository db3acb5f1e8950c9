"""A page of HTML in one file: no script, no network, light and dark, fit to print.

Everything that is shown goes through `escape` here or in `_chart.py`; `Html` marks what did.  The
page forbids the browser everything but its own style and pictures in data: URIs, so even a name
that got through unescaped could neither run nor fetch anything.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

LIGHT = """--paper: #fff; --ink: #1c2024; --soft: #667078; --line: #e3e6e9; --card: #f6f7f8;
  --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b05a8c; --c4: #8a6d00; --c5: #4b7fa0;"""
DARK = """--paper: #14171a; --ink: #e6e9eb; --soft: #9aa4ab; --line: #2c3237; --card: #1c2125;
  --c0: #56b4e9; --c1: #e69f00; --c2: #2fc79a; --c3: #cc79a7; --c4: #f0e442; --c5: #9cc7e0;"""
COLOURS = "".join(
    f".c{i} {{ stroke: var(--c{i}); }}\n"
    f".dot.c{i}, .band.c{i} {{ fill: var(--c{i}); stroke: none; }}\n"
    for i in range(6)
)
STYLE = """
:root { color-scheme: light dark; LIGHT }
@media (prefers-color-scheme: dark) { :root { DARK } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif;
  font-size: 16px; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 21px; margin: 44px 0 12px; } h3 { font-size: 16px; margin: 18px 0 6px; }
p { margin: 0 0 12px; max-width: 76ch; overflow-wrap: anywhere; } .soft { color: var(--soft); }
a { color: var(--c0); } nav { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 14px 0 0; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin: 24px 0 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px;
  padding: 12px 14px; }
.card b { display: block; font-size: 24px; font-weight: 600; line-height: 1.25; }
.card span { color: var(--soft); font-size: 14px; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(460px, 100%), 1fr));
  gap: 20px; }
figure { margin: 0; min-width: 0; } figcaption { font-weight: 600; margin: 0 0 4px; }
figcaption .soft { font-weight: 400; }
.tiles { display: grid; gap: 22px; }
.tiles img, .wide img { width: 100%; height: auto; display: block; border-radius: 6px;
  background: #fff; }
.chart { width: 100%; height: auto; display: block; overflow: visible; }
.chart text { fill: var(--soft); font-size: 13px; } .grid { stroke: var(--line); fill: none; }
.axis { stroke: var(--soft); fill: none; }
.line, .marks { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.faint { fill: none; stroke-width: 1.2; opacity: .38; } .band { opacity: .16; }
.target { fill: transparent; } .target:hover { fill: var(--ink); fill-opacity: .25; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 14px; color: var(--soft); }
.key { display: inline-flex; align-items: center; gap: 6px; overflow-wrap: anywhere; }
.key svg { width: 22px; height: 10px; flex: none; }
.keys { margin: 0 0 12px; } .key i { width: 14px; height: 14px; border: 1px solid var(--soft); }
table { border-collapse: collapse; width: 100%; font-size: 15px; }
th, td { text-align: left; vertical-align: top; padding: 5px 14px 5px 0; overflow-wrap: anywhere;
  border-bottom: 1px solid var(--line); } th { font-weight: 600; }
td:first-child { color: var(--soft); min-width: 130px; } .scroll { overflow-x: auto; }
code, pre, .mono { font-family: ui-monospace, "DejaVu Sans Mono", "Liberation Mono", monospace;
  font-size: 13px; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px;
  max-height: 420px; overflow: auto; margin: 8px 0; }
details { margin: 10px 0; } summary { cursor: pointer; overflow-wrap: anywhere; }
.added { color: var(--c2); } .removed { color: var(--c1); }
COLOURS
@media print { :root { color-scheme: light; LIGHT }
  main { max-width: none; padding: 0; } nav { display: none; }
  .charts { grid-template-columns: 1fr 1fr; }
  figure, .card, tr { break-inside: avoid; } h2 { break-after: avoid; }
  pre { max-height: none; white-space: pre-wrap; } }
"""
for name, value in (("LIGHT", LIGHT), ("DARK", DARK), ("COLOURS", COLOURS)):
    STYLE = STYLE.replace(name, value)


class Html(str):
    """Text that is markup already; plain str is escaped where it is put in."""


def html(part: object) -> str:
    """Markup as it is, anything else escaped."""
    return part if isinstance(part, Html) else escape(str(part))


def join(parts: Iterable[object]) -> Html:
    return Html("".join(html(part) for part in parts))


def tag(name: str, *parts: object, **attributes: object) -> Html:
    """An element; attribute names may end in an underscore, as class_ must."""
    given = "".join(f' {k.rstrip("_")}="{escape(str(v))}"' for k, v in attributes.items())
    return Html(f"<{name}{given}>{join(parts)}</{name}>")


def table(rows: Iterable[Sequence[object]], head: Sequence[object] = ()) -> Html:
    top = tag("tr", *(tag("th", cell) for cell in head)) if head else Html()
    body = (tag("tr", *(tag("td", cell) for cell in row)) for row in rows)
    return tag("div", tag("table", top, *body), class_="scroll")


def section(title: str, *parts: object) -> Html:
    """With an anchor for the page's list of contents."""
    return tag("section", tag("h2", title), *parts, id=anchor(title))


def anchor(title: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in title.lower())


def figure(caption: object, picture: Html, *more: object, class_: str = "") -> Html:
    above = tag("figcaption", caption) if caption else ""
    return tag("figure", above, picture, *more, class_=class_)


def image(png: bytes, words: str) -> Html:
    """A picture inside the page; words: what it shows."""
    data = base64.b64encode(png).decode("ascii")
    return Html(f'<img alt="{escape(words)}" src="data:image/png;base64,{data}">')


def keys(meant: Iterable[tuple[Sequence[int], str]]) -> Html:
    """Colours of pictures and what they mean."""
    items = (
        tag("span", tag("i", style=f"background: rgb{tuple(colour)}"), words, class_="key")
        for colour, words in meant
    )
    return tag("div", *items, class_="legend keys")


def folded(title: str, text: str) -> Html:
    """Text to be unfolded, every blank as it is."""
    return tag("details", tag("summary", title), tag("pre", text))


def page(title: str, *parts: object) -> str:
    """The whole file."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="generator" content="demitasse"><title>{escape(title)}</title>'
        f'<link rel="icon" href="data:,"><style>{STYLE}</style></head>\n'
        f"<body><main>{join(parts)}</main></body></html>\n"
    )
