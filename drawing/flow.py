"""Any net, drawn as a layered graph: one box for each step, from what is given to what comes out.

A box says the layer's name, what it does, and the shape of what it makes; layers that work on its
result element by element stand in the same box.
"""

from __future__ import annotations

from .facts import Facts, Step, times
from .layered import lay_out
from .scene import Arrow, Box, Item, Scene, Text, text_width

NAME, SMALL, LINE, INSIDE = 11.5, 10.5, 14.0, 9.0  # font sizes, line height, margin in a box


def draw_flow(facts: Facts) -> Scene:
    """The picture; the title says the net's name."""
    lines = [_lines(facts, step) for step in facts.steps]
    sizes = [
        (
            max(text_width(words, size) for words, size, _ in box) + 2 * INSIDE,
            LINE * len(box) + INSIDE,
        )
        for box in lines
    ]
    maker = {top: i for i, step in enumerate(facts.steps) for top in step.tops}
    edges = [(maker[b], i) for i, step in enumerate(facts.steps) for b in step.bottoms]
    read = [b for step in facts.steps for b in step.bottoms]
    layout = lay_out(sizes, edges)
    items: list[Item] = []
    for route, b in zip(layout.routes, read, strict=True):
        shape = facts.maps[b].shape
        said = f"{facts.maps[b].blob}: {times(shape)}" if shape else facts.maps[b].blob
        items.append(Arrow((*route[:-1], (route[-1][0], route[-1][1] - 2)), "wire", said))
    for step, box, (width, height), (x, y) in zip(
        facts.steps, lines, sizes, layout.centres, strict=True
    ):
        title = ", ".join(f"{node.name} ({node.type})" for node in step.nodes)
        items.append(Box(x - width / 2, y, width, height, "layer", title))
        for k, (words, size, style) in enumerate(box):
            items.append(Text(x, y + INSIDE + LINE * k + 6, words, size, "middle", style))
    name = facts.graph.name or "net"
    scene = Scene(name, describe(facts), tuple(items))
    if not items:
        return Scene(name, describe(facts), (Text(0, 0, "a net without layers"),))
    left, top = scene.bounds[:2]
    count = f"{facts.params:,} parameters" if facts.params else "no parameters"
    head = (
        Text(left, top - 22, name, 15, style="ink bold"),
        Text(left + text_width(name, 17) + 12, top - 22, count, 11, style="soft"),
    )
    return Scene(name, describe(facts), (*items, *head))


def _lines(facts: Facts, step: Step) -> list[tuple[str, float, str]]:
    lines = [(step.nodes[0].name, NAME, "ink bold"), (facts.label(step), SMALL, "ink")]
    shapes = [facts.maps[top].shape for top in step.tops]
    said = list(dict.fromkeys(times(s) if s else "one number" for s in shapes if s is not None))
    if said:
        lines.append((", ".join(said[:3]) + (", …" if said[3:] else ""), SMALL, "soft"))
    return lines


def describe(facts: Facts) -> str:
    """The picture in words."""
    said = []
    for step in facts.steps:
        reads = ", ".join(dict.fromkeys(facts.maps[b].blob for b in step.bottoms))
        makes = ", ".join(facts.maps[t].blob for t in step.tops)
        words = f"{step.nodes[0].name} ({facts.label(step)})"
        words += f" reads {reads}" if reads else ""
        said.append(words + (f" and makes {makes}." if reads and makes else f" makes {makes}."))
    return f"A graph of {len(facts.steps)} steps. " + " ".join(said)
