"""Kernels of the families beside their specifications: layouts, schedules, dtypes."""

import numpy as np
import pytest
from demitasse.kernels import dropout, pooling, relu, softmax, softmax_loss
from demitasse.kernels.cuda import launch
from demitasse.kernels.im2col import Window
from demitasse.kernels.workers import Room
from devices import CARD, EMULATOR
from devices import device as found

SHAPES = [(1, 1, 1, 1), (2, 3, 4, 5), (1, 8, 9, 7), (2, 5, 300)]
LAYOUTS = ("channels first", "channels last", "slice, first", "slice, last")
rng = np.random.default_rng(2015)


def normal(shape, dtype=np.float32):
    return rng.standard_normal(shape).astype(dtype)


@pytest.fixture(params=["forward", "reverse", 7, pytest.param(CARD, marks=pytest.mark.gpu)])
def device(request):
    on_card = request.param == CARD
    return found(CARD) if on_card else found(EMULATOR, schedule=request.param)


def before(c):
    """Channels of a larger array before a slice of c: a slice of words begins with one."""
    return 1 if c % 4 else 4


def put(device, values, layout):
    """An array of these values in a layout; a slice is some channels of a larger array, and what is
    around it must stay NaN (or 255)."""
    n, c, *size = values.shape
    more = before(c) * 3 if "slice" in layout else 0
    shape = (n, c + more, *size) if "first" in layout else (n, *size, c + more)
    whole = device.zeros(shape, values.dtype)
    whole.fill(np.nan if values.dtype.kind == "f" else 255)
    if "last" in layout:
        whole = np.moveaxis(whole, -1, 1)
    start = before(c) if more else 0
    part = whole[:, start : start + c]
    device.write(part, values)
    return part, whole


def around(part, whole):
    """What is not of the part is as it was."""
    c, values = part.shape[1], whole.get()
    rest = np.concatenate([values[:, : before(c)], values[:, before(c) + c :]], axis=1)
    return whole.shape == part.shape or (np.isnan(rest).all() if rest.dtype.kind == "f" else True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rectifier(device, shape, layout, dtype):
    x, dy = normal(shape, dtype), normal(shape, dtype)
    x.flat[0] = 0
    for slope in (0.0, 0.1):
        y, dx = np.empty_like(x), np.empty_like(x)
        relu.relu(x, y, slope, np.empty(x.size, dtype))
        relu.gradient(x, dy, dx, slope, np.empty(x.size, dtype))
        (a, _), (b, whole) = put(device, x, layout), put(device, dy, layout)
        to, _ = put(device, x, "channels first")
        device.relu.relu(a, to, slope, None)
        np.testing.assert_allclose(to.get(), y, rtol=1e-6)
        device.relu.gradient(a, b, b, slope, None)
        np.testing.assert_allclose(b.get(), dx, rtol=1e-6)
        assert around(b, whole)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [3, 256, 300])
def test_few_blocks_reach_every_element(device, channels, layout, monkeypatch):
    """As the most there are do of a large map."""
    monkeypatch.setattr(launch, "BLOCKS", 2)
    x = normal((2, channels, 5, 110))
    (a, whole), (to, _) = put(device, x, layout), put(device, np.full_like(x, np.nan), layout)
    device.relu.relu(a, to, 0.0, None)
    np.testing.assert_array_equal(to.get(), np.maximum(x, 0))
    device.softmax.softmax(a, a, None)
    np.testing.assert_allclose(a.get().sum(1), 1, rtol=1e-5)
    assert around(a, whole)


def test_rectifying_a_gradient_reads_the_top(device):
    y, dy = np.maximum(normal((1, 4, 5, 5)), 0), normal((1, 4, 5, 5))
    (a, _), (b, _) = put(device, y, "channels last"), put(device, dy, "channels last")
    device.columns.rectify_gradient(a, b, None)
    np.testing.assert_array_equal(b.get(), np.where(y > 0, dy, 0))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES)
