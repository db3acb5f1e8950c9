"""Training steps that a card records as a CUDA graph, with a CuPy that has none."""

import numpy as np
import pytest
from demitasse.errors import NonFiniteError
from demitasse.imaging.predict import Predictor
from demitasse.kernels.cuda import launch
from demitasse.kernels.cuda.card import Card
from demitasse.kernels.cuda.update import KINDS, Update
from demitasse.net import Net
from demitasse.netspec import build, parse_net, parse_solver
from demitasse.solvers import Hook, Observer
from demitasse.solvers.registry import solver_class

from ...emulator.device_array import DeviceArray


def test_a_recorded_graph_computes_in_memory_of_its_own(cupy):
    there = cupy()
    card = Card()
    x = card.upload(np.array([[-1, 2]], np.float32))
    there.calls.clear()
    replay = card.capture(lambda: card.relu.relu(x, x, 0.0, None))
    assert [call[0] for call in there.calls] == ["allocator", "begin", "end", "allocator"]
    np.testing.assert_array_equal(x.get(), [[-1, 2]])  # recorded, not run
    card.write(x, np.array([[-3, 4]], np.float32))
    replay()
    np.testing.assert_array_equal(x.get(), [[0, 4]])
    assert there.calls[-1] == ("launch", card.stream)


def test_a_pass_that_fails_while_it_is_recorded_leaves_the_card_usable(cupy):
    cupy()
    card = Card()
    x = card.zeros((1, 2), np.float32)
    with pytest.raises(RuntimeError, match="while a CUDA graph is captured"):
        card.capture(lambda: card.host(x))
    assert not card.recording and not DeviceArray.busy
    assert card.host(x).sum() == 0


def recorded(there):
    """How many passes were recorded, and how often one that was ran."""
    told = [call[0] for call in there.calls]
    return told.count("begin"), told.count("launch")


RECORDED = """
input: "x" input_shape { dim: 1 dim: 1 dim: 4 dim: 4 }
input: "l" input_shape { dim: 1 dim: 1 dim: 4 dim: 4 }
layer { name: "d" type: "Dropout" bottom: "x" top: "d" }
layer { name: "c" type: "Convolution" bottom: "d" top: "s" convolution_param {
  num_output: 2 kernel_size: 1 weight_filler { type: "msra" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "s" bottom: "l" top: "loss" }
"""


def trained(device, observer=None, steps=5, kind="SGD", hooks=(), more=""):
    """Clipped, and at another rate in every step."""
    net = Net(build(parse_net(RECORDED), "TRAIN"), seed=3, device=device)
    text = 'base_lr: 0.1 lr_policy: "exp" gamma: 0.9 clip_gradients: 0.5 max_iter: 9'
    made = solver_class(kind, "")
    text += " momentum: 0.9" * made.uses_momentum + more
    solver = made(parse_solver(text).message, net, observer=observer, hooks=hooks)
    net.blobs["x"].data[...] = np.arange(16).reshape(1, 1, 4, 4)
    solver.step(steps)
    return solver, net.device.host(net.flat_data), net.state()


