"""Nets written in Python."""

import pytest
from demitasse import netspec
from demitasse import pycaffe as caffe
from demitasse.pycaffe import layers as L
from demitasse.pycaffe import params as P


def lenet():
    n = caffe.NetSpec()
    n.data, n.label = L.DummyData(
        shape=[dict(dim=[2, 1, 12, 12]), dict(dim=[2])], ntop=2, transform_param=dict(scale=0.5)
    )
    n.conv = L.Convolution(
        n.data,
        kernel_size=[3, 5],
        num_output=4,
        weight_filler=dict(type="xavier"),
        param=[dict(lr_mult=1), dict(lr_mult=2, decay_mult=0)],
    )
    n.pool = L.Pooling(n.conv, kernel_size=2, stride=2, pool=P.Pooling.AVE)
    n.relu = L.ReLU(n.pool, in_place=True)
    n["ip"] = L.InnerProduct(n.relu, num_output=3)
    n.loss = L.SoftmaxWithLoss(n.ip, n.label, loss_weight=2, include=dict(phase=caffe.TRAIN))
    return n


def test_a_net_is_what_was_written():
    net = lenet().to_proto()
    assert [layer.name for layer in net.layer] == [
        "data", "conv", "pool", "relu", "ip", "loss",
    ]  # fmt: skip
    data, conv, pool, relu, ip, loss = net.layer
    assert list(data.top) == ["data", "label"] and data.transform_param.scale == 0.5
    assert [list(s.dim) for s in data.dummy_data_param.shape] == [[2, 1, 12, 12], [2]]
    assert list(conv.convolution_param.kernel_size) == [3, 5]
    assert conv.convolution_param.weight_filler.type == "xavier"
    assert [p.lr_mult for p in conv.param] == [1, 2] and conv.param[1].decay_mult == 0
    assert pool.pooling_param.pool == P.Pooling.AVE == 1
    assert list(relu.bottom) == list(relu.top) == ["pool"]
    assert list(ip.bottom) == ["pool"]
    assert list(loss.loss_weight) == [2] and loss.include[0].phase == 0


def test_its_text_is_a_net(tmp_path):
    path = tmp_path / "lenet.prototxt"
    path.write_text(str(lenet().to_proto()))
    net = caffe.Net(str(path), caffe.TRAIN)
    assert net.forward()["loss"].shape == ()
    assert netspec.build(netspec.read_net(path), "TEST").outputs[0].blob == "ip"


def test_what_has_no_name_is_called_after_its_type():
    data, label = L.DummyData(shape=dict(dim=[2, 3]), ntop=2)
    a = L.ReLU(L.ReLU(data))
    net = caffe.to_proto(L.Concat(a, label))
    assert [layer.name for layer in net.layer] == ["DummyData1", "ReLU1", "ReLU2", "Concat1"]
    assert list(net.layer[0].top) == ["DummyData1", "DummyData2"]
    assert len(a.to_proto().layer) == 3


def test_layers_without_tops_and_a_name_of_their_own():
    n = caffe.NetSpec()
    n.data = L.Input(shape=dict(dim=2), name="input")
    n.quiet = L.Silence(n.data, ntop=0)
    L.Silence(n.data, ntop=0)
    net = n.to_proto()
    assert [(layer.name, list(layer.top)) for layer in net.layer] == [
        ("input", ["data"]),
        ("quiet", []),
    ]
    assert list(net.layer[0].input_param.shape[0].dim) == [2]


def test_wrong_arguments_are_refused():
    data = L.DummyData(ntop=2)
    with pytest.raises(TypeError, match=r"^Silence input 0 is not a Top \(type is <class 'tuple'>"):
        L.Silence(data, ntop=0)
    with pytest.raises(AttributeError, match="kernel_sise"):
        L.Convolution(data[0], kernel_sise=3).to_proto()
    n = caffe.NetSpec()
    n.data = data
    with pytest.raises(TypeError, match="data is not a Top"):
        n.to_proto()
    with pytest.raises(KeyError):
        _ = n.label
