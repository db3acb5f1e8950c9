"""Caffe's messages under the names protoc would have given them: `caffe_pb2.NetParameter()`.

They are made from the descriptors of `demitasse.netspec`, with what those add taken back: package
`caffe`, and the sizes of PoolingParameter single numbers as in BVLC's caffe.proto.  They live in a
descriptor pool of their own, so that another caffe_pb2 may be loaded beside them.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from ..netspec import schema

# field of PoolingParameter -> default
_SINGLE = {"kernel_size": "", "stride": "1", "pad": "0"}


@cache
def _file() -> Any:
    """The file's descriptor."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    file = descriptor_pb2.FileDescriptorProto()
    schema.message("NetParameter").DESCRIPTOR.file.CopyToProto(file)
    theirs, file.package = f".{file.package}.", "caffe"
    for message in file.message_type:
        _rename(message, theirs)
        for field in message.field:
            if message.name == "PoolingParameter" and field.name in _SINGLE:
                field.label = field.LABEL_OPTIONAL
                field.default_value = _SINGLE[field.name]
                if not field.default_value:
                    field.ClearField("default_value")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindFileByName(file.name)


def _rename(message: Any, theirs: str) -> None:
    for field in message.field:
        if field.type_name.startswith(theirs):
            field.type_name = ".caffe." + field.type_name.removeprefix(theirs)
    for inner in message.nested_type:
        _rename(inner, theirs)


def __getattr__(name: str) -> Any:
    if name == "DESCRIPTOR":
        return _file()
    if name.startswith("_"):
        raise AttributeError(name)
    from google.protobuf import message_factory
    from google.protobuf.internal import enum_type_wrapper

    file = _file()
    if name in file.message_types_by_name:
        found: Any = message_factory.GetMessageClass(file.message_types_by_name[name])
    elif name in file.enum_types_by_name:
        found = enum_type_wrapper.EnumTypeWrapper(file.enum_types_by_name[name])
    else:
        values = {
            v.name: v.number for enum in file.enum_types_by_name.values() for v in enum.values
        }
        if name not in values:
            raise AttributeError(f"caffe.proto has no '{name}'")
        found = values[name]
    globals()[name] = found
    return found
