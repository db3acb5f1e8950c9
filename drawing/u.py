"""A U-Net drawn as a U, after figure 1 of Ronneberger, Fischer and Brox (2015).

Each map is a box, as tall as the map is large (its last axis) and as wide as it has channels.
Channels stand above the boxes, sizes beside them, and arrows say what leads from map to map.  All
maps of a level share one middle line, so the dashed part of a map that is copied is as high as its
copy.  In the free corners stand a legend and a table with what each level sees and takes.
"""

from __future__ import annotations

from math import prod

from .facts import Facts, times
from .reach import field
from .scene import Arrow, Box, Item, Scene, Text, moved, settled, text_width, union
from .shape_u import Level, U

GAP, ROW, FONT = 30.0, 40.0, 11.0  # between boxes, between rows, of labels
TALLEST, WIDEST, LEAST = 160.0, 72.0, 3.0  # boxes, in pixels
SHORTEST = 16.0  # a copy's arrow
STYLES = ("conv", "one", "other", "skip", "down", "up")  # of arrows, in the legend's order


def draw_u(facts: Facts, u: U, *, note: str = "", itemsize: int = 4) -> Scene:
    """The picture.  note: a line for the foot; itemsize: bytes of an element of a map."""
    picture = _Picture(facts, u)
    picture.place()
    items = [*picture.items]
    body = union(items)
    legend, table = _legend(picture), _table(facts, u, itemsize)
    corner = union(legend)
    legend = [moved(i, body.right - corner.right, body.bottom - corner.bottom) for i in legend]
    items += settled(legend, items)
    corner = union(table)
    table = [moved(i, body.left - corner.left, body.bottom - corner.bottom) for i in table]
    items += settled(table, items)
    name = facts.graph.name or "U-Net"
    convolutions = sum(s.type in ("Convolution", "Deconvolution") for s in u.steps.values())
    said = f"{facts.params:,} parameters in {convolutions} convolutions"
    top = union(items)
    head = [
        Text(top.left, top.top - 26, name, 15, style="ink bold"),
        Text(top.left + text_width(name, 17) + 12, top.top - 26, said, 11, style="soft"),
    ]
    if note:
        head.append(Text(top.left, top.bottom + 24, note, 11, style="soft"))
    return Scene(name, describe(facts, u), (*items, *head))


