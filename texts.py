r"""Texts of others: names of their files, layers and classes, and their JSON.

utf8("m\udce4.tif")     "m\ufffd.tif": bytes that are no UTF-8 are replaced, for metadata
control("c\x1b[31m")    "\\x1b": what a terminal would obey, spelt
parsed('{"a": [1]}')    {"a": [1]}
beginning(b"hello")     'a file that begins with "hello"'
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

_CONTROL = re.compile("[\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f\\ufffe\\uffff]")
MOST_NESTED = 100  # levels of JSON; whoever writes it again has a stack that ends


def utf8(text: str) -> str:
    """The text where UTF-8 has to hold it: bytes of a name that are none, and halves of characters,
    are U+FFFD.  In a language such as C every byte beyond ASCII was taken for one that is none."""
    whole = re.sub("[\ud800-\udc7f\udd00-\udfff]", "\ufffd", text)
    return whole.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def control(text: str) -> str:
    """The first character that a terminal would obey or XML cannot hold, spelt like \\x1b; "" where
    there is none.  Tabs and ends of lines are none."""
    found = _CONTROL.search(text)
    return ascii(found[0])[1:-1] if found else ""


def beginning(content: bytes) -> str:
    """A file of an unknown kind by its first 8 bytes, for a refusal: text as it is, or numbers."""
    start = content[:8]
    if re.fullmatch(rb"[ -~\t\r\n]+", start):
        return f'a file that begins with "{" ".join(start.decode().split())}"'
    return f"a file that begins with the bytes {start.hex(' ')}"


def parsed(text: str | bytes) -> Any:
    """What a JSON text says, all of it such that it can be written again: halves of characters are
    U+FFFD.  ValueError where it is no JSON, holds a number that is not finite, or more than
    MOST_NESTED levels."""
    try:
        found = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return _kept(found, MOST_NESTED)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is not finite")
    return number


def _kept(value: Any, levels: int) -> Any:
    if isinstance(value, str):
        return utf8(value)
    if not isinstance(value, dict | list):
        return value
    if not levels:
        raise ValueError("it is nested too deeply")
    if isinstance(value, list):
        return [_kept(inner, levels - 1) for inner in value]
    return {utf8(name): _kept(inner, levels - 1) for name, inner in value.items()}