def test_masks_are_the_same_bits_as_numpys(device, shape, layout):
    key = np.array([2**63 + 5, 17], np.uint64)
    counter = np.array([2**64 - 2, 2**64 - 1, 4, 9], np.uint64)
    for p in (0.5, 0.9):
        mask, (there, _) = np.empty(shape, np.uint8), put(device, np.zeros(shape, np.uint8), layout)
        for target, where in ((mask, dropout), (there, device.dropout)):
            stream = np.concatenate([key, counter])
            where.draw(target, p, stream if where is dropout else device.upload(stream))
        np.testing.assert_array_equal(there.get(), mask)
        x, y = normal(shape), np.empty(shape, np.float32)
        dropout.apply(x, mask, 1 / p, y, np.empty(x.size, np.float32))
        a, _ = put(device, x, layout)
        device.dropout.apply(a, there, 1 / p, a, None)
        np.testing.assert_array_equal(a.get(), y)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(2, 3, 4), (1, 2, 400), (3, 1, 5)])
def test_softmax(device, shape, layout):
    x, dy = 5 * normal(shape), normal(shape)
    y, dx = np.empty_like(x), np.empty_like(x)
    scratch = np.empty(x.size, np.float32)
    softmax.softmax(x, y, scratch)
    softmax.gradient(y, dy, dx, scratch)
    (a, whole), (b, _) = put(device, x, layout), put(device, dy, layout)
    device.softmax.softmax(a, a, None)
    np.testing.assert_allclose(a.get(), y, rtol=2e-6, atol=1e-7)
    assert around(a, whole)
    device.softmax.gradient(a, b, b, None)
    np.testing.assert_allclose(b.get(), dx, rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignore", [None, 2, 255])
@pytest.mark.parametrize("constant", [None, 77.0])
def test_softmax_loss(device, layout, weighted, ignore, constant):
    shape = (2, 3, 150)
    x = 3 * normal(shape)
    labels = rng.integers(0, 3, (2, 150)).astype(np.float32)
    if ignore == 255:
        labels[rng.random(labels.shape) < 0.2] = 255
    weights = rng.random((2, 150), np.float32) if weighted else None
    truth = labels, weights, ignore
    prob, dx, dloss = np.empty_like(x), np.empty_like(x), np.float32(0.3)
    loss, divisor, scratch = np.zeros((), np.float32), np.zeros(()), np.empty(x.size, np.float32)
    softmax_loss.forward(x, prob, *truth, constant, loss, divisor, scratch)
    softmax_loss.gradient(prob, *truth, divisor, dloss, dx, scratch)

    there = [None if a is None else device.upload(a) for a in truth[:2]]
    (a, whole), (p, _) = put(device, x, layout), put(device, x, layout)
    total, by = device.zeros((), np.float32), device.zeros((), np.float64)
    device.softmax_loss.forward(a, p, *there, ignore, constant, total, by, None)
    np.testing.assert_allclose(float(total), float(loss), rtol=1e-6)
    np.testing.assert_allclose(float(by), float(divisor), rtol=1e-6)
    np.testing.assert_allclose(p.get(), prob, rtol=2e-6, atol=1e-7)
    device.softmax_loss.gradient(p, *there, ignore, by, device.upload(np.array(dloss)), a, None)
    np.testing.assert_allclose(a.get(), dx, rtol=1e-5, atol=1e-8)
    assert around(a, whole)


def test_an_illegal_label_makes_the_loss_nan(device):
    x, given = device.upload(normal((1, 2, 9))), np.zeros((1, 9), np.float32)
    total, by = device.zeros((), np.float32), device.zeros((), np.float64)
    for illegal in (2, -1, np.nan):
        given[0, 4] = illegal
        labels = device.upload(given)
        prob = device.zeros(x.shape, np.float32)
        device.softmax_loss.forward(x, prob, labels, None, None, None, total, by, None)
        assert np.isnan(float(total))
    assert np.isfinite(prob.get()).all()


def window(kernel, stride, pad=0, axes=2):
    return Window((kernel,) * axes, (stride,) * axes, (pad,) * axes, (1,) * axes)


WINDOWS = [window(2, 2), window(3, 2), window(3, 1, 1), window(2, 3), window(3, 2, 1, axes=3)]
WINDOWS += [window(2, 3, 1), window(2, 2, 1, axes=3), window(4, 3, 2), window(5, 1)]
WINDOWS.append(Window((1, 2), (1, 2), (0, 0), (1, 1)))
WINDOWS.append(Window((16, 16), (16, 16), (1, 1), (1, 1)))  # int32 winners


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("channels", "ceil"), [(3, True), (8, True), (8, False)])
@pytest.mark.parametrize(
    "w", WINDOWS, ids=lambda w: "x".join(map(str, w.kernel + w.stride + w.pad))
)
def test_pooling(device, w, channels, ceil, layout):
    """Of values that are often equal."""
    size = (7, 8, 5)[: len(w.kernel)] if w.volume < 256 else (31, 33)
    x = np.round(normal((2, channels, *size)))
    x[0, 0, 0] = np.nan
    out = pooling.outputs(size, w, ceil)
    y, dy = np.empty((2, channels, *out), np.float32), normal((2, channels, *out))
    arg, dx = np.empty(y.shape, pooling.arg_dtype(w)), np.empty_like(x)
    need = pooling.scratch_size((2 * channels, *size), (2 * channels, *out), 4, Room(0))
    room = Room(0, scratch=np.empty(need, np.float32))
    pooling.max_forward(x, y, arg, w, room)
    pooling.max_backward(dy, arg, dx, w, room)
    a, whole = put(device, x, layout)
    b, to = put(device, y, layout)
    winners, _ = put(device, arg, layout)
    device.pooling.max_forward(a, b, winners, w, None)
    np.testing.assert_array_equal(b.get(), y)
    np.testing.assert_array_equal(winners.get(), arg)
    assert around(b, to)
    device.write(b, dy)
    device.pooling.max_backward(b, winners, a, w, None)
    np.testing.assert_allclose(a.get(), dx, rtol=1e-6, atol=2e-6)
    assert around(a, whole)

    x = normal(x.shape)
    pooling.average_forward(x, y, w, room)
    pooling.average_backward(dy, dx, w, room)
    a, _ = put(device, x, layout)
    device.pooling.average_forward(a, b, w, None)
    np.testing.assert_allclose(b.get(), y, rtol=1e-5, atol=3e-6)
    device.write(b, dy)
    device.pooling.average_backward(b, a, w, None)
    np.testing.assert_allclose(a.get(), dx, rtol=1e-5, atol=3e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("channels", "size"), [(3, (5, 110)), (8, (3, 4, 55)), (300, (30, 3))])