class _Picture:
    """The boxes, their labels and the arrows; grows from the image to the score."""

    def __init__(self, facts: Facts, u: U) -> None:
        self.facts, self.u = facts, u
        shapes = [self.shape(i) for level in u.levels for i in (*level.down, *level.up)]
        self.tall = TALLEST / max(shape[-1] for shape in shapes)
        self.wide = WIDEST / max(shape[1] for shape in shapes)
        self.boxes: dict[int, Box] = {}
        self.items: list[Item] = []
        self.kinds: dict[str, list[str]] = {}  # style: the labels it stands for
        self.y = self._rows()

    def shape(self, i: int) -> tuple[int, ...]:
        return self.facts.maps[i].shape or (1, 1, 1)

    def width(self, channels: int) -> float:
        return max(LEAST, channels * self.wide)

    def height(self, i: int) -> float:
        return max(LEAST, self.shape(i)[-1] * self.tall)

    def _rows(self) -> list[float]:
        """The middle line of each level: labels hang below it where a box is short."""
        lines, y = [], 0.0
        for level in self.u.levels:
            maps = (*level.down, *level.up)
            half = max(self.height(i) for i in maps) / 2
            below = max(half, *(8 + text_width(self._size(i), FONT) for i in maps))
            lines.append(y + half)
            y += half + below + ROW
        return lines

    def _size(self, i: int) -> str:
        """ "572 × 572" where there is room for it, else "64²"."""
        size = self.shape(i)[2:]
        long = times(size)
        if len(set(size)) > 1 or len(size) > 3:
            return long
        roomy = text_width(long, FONT) < self.height(i) / 2 + 4
        return (
            long if roomy and len(size) < 3 else f"{size[0]}{ {1: '', 2: '²', 3: '³'}[len(size)] }"
        )

    def place(self) -> None:
        """Lay out the way down, the bottom and the way up."""
        levels, x = self.u.levels, 0.0
        for depth, level in enumerate(levels):
            for i in level.down:
                first = depth and i == level.down[0]
                width = self.width(self.shape(i)[1])
                if first:
                    x = self.boxes[levels[depth - 1].down[-1]].middle - width / 2
                self._box(i, x, depth, plain=bool(first) and self._same_channels(i))
                if first:
                    self._vertical(levels[depth - 1].down[-1], i, "down")
                elif i != level.down[0]:
                    self._conv(level.down[level.down.index(i) - 1], i, depth)
                x += width + GAP
        for depth in reversed(range(len(levels) - 1)):
            self._join(levels[depth], levels[depth + 1], depth)
            x = self.boxes[levels[depth].up[0]].bounds.right + GAP
            for before, i in zip(levels[depth].up, levels[depth].up[1:], strict=False):
                self._box(i, x, depth)
                self._conv(before, i, depth)
                x += self.boxes[i].width + GAP
        self._names()

    def _same_channels(self, i: int) -> bool:
        """Whether the map below has as many channels as the one above, which says so already."""
        (source,) = self.u.steps[i].bottoms
        return self.shape(i)[1] == self.shape(source)[1]

    def _box(self, i: int, x: float, depth: int, *, plain: bool = False, style: str = "map") -> Box:
        shape, height = self.shape(i), self.height(i)
        box = Box(
            x,
            self.y[depth] - height / 2,
            self.width(shape[1]),
            height,
            style,
            f"{self.facts.maps[i].blob}: {shape[1]} channels of {times(shape[2:])}",
        )
        self.boxes[i] = box
        self.items.append(box)
        self._size_label(i, x, depth)
        if not plain:
            self._channels(i, box)
        return box

    def _size_label(self, i: int, x: float, depth: int) -> None:
        words, middle = self._size(i), self.y[depth]
        length = text_width(words, FONT)
        low = max(middle + 8 + length, middle + self.height(i) / 2)
        self.items.append(Text(x - 4, low, words, FONT, style="soft", turned=True))

    def _channels(self, i: int, box: Box) -> None:
        """The number of channels above a box, beside the arrow that leaves or enters there."""
        words, y = str(self.shape(i)[1]), box.y - 5
        level = next(lv for lv in self.u.levels if i in (*lv.down, *lv.up))
        depth = self.u.levels.index(level)
        leaves = depth and i == (level.up or level.down)[-1]
        enters = depth and i == level.down[0]
        if enters:
            self.items.append(Text(box.middle - 6, y, words, FONT, "end"))
        elif leaves:
            self.items.append(Text(box.middle + 6, y, words, FONT))
        else:
            self.items.append(Text(box.middle, y, words, FONT, "middle"))

    def _join(self, level: Level, below: Level, depth: int) -> None:
        """The copied map and the up-convolved one, side by side, and the arrows that make them."""
        joined, lifted, source = level.up[0], level.lifted, (below.up or below.down)[-1]
        assert lifted is not None
        skip, total = level.down[-1], self.shape(joined)[1]
        lifted_channels = self.shape(lifted)[1]
        lifted_width, copied_width = (
            self.width(lifted_channels),
            self.width(total - lifted_channels),
        )
        start = self.boxes[skip].bounds.right + SHORTEST + GAP
        x = max(self.boxes[source].middle - lifted_width / 2 - copied_width, start)
        height = self.height(joined)
        copy_of, made = self.facts.maps[skip].blob, self.facts.maps[lifted].blob
        size = times(self.shape(joined)[2:])
        copied = Box(
            x,
            self.y[depth] - height / 2,
            copied_width,
            height,
            "copy",
            f"{copy_of}, cropped: {total - lifted_channels} channels of {size}",
        )
        blue = Box(
            x + copied_width,
            copied.y,
            lifted_width,
            height,
            "map",
            f"{made}: {lifted_channels} channels of {size}",
        )
        self.items += [copied, blue]
        self.boxes[joined] = Box(x, copied.y, copied_width + lifted_width, height, "map")
        self.boxes[lifted] = blue
        self._size_label(joined, x, depth)
        self.items.append(Text(self.boxes[joined].middle, copied.y - 5, str(total), FONT, "middle"))
        self._copy(skip, copied, depth)
        self._vertical(source, lifted, "up")

    def _copy(self, skip: int, copied: Box, depth: int) -> None:
        box, y = self.boxes[skip], self.y[depth]
        cropped = box.height - copied.height > 0.5
        if cropped:  # what of the box is copied
            for edge in (copied.y, copied.bounds.bottom):
                ends = ((box.x, edge), (box.bounds.right, edge))
                self.items.append(Arrow(ends, "cut", head=False))
        label = "copy and crop" if cropped else "copy"
        self._arrow((box.bounds.right + 3, y), (copied.x - 3, y), "skip", label, label)

    def _vertical(self, source: int, target: int, style: str) -> None:
        a, b, step = self.boxes[source], self.boxes[target], self.u.steps[target]
        ends = (
            ((a.middle, a.bounds.bottom + 3), (b.middle, b.y - 3))
            if style == "down"
            else ((a.middle, a.y - 3), (b.middle, b.bounds.bottom + 3))
        )
        names = ", ".join(node.name for node in step.nodes)
        self._arrow(*ends, style, self.facts.label(step, short=True), names)

    def _conv(self, source: int, target: int, depth: int) -> None:
        step, y = self.u.steps[target], self.y[depth]
        style = "other"
        if step.type in ("Convolution", "Deconvolution"):
            style = "one" if self.facts.pointwise(step) else "conv"
        names = ", ".join(node.name for node in step.nodes)
        a, b = self.boxes[source].bounds.right + 3, self.boxes[target].x - 3
        self._arrow((a, y), (b, y), style, self.facts.label(step, short=True), names)

    def _arrow(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        style: str,
        label: str,
        title: str,
    ) -> None:
        self.items.append(Arrow((start, end), style, title))
        if label not in self.kinds.setdefault(style, []):
            self.kinds[style].append(label)

    def _names(self) -> None:
        """What goes in and what comes out."""
        for i, words in ((self.u.levels[0].down[0], "image"), (self.u.output, "score")):
            box, blob = self.boxes[i], self.facts.maps[i].blob
            said = words if blob == words else f"{words} “{blob}”"
            self.items.append(Text(box.middle, box.y - 20, said, FONT, "middle", "soft"))


