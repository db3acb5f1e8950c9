"""Texts of others."""

import json

import pytest
from demitasse import texts


def test_what_is_no_utf_8_is_replaced():
    assert texts.utf8("Zellen Ä 細胞.tif") == "Zellen Ä 細胞.tif"
    assert texts.utf8("m\udce4\udcf6.tif") == "m\ufffd\ufffd.tif"
    assert texts.utf8("half \ud83d, \ude00") == "half \ufffd, \ufffd"
    assert texts.utf8("\udcc3\udc84") == "Ä"


def test_what_a_terminal_would_obey():
    assert texts.control("Zelle, geteilt\t(Ä) 細胞\r\n") == ""
    for bad, spelt in (
        ("a\x1b[31m", r"\x1b"),
        ("\x9b", r"\x9b"),
        ("\0", r"\x00"),
        ("\uffff", r"\uffff"),
    ):
        assert texts.control(bad) == spelt


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"hello world", '"hello wo"'),
        (b"a\r\nb\tc", '"a b c"'),
        (b"\0\1\xff\xc8", "the bytes 00 01 ff c8"),
        (b"caf\xc3\xa9", "the bytes 63 61 66 c3 a9"),
    ],
)
def test_how_a_file_begins(content, words):
    assert texts.beginning(content) == f"a file that begins with {words}"


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True]}, [], 5, "Ä", {"Ä": [{"": 1}]}])
def test_json_is_parsed(value):
    assert texts.parsed(json.dumps(value)) == value
    assert texts.parsed(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1,]", b"\xff\xfe", "NaN", "[Infinity]", "[-Infinity]", "1e999", "[" * 60_000,
     "[" * 101 + "]" * 101, '{"a":' * 101 + "1" + "}" * 101, "9" * 5000],
)  # fmt: skip
def test_what_cannot_be_written_again_is_no_json(text):
    with pytest.raises(ValueError):
        texts.parsed(text)


def test_halves_of_characters_are_replaced():
    assert texts.parsed(r'{"m\udce4": ["\ud83d", "\ud83d\ude00"]}') == {"m\ufffd": ["\ufffd", "😀"]}


def test_a_hundred_levels_are_enough():
    assert texts.parsed("[" * 100 + "]" * 100)
