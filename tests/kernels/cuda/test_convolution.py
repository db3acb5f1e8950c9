"""The GPU's convolutions against float64: every kernel and window; on the emulator every order."""

from dataclasses import dataclass, replace
from math import prod

import numpy as np
import pytest
from demitasse.errors import DeviceError
from demitasse.kernels import convolution, deconvolution
from demitasse.kernels.convolution import COLUMNS, Form
from demitasse.kernels.cuda import products, table
from demitasse.kernels.cuda.convolution import ENGINE, Convolution, Deconvolution
from demitasse.kernels.im2col import Window
from demitasse.kernels.workers import Room
from devices import CARD, WHERE, kernels
from emulator import SCHEDULES, EmulatedDevice, array, empty
from hypothesis import assume, given, settings
from hypothesis import strategies as st

BOUNDS = {"fp32": 2e-6, "fp32-strict": 2e-6, "tf32": 1e-3, "bf16": 1e-2}  # relative, of one layer
AMPLE = 1 << 20


@dataclass(frozen=True)
class Layer:
    """A layer to try: kernel, stride, pad and dilation are the same on all axes."""

    c: int
    m: int
    size: tuple
    kernel: int = 3
    stride: int = 1
    pad: int = 0
    dilation: int = 1
    group: int = 1
    images: int = 1
    slope: float = 1.0
    deconvolution: bool = False
    last: bool = True  # whether channels are the last axis in memory

    @property
    def window(self):
        each = (self.kernel, self.stride, self.pad, self.dilation)
        return Window(*((n,) * len(self.size) for n in each))

    @property
    def x(self):
        return (self.images, self.c, *self.size)

    @property
    def y(self):
        made = self.window.inputs if self.deconvolution else self.window.outputs
        return (self.images, self.m, *made(self.size))

    @property
    def w(self):
        first, second = (self.c, self.m) if self.deconvolution else (self.m, self.c)
        return (first, second // self.group, *self.window.kernel)

    def store(self, values, device=None):
        device = device or EmulatedDevice()
        if not self.last:
            return device.put(values)
        return np.moveaxis(device.put(np.moveaxis(values, 1, -1)), -1, 1)


def inputs(layer, seed=0):
    """x, w, b, dy: exact in float32."""
    rng = np.random.default_rng(seed)
    shapes = (layer.x, layer.w, (layer.m,), layer.y)
    return [rng.standard_normal(s).astype(np.float32).astype(float) for s in shapes]


def exact(layer, x, w, b, dy, made=None):
    """y, dw, db, dx in float64, by the specification; made: the y whose signs decide backward."""
    kernel = deconvolution if layer.deconvolution else convolution
    room, form = Room(AMPLE, scratch=np.empty(4 * AMPLE)), Form(layer.window, layer.group, COLUMNS)
    y, dw, db, dx = (np.zeros(a.shape) for a in (dy, w, b, x))
    kernel.forward(x, w, b, y, form, room)
    dy = np.where((y if made is None else made) > 0, dy, layer.slope * dy)
    kernel.backward(x, w, None, dy, dw, db, dx, form, room)
    return np.where(y > 0, y, layer.slope * y), dw, db, dx


def computed(device, layer, x, w, b, dy, budget=AMPLE, cut=False):
    """y, dw, db, dx by the device, in watched memory; the gradients are added to ones."""
    engine = (Deconvolution if layer.deconvolution else Convolution)(device)
    form = Form(layer.window, layer.group, ENGINE, layer.slope, cut=cut)
    scratch = device.empty(engine.scratch_size(layer.x, layer.w, layer.y, form, Room(budget)))
    room = Room(budget, scratch=scratch)
    x, dy = layer.store(x, device), layer.store(dy, device)
    y, dx = (layer.store(np.full(a.shape, np.nan), device) for a in (dy, x))
    w, b = device.put(w), device.put(b)
    dw, db = (device.put(np.ones(a.shape)) for a in (w, b))
    engine.forward(x, w, b, y, form, room)
    scratch.fill(np.nan)
    engine.backward(x, w, y, dy, dw, db, dx, form, room)
    y, dw, db, dx = (device.get(a) for a in (y, dw, db, dx))
    return y, dw - 1, db - 1, dx


def check(found, layer, values, bound):
    expected = exact(layer, *values, made=found[0])
    for name, a, b in zip(("y", "dw", "db", "dx"), found, expected, strict=True):
        worst = np.linalg.norm(a - b) / np.linalg.norm(b)
        assert worst <= (1e-6 if name == "db" else bound), f"{name}: {worst}"


# ---------------------------------------------------------------- every kernel

LARGE = Layer(36, 128, (1, 126), 1)  # a large tile
MIDDLE = Layer(36, 64, (1, 125), 1)  # half as many outputs
PADDED = Layer(36, 20, (9, 5), pad=1, images=2, slope=0.1)
FIRST = Layer(1, 12, (11, 10), pad=1)
ODD = Layer(5, 5, (6, 7), stride=2, dilation=2, pad=2, last=False)
SCORE = Layer(64, 2, (5, 7), 1)
WIDE = Layer(12, 128, (3, 45), 3)
MANY = Layer(6, 10, (2100,), 1, group=2)  # many parts of a weight gradient
WHOLE = Layer(64, 96, (140,), 3, pad=1, images=2, slope=0.1)  # for warpgroups, and no whole tile


def _cases():
    """Expression: the precision, the layer, the processors, and the only tile there is."""
    found = {}

    def expect(kernel, precision, layer, processors=4, only=None):
        found[kernel.expression] = (precision, layer, processors, only)

    def expect_tiles(tiles, key, precision, layers):
        for tile, layer in zip(tiles.get(key, ()), layers, strict=True):
            expect(tile.kernel, precision, layer, only=(tiles, key, tile))

    for precision, mode in table.MODES.items():
        expect_tiles(table.CONVOLVE, mode, precision, (LARGE, MIDDLE, PADDED))
        expect_tiles(table.WEIGHT_GRADIENT, mode, precision, (WIDE, PADDED))
        for tiles in (table.CONVOLVE_WARPGROUPS, table.GRADIENT_WARPGROUPS):
            expect_tiles(tiles, mode, precision, (WHOLE,) * len(tiles.get(mode, ())))
        expect(table.PACK[table.OPERANDS[mode]], precision, PADDED)
    for tiles, large in ((table.CONVOLVE_SIMT, LARGE), (table.WEIGHT_GRADIENT_SIMT, WIDE)):
        expect_tiles(tiles, True, "fp32-strict", (large, PADDED))
        expect_tiles(tiles, False, "fp32-strict", (ODD,))
    expect(table.SHORT[4], "fp32", FIRST)
    expect(table.SHORT[1], "fp32", replace(FIRST, m=5))
    expect(table.NARROW, "fp32", SCORE)
    direct = (FIRST, replace(FIRST, m=5), SCORE, replace(SCORE, c=37))
    for (narrow, quads), layer in zip(
        ((False, True), (False, False), (True, True), (True, False)), direct, strict=True
    ):
        expect(table.WEIGHT_GRADIENT_DIRECT[narrow, quads], "fp32", layer)
    expect(table.PACK[table.SPLIT], "fp32", WHOLE)
    expect(table.ADD_PLANES[False], "fp32", PADDED)
    expect(table.ADD_PLANES[True], "fp32", MANY, 99)
    expect(table.FINISH[True], "fp32", replace(PADDED, c=64), 40)
    expect(table.FINISH[False], "fp32-strict", replace(PADDED, c=64, m=5), 40)
    for rectify in (False, True):
        for quads, layer in ((True, PADDED), (False, ODD)):
            slope = 0.25 if rectify else 1.0
            expect(table.SUM_OUTPUTS[rectify, quads], "fp32", replace(layer, slope=slope))
    expect(table.ADD_SUMS, "fp32", PADDED)
    return found


CASES = _cases()


@pytest.fixture
def planned_anew():
    """Nothing is remembered of plans made from another table."""
    kept = (products.product, products.gradient)
    for function in kept:
        function.cache_clear()
    yield
    for function in kept:
        function.cache_clear()


def test_every_kernel_is_tried():
    assert set(CASES) == {kernel.expression for kernel in table.convolutions()}


@pytest.mark.usefixtures("planned_anew")
@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("expression", CASES)
def test_every_kernel_is_right_in_every_order(monkeypatch, expression, where):
    precision, layer, processors, only = CASES[expression]
    if only is not None:
        tiles, key, tile = only
        monkeypatch.setitem(tiles, key, (tile,))
    values, outcomes = inputs(layer), []
    for schedule in SCHEDULES[:3]:
        device = kernels(where, precision, 90, processors, schedule)
        outcomes.append(computed(device, layer, *values))
        if device.precision != precision and expression not in device.launched:
            pytest.skip(f"this card computes in {device.precision}")
        assert expression in device.launched
        check(outcomes[-1], layer, values, BOUNDS[precision])
    for again in outcomes[1:]:
        for a, b in zip(outcomes[0], again, strict=True):
            np.testing.assert_array_equal(a, b)


# ---------------------------------------------------------------- what a net does with them

UP = Layer(8, 12, (5, 4), 2, 2, slope=0.0, deconvolution=True)
NAMED = {
    "up-convolution": UP,
    "up-convolution of volumes": replace(UP, size=(2, 3, 2)),
    "up-convolution of groups": replace(UP, c=16, m=8, group=2),
    "up-convolution by odd channels": replace(UP, c=3, m=5, last=False),
    "overlapping deconvolution": Layer(8, 4, (4, 5), 4, 2, 1, deconvolution=True),
    "deconvolution with gaps": Layer(4, 8, (3, 3), 2, 3, 0, deconvolution=True),
    "one axis": Layer(4, 8, (17,), 3),
    "volumes": Layer(4, 8, (4, 5, 3), 3, pad=1),
    "strided": Layer(8, 8, (9, 8), 3, 2, 1),
    "strided windows that tile": Layer(8, 8, (6, 4), 2, 2),
    "strided windows that leave a border": Layer(8, 8, (7, 5), 2, 2),
    "atrous": Layer(8, 8, (9, 9), 3, dilation=3),
    "a channel to a group": Layer(6, 6, (6, 5), 3, group=6),
    "wide groups": Layer(16, 8, (6, 5), 3, group=2),
    "channels first": Layer(8, 12, (6, 5), 3, last=False),
    "a large window": Layer(4, 4, (9, 9), 7, pad=3),
    "padding wider than the map": Layer(4, 4, (2, 2), 3, pad=2),
    "many images": Layer(4, 4, (3, 3), 3, images=9),
    "colours": Layer(3, 136, (6, 5), pad=1, images=2),
    "few channels from many": Layer(8, 64, (5, 7), 1),
    "few channels of many": Layer(64, 8, (5, 7), 1, deconvolution=True),
}


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("precision", ["fp32", "fp32-strict"])
@pytest.mark.parametrize("name", NAMED)
def test_layers_as_prototxts_have_them(name, precision, where):
    layer = NAMED[name]
    values = inputs(layer)
    found = computed(kernels(where, precision), layer, *values)
    check(found, layer, values, BOUNDS[precision])


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("precision", BOUNDS)
def test_precision_of_a_deep_layer(precision, where):
    """2304 and more terms, all above 0: tensor cores that kept their sums would be a decimal off,
    and operands that are cut instead of rounded make all of them too small."""
    layer = Layer(256, 16, (4, 5), 3)
    values = [np.abs(v) for v in inputs(layer)]
    found = computed(kernels(where, precision), layer, *values)
    bounds = BOUNDS | {"tf32": 2e-4, "bf16": 2e-3}
    check(found, layer, values, bounds[precision])


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("precision", ["fp32", "tf32"])
@pytest.mark.parametrize(("group", "processors"), [(1, 1), (2, 60)])
def test_the_kernel_of_warpgroups_sums_for_the_bias_as_well(where, precision, group, processors):
    layer = Layer(64, 72 * group, (20, 19), 3, pad=1, group=group, images=2)
    values = inputs(layer)
    device = kernels(where, precision, 90, processors)
    found = computed(device, layer, *values)
    check(found, layer, values, BOUNDS[precision])
    if any("weight_gradient_by_warpgroups" in name for name in device.launched):
        assert not any("sum_outputs" in name for name in device.launched)
    else:
        assert where == CARD


def test_long_sums_of_a_weights_gradient_are_added_in_parts():
    """In one go their error grows with their length: 3.1e-6 here."""
    layer = Layer(6, 10, (1 << 15,), 1, group=2, last=False)
    values = [np.abs(v) for v in inputs(layer)]
    device = EmulatedDevice("fp32-strict", processors=1)
    found = computed(device, layer, *values, budget=1)
    assert "weight_gradient_simt<64, 32, 4, false>" in device.launched
    check(found, layer, values, 2e-6)


@pytest.mark.parametrize(("capability", "tensor"), [(75, False), (80, True)])
def test_a_card_without_tf32_uses_its_cores(capability, tensor):
    device = EmulatedDevice("fp32", capability)
    values = inputs(PADDED)
    check(computed(device, PADDED, *values), PADDED, values, 2e-6)
    assert any("TF32X3" in e for e in device.launched) == tensor
    assert all(
        k.capability <= capability for k in table.convolutions() if k.expression in device.launched
    )


@pytest.mark.parametrize("layer", [PADDED, UP, FIRST, replace(SCORE, m=4)], ids=str)
def test_a_slice_of_a_larger_array_is_filled_and_the_rest_is_untouched(layer):
    """As for a Concat whose bottoms lie in its top: channels, and a crop of the bottom."""
    x, w, b, dy = inputs(layer)
    engine = (Deconvolution if layer.deconvolution else Convolution)(EmulatedDevice())
    form, room = Form(layer.window, 1, ENGINE, layer.slope), Room(AMPLE, scratch=empty(AMPLE))
    shape = (layer.images, layer.m + 8, *layer.y[2:])
    top = layer.store(np.full(shape, np.nan))
    whole = layer.store(np.full((layer.images, layer.c + 4, *(n + 3 for n in layer.size)), np.nan))
    crop = whole[(slice(None), slice(4, None), *(slice(2, 2 + n) for n in layer.size))]
    crop[...] = x
    y = top[:, 4 : 4 + layer.m]
    engine.forward(crop, array(w, np.float32), array(b, np.float32), y, form, room)
    expected = exact(layer, x, w, b, dy)
    assert np.linalg.norm(y - expected[0]) <= 2e-6 * np.linalg.norm(expected[0])
    assert np.isnan(top[:, :4]).all() and np.isnan(top[:, 4 + layer.m :]).all()
    whole[...] = np.nan
    crop[...] = x
    gradient = layer.store(np.full(shape, np.nan))
    gradient[:, 4 : 4 + layer.m] = dy
    dw, db = (array(np.zeros(s), np.float32) for s in (layer.w, layer.m))
    dx = layer.store(np.full(whole.shape, np.nan))
    place = dx[(slice(None), slice(4, None), *(slice(2, 2 + n) for n in layer.size))]
    engine.backward(
        crop, array(w, np.float32), y, gradient[:, 4 : 4 + layer.m], dw, db, place, form, room
    )
    check((y, dw, db, place), layer, (x, w, b, dy), 2e-6)
    assert np.isnan(dx).sum() == dx.size - place.size
    assert np.isnan(gradient).sum() == gradient.size - dy.size


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("precision", BOUNDS)
def test_what_is_not_a_number_is_not_lost(precision, where):
    layer = Layer(8, 36, (4, 4), 3)
    of_cards = np.uint64(2**63 - 1).view(np.float64)  # 0x7fffffff in float32: no bit can be added
    for bad in (np.nan, np.inf, of_cards):
        x, w, b, dy = inputs(layer)
        x[0, 3, 1, 1] = dy[0, 2, 1, 1] = bad
        with np.errstate(invalid="ignore"):
            y, dw, db, dx = computed(kernels(where, precision), layer, x, w, b, dy)
        assert not np.isfinite(y[:, :, :2, :2]).any()
        assert not np.isfinite(dw[2]).any() and not np.isfinite(db[2])
        assert not np.isfinite(dx[:, :, 1:, 1:]).any()


def test_splitting_the_reduction_obeys_the_budget():
    layer = Layer(64, 8, (5, 5), 3)
    values, packed = inputs(layer), 64 * 9 * 8
    few, many = EmulatedDevice(processors=99), EmulatedDevice(processors=99)
    found = computed(few, layer, *values, budget=packed), computed(many, layer, *values)
    assert "finish<true>" in many.launched and "finish<true>" not in few.launched
    for outcome in found:
        check(outcome, layer, values, 2e-6)


def test_a_parameter_that_does_not_learn_costs_nothing():
    device = EmulatedDevice()
    engine, form = Convolution(device), Form(PADDED.window, 1, ENGINE)
    x, w, _, dy = inputs(PADDED)
    x, dy = PADDED.store(x), PADDED.store(dy)
    room = Room(AMPLE, scratch=empty(AMPLE))
    engine.backward(x, array(w, np.float32), None, dy, None, None, None, form, room)
    assert device.launched == []


def test_without_a_bias_nothing_is_added():
    layer = replace(PADDED, slope=1.0)
    x, w, b, dy = inputs(layer)
    form, room = Form(layer.window, 1, ENGINE), Room(AMPLE, scratch=empty(AMPLE))
    y = layer.store(np.full(layer.y, np.nan))
    Convolution(EmulatedDevice()).forward(layer.store(x), array(w, np.float32), None, y, form, room)
    expected = exact(layer, x, w, 0 * b, dy)[0]
    assert np.linalg.norm(y - expected) <= 2e-6 * np.linalg.norm(expected)


@pytest.mark.parametrize(
    ("axes", "kernel", "group", "dtype", "words"),
    [
        (4, 3, 1, np.float32, "3 spatial axes"),
        (2, 3, 1, np.float64, "float32"),
        (3, 11, 1, np.float32, "1024 elements; found 1331"),
        (2, 3, 1 << 16, np.float32, "65535 groups; found 65536"),
    ],
)
def test_what_no_kernel_can_do_is_refused_as_it_is_chosen(axes, kernel, group, dtype, words):
    window = Window(*((n,) * axes for n in (kernel, 1, 0, 1)))
    shapes = (1, 2, *(20,) * axes), (2, 2, *window.kernel), (1, 2, *window.outputs((20,) * axes))
    for engine in (Convolution(EmulatedDevice()), Deconvolution(EmulatedDevice())):
        with pytest.raises(DeviceError, match=words):
            engine.choose(*shapes, window, group, dtype)
        shapes_2d = (1, 2, 8, 8), (2, 2, 3, 3), (1, 2, 6, 6)
        plain = Window((3, 3), (1, 1), (0, 0), (1, 1))
        assert engine.choose(*shapes_2d, plain, 1, np.float32) == ENGINE
        assert Form(plain, 1, ENGINE).rectifies(0.1)


@st.composite
def layers(draw):
    axes = draw(st.integers(1, 3))
    counts = (1, 1, 2, 3), (1, 2, 4, 12, 32), (1, 3, 8, 32)
    group, c, m = (draw(st.sampled_from(n)) for n in counts)
    kernel, stride, dilation = (draw(st.integers(1, n)) for n in (3, 3, 2))
    size = tuple(draw(st.integers(1, 6)) for _ in range(axes))
    return Layer(
        group * c, group * m, size, kernel, stride, draw(st.integers(0, 2)), dilation, group,
        draw(st.integers(1, 2)), draw(st.sampled_from([1.0, 0.0, 0.1])), draw(st.booleans()),
        draw(st.booleans()),
    )  # fmt: skip


@pytest.mark.parametrize("where", WHERE)
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(layers(), st.sampled_from(sorted(BOUNDS)), st.sampled_from([1, 7, 64]), st.integers(0, 9))
def test_any_layer(where, layer, precision, processors, schedule):
    assume(min(layer.y[2:]) >= 1 and prod(layer.y) < 5000)
    values = inputs(layer)
    found = computed(kernels(where, precision, 90, processors, schedule), layer, *values)
    for a, b in zip(found, exact(layer, *values, made=found[0]), strict=True):
        scale = max(np.linalg.norm(b), np.sqrt(b.size))
        assert np.linalg.norm(a - b) <= 2 * BOUNDS[precision] * scale