def _legend(picture: _Picture) -> list[Item]:
    """One line for each kind of arrow in the picture."""
    items: list[Item] = []
    y = 0.0
    for style in STYLES:
        for label in picture.kinds.get(style, ()):
            items.append(Arrow(((0, y), (26, y)), style))
            items.append(Text(36, y + 4, label, FONT))
            y += 18
    return items


def _table(facts: Facts, u: U, itemsize: int) -> list[Item]:
    """What each level sees of the image and takes in memory."""
    image = facts.maps[u.levels[0].down[0]].value
    rows: list[tuple[str, ...]] = [
        ("level", "channels", "receptive field, down → up", "its maps"),
    ]
    for depth, level in enumerate(u.levels):
        ends = [level.down[-1], *level.up[-1:]]
        fields = [
            field(facts.graph, facts.layers, facts.shapes, facts.maps[i].value, image) for i in ends
        ]
        channels = max(facts.maps[i].shape[1] for i in level.down)  # type: ignore[index]
        taken = sum(prod(facts.maps[i].shape or ()) for i in (*level.down, *level.up))
        rows.append(
            (
                str(depth),
                str(channels),
                " → ".join(dict.fromkeys(_extent(f) for f in fields)),
                f"{taken * itemsize / 2**20:.1f} MiB",
            )
        )
    widths = [max(text_width(row[k], FONT) for row in rows) for k in range(4)]
    items: list[Item] = []
    for r, row in enumerate(rows):
        x = 0.0
        for k, (words, width) in enumerate(zip(row, widths, strict=True)):
            style = "soft" if r == 0 else "ink"
            right = k in (1, 3)
            items.append(
                Text(x + width * right, 18.0 * r, words, FONT, "end" if right else "start", style)
            )
            x += width + 16
    items.append(Arrow(((0, 6), (sum(widths) + 48, 6)), "rule", head=False))
    return items


def _extent(sizes: tuple[int, ...] | None) -> str:
    if sizes is None:
        return "all"
    return str(sizes[0]) if len(set(sizes)) == 1 else times(sizes)


def describe(facts: Facts, u: U) -> str:
    """The picture in words."""
    said = [f"{facts.graph.name or 'A net'}, a U of {len(u.levels)} levels."]
    for depth, level in enumerate(u.levels):
        ways = [("down", level.down), ("up", level.up)]
        for way, maps in ways:
            if maps:
                sizes = ", ".join(
                    f"{s[1]} x {'x'.join(map(str, s[2:]))}"
                    for s in (facts.maps[i].shape or () for i in maps)
                )
                bottom = depth == len(u.levels) - 1
                said.append(f"Level {depth}, {'bottom' if bottom else way}: {sizes}.")
    return " ".join(said)