def test_few_blocks_pool_every_element(device, channels, size, layout, monkeypatch):
    monkeypatch.setattr(launch, "BLOCKS", 2)
    x = normal((2, channels, *size))
    for w in (window(2, 2, axes=len(size)), window(3, 2, 1, axes=len(size))):
        y = np.empty((2, channels, *pooling.outputs(size, w, True)), np.float32)
        arg, dx = np.empty(y.shape, np.uint8), np.empty_like(x)
        need = pooling.scratch_size((x.size, *size), (x.size, *y.shape[2:]), 4, Room(0))
        room = Room(0, scratch=np.empty(need, np.float32))
        pooling.max_forward(x, y, arg, w, room)
        pooling.max_backward(y, arg, dx, w, room)
        (a, _), (b, to) = put(device, x, layout), put(device, y * 0, layout)
        winners, _ = put(device, arg * 0, layout)
        device.pooling.max_forward(a, b, winners, w, None)
        np.testing.assert_array_equal(b.get(), y)
        np.testing.assert_array_equal(winners.get(), arg)
        device.pooling.max_backward(b, winners, a, w, None)
        np.testing.assert_allclose(a.get(), dx, rtol=1e-6)
        assert around(b, to)


def test_a_thread_takes_words_only_where_every_array_has_them():
    x = np.moveaxis(np.zeros((2, 5, 6, 16), np.float32), -1, 1)
    mask = np.moveaxis(np.zeros((2, 5, 6, 8), np.uint8), -1, 1)
    given = {"words": x[:, 4:12], "bytes": mask, "a row": x[:, :8, 2:3], "an image": x[1:, 8:]}
    given |= {"one place": x[:, :8, :1, :1], "between words": x[:, 2:10], "odd": x[:, :6]}
    given |= {"first": np.zeros((2, 8, 5, 6)), "every other": x[:, ::2]}
    found = {k: launch.wide((v, launch.map_of(v))) for k, v in given.items()}
    assert {k for k, n in found.items() if n == 4} == {"words", "bytes", "a row", "an image"}
    pairs = [(v, launch.map_of(v)) for v in (x, mask, x[:, :6])]
    assert launch.wide(*pairs[:2]) == 4 and launch.wide(*pairs) == 1
