"""Convolution and deconvolution against their definitions, however they are cut."""

from dataclasses import replace

import numpy as np
import pytest
from demitasse.kernels import columns, convolution, deconvolution
from demitasse.kernels.convolution import COLUMNS, WINOGRAD, Form
from demitasse.kernels.im2col import Window
from demitasse.kernels.workers import Room, Workers
from hypothesis import assume, given, settings
from hypothesis import strategies as st

steady = settings(max_examples=80, deadline=None, derandomize=True, database=None)
TINY, AMPLE = 1, 1 << 22


def slow(x, w, window, group):
    """The definition: one window position after the other, by einsum."""
    images, channels = x.shape[:2]
    size = window.outputs(x.shape[2:])
    border = [(0, 0), (0, 0), *((p, p) for p in window.pad)]
    x = np.pad(x, border).reshape(
        images,
        group,
        channels // group,
        *(n + 2 * p for n, p in zip(x.shape[2:], window.pad, strict=True)),
    )
    v = w.reshape(group, -1, *w.shape[1:])
    y = np.zeros((images, group, v.shape[1], *size))
    for k in np.ndindex(*window.kernel):
        at = tuple(
            slice(d * a, d * a + s * (n - 1) + 1, s)
            for a, n, s, d in zip(k, size, window.stride, window.dilation, strict=True)
        )
        y += np.einsum("gmc,ngc...->ngm...", v[(..., *k)], x[(..., *at)])
    return y.reshape(images, -1, *size)


@st.composite
def cases(draw):
    axes = draw(st.integers(1, 3))

    def each(low, high):
        return tuple(draw(st.integers(low, high)) for _ in range(axes))

    window = Window(each(1, 3), each(1, 3), each(0, 2), each(1, 2))
    group, m, c = (draw(st.integers(1, 3)) for _ in range(3))
    x = (draw(st.integers(1, 3)), group * c, *each(1, 7))
    w = (group * m, c, *window.kernel)
    # small budgets force strips, blocks of channels and the scattering gradient
    return (
        Form(window, group),
        x,
        w,
        draw(st.sampled_from([TINY, 160, 1200, AMPLE])),
        draw(st.integers(1, 3)),
    )


def arrays(*shapes):
    rng = np.random.default_rng(3)
    return [rng.standard_normal(shape) for shape in shapes]


def room_for(module, shapes, form, budget, threads, dtype=np.float64):
    """The scratch a kernel asks for, not an element more, and poisoned."""
    room = Room(budget, Workers(threads))
    scratch = np.full(module.scratch_size(*shapes, form, room), np.nan, dtype)
    return replace(room, scratch=scratch)


@steady
@given(cases())
def test_convolution(case):
    form, x_shape, w_shape, budget, threads = case
    window, group = form[:2]
    size = window.outputs(x_shape[2:])
    assume(min(size) >= 1)
    y_shape = (x_shape[0], w_shape[0], *size)
    x, w, b, dy = arrays(x_shape, w_shape, w_shape[:1], y_shape)
    room = room_for(convolution, (x_shape, w_shape, y_shape), form, budget, threads)
    y, dx = np.full(y_shape, np.nan), np.full(x_shape, np.nan)
    dw, db = np.ones(w_shape), np.ones(len(b))
    convolution.forward(x, w, b, y, form, room)
    room.scratch.fill(np.nan)
    convolution.backward(x, w, None, dy, dw, db, dx, form, room)
    over = tuple(i for i in range(dy.ndim) if i != 1)
    expected = slow(x, w, window, group)
    np.testing.assert_allclose(y, expected + b.reshape(-1, *(1,) * len(size)), atol=1e-12)
    np.testing.assert_allclose(db - 1, dy.sum(over), atol=1e-12)
    # bilinear: both gradients are adjoints of the forward pass, checked in random directions
    x2, w2 = arrays(x_shape, w_shape)
    np.testing.assert_allclose((dx * x2).sum(), (slow(x2, w, window, group) * dy).sum(), atol=1e-9)
    np.testing.assert_allclose(
        ((dw - 1) * w2).sum(), (slow(x, w2, window, group) * dy).sum(), atol=1e-9
    )


