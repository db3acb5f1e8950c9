"""A scene as SVG text: one file, no script, no font and no network needed.

The picture brings its own ground and follows the reader's light or dark scheme, so that its words
are legible on any page.
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from .scene import Arrow, Box, Point, Scene, Text

MARGIN, HEAD = 18, 6.5  # around the picture; length of an arrowhead

# CSS class: (property, light, dark)
COLOURS = {
    "ground": ("fill", "#ffffff", "#12171f"),
    "ink": ("fill", "#1c2733", "#e3e9f0"),
    "soft": ("fill", "#5b6875", "#9dabba"),
    "rule": ("stroke", "#c9d2db", "#39444f"),
    "map": ("fill", "#5b8fc7", "#5b8fc7"),
    "copy": ("fill", "#ffffff", "#e3e9f0"),
    "layer": ("fill", "#f3f6f9", "#1d2530"),
    "conv": ("stroke", "#2f6fb3", "#6aa5e6"),
    "one": ("stroke", "#0f8f86", "#35c4b8"),
    "down": ("stroke", "#c8372d", "#f0695f"),
    "up": ("stroke", "#2e9043", "#55c26c"),
    "skip": ("stroke", "#9aa5b1", "#7d8996"),
    "other": ("stroke", "#a05fb8", "#c48ade"),
    "wire": ("stroke", "#7c8996", "#8a98a6"),
    "edge": ("stroke", "#3d6fa5", "#a9c8ea"),
    "cut": ("stroke", "#f7fafc", "#f7fafc"),
}
WIDTHS = {"skip": 3.2, "rule": 1.0, "cut": 1.0, "wire": 1.4}


def to_svg(scene: Scene) -> str:
    """The scene as an SVG document."""
    bounds = scene.bounds
    moved = scene.moved(MARGIN - bounds.left, MARGIN - bounds.top)
    width = round(bounds.right - bounds.left + 2 * MARGIN)
    height = round(bounds.bottom - bounds.top + 2 * MARGIN)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-labelledby="title desc">',
        f'<title id="title">{escape(scene.title)}</title>',
        f'<desc id="desc">{escape(scene.description)}</desc>',
        f"<style>{_css(scene)}</style>",
        f'<rect class="ground" width="{width}" height="{height}" rx="8"/>',
    ]
    for item in moved.items:
        if isinstance(item, Box):
            lines.append(_box(item))
        elif isinstance(item, Text):
            lines.append(_text(item))
        else:
            lines.append(_arrow(item))
    return "\n".join([*lines, "</svg>", ""])


def _css(scene: Scene) -> str:
    used = {"ground", "edge", *(word for item in scene.items for word in item.style.split())}
    rules = [
        "text{font-family:Helvetica,Arial,'Liberation Sans',sans-serif}",
        ".bold{font-weight:bold}",
    ]
    rules += [_rule(name, 1) for name in COLOURS if name in used]
    lines = [name for name in used if COLOURS.get(name, ("",))[0] == "stroke"]
    rules += [f".{name}{{stroke-width:{WIDTHS.get(name, 2)}}}" for name in sorted(lines)]
    rules.append(".line{fill:none}.cut{stroke-dasharray:3 2}.box{stroke-width:.8}")
    dark = "".join(_rule(name, 2) for name in COLOURS if name in used)
    return "\n".join(["", *rules, f"@media (prefers-color-scheme:dark){{{dark}}}", ""])


def _rule(name: str, column: int) -> str:
    prop, *colours = COLOURS[name]
    colour = colours[column - 1]
    head = f".{name}-head{{fill:{colour}}}" if prop == "stroke" else ""
    return f".{name}{{{prop}:{colour}}}{head}"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _titled(tag: str, attributes: str, title: str) -> str:
    inside = f"><title>{escape(title)}</title></{tag}>" if title else "/>"
    return f"<{tag} {attributes}{inside}"


def _box(box: Box) -> str:
    rx = ' rx="5"' if box.style == "layer" else ""
    size = f'x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" height="{_n(box.height)}"{rx}'
    return _titled("rect", f'class="{box.style} edge box" {size}', box.title)


def _text(text: Text) -> str:
    anchor = "" if text.anchor == "start" else f' text-anchor="{text.anchor}"'
    turn = f' transform="rotate(-90 {_n(text.x)} {_n(text.y)})"' if text.turned else ""
    place = f'x="{_n(text.x)}" y="{_n(text.y)}" font-size="{_n(text.size)}"{anchor}{turn}'
    return f'<text class="{text.style}" {place}>{escape(text.words)}</text>'


def _arrow(arrow: Arrow) -> str:
    points, style = list(arrow.points), arrow.style
    title = f"<title>{escape(arrow.title)}</title>" if arrow.title else ""
    if not arrow.head:
        return _titled("polyline", f'class="{style} line" points="{_path(points)}"', arrow.title)
    (x0, y0), (x, y) = points[-2:]
    length = max(((x - x0) ** 2 + (y - y0) ** 2) ** 0.5, 1e-6)
    along, wide = HEAD / length, 0.55 * HEAD / length
    dx, dy = x - x0, y - y0
    neck = (x - along * dx, y - along * dy)
    head = [(x, y), (neck[0] - wide * dy, neck[1] + wide * dx)]
    head.append((neck[0] + wide * dy, neck[1] - wide * dx))
    points[-1] = neck
    return (
        f'<g>{title}<polyline class="{style} line" points="{_path(points)}"/>'
        f'<polygon class="{style}-head" points="{_path(head)}"/></g>'
    )


def _path(points: list[Point]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
