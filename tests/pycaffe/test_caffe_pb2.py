"""caffe_pb2: Caffe's messages as protoc would have made them."""

import copy

import pytest
from demitasse.netspec import schema
from demitasse.pycaffe.proto import caffe_pb2
from google.protobuf import text_format


def test_enums_and_values():
    assert (caffe_pb2.TRAIN, caffe_pb2.TEST) == (0, 1)
    assert caffe_pb2.Phase.Value("TEST") == 1
    assert caffe_pb2.PoolingParameter.AVE == 1
    assert caffe_pb2.PoolingParameter.PoolMethod.Name(0) == "MAX"
    assert "MAX" in caffe_pb2.PoolingParameter.PoolMethod.DESCRIPTOR.values_by_name
    with pytest.raises(AttributeError, match="has no 'Pooling'"):
        _ = caffe_pb2.Pooling


def test_messages_are_caffes():
    layer = caffe_pb2.LayerParameter(name="p", type="Pooling")
    assert layer.DESCRIPTOR.full_name == "caffe.LayerParameter"
    assert (layer.pooling_param.stride, layer.pooling_param.pad) == (1, 0)
    layer.pooling_param.kernel_size = 3  # one number, as in BVLC's file
    assert isinstance(copy.deepcopy(layer), caffe_pb2.LayerParameter)
    assert (
        layer.SerializeToString()
        == schema.LayerParameter(
            name="p", type="Pooling", pooling_param={"kernel_size": [3]}
        ).SerializeToString()
    )


def test_every_message_is_there_under_its_number():
    ours = schema.message("NetParameter").DESCRIPTOR.file
    theirs = caffe_pb2.DESCRIPTOR
    assert set(ours.message_types_by_name) == set(theirs.message_types_by_name)
    for name, message in ours.message_types_by_name.items():
        numbers = {f.name: f.number for f in message.fields}
        found = getattr(caffe_pb2, name).DESCRIPTOR.fields
        assert {f.name: f.number for f in found} == numbers


def test_text_is_read_and_written():
    net = text_format.Merge(
        'layer { name: "a" type: "Pooling" pooling_param { pool: AVE kernel_size: 2 } '
        "include { phase: TEST } }",
        caffe_pb2.NetParameter(),
    )
    assert net.layer[0].include[0].phase == caffe_pb2.TEST
    assert text_format.Merge(str(net), caffe_pb2.NetParameter()) == net