@steady
@given(cases())
def test_deconvolution(case):
    form, small, w_shape, budget, threads = case
    window, group = form[:2]
    big = window.inputs(small[2:])
    assume(min(big) >= 1)
    x_shape, y_shape = (small[0], w_shape[0], *small[2:]), (small[0], group * w_shape[1], *big)
    x, w, b, dy = arrays(x_shape, w_shape, y_shape[1:2], y_shape)
    room = room_for(deconvolution, (x_shape, w_shape, y_shape), form, budget, threads)
    y, dx, dw = np.full(y_shape, np.nan), np.full(x_shape, np.nan), np.ones(w_shape)
    deconvolution.forward(x, w, b, y, form, room)
    room.scratch.fill(np.nan)
    deconvolution.backward(x, w, None, dy, dw, None, dx, form, room)
    y -= b.reshape(-1, *(1,) * len(big))
    expected = slow(dy, w, window, group)
    np.testing.assert_allclose(dx, expected, atol=1e-12)
    np.testing.assert_allclose((y * dy).sum(), (x * expected).sum(), atol=1e-9)
    (w2,) = arrays(w_shape)
    np.testing.assert_allclose(
        ((dw - 1) * w2).sum(), (slow(dy, w2, window, group) * x).sum(), atol=1e-9
    )


def test_up_convolution_is_the_formula():
    x, w, b = arrays((2, 3, 4, 5), (3, 2, 2, 2), (2,))
    y, form = np.full((2, 2, 8, 10), np.nan), Form(Window((2, 2), (2, 2), (0, 0), (1, 1)), 1)
    room = room_for(deconvolution, (x.shape, w.shape, y.shape), form, AMPLE, 2)
    deconvolution.forward(x, w, b, y, form, room)
    expected = np.einsum("nihw,iokl->nohkwl", x, w).reshape(y.shape) + b.reshape(-1, 1, 1)
    np.testing.assert_allclose(y, expected, atol=1e-12)


@pytest.mark.parametrize("module", [convolution, deconvolution])
@pytest.mark.parametrize("kernel", [1, 2, 3])
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_scratch_is_within_the_budget_when_it_can_be(module, kernel, threads):
    window = Window((kernel,) * 2, (1, 1), (0, 0), (1, 1))
    x, w = (1, 64, 100, 100), (64, 64, kernel, kernel)
    y = (1, 64, *(window.outputs if module is convolution else window.inputs)(x[2:]))
    for budget in (1 << 17, 1 << 20, 1 << 23):
        room = Room(budget, Workers(threads))
        assert module.scratch_size(x, w, y, Form(window, 1), room) <= budget


@pytest.mark.parametrize("engine", [COLUMNS, WINOGRAD])
def test_strips_of_deep_and_shallow_layers_stay_modest(engine):
    form, budget = Form(Window((3, 3), (1, 1), (0, 0), (1, 1)), 1, engine), 20 << 20
    for c, m, n in [(64, 64, 570), (1024, 1024, 30), (1024, 512, 56), (128, 64, 392)]:
        x, w, y = (1, c, n, n), (m, c, 3, 3), (1, m, n - 2, n - 2)
        room = Room(budget, Workers(4))
        assert convolution.scratch_size(x, w, y, form, room) <= budget


def test_a_thousand_small_images_are_few_strips():
    """Otherwise every image would cost a round of Python per kernel position."""
    window = Window((3, 3), (1, 1), (0, 0), (1, 1))
    cut = columns._strips((1000, 1, 6, 6), (2, 1, 3, 3), (4, 4), window, Room(AMPLE))
    assert cut.images == 1000


def test_results_do_not_depend_on_the_number_of_threads():
    form = Form(Window((3, 3), (1, 1), (1, 1), (1, 1)), 1)
    x, w, dy = (
        a.astype(np.float32) for a in arrays((2, 9, 40, 44), (10, 9, 3, 3), (2, 10, 40, 44))
    )
    for engine in (COLUMNS, WINOGRAD):
        form, found = form._replace(engine=engine), []
        for threads in (1, 2, 3, 8):
            shapes = (x.shape, w.shape, dy.shape)
            room = room_for(convolution, shapes, form, AMPLE, threads, np.float32)
            y, dw, dx = np.empty_like(dy), np.zeros_like(w), np.empty_like(x)
            convolution.forward(x, w, None, y, form, room)
            convolution.backward(x, w, None, dy, dw, None, dx, form, room)
            found.append((y, dw, dx))
        for other in found[1:]:
            for a, b in zip(found[0], other, strict=True):
                np.testing.assert_array_equal(a, b)
