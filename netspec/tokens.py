"""The words of prototxt: a tokenizer that knows line and column, and what literals mean.

Grammar facts follow protobuf's text format: `#` comments, names, numbers, strings in either quote,
and the signs `{ } < > [ ] : , ; -`.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from ..errors import SpecError

NAME, NUMBER, STRING, SIGN, END = "name", "number", "string", "sign", "end"

_BLANK = re.compile(r"(?:[ \t\r\n\f\v]|#[^\n]*)*+")
_TOKEN = re.compile(
    r"""(?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<number>0[xX][0-9a-fA-F]+ | (?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[fF]?)
      | (?P<string>"[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+" | '[^'\\\n]*+(?:\\[^\n][^'\\\n]*+)*+')
      | (?P<sign>[{}<>\[\]:,;-])""",
    re.VERBOSE,
)
_WORD = re.compile(r"[A-Za-z0-9_.]")
_ESCAPE = re.compile(
    rb"\\(?:([abfnrtv\\'\"?])|([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})"
    rb"|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|.?)",
    re.DOTALL,
)
_SIMPLE = dict(zip(b"abfnrtv\\'\"?", b"\a\b\f\n\r\t\v\\'\"?", strict=True))
_MOST_DIGITS = 25  # more than any 64-bit number has, in octal too


class Tokens:
    """One token at a time: `kind`, `text` and where it stands; `next()` moves on."""

    def __init__(self, text: str, path: str) -> None:
        self._text, self._path = text, path
        self._lines = [0, *(m.end() for m in re.finditer("\n", text))]
        self._end = 1 if text.startswith("\ufeff") else 0
        self.kind, self.text, self.offset = END, "", 0
        self.next()

    def next(self) -> None:
        self.offset = _BLANK.match(self._text, self._end).end()  # type: ignore[union-attr]
        if self.offset == len(self._text):
            self.kind, self.text = END, ""
            return
        found = _TOKEN.match(self._text, self.offset)
        if not found:
            char = self._text[self.offset]
            if char in "\"'":
                raise self.error(
                    "a string is not closed in its line", remedy=f"Put {char} behind it"
                )
            raise self.error(f"the character {char!r} means nothing here")
        self.kind, self.text, self._end = str(found.lastgroup), found.group(), found.end()
        if self.kind == NUMBER and _WORD.match(self._text, self._end):
            raise self.error("a number runs into a word", found=self.text + self._text[self._end])

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column of a character, both counted from one."""
        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1

    def error(
        self,
        what: str,
        *,
        at: int | None = None,
        expected: str | None = None,
        found: str | None = None,
        remedy: str = "",
    ) -> SpecError:
        """A SpecError about this token, or about the character at `at`."""
        line, column = self.place(self.offset if at is None else at)
        where = f"{self._path}:{line}:{column}"
        return SpecError(what, where=where, expected=expected, found=found, remedy=remedy)

    @property
    def shown(self) -> str:
        """The token as a message quotes it."""
        return "the end of the text" if self.kind == END else shorten(self.text)


def shorten(text: str, most: int = 40) -> str:
    """A word fit for a message: quoted, and cut where it is long."""
    text = text if len(text) <= most else text[: most - 3] + "..."
    return text if text[:1] in "\"'" else f"'{text}'"


def integer(text: str) -> int | None:
    """The value of a decimal, 0x or 0-octal integer; None where the token is not one."""
    try:
        if len(text) > _MOST_DIGITS and text.isdigit():
            return 1 << 99  # out of every range; int() would refuse thousands of digits
        if text[:2] in ("0x", "0X"):
            return int(text, 16)
        if len(text) > 1 and text[0] == "0":
            return int(text, 8)
        return int(text)
    except ValueError:
        return None


def real(text: str) -> float | None:
    """The value of a decimal number, perhaps with an f behind; None for hex and octal."""
    if text[:2] in ("0x", "0X") or (len(text) > 1 and text[0] == "0" and text.isdigit()):
        return None
    return float(text.rstrip("fF"))


def unquote(token: str) -> bytes:
    """The bytes a quoted string stands for; ValueError (with a reason) for a wrong escape."""
    raw = token[1:-1].encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(_unescape, raw) if b"\\" in raw else raw


def _unescape(match: re.Match[bytes]) -> bytes:
    simple, octal, hexadecimal, short, long = match.groups()
    if simple:
        return bytes([_SIMPLE[simple[0]]])
    if octal or hexadecimal:
        value = int(octal, 8) if octal else int(hexadecimal, 16)
        if value > 255:
            raise ValueError(f"the escape \\{octal.decode()} is more than a byte")
        return bytes([value])
    if short or long:
        code = int(short or long, 16)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise ValueError(f"the escape {match.group().decode()} is no character")
        return chr(code).encode()
    raise ValueError(f"the escape {match.group().decode('utf-8', 'replace')} is unknown")
