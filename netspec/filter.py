"""Which layers are in the net in a given state (phase, level, stages).

A layer without `include` is in, unless any of its `exclude` rules is met; with `include` it is in
if any of those is met.  A rule is met when all it mentions fits: the phase, min_level <= level <=
max_level, every `stage`, no `not_stage`; an empty rule always is.

Source: Caffe 1.0's net.cpp.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ..errors import SpecError
from . import schema
from .source import Source


def net_state(net: Any, phase: int, level: int = 0, stages: Iterable[str] = ()) -> Any:
    """The NetState of a net built for this phase, level and stages, as Caffe makes it.

    Phase and level replace those in the file; the stages are added to those in the file.
    """
    state = merged_states(net.state, schema.NetState(phase=phase, level=level))
    state.stage.extend(stages)
    return state


def merged_states(*states: Any) -> Any:
    """One NetState of several: later ones win, their stages add up."""
    merged = schema.NetState()
    for state in states:
        merged.MergeFrom(state)
    return merged


def kept_layers(source: Source, state: Any) -> list[int]:
    """The indices of the layers that are in the net in this state."""
    for index, layer in enumerate(source.message.layer):
        if len(layer.include) and len(layer.exclude):
            raise SpecError(
                f"layer '{layer.name}' has both include and exclude rules",
                where=source.where_nth(index, "exclude"),
                remedy="Keep one kind; an include rule can hold not_stage and levels too",
            )
    return [i for i, layer in enumerate(source.message.layer) if _is_in(layer, state)]


def _is_in(layer: Any, state: Any) -> bool:
    if len(layer.include):
        return any(is_met(rule, state) for rule in layer.include)
    return not any(is_met(rule, state) for rule in layer.exclude)


def is_met(rule: Any, state: Any) -> bool:
    """Whether a NetStateRule is met in a NetState."""
    return (
        (not rule.HasField("phase") or rule.phase == state.phase)
        and (not rule.HasField("min_level") or state.level >= rule.min_level)
        and (not rule.HasField("max_level") or state.level <= rule.max_level)
        and set(rule.stage) <= set(state.stage)
        and not set(rule.not_stage) & set(state.stage)
    )
