"""Caffe's messages: `schema.NetParameter()`, `schema.TRAIN`, `schema.enum_name(param, "pool")`.

The classes are made from caffe.binpb in a descriptor pool of our own, on first use, so that
another package with its own `caffe.proto` can be loaded beside us, and importing us stays cheap.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

TRAIN = 0
TEST = 1
PACKAGE = "demitasse"


@cache
def _pool() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool

    serialized = (Path(__file__).parent / "caffe.binpb").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(serialized).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


@cache
def message(name: str) -> Any:
    """The class of a message, as `message("LayerParameter")`; KeyError where there is none."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))


def __getattr__(name: str) -> Any:
    if name[:1].isupper():
        try:
            return message(name)
        except KeyError:
            pass
    raise AttributeError(f"caffe.proto has no message '{name}'")


def enum_name(owner: Any, field: str) -> str:
    """The name of an enum field's value: enum_name(layer.pooling_param, "pool") == "MAX"."""
    value = owner.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number[getattr(owner, field)]
    return str(value.name)


def phase_name(phase: int) -> str:
    """ "TRAIN" or "TEST"."""
    return "TEST" if phase == TEST else "TRAIN"


def is_repeated(field: Any) -> bool:
    """Whether a field descriptor's field is a list (older protobuf has no `is_repeated`)."""
    try:
        return bool(field.is_repeated)
    except AttributeError:
        return bool(field.label == field.LABEL_REPEATED)


def is_required(field: Any) -> bool:
    """Whether a field must be given (older protobuf has no `is_required`)."""
    try:
        return bool(field.is_required)
    except AttributeError:
        return bool(field.label == field.LABEL_REQUIRED)
