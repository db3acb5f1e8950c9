"""Every error a user can meet, as one tree.

    DemitasseError                 one clear paragraph, no traceback; exit code 2
    ├── SpecError                  a prototxt or binary message does not say what it should
    ├── GraphError                 blobs and layers do not connect
    │   └── LeftOutError           a rule leaves out of the net what one of its layers reads
    ├── ShapeError                 sizes do not fit; raised before memory is touched
    ├── WeightsError               a parameter file is broken, foreign or does not match the net
    ├── SolverError                the solver's settings or its state are refused
    │   └── NonFiniteError         loss or gradient became NaN or infinite; exit code 1
    ├── DataError                  training data are missing, empty, unequal or out of range
    ├── ImageError                 an image cannot be read, or holds what cannot be segmented
    ├── OutputError                a result would overwrite something or cannot be written
    │   └── WriteError             the system refused while writing, as on a full disk; exit code 1
    ├── MemoryBudgetError          more memory would be needed than was allowed
    └── DeviceError                the device asked for is not there

A message is made of the same four parts everywhere: where, what, expected and found, remedy.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable


class DemitasseError(Exception):
    """Base of all refusals.

    what: one sentence; where: "path:line:column", a file or a layer; expected, found: the two sides
    of a comparison; remedy: what to do about it.  `str()` joins them into one paragraph.  absent:
    whether a file is not there, which may yet be made.
    """

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        expected: object = None,
        found: object = None,
        remedy: str = "",
        absent: bool = False,
    ) -> None:
        self.what, self.where, self.remedy, self.absent = what, where, remedy, absent
        self.expected, self.found = expected, found
        super().__init__(what)

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        if self.expected is not None:
            text += f"; expected {self.expected}"
        if self.found is not None:
            text += f"{',' if self.expected is not None else ';'} found {self.found}"
        text = _sentence(text)
        return f"{text} {_sentence(self.remedy)}" if self.remedy else text


def _sentence(text: str) -> str:
    text = text.strip()
    return text + ("" if text.endswith((".", "?", "!")) else ".")


class SpecError(DemitasseError):
    """A prototxt or binary message does not say what it should."""


class GraphError(DemitasseError):
    """Blobs and layers do not connect."""


class LeftOutError(GraphError):
    """A rule leaves out of the net what one of its layers reads."""


class ShapeError(DemitasseError):
    """Sizes do not fit; raised before memory is touched."""


class WeightsError(DemitasseError):
    """A parameter file is broken, foreign or does not match the net."""


class SolverError(DemitasseError):
    """The solver's settings or its state are refused."""


class NonFiniteError(SolverError):
    """Loss or gradient became NaN or infinite; training stopped."""

    exit_code = 1


class DataError(DemitasseError):
    """Training data are missing, empty, unequal or out of range.

    item: which one of a batch it is about, where it is about one.
    """

    item: int | None = None


class ImageError(DemitasseError):
    """An image cannot be read, or holds what cannot be segmented."""


class OutputError(DemitasseError):
    """A result would overwrite something or cannot be written."""


class WriteError(OutputError):
    """The system refused while writing, as on a full disk; exit code 1."""

    exit_code = 1


class MemoryBudgetError(DemitasseError):
    """More memory would be needed than was allowed."""


class DeviceError(DemitasseError):
    """The device asked for is not there."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A remedy naming the known words nearest to `word`; the empty string where none is near."""
    near = difflib.get_close_matches(word.lower(), {k.lower() for k in known}, n=3, cutoff=0.6)
    names = [k for n in near for k in known if k.lower() == n]
    return f"Did you mean {' or '.join(dict.fromkeys(names))}?" if names else ""


def check_known(
    word: object, table: Collection[str], what: str, error: type[DemitasseError]
) -> None:
    """Raise such an error where a table has no such word."""
    if word not in table:
        raise error(
            f"there is no {what} '{word}'",
            expected=f"one of {', '.join(table)}",
            remedy=did_you_mean(str(word), table),
        )


def counted(n: int, what: str) -> str:
    """ "1 slice", "2 slices", "2 processes": a number of things, of which one is called `what`."""
    ending = "es" if what.endswith("s") else "s"
    return f"{n:,} {what}" + ("" if n == 1 else ending)
