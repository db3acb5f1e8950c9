"""What a card does through CuPy, with a CuPy that has none (tests/emulator/cupy.py)."""

import re
import sys
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from demitasse.errors import DeviceError, MemoryBudgetError
from demitasse.imaging.predict import default_budget
from demitasse.kernels.cuda import card as cards
from demitasse.kernels.cuda.card import Card
from demitasse.net import Net
from demitasse.net.captured import Captured
from demitasse.netspec import build, parse_net
from demitasse.tools import _device
from devices import card

from ...emulator.cupy import CompileException, CUDARuntimeError
from ...emulator.device_array import DeviceArray
from ...net.test_golden_nets import NETS, close, load


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


SMALL = """input: "x" input_shape { dim: 1 dim: 1 dim: 4 dim: 4 }
layer { name: "c" type: "Convolution" bottom: "x" top: "s" convolution_param {
  num_output: 2 kernel_size: 1 weight_filler { type: "msra" } } }"""


def pinning(there):
    """A list of the arrays in pinned memory, as they are made."""
    made, empty = [], there.cupyx.empty_pinned
    there.cupyx.empty_pinned = lambda *args: made.append(empty(*args)) or made[-1]
    return made


def test_inputs_and_scores_lie_in_pinned_memory(cupy, monkeypatch):
    """An input may be overwritten when the pass returns: by then it has been copied."""
    there = cupy()
    pinned, card = pinning(there), Card()
    net = Net(build(parse_net(SMALL), "TEST"), device=card)
    assert net.blobs["x"].data.base is pinned[0] and not pinned[0].any()
    runs = Captured(net, backward=False)
    for run in (net.forward, *[runs.run] * 4):
        there.calls.clear()
        run()
        told = [call for call in there.calls if call[0] in ("record", "launch", "synchronize")]
        wait = told[-1]
        assert wait == ("synchronize", card._sent)
        assert told[0] == ("record", card.stream, card._sent)
    first = net.read("s", reuse=True)
    assert first.base is pinned[1] and net.read("s", reuse=True) is first
    kept = net.read("s")
    assert kept is not first and len(pinned) == 2
    np.testing.assert_array_equal(kept, first)


def test_pinned_memory_is_used_again_for_other_shapes(cupy):
    pinned = pinning(cupy())
    net = Net(build(parse_net(SMALL), "TEST"), device=Card())
    for size, count in ((4, 2), (6, 4), (4, 4), (5, 4), (6, 4)):
        net.reshape({"x": (1, 1, size, size)})
        given = net.blobs["x"].data
        assert given.shape == (1, 1, size, size) and not given.any()
        given[...] = size
        net.forward()
        found = net.read("s", reuse=True)
        np.testing.assert_array_equal(found, net.read("s"))
        assert found.shape == (1, 2, size, size) and found.any() and len(pinned) == count
    assert any(given.base is p for p in pinned) and any(found.base is p for p in pinned)


def test_where_no_memory_can_be_pinned_other_memory_serves(cupy):
    there = cupy()

    def refuse(*args):
        raise CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")

    there.cupyx.empty_pinned = refuse
    card = Card()
    slot, target = card.slot([np.zeros(2, np.float32)]), card.zeros(2, np.float32)
    slot.arrays[0][...] = 3
    slot.filled()
    slot.give([target])
    assert target.get().tolist() == [3, 3]
    net = Net(build(parse_net(SMALL), "TEST"), device=card)
    net.blobs["x"].data[...] = 1
    net.forward()
    np.testing.assert_array_equal(net.read("s", reuse=True), net.read("s"))


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


@pytest.mark.parametrize(
    ("capability", "nvrtc", "lacks", "products"),
    [
        ("90", (13, 0), "", True),
        ("90", (12, 9), "", True),
        ("90", (12, 4), "", False),
        ("90", (13, 0), "has_warpgroups", False),
        ("100", (13, 0), "", False),
    ],
)
def test_products_of_warpgroups_are_asked_for_where_card_and_compiler_have_them(
    cupy, capability, nvrtc, lacks, products
):
    there = cupy(capability=capability, nvrtc=nvrtc, lacks=lacks)
    card = Card()
    assert card.warpgroups == card.convolution.machine.warpgroups == products
    assert there.architectures == {products}


@pytest.mark.gpu
def test_this_card_has_products_of_warpgroups_where_it_should():
    """It would go on without, and be slow."""
    there = card()
    new = there.cupy.cuda.nvrtc.getVersion() >= cards.WARPGROUP_COMPILER
    assert there.warpgroups == (new and there.capability == 90)


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