def test_a_pass_that_cannot_be_recorded_is_run_and_the_log_is_told_once(cupy, monkeypatch):
    cupy()
    _, weights, state = trained(Card())
    lines, tried = [], []

    class Log(Observer):
        def said(self, message):
            lines.append(message)

    def looks(card, run):
        def more():
            run()
            card.host(card.zeros(1, np.float32))

        tried.append(run)
        return capture(card, more)

    capture = Card.capture
    monkeypatch.setattr(Card, "capture", looks)
    solver, same, after = trained(Card(), Log())
    np.testing.assert_array_equal(weights, same)
    assert state == after  # no mask was drawn twice
    assert len(tried) == len(lines) == 1 and solver._recorded._replay is None
    assert "one by one: a value was asked for while a CUDA graph is captured" in lines[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_recorded_step_has_the_bits_of_one_that_is_not(cupy, monkeypatch, kind):
    """The gradient is cleared before and the parameters are updated behind the pass."""
    there, made, run = cupy(), [], Update.run
    monkeypatch.setattr(Update, "run", lambda *args: made.append(args) or run(*args))
    solver, weights, state = trained(Card(), kind=kind)
    assert recorded(there) == (1, 3)
    assert len(made) == 3  # of five: twice before it was recorded, and then
    plain = Card()
    plain.capture = None
    one_by_one, same, after = trained(plain, kind=kind)
    np.testing.assert_array_equal(weights, same)
    assert recorded(there) == (1, 3)
    assert state == after and solver.losses == one_by_one.losses
    for a, b in zip(solver.history, one_by_one.history, strict=True):
        np.testing.assert_array_equal(a.get(), b.get())


def test_tiles_of_an_image_are_recorded_passes(cupy):
    """Of a net that would plan a backward pass, as old deploy prototxts do."""
    there = cupy()
    text = """force_backward: true input: "x" input_shape { dim: 1 dim: 1 dim: 4 dim: 4 }
    layer { name: "c" type: "Convolution" bottom: "x" top: "s" convolution_param {
      num_output: 2 kernel_size: 1 weight_filler { type: "msra" } } }"""
    image = np.random.default_rng(0).standard_normal((1, 12, 12), np.float32)

    def scores(device):
        predictor = Predictor(Net(build(parse_net(text), "TEST"), seed=3, device=device))
        return predictor.predict(image, predictor.tiling((12, 12), (4, 4)))

    plain = Card()
    plain.capture = None
    expected, launches = scores(plain), there.launches
    np.testing.assert_array_equal(scores(Card()), expected)
    assert recorded(there) == (1, 7)  # of nine: after two
    assert there.launches == 2 * launches


def test_tiles_that_cannot_be_recorded_are_run_and_it_is_told_once(cupy, monkeypatch):
    cupy()
    text = """input: "x" input_shape { dim: 1 dim: 1 dim: 4 dim: 4 }
    layer { name: "c" type: "Convolution" bottom: "x" top: "s" convolution_param {
      num_output: 2 kernel_size: 1 weight_filler { type: "msra" } } }"""
    image = np.random.default_rng(0).standard_normal((1, 12, 12), np.float32)

    def scores(device, said):
        net = Net(build(parse_net(text), "TEST"), seed=3, device=device)
        predictor = Predictor(net, said=said.append)
        return predictor.predict(image, predictor.tiling((12, 12), (4, 4)))

    def looks(card, run):
        return capture(card, lambda: (run(), card.host(card.zeros(1, np.float32))))

    lines, capture = [], Card.capture
    expected = scores(Card(), lines)
    assert lines == []
    monkeypatch.setattr(Card, "capture", looks)
    np.testing.assert_array_equal(scores(Card(), lines), expected)
    assert len(lines) == 1 and "run one by one" in lines[0]


class Halves(Hook):
    def __init__(self, net):
        self.net = net

    def on_gradients_ready(self):
        self.net.flat_diff[...] *= 0.5


@pytest.mark.parametrize(
    ("halves", "more", "counts"), [(True, "", (2, 6)), (False, " iter_size: 2", (1, 18))]
)
def test_an_update_that_something_comes_before_is_not_recorded(
    cupy, monkeypatch, halves, more, counts
):
    """A hook may come at any time, here when whole steps are recorded: then passes alone are."""
    there = cupy()
    made, run = [], Update.run
    monkeypatch.setattr(Update, "run", lambda *args: made.append(args) or run(*args))

    def weights(device):
        solver, *_ = trained(device, more=more)
        before = len(made)
        if halves:
            solver.hooks = (Halves(solver.net),)
        solver.step(5)
        assert len(made) == before + 5
        return device.host(solver.net.flat_data)

    plain = Card()
    plain.capture = None
    np.testing.assert_array_equal(weights(Card()), weights(plain))
    assert recorded(there) == counts


def test_a_hook_that_comes_in_a_step_does_not_change_what_the_step_is(cupy):
    """The gradient is cleared once a step, by whoever then computes it."""
    there = cupy()

    class Comes(Hook):
        def on_start(self):
            solver.hooks = (self, Hook())

        def looks(self):
            return False

    solver, *_ = trained(Card())
    solver.hooks = (Comes(),)
    solver.step(1)
    assert recorded(there) == (1, 4)
    same, *_ = trained(Card(), steps=6)
    assert recorded(there) == (2, 8)
    host = solver.net.device.host
    np.testing.assert_array_equal(host(solver.net.flat_data), host(same.net.flat_data))


def test_a_recorded_step_updates_nothing_with_what_is_not_finite(cupy):
    there = cupy()
    solver, weights, _ = trained(Card())
    solver.net.blobs["x"].data[...] = np.nan
    with pytest.raises(NonFiniteError, match=r"the loss.* became .* at iteration 5"):
        solver.step(1)
    assert recorded(there) == (1, 4)
    np.testing.assert_array_equal(solver.net.device.host(solver.net.flat_data), weights)


@pytest.mark.parametrize(
    ("gradient", "loss", "updated"),
    [([3, 4], [0, 1], True), ([3, 4], [1, np.inf], False), ([3, np.inf], [0, 1], False)],
)
def test_an_update_waits_for_no_host_to_see_what_is_not_finite(cupy, gradient, loss, updated):
    cupy()
    card = Card()
    rule = parse_solver('base_lr: 1 lr_policy: "fixed" max_iter: 1 clip_gradients: 1').message
    update = Update(card, "SGD", rule, [(0, 2, 1, 1)], np.dtype("f4"))
    w, g, h, *losses = (
        card.upload(np.array(x, np.float32)) for x in ([1, 2], gradient, [0, 0], loss, [0])
    )
    update.set(1.0, ())
    update.measure(g)
    update.permit(losses)
    update.run(w, g, [h])
    assert update.norm() == np.linalg.norm(gradient)
    expected = [1 - 0.6, 2 - 0.8] if updated else [1, 2]
    np.testing.assert_allclose(w.get(), expected, rtol=1e-6)
    np.testing.assert_allclose(g.get(), [0.6, 0.8] if updated else gradient, rtol=1e-6)


@pytest.mark.parametrize(("most", "count"), [(launch.BLOCKS, 1), (launch.BLOCKS, 700), (2, 5000)])
def test_the_norm_of_a_gradient_of_any_length(cupy, monkeypatch, most, count):
    monkeypatch.setattr(launch, "BLOCKS", most)
    cupy()
    card = Card()
    rule = parse_solver('base_lr: 1 lr_policy: "fixed" max_iter: 1').message
    update = Update(card, "SGD", rule, [(0, count, 1, 1)], np.dtype("f4"))
    gradient = np.random.default_rng(count).standard_normal(count, np.float32)
    update.measure(card.upload(gradient))
    np.testing.assert_allclose(update.norm(), np.linalg.norm(gradient.astype(float)), rtol=1e-12)


def test_what_a_solver_remembers_is_the_cards_affair(cupy, monkeypatch):
    cupy()
    device, asked = Card(), []
    zeros = device.zeros
    monkeypatch.setattr(device, "zeros", lambda *a: asked.append(a[0]) or zeros(*a))
    _, weights, _ = trained(device, kind="Adam", steps=0)
    assert asked.count(weights.shape) == 2
