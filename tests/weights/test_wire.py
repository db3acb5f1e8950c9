"""The wire reader against the protobuf library and against garbage."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.netspec import schema
from demitasse.weights import wire
from hypothesis import given, settings
from hypothesis import strategies as st

from .wirebytes import block, number, packed, unpacked


def test_what_protobuf_writes_is_read():
    blob = schema.BlobProto(num=-1, data=[1, 2.5], double_data=[3])
    blob.shape.dim.extend([1, 300, 1 << 40])
    data = blob.SerializeToString()
    found = {field.number: field for field in wire.fields(data)}
    assert sorted(found) == [1, 5, 7, 8]
    assert wire.integers(data, found[1]) == [-1]
    assert wire.numbers(data, found[5], "<f4").tolist() == [1, 2.5]
    assert wire.numbers(data, found[8], "<f8").tolist() == [3]
    (dims,) = wire.fields(data, found[7].start, found[7].stop)
    assert wire.integers(data, dims) == [1, 300, 1 << 40]


@given(st.lists(st.integers(0, (1 << 64) - 1), min_size=1))
@settings(deadline=None)
def test_varints(values):
    data = b"".join(wire.encode_varint(v) for v in values)
    position, found = 0, []
    while position < len(data):
        value, position = wire.varint(data, position, len(data))
        found.append(value)
    assert found == values
    assert wire.signed((-5) & (1 << 64) - 1) == -5 and wire.signed(7) == 7


@pytest.mark.parametrize("field", [5, 50, 5000])
@pytest.mark.parametrize(("code", "dtype"), [("f", "<f4"), ("d", "<f8")])
def test_unpacked_numbers_come_in_runs(field, code, dtype):
    values = np.arange(7) / 3
    data = number(1, 9) + unpacked(field, values[:5], code) + number(1, 9)
    data += unpacked(field, values[5:], code)
    found = list(wire.fields(data))
    assert [f.number for f in found] == [1, field, 1, field]
    got = [wire.numbers(data, f, dtype) for f in found if f.number == field]
    assert [len(g) for g in got] == [5, 2]
    np.testing.assert_array_equal(np.concatenate(got), values.astype(dtype))


@pytest.mark.parametrize(
    ("data", "position", "past_end"),
    [
        (b"\x0a", 1, True),  # a length is missing
        (b"\x0a\x05abcd", 0, True),  # one byte too few
        (b"\x08\xff\xff", 1, True),
        (b"\x0d\0\0\0", 0, True),
        (number(1, 1) + b"\x00\x01", 2, False),  # field 0
        (b"\x0b", 0, False),  # a group
        (b"\x0f", 0, False),  # type 7
        (b"\x08" + b"\xff" * 11, 1, False),  # a varint of 77 bits
    ],
)
def test_where_it_breaks(data, position, past_end):
    with pytest.raises(wire.WireError) as caught:
        list(wire.fields(data))
    assert (caught.value.position, caught.value.past_end) == (position, past_end)


def test_values_of_another_type():
    data = number(5, 3)
    (field,) = wire.fields(data)
    for read in (lambda: wire.numbers(data, field, "<f4"), lambda: wire.text(data, field)):
        with pytest.raises(wire.WireError):
            read()
    for data, dtype in [(packed(5, [1, 2, 3]), "<f8"), (unpacked(5, [1]), "<f8")]:
        (field,) = wire.fields(data)
        with pytest.raises(wire.WireError):
            wire.numbers(data, field, dtype)
    data = block(1, b"\xff\xfe")
    (field,) = wire.fields(data)
    with pytest.raises(wire.WireError):
        wire.text(data, field)


@given(st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_garbage_raises_wire_errors_only(data):
    try:
        for field in wire.fields(data):
            assert 0 <= field.start <= field.stop <= len(data)
    except wire.WireError as error:
        assert 0 <= error.position <= len(data)


def test_a_run_ends_where_the_field_changes():
    data = unpacked(50, [1, 2]) + unpacked(66, [3])  # keys 95 03 and 95 04
    found = list(wire.fields(data))
    assert [f.number for f in found] == [50, 66]
    assert wire.numbers(data, found[0], "<f4").tolist() == [1, 2]
