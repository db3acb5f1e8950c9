"""What a card does through CuPy, with a CuPy that has none (tests/emulator/cupy.py)."""

import re
import sys
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from demitasse.errors import DeviceError, MemoryBudgetError, NonFiniteError
from demitasse.kernels.cuda import card as cards
from demitasse.kernels.cuda.card import Card
from demitasse.kernels.cuda.update import KINDS, Update
from demitasse.net import Net
from demitasse.netspec import build, parse_net, parse_solver
from demitasse.solvers import Hook, Observer
from demitasse.solvers.registry import solver_class
from demitasse.tools import _device
from demitasse.tools._segmentation import default_budget

from ...emulator.cupy import CompileException, FakeCupy
from ...emulator.device_array import DeviceArray
from ...net.test_golden_nets import NETS, close, load


@pytest.fixture
def cupy(monkeypatch):
    def installed(**settings):
        made = FakeCupy(**settings)
        for name, module in made.names().items():
            monkeypatch.setitem(sys.modules, name, module)
        return made

    return installed


@pytest.mark.parametrize("case", ["unet_v1_trunk", "fcn_like"])
def test_a_net_runs_forward_and_backward_through_cupy(cupy, case):
    cupy()
    net = load(NETS / case, poison=True, device=Card())
    net.forward()
    net.clear_param_diffs()
    net.backward()
    with h5py.File(NETS / case / "io.h5") as io:
        for name in net.outputs:
            close(net.read(name), io["data"][name], 1e-5, f"data of {name}")
        for layer, diffs in io["params_diff"].items():
            for i, diff in diffs.items():
                close(net.device.host(net.params[layer][int(i)].diff), diff, 1e-4, layer)


@pytest.mark.parametrize(
    ("settings", "number", "words"),
    [
        ({"error": "cudaErrorNoDevice: no CUDA-capable device"}, 0, "no CUDA-capable device"),
        ({"count": 2}, 2, "invalid device ordinal"),
        ({"capability": "70"}, 0, "too old"),
        (
            {"busy": "cudaErrorDevicesUnavailable: all CUDA-capable devices are busy"},
            0,
            "--gpu 0: CUDA cannot start there: all CUDA-capable devices are busy",
        ),
        (
            {"compiles": RuntimeError("Failure finding libnvrtc.so\nsearched: /usr/lib")},
            0,
            r"--gpu 0: CuPy cannot compile kernels: Failure finding libnvrtc.so$",
        ),
        ({"compiles": CompileException("no such file: cuda_fp16.h")}, 0, "no such file: cuda_fp16"),
    ],
)
def test_a_card_that_cannot_be_used_is_refused_with_the_cause(cupy, settings, number, words):
    cupy(**settings)
    with pytest.raises(DeviceError) as refused:
        Card(number)
    assert re.search(words, refused.value.what) and "none" in refused.value.remedy


def test_headers_that_cupys_own_kernels_lack_are_told_at_once(cupy, monkeypatch):
    def fill(array, value):
        raise RuntimeError("Failed to find CUDA headers")

    cupy()
    monkeypatch.setattr(DeviceArray, "fill", fill)
    with pytest.raises(DeviceError, match=r"cannot compile.*CUDA headers") as refused:
        Card()
    assert "cupy-cuda13x[ctk]>=14.2" in refused.value.remedy


def test_cupy_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(DeviceError, match=r"CuPy.*demitasse\[gpu\]"):
        Card()


