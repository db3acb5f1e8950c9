"""One name for each layer.

Caffe allows several layers of one name, and the 3-D U-Net of 2016 has some.  Whoever keeps things
by name then loses all but one of them.  Here the first keeps the name and the others become
"name#2", "name#3", in files as in memory; a message, and a binary net, keep what the user wrote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


def unique_names(names: Iterable[str]) -> list[str]:
    """The names in order, each once; a number that a layer's own name has already is left out."""
    given = list(names)
    taken, seen, found = set(given), Counter[str](), []
    for name in given:
        seen[name] += 1
        unique = name
        while seen[name] > 1 and (unique := f"{name}#{seen[name]}") in taken:
            seen[name] += 1
        taken.add(unique)
        found.append(unique)
    return found
