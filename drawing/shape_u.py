"""Is this net a U?  Told by how it is connected, never by names.

One path leads from the image to the score.  It goes down by windows that stride, up by
up-convolutions, and behind each of these it is joined (Concat) by the last map of the same level on
the way down, cropped or whole:

    level 0   a b ---- copy ----> c|d e f         level 0: down a b, up c|d e f
    level 1     g --- copy --> h|i j              (c is b, cropped; d the up-convolved j)
    level 2       k l m                           the bottom has a way down only
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ..netspec.graph import Value
from .facts import Facts, Step


@dataclass
class Level:
    """down, up: maps from left to right, up beginning with the joined one; arrows: the step that
    made each map of down and up (None for the image); lifted: the map that the copy joins."""

    down: list[int] = field(default_factory=list)
    up: list[int] = field(default_factory=list)
    lifted: int | None = None
    upward: Step | None = None


@dataclass(frozen=True)
class U:
    """levels: from the image's to the bottom; steps: by the map they make."""

    levels: tuple[Level, ...]
    steps: dict[int, Step]

    @property
    def output(self) -> int:
        top = self.levels[0]
        return (top.up or top.down)[-1]

    def values(self, facts: Facts, level: Level) -> tuple[Value, ...]:
        return tuple(facts.maps[i].value for i in (*level.down, *level.up))


def find_u(facts: Facts) -> U | None:
    """The U that a net is; None for any other net."""
    sources = [step for step in facts.steps if not step.bottoms]
    if len(sources) != 1 or len(sources[0].tops) != 1:
        return None
    now = sources[0].tops[0]
    levels, depth = [Level(down=[now])], 0
    steps: dict[int, Step] = {}
    cropped: dict[int, int] = {}
    waits_for_join = False
    for step in facts.steps[1:] if facts.steps[0] is sources[0] else ():
        if step.type == "Crop" and len(step.nodes) == 1:
            cropped[step.tops[0]] = step.bottoms[0]
            continue
        if now not in step.bottoms or len(step.tops) != 1:
            return None
        (top,) = step.tops
        level = levels[depth]
        if step.type == "Concat":
            others = [cropped.get(i, i) for i in step.bottoms if i != now]
            if not waits_for_join or len(step.bottoms) != 2 or others != level.down[-1:]:
                return None
            level.up, waits_for_join = [top], False
        elif len(step.bottoms) != 1 or waits_for_join:
            return None
        elif step.type == "Deconvolution" and max(facts.strides(step), default=1) > 1:
            depth -= 1
            if depth < 0 or levels[depth].up:
                return None
            levels[depth].lifted, levels[depth].upward, waits_for_join = top, step, True
        elif step.type in ("Pooling", "Convolution") and max(facts.strides(step), default=1) > 1:
            if level.up or len(levels) != depth + 1:
                return None
            levels.append(Level(down=[top]))
            depth += 1
        elif len(facts.maps[top].shape or ()) < 3:
            return None
        else:
            (level.up or level.down).append(top)
        steps[top] = step
        now = top
    if depth or waits_for_join or len(levels) < 2 or not all(lv.up for lv in levels[:-1]):
        return None
    return U(tuple(levels), steps)
