"""A message and where its words stand in the user's file.

Upgrading and filtering keep a layer's name and the order of layers, so a position is looked up by
the layer's name (and, where a name is used twice, by which of its bearers is meant).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from ..errors import SpecError


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field stands, and where the fields inside it stand, in order of appearance."""

    line: int
    column: int
    fields: dict[str, list[Place]] = field(default_factory=dict)

    def find(self, *path: str | int) -> Place | None:
        """The place of a field inside; a number behind a name picks its n-th appearance."""
        place = self
        for i, name in enumerate(path):
            if isinstance(name, int):
                continue
            nth = path[i + 1] if i + 1 < len(path) else 0
            here = place.fields.get(name, [])
            n = nth if isinstance(nth, int) else 0
            if n >= len(here):
                return None
            place = here[n]
        return place


@dataclass(frozen=True)
class Source:
    """A NetParameter or SolverParameter as it was read, upgraded, with its positions.

    path: the file, as messages name it; layers: name and place of every layer of the text, in
    order; root: the place tree of the whole text (None for binary files and bare messages).
    The message stays as it is.
    """

    path: str
    message: Any
    root: Place | None = None
    layers: tuple[tuple[str, Place], ...] = field(default=(), repr=False)

    def where(self, layer: str | None = None, *fields: str | int) -> str:
        """ "path:line:column" of a field of the first layer of that name, else of the layer, else
        the path.  Without a layer the field is one of the message itself: where(None, "base_lr").
        """
        if layer is None:
            return self._at(self.root, *fields)
        return self._at(next(iter(self._bearers.get(layer, ())), None), *fields)

    def where_nth(self, index: int, *fields: str | int) -> str:
        """The same for `message.layer[index]`, which is exact where two layers share a name."""
        return self._at(self._places[index], *fields)

    def named_places(self, kept: Iterable[int]) -> tuple[tuple[str, Place], ...]:
        """Name and place of these of the message's layers, those without a place left out: the
        `layers` of a Source that is made of them."""
        named = ((self.message.layer[i].name, self._places[i]) for i in kept)
        return tuple((name, place) for name, place in named if place is not None)

    @cached_property
    def _bearers(self) -> Mapping[str, list[Place]]:
        """The places of the layers of a name, in order."""
        bearers: dict[str, list[Place]] = {}
        for name, place in self.layers:
            bearers.setdefault(name, []).append(place)
        return bearers

    @cached_property
    def _places(self) -> list[Place | None]:
        """The place of each of the message's layers."""
        waiting = {name: iter(places) for name, places in self._bearers.items()}
        return [next(waiting.get(layer.name, iter(())), None) for layer in self.message.layer]

    def _at(self, place: Place | None, *fields: str | int) -> str:
        if place is None:
            return self.path
        found = place.find(*fields)
        if found is None and place is self.root:
            return self.path
        found = found or place
        return f"{self.path}:{found.line}:{found.column}"


def as_source(source: Any, path: str = "<message>") -> Source:
    """A Source of a Source (itself) or of a bare NetParameter message; SpecError of anything else,
    as a path."""
    if isinstance(source, Source):
        return source
    if not hasattr(source, "layer"):
        raise SpecError(
            "this is no net",
            expected="what read_net or parse_net gives, or a NetParameter",
            found=repr(source),
            remedy="Read a file first: netspec.read_net(path)",
        )
    return Source(path, source)