def test_a_changed_header_compiles_anew(cupy, tmp_path, monkeypatch):
    """CuPy keeps compiled kernels by their source alone."""
    for name in ("relu.cu", "map.cuh"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(cards, "_folder", lambda: tmp_path)
    texts = []
    for header in ("one", "other", "one"):
        cards._source.cache_clear()
        (tmp_path / "map.cuh").write_text(header)
        texts.append(cards._source("relu.cu"))
    cards._source.cache_clear()
    assert texts[0] == texts[2] != texts[1] and texts[0].startswith("relu.cu")


def test_cards_of_two_precisions_compute_in_one_stream(cupy):
    cupy()
    assert Card(0, "fp32").stream is Card(0, "tf32").stream


def test_a_pass_of_any_thread_is_on_the_card(cupy):
    there = cupy(count=2)
    card = Card(1)
    x = card.zeros(2, np.float32)
    there.calls.clear()
    card.begin(True)
    assert there.calls == [("use", 1)] and card.looks
    for work in (lambda: card.host(x), lambda: card.write(x, np.ones(2))):
        there.calls.clear()
        there.current = None
        work()
        assert there.calls == [("use", 1)] and there.current is card.stream


@pytest.mark.parametrize(
    ("capability", "precision", "computed", "said"),
    [
        ("75", "tf32", "fp32-strict", "tf32 (float32 on CUDA cores: compute capability 7.5)"),
        ("75", "fp32-strict", "fp32-strict", "fp32-strict"),
        ("80", "tf32", "tf32", "tf32"),
    ],
)
def test_a_card_without_these_tensor_cores_says_in_what_it_computes(
    cupy, capability, precision, computed, said
):
    cupy(capability=capability)
    card = Card(0, precision)
    assert card.precision == computed  # what a snapshot keeps
    assert card.title == f"NVIDIA Emulated (cuda:0), {said}"


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
    assert len(tried) == len(lines) == 1 and solver._recorded._failed
    assert "one by one: a value was asked for while a CUDA graph is captured" in lines[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_recorded_step_has_the_bits_of_one_that_is_not(cupy, monkeypatch, kind):
    """The gradient is cleared before and the parameters are updated behind the pass."""
    there, made, run = cupy(), [], Update.run
    monkeypatch.setattr(Update, "run", lambda *args: made.append(args) or run(*args))
    recorded, weights, state = trained(Card(), kind=kind)
    assert [call[0] for call in there.calls].count("launch") == 3
    assert len(made) == 3  # of five: twice before it was recorded, and then
    plain = Card()
    plain.capture = None
    one_by_one, same, after = trained(plain, kind=kind)
    np.testing.assert_array_equal(weights, same)
    assert state == after and recorded.losses == one_by_one.losses
    for a, b in zip(recorded.history, one_by_one.history, strict=True):
        np.testing.assert_array_equal(a.get(), b.get())


class Halves(Hook):
    def __init__(self, net):
        self.net = net

    def on_gradients_ready(self):
        self.net.flat_diff[...] *= 0.5


@pytest.mark.parametrize(("halves", "more"), [(True, ""), (False, " iter_size: 2")])
def test_an_update_that_something_comes_before_is_not_recorded(cupy, monkeypatch, halves, more):
    """A hook may come at any time, here when whole steps are recorded."""
    cupy()
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

    recorded, plain = Card(), Card()
    plain.capture = None
    np.testing.assert_array_equal(weights(recorded), weights(plain))


def test_a_hook_that_comes_in_a_step_does_not_change_what_the_step_is(cupy):
    """The gradient is cleared once a step, by whoever then computes it."""
    cupy()

    class Comes(Hook):
        def on_start(self):
            solver.hooks = (self, Hook())

        def looks(self):
            return False

    solver, *_ = trained(Card())
    solver.hooks = (Comes(),)
    solver.step(1)
    same, *_ = trained(Card(), steps=6)
    host = solver.net.device.host
    np.testing.assert_array_equal(host(solver.net.flat_data), host(same.net.flat_data))


def test_a_recorded_step_updates_nothing_with_what_is_not_finite(cupy):
    cupy()
    solver, weights, _ = trained(Card())
    solver.net.blobs["x"].data[...] = np.nan
    with pytest.raises(NonFiniteError, match=r"the loss.* became .* at iteration 5"):
        solver.step(1)
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
    update.set(1.0, 0)
    update.measure(g)
    update.permit(losses)
    update.run(w, g, [h])
    assert update.norm() == np.linalg.norm(gradient)
    expected = [1 - 0.6, 2 - 0.8] if updated else [1, 2]
    np.testing.assert_allclose(w.get(), expected, rtol=1e-6)
    np.testing.assert_allclose(g.get(), [0.6, 0.8] if updated else gradient, rtol=1e-6)


def test_what_a_solver_remembers_is_the_cards_affair(cupy, monkeypatch):
    cupy()
    device, asked = Card(), []
    zeros = device.zeros
    monkeypatch.setattr(device, "zeros", lambda *a: asked.append(a[0]) or zeros(*a))
    _, weights, _ = trained(device, kind="Adam", steps=0)
    assert asked.count(weights.shape) == 2


def test_memory_that_data_ahead_are_copied_from_is_kept_until_they_are_there(cupy):
    there = cupy()
    text = """layer { name: 'd' type: 'DummyData' top: 'x' dummy_data_param {
      shape { dim: 1 dim: 1 dim: 6 dim: 6 } data_filler { type: 'uniform' } } }
    layer { name: 'c' type: 'Convolution' bottom: 'x' top: 's' convolution_param {
      num_output: 2 kernel_size: 3 weight_filler { type: 'msra' } } }"""
    net = Net(build(parse_net(text), "TRAIN"), seed=3, device=Card(), ahead=True)
    net.forward()
    events = [slot._there for slot in net.ahead._slots]
    net.reshape({})
    for event in events:
        of_it = [call[0] for call in there.calls if call[-1] is event]
        assert of_it[-1] == "synchronize"


def test_a_full_card_says_what_is_free_and_stays_usable(cupy):
    there = cupy(free=300 << 20)
    card = Card()
    with pytest.raises(DeviceError, match=r"--gpu 0: out of memory.*300 of 4096 MiB free"):
        card.zeros(100 << 20, np.float32)
    assert ("pool", "freed") in there.calls
    assert card.host(card.zeros(4, np.float32)).sum() == 0


def test_what_may_be_taken_is_what_is_free_and_what_cupy_holds(cupy):
    there = cupy(free=1 << 30)
    there.held = 100 << 20
    card = Card()
    assert card.free() == (1 << 30) + (100 << 20) - cards.SPARE
    there.free = there.held = 0
    assert card.free() == 0


TILE = """
layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 1 dim: 90 dim: 90 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "y"
  convolution_param { num_output: 4 kernel_size: 3 } }
"""


def test_a_deployment_may_take_what_is_free_on_the_card(cupy):
    there = cupy(free=1 << 30)
    graph = build(parse_net(TILE), "TEST")
    net = Net(graph, device=Card())
    held = net.planned.arena_bytes
    assert default_budget(net) == (1 << 30) - cards.SPARE + held
    there.free = cards.SPARE
    assert default_budget(net) == held
    net.reshape({"x": (1, 1, 80, 80)})
    with pytest.raises(MemoryBudgetError, match=r"is free on NVIDIA Emulated \(cuda:0\), fp32"):
        net.reshape({"x": (1, 1, 300, 300)})
    net.forward()
    with pytest.raises(MemoryBudgetError, match="is free on"):
        Net(graph, device=Card())


def test_a_command_says_on_which_card_it_computes(cupy, capsys):
    cupy()
    _device._card.cache_clear()
    args = SimpleNamespace(gpu="0", precision="tf32")
    assert _device.started(args).precision == "tf32"
    assert capsys.readouterr().out == "device: NVIDIA Emulated (cuda:0), tf32\n"
    assert _device.started(SimpleNamespace(gpu=None, precision="fp32")).on_host
    assert capsys.readouterr().out == ""
    _device._card.cache_clear()


def test_what_runs_ahead_is_copied_beside_the_computation(cupy):
    there = cupy()
    card = Card()
    like = [np.zeros((1, 3, 4, 4), np.float32), np.zeros((2,), np.int32)]
    slot = card.slot(like)
    targets = [card.zeros((1, 4, 4, 3), np.float32).transpose(0, 3, 1, 2), card.upload(like[1])]
    there.calls.clear()
    for turn in (1, 2):
        slot.ready()
        for array in slot.arrays:
            array.fill(turn)
        slot.filled()
        slot.give(targets)
        assert [float(t.sum()) for t in targets] == [48 * turn, 2 * turn]
    said = [(c[0], *c[2:]) for c in there.calls if c[0] != "use"]
    there_, taken = slot._there, slot._taken
    assert said[:5] == [("synchronize",), ("wait", taken), ("record", there_), ("wait", there_),
                        ("record", taken)]  # fmt: skip
    streams = [c[1] for c in there.calls if c[0] in ("wait", "record")]
    assert streams[:4] == [slot._stream, slot._stream, card.stream, card.stream]


def test_a_net_with_data_that_run_ahead_gives_the_same_losses(cupy):
    cupy()
    text = """
    layer { name: 'd' type: 'DummyData' top: 'x' top: 'l' dummy_data_param {
      shape { dim: 1 dim: 1 dim: 6 dim: 6 } shape { dim: 1 dim: 1 dim: 4 dim: 4 }
      data_filler { type: 'uniform' } data_filler { type: 'constant' value: 1 } } }
    layer { name: 'c' type: 'Convolution' bottom: 'x' top: 's' convolution_param {
      num_output: 2 kernel_size: 3 weight_filler { type: 'msra' } } }
    layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 's' bottom: 'l' top: 'loss' }
    """
    losses = []
    for ahead in (False, True):
        net = Net(build(parse_net(text), "TRAIN"), seed=3, device=Card(), ahead=ahead)
        assert bool(net.ahead) == ahead
        losses.append([net.forward() for _ in range(4)])
    assert losses[0] == losses[1] and len(set(losses[0])) == 4
