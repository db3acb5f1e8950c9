"""Copies through CuPy, whose neighbouring threads walk along the last axis it is shown."""

import numpy as np
import pytest
from demitasse.kernels.cuda.card import Card

from ...emulator.device_array import DeviceArray
from ...net.nets import build, conv, data, join

CROP = "crop_param { axis: 2 offset: 1 }"


def joined():
    """Its Split does a Crop's work, or has a gradient to add; its Concat copies what others read,
    and cuts a larger bottom to its middle."""
    text = data("data", 2, 1, 12, 12) + conv("a", "data", "a", 6) + conv("b", "a", "b", 6)
    text += join("part", "a", "b", kind="Crop", more=CROP) + join("j", "b", "part", "a")
    text += conv("c", "j", "c", 2) + data("zero", 2, 2, 6, 6)
    return text + join("loss", "c", "zero", kind="EuclideanLoss")


@pytest.fixture
def walked(monkeypatch):
    """Steps, in bytes, along the last axis of what is changed and of what it is changed by."""
    found, assign, ufunc = [], DeviceArray.__setitem__, DeviceArray.__array_ufunc__

    def note(*arrays):
        steps = [a.strides[-1] for a in arrays if isinstance(a, DeviceArray) and a.ndim == 4]
        found.extend(steps)

    def assigned(array, key, value):
        note(array, value)
        return assign(array, key, value)

    def called(array, function, method, *inputs, out=(), **kwargs):
        if function is np.add and out:
            note(*inputs, *out)
        return ufunc(array, function, method, *inputs, out=out, **kwargs)

    monkeypatch.setattr(DeviceArray, "__setitem__", assigned)
    monkeypatch.setattr(DeviceArray, "__array_ufunc__", called)
    return found


def gradients(net):
    """After one pass."""
    rng = np.random.default_rng(1)
    for name in net.inputs:
        net.blobs[name].data[...] = rng.standard_normal(net.blobs[name].shape)
    net.clear_param_diffs()
    net.forward()
    net.backward()
    return net.device.host(net.flat_diff)


@pytest.mark.parametrize("fuse", [True, False])
def test_copies_walk_along_the_channels_where_these_are_neighbours(cupy, walked, fuse):
    cupy()
    net = build(joined(), device=Card(), fuse=fuse)
    assert net.blobs["a"].data.strides[1] == 4
    walked.clear()
    found = gradients(net)
    assert len(walked) > 10 and set(walked) == {4}
    expected = gradients(build(joined()))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
