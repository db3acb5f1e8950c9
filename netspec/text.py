"""Prototxt read and written: our own reader, because a message must say path:line:column.

    text -> tokens -> recursive descent along the descriptors -> message and places

Accepted: what protobuf's text format accepts (colon optional before a block, `,` or `;` behind a
field, `[a, b]` lists, `< >` blocks, adjacent strings joined, enums by name or number).  Refused:
unknown fields and names, a singular field given twice, numbers out of range, missing braces, zero
bytes in strings.
"""

from __future__ import annotations

import re
from typing import Any

from ..errors import SpecError, did_you_mean
from ..texts import control
from . import schema, tokens, unknown
from .source import Place
from .tokens import END, NAME, NUMBER, SIGN, STRING, Tokens, shorten

_CLOSING = {"{": "}", "<": ">"}
_DEEPEST = 50  # Caffe's messages nest less than ten deep
_TRUE, _FALSE = ("true", "True", "t"), ("false", "False", "f")
_RANGES = {
    "int32": (-(1 << 31), (1 << 31) - 1),
    "uint32": (0, (1 << 32) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
    "uint64": (0, (1 << 64) - 1),
}


def read_text(text: str, message: Any, path: str) -> Place:
    """Fill an empty message from prototxt; the places of everything read, or SpecError."""
    return _Reader(text, path).read(message)


def to_text(message: Any) -> str:
    """The canonical prototxt of a message: reading it gives the same message again.

    Whole numbers are written as Caffe writes them: 1, not Python's 1.0.
    """
    from google.protobuf import text_format

    return re.sub(r"(?m)(: -?\d+)\.0$", r"\1", text_format.MessageToString(message))


def outer_fields(text: str) -> list[str]:
    """The names of a text's outermost fields, known or not, as far as it can be read."""
    names, depth = [], 0
    try:
        tokens = Tokens(text, "")
        while tokens.kind != END:
            if tokens.kind == SIGN:
                depth += (tokens.text in "{<[") - (tokens.text in "}>]")
            name = tokens.text if tokens.kind == NAME and depth == 0 else ""
            tokens.next()
            if name and tokens.kind == SIGN and tokens.text in ":{<":
                names.append(name)
    except SpecError:
        pass
    return names


class _Reader:
    def __init__(self, text: str, path: str) -> None:
        self.tokens = Tokens(text, path)
        self.open: list[tuple[Any, str, int]] = []  # enclosing blocks: descriptor, name, offset

    def read(self, message: Any) -> Place:
        place = Place(1, 1)
        self.fields(message, place, END)
        return place

    def fields(self, message: Any, place: Place, closing: str) -> None:
        """Fields up to the closing sign (or the end), into message and place."""
        token = self.tokens
        while not (token.kind == END or (token.kind == SIGN and token.text == closing)):
            if token.kind != NAME:
                extra = token.text in ("}", ">")
                raise token.error(
                    "a block is closed that was not opened" if extra else "no field starts here",
                    expected="the name of a field",
                    found=token.shown,
                    remedy="A brace before it may be missing, or one too many" if extra else "",
                )
            self.field(message, place)
            if token.kind == SIGN and token.text in (",", ";"):
                token.next()
        if token.kind == END and closing != END:
            _, name, at = self.open[-1]
            line, _ = token.place(at)
            raise token.error(
                f"the block '{name}' that begins in line {line} is not closed",
                expected=f"'{closing}'",
                found=token.shown,
                remedy=f"Put a '{closing}' behind its last field",
            )

    def field(self, message: Any, place: Place) -> None:
        token = self.tokens
        name, at = token.text, token.offset
        field = message.DESCRIPTOR.fields_by_name.get(name)
        if field is None:
            raise self.unknown_field(message, name)
        repeated = schema.is_repeated(field)
        if not repeated and name in place.fields:
            first = place.fields[name][0]
            raise token.error(
                f"'{name}' is given twice in one block",
                found=f"the first in line {first.line}, column {first.column}",
                remedy="Keep one of them",
            )
        token.next()
        colon = token.kind == SIGN and token.text == ":"
        if colon:
            token.next()
        listed = token.kind == SIGN and token.text == "["
        if not colon and not listed and field.message_type is None:
            raise self.no_colon(field)
        if not listed:
            self.value(message, field, place, at)
            return
        if not repeated:
            raise token.error(f"'{name}' takes one value", found="a list")
        token.next()
        while not (token.kind == SIGN and token.text == "]"):
            self.value(message, field, place, token.offset)
            if token.kind == SIGN and token.text == ",":
                token.next()
                if not (token.kind == SIGN and token.text == "]"):
                    continue
                raise token.error("a value is missing behind the comma", found="']'")
            if not (token.kind == SIGN and token.text == "]"):
                raise token.error(
                    f"the list of '{name}' goes on strangely",
                    expected="',' or ']'",
                    found=token.shown,
                )
        token.next()

    def value(self, message: Any, field: Any, place: Place, at: int) -> None:
        """One value of a field, into message and place."""
        here = Place(*self.tokens.place(at))
        if field.message_type is not None:
            into = getattr(message, field.name)
            if schema.is_repeated(field):
                into = into.add()
            else:
                into.SetInParent()
            self.block(into, field.name, here, at)
        else:
            value = self.scalar(field)
            if schema.is_repeated(field):
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
        place.fields.setdefault(field.name, []).append(here)

    def block(self, into: Any, name: str, here: Place, at: int) -> None:
        token = self.tokens
        if token.kind != SIGN or token.text not in _CLOSING:
            raise token.error(
                f"'{name}' is a block of fields",
                expected=f"'{name} {{ ... }}'",
                found=token.shown,
                remedy="Is it `param { lr_mult: 1 }` in a `layer`, or `blobs_lr: 1` in `layers`?"
                if name == "param"
                else "",
            )
        if len(self.open) >= _DEEPEST:
            raise token.error(f"blocks are nested more than {_DEEPEST} deep")
        closing = _CLOSING[token.text]
        self.open.append((into.DESCRIPTOR, name, at))
        token.next()
        self.fields(into, here, closing)
        self.open.pop()
        for field in into.DESCRIPTOR.fields:
            if schema.is_required(field) and field.name not in here.fields:
                raise token.error(f"'{name}' does not give '{field.name}'", at=at)
        token.next()

    def scalar(self, field: Any) -> Any:
        """One value that is not a block; the token behind it becomes current."""
        token = self.tokens
        at = token.offset
        if field.enum_type is not None:
            return self.enum(field)
        kind = _KINDS[field.cpp_type]
        if kind == "string":
            return self.string(field)
        if kind == "bool":
            return self.boolean(field)
        negative = token.kind == SIGN and token.text == "-"
        if negative:
            token.next()
        if kind in _RANGES:
            whole = tokens.integer(token.text) if token.kind == NUMBER else None
            if whole is None:
                raise self.wrong(field, "a whole number")
            whole = -whole if negative else whole
            low, high = _RANGES[kind]
            if not low <= whole <= high:
                found = shorten("-" * negative + token.text)
                raise token.error(
                    f"'{field.name}' is out of range",
                    at=at,
                    expected=f"{low} to {high}",
                    found=found,
                )
            token.next()
            return whole
        number = tokens.real(token.text) if token.kind == NUMBER else None
        if token.kind == NAME and token.text.lower() in ("inf", "infinity", "nan"):
            number = float(token.text)
        if number is None:
            raise self.wrong(field, "a decimal number")
        token.next()
        return -number if negative else number

    def boolean(self, field: Any) -> bool:
        token = self.tokens
        text = token.text
        value = tokens.integer(text) if token.kind == NUMBER else None
        if value not in (0, 1) and not (token.kind == NAME and text in (*_TRUE, *_FALSE)):
            raise self.wrong(field, "true or false")
        token.next()
        return value == 1 or text in _TRUE

    def string(self, field: Any) -> str | bytes:
        token = self.tokens
        if token.kind != STRING:
            raise self.wrong(
                field, "a string in quotes", remedy=f'Write {field.name}: "{token.text}"'
            )
        at, parts = token.offset, []
        while token.kind == STRING:
            try:
                parts.append(tokens.unquote(token.text))
            except UnicodeEncodeError:
                raise token.error(f"the string of '{field.name}' is not Unicode") from None
            except ValueError as error:
                raise token.error(str(error)) from None
            token.next()
        value = b"".join(parts)
        if field.type == field.TYPE_BYTES:
            return value
        if b"\0" in value:
            raise token.error(f"the string of '{field.name}' holds a zero byte", at=at)
        try:
            text = value.decode()
        except UnicodeDecodeError:
            raise token.error(f"the string of '{field.name}' is not UTF-8", at=at) from None
        if bad := control(text):
            what = f"the string of '{field.name}' holds a control character, {bad}"
            raise token.error(what, at=at)
        return text

    def enum(self, field: Any) -> int:
        token = self.tokens
        at, names = token.offset, field.enum_type.values_by_name
        negative = token.kind == SIGN and token.text == "-"
        if negative:
            token.next()
        value: int | None = None
        if token.kind == NAME and not negative and token.text in names:
            value = names[token.text].number
        elif token.kind == NUMBER:
            number = tokens.integer(token.text)
            value = -number if negative and number is not None else number
            value = value if value in field.enum_type.values_by_number else None
        if value is None:
            remedy = did_you_mean(token.text.strip("\"'"), names)
            if token.kind == STRING:
                remedy = "Write it without quotes"
                if field.name == "type" and field.containing_type.name == "V1LayerParameter":
                    remedy += ", or, if this is a newer net, `layer` instead of `layers`"
            if not remedy:
                near = sorted(names, key=lambda name: names[name].number)
                remedy = "Known are " + ", ".join(near[:8]) + (", ..." if len(near) > 8 else "")
            raise token.error(f"'{field.name}' has no value {token.shown}", at=at, remedy=remedy)
        token.next()
        return value

    def wrong(self, field: Any, expected: str, remedy: str = "") -> SpecError:
        token = self.tokens
        if token.kind not in (NAME, NUMBER):
            remedy = ""
        return token.error(
            f"'{field.name}' has no such value",
            expected=expected,
            found=token.shown,
            remedy=remedy,
        )

    def no_colon(self, field: Any) -> SpecError:
        token = self.tokens
        if token.kind != SIGN or token.text not in _CLOSING:
            what = f"a colon is missing behind '{field.name}'"
            return token.error(what, expected="':'", found=token.shown)
        remedy = ""
        if field.full_name.endswith("V1LayerParameter.param"):
            remedy = "`param { ... }` belongs to `layer`; in old `layers` write `blobs_lr: 1`"
        return token.error(
            f"'{field.name}' is one value, not a block",
            expected="':' and a value",
            found=token.shown,
            remedy=remedy,
        )

    def unknown_field(self, message: Any, name: str) -> SpecError:
        """The refusal of a field, with the likeliest reason."""
        kind = unknown.FILES.get(message.DESCRIPTOR.name, "text")
        within = f"'{self.open[-1][1]}'" if self.open else f"a {kind}"
        around = [(descriptor, block) for descriptor, block, _ in self.open]
        remedy = unknown.remedy(message, name, around)
        return self.tokens.error(f"{within} has no field {shorten(name)}", remedy=remedy)


# FieldDescriptor.CPPTYPE_*: the numbers are part of protobuf's interface
_KINDS = {
    1: "int32",
    2: "int64",
    3: "uint32",
    4: "uint64",
    5: "double",
    6: "float",
    7: "bool",
    9: "string",
}
