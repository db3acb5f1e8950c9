"""set_mode_gpu, set_device, and nets whose arrays are a device's."""

import sys

import numpy as np
import pytest
from demitasse import pycaffe as caffe
from demitasse.errors import DeviceError
from demitasse.kernels.device import CPU
from demitasse.pycaffe import settings
from demitasse.tools import _device
from devices import EMULATOR, device
from emulator.cupy import FakeCupy


@pytest.fixture
def cards(monkeypatch):
    """Two cards, through a CuPy that has none."""
    made = FakeCupy(count=2)
    monkeypatch.setitem(sys.modules, "cupy", made)
    monkeypatch.setitem(sys.modules, "cupyx", made.cupyx)
    _device._card.cache_clear()
    yield made
    _device._card.cache_clear()


@pytest.fixture
def emulated(monkeypatch):
    made = device(EMULATOR)
    monkeypatch.setattr(settings, "device", lambda: made)


def device_of(net):
    return net._engine.device


def test_without_a_card_the_mode_is_refused_in_words_and_stays(monkeypatch, image_net):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError) as refused:
        caffe.set_mode_gpu()
    said = str(refused.value)
    assert said.startswith("set_mode_gpu(): CuPy is not installed. Install it: pip install ")
    assert said.endswith("Call set_mode_cpu() to compute on the CPU.") and "--gpu" not in said
    assert device_of(caffe.Net(image_net, caffe.TEST)) is CPU


def test_a_net_is_made_on_the_card_of_that_number(cards, image_net):
    caffe.set_device(1)
    first = caffe.Net(image_net, caffe.TEST)
    caffe.set_mode_gpu()
    second = caffe.Net(image_net, caffe.TEST)
    caffe.set_device(0)
    third = caffe.Net(image_net, caffe.TEST)
    caffe.set_mode_cpu()
    assert [device_of(net).name for net in (first, second, third)] == ["cpu", "cuda:1", "cuda:0"]
    assert device_of(caffe.Net(image_net, caffe.TEST)) is CPU
    np.testing.assert_allclose(second.forward()["prob"].sum(axis=1), 1, rtol=1e-6)
    with pytest.raises(DeviceError, match=r"two devices cannot share parameters.*set_device"):
        third.share_with(second)


def test_choosing_opens_no_card(cards):
    """So that who says set_mode_gpu() and then set_device(1) takes no memory of card 0."""
    caffe.set_mode_gpu()
    caffe.set_device(1)
    assert cards.calls == []
    settings.device()
    assert ("use", 1) in cards.calls and ("use", 0) not in cards.calls


def test_a_card_that_is_not_there_is_refused(cards):
    caffe.set_device(7)
    with pytest.raises(
        DeviceError, match=r"set_mode_gpu\(\): invalid device ordinal 7; expected 0 to 1"
    ):
        caffe.set_mode_gpu()
    caffe.set_device(0)
    caffe.set_mode_gpu()
    with pytest.raises(DeviceError, match=r"set_device\(2\): invalid device ordinal 2"):
        caffe.set_device(2)
    assert settings.current.device == 0


def test_a_card_that_is_too_old_is_refused_when_a_net_is_made(cards, image_net):
    cards.capability = "70"
    caffe.set_mode_gpu()
    with pytest.raises(DeviceError, match=r"set_device\(0\): .*too old.*set_mode_cpu"):
        caffe.Net(image_net, caffe.TEST)


def test_a_net_computes_there_what_it_computes_here(image_net, monkeypatch, rng):
    caffe.set_random_seed(1)
    here, made = caffe.Net(image_net, caffe.TEST), device(EMULATOR)
    monkeypatch.setattr(settings, "device", lambda: made)
    there = caffe.Net(image_net, caffe.TEST)
    for name, blobs in here.params.items():
        for mine, blob in zip(there.params[name], blobs, strict=True):
            mine.data[...] = blob.data
    image, above = rng.standard_normal((2, 3, 6, 5)), rng.standard_normal((2, 3))
    for net in (here, there):
        net.forward(data=image)
        net.backward(prob=above)
    for name, blob in here.blobs.items():
        for side in ("data", "diff"):
            found, expected = getattr(there.blobs[name], side), getattr(blob, side)
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6, err_msg=name)
    for name, blobs in here.params.items():
        for mine, blob in zip(there.params[name], blobs, strict=True):
            np.testing.assert_allclose(mine.diff, blob.diff, rtol=1e-4, atol=1e-6, err_msg=name)


def test_the_array_of_a_blob_stays_the_same_and_is_read_when_it_is_asked_for(emulated, image_net):
    net = caffe.Net(image_net, caffe.TEST)
    prob = net.blobs["prob"].data
    assert not prob.any()
    net._forward(0, len(net.layers) - 1)
    assert not prob.any() and net.blobs["prob"].data is prob and prob.any()


def test_a_script_may_write_while_the_net_computes(emulated, image_net):
    """Callbacks see what the layers before have made; what they write is read by those behind."""
    caffe.set_random_seed(1)
    net, seen = caffe.Net(image_net, caffe.TEST), []

    def after(i):
        if net._layer_names[i] == "pool":
            seen.append(net.blobs["pool"].data.copy())
            net.blobs["pool"].data[...] = 0

    net.after_forward(after)
    bias = net.params["ip"][1].data
    bias[...] = (1, 2, 3)
    for k in (1.0, 2.0):
        net.forward(data=np.full((2, 3, 6, 5), k))
        np.testing.assert_allclose(net.blobs["ip"].data, [[1, 2, 3]] * 2)
    assert (seen[0] != seen[1]).any()


def test_an_input_that_is_changed_in_place_is_seen_so(emulated, tmp_path):
    path = tmp_path / "n.prototxt"
    path.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 } } }'
        'layer { name: "r" type: "ReLU" bottom: "x" top: "x" }'
        'layer { name: "y" type: "Power" bottom: "x" top: "y" power_param { scale: 2 } }'
    )
    net = caffe.Net(str(path), caffe.TEST)
    np.testing.assert_array_equal(net.forward(x=np.array([-1, 0, 4]))["y"], [0, 0, 8])
    np.testing.assert_array_equal(net.blobs["x"].data, [0, 0, 4])
    net.blobs["x"].data[...] = -3
    np.testing.assert_array_equal(net.forward(start="y")["y"], [-6] * 3)


def test_old_memory_is_let_go_before_new_is_taken(emulated, image_net):
    """Twins of blobs hold the arrays of a net that has another shape by now."""
    net = caffe.Net(image_net, caffe.TEST)
    net.forward()
    net.blobs["data"].reshape(1, 3, 9, 9)
    net.reshape()
    assert not net._arrays._held and net.forward()["prob"].shape == (1, 3)
