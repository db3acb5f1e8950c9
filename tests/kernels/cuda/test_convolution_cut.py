"""A data gradient behind a rectifier, which the kernel that writes it cuts off."""

from dataclasses import replace

import numpy as np
import pytest
from demitasse.kernels.convolution import Form
from demitasse.kernels.cuda.convolution import ENGINE, Convolution
from demitasse.kernels.workers import Room
from devices import WHERE, kernels
from emulator import EmulatedDevice, array, empty

from .test_convolution import AMPLE, NAMED, PADDED, SCORE, WHOLE, Layer, computed, exact, inputs


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(("precision", "processors"), [("fp32", 4), ("fp32-strict", 99)])
@pytest.mark.parametrize("name", [*NAMED, "for warpgroups", "in parts", "odd, in parts", "score"])
def test_what_did_not_get_through_a_rectifier_below_is_cut_off(name, precision, processors, where):
    parts = {"in parts": replace(PADDED, m=64), "odd, in parts": replace(PADDED, c=37, m=64)}
    more = {"for warpgroups": WHOLE, "score": SCORE, **parts}
    layer = (NAMED | more)[name]
    values = inputs(layer)
    found = computed(kernels(where, precision, 90, processors), layer, *values, cut=True)
    *_, dx = exact(layer, *values, made=found[0])
    dx = np.where(values[0] > 0, dx, 0)
    assert np.linalg.norm(found[3] - dx) <= 2e-6 * np.linalg.norm(dx)
    assert not found[3][values[0] <= 0].any()


def test_a_rectifier_below_may_lie_otherwise_in_memory():
    layer = Layer(8, 12, (6, 5), 3)
    x, w, b, dy = inputs(layer)
    device = EmulatedDevice()
    form = Form(layer.window, 1, ENGINE, cut=True)
    room = Room(AMPLE, scratch=empty(AMPLE))
    dx = layer.store(np.full(layer.x, np.nan))
    first = replace(layer, last=False).store(x)
    args = (array(w, np.float32), None, layer.store(dy), None, None, dx, form, room)
    Convolution(device).backward(first, *args)
    expected = np.where(x > 0, exact(layer, x, w, b, dy)[3], 0)
    assert np.linalg.norm(dx - expected) <= 2e-6 * np.linalg.norm(expected)
