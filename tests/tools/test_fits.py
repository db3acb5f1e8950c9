"""The largest tile that a net can be trained on in so much memory."""

import sys

import pytest
from demitasse import netspec
from demitasse.errors import DeviceError
from demitasse.kernels.cuda import card as cards
from demitasse.kernels.device import CPU
from demitasse.net import Net, params
from demitasse.tools import _device, _fits, solve
from demitasse.tools._fits import advice, largest, largest_tile, training_bytes
from demitasse.tools._main import guarded
from demitasse.tools.plan import plan_deploy, training_graph

from ..emulator.cupy import FakeCupy, OutOfMemoryError
from ..models.nets import MODELS


def source():
    return netspec.read_net(str(MODELS / "unet-small.prototxt"))


@pytest.mark.parametrize("most", range(0, 60, 7))
def test_the_largest_size_that_fits_is_found_by_halving(most):
    sizes, tried = range(4, 60, 5), []
    found = largest(sizes, lambda n: tried.append(n) or n <= most)
    assert found == max((n for n in sizes if n <= most), default=None)
    assert len(tried) <= 4


def test_a_tile_fits_in_what_it_needs_and_not_in_a_byte_less():
    net = source()
    size = largest_tile(net, 1 << 40, histories=1)
    assert 572 - 8 < size <= 572
    needed = training_bytes(net, (1, 1, 300, 300), False, CPU)
    parameters = largest_need(net, 300) - needed
    assert needed > parameters > 0
    assert largest_tile(net, largest_need(net, 300), histories=1) == 300
    assert largest_tile(net, largest_need(net, 300) - 1, histories=1) < 300


def largest_need(net, size):
    """Bytes of a training with momentum, as `tools/plan.py` counts them."""
    deploy, planned = plan_deploy(net, (1, 1, size, size))
    layers = _fits.build_layers(deploy, _fits.Context())
    count = params.flat_size(params.table(deploy, layers, planned.inferred.needs))
    return training_bytes(net, (1, 1, size, size), False, CPU) + 3 * 4 * count


def test_what_a_tile_needs_is_for_the_batch_that_the_net_reads():
    text = netspec.to_text(source().message)
    one, eight = (
        training_bytes(netspec.parse_net(text.replace(old, new)), (1, 1, 108, 108), False, CPU)
        for old, new in (("", ""), ("batch_size: 1", "batch_size: 8"))
    )
    assert 4 * one < eight


@pytest.mark.parametrize("recompute", [False, True])
def test_what_a_tile_needs_is_what_a_net_takes(recompute):
    """Scratch for each of its threads included."""
    shape = (1, 1, 300, 300)
    deploy, planned = plan_deploy(source(), shape)
    graph = training_graph(source(), deploy, planned.inferred.values)
    net = Net(graph, recompute=recompute, fill=False)
    assert training_bytes(source(), shape, recompute, CPU) == net.planned.arena_bytes


def test_recomputing_fits_a_larger_tile_and_is_told():
    room = largest_need(source(), 300)
    said = advice(source(), room, histories=1, recompute=False)
    assert said.startswith("The largest tile that fits has 300 pixels, or ")
    assert "with --recompute along each axis" in said
    assert int(said.split("or ")[1].split()[0]) > 300
    assert advice(source(), 1000, histories=1, recompute=False) == ""


NET = """
layer { name: "d" type: "DummyData" top: "data" top: "label" dummy_data_param {
  shape { dim: 1 dim: 1 dim: 572 dim: 572 } shape { dim: 1 dim: 1 dim: 570 dim: 570 } } }
layer { name: "c" type: "Convolution" bottom: "data" top: "score"
  convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
"""


def test_a_training_that_does_not_fit_names_the_tile_that_does(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(NET)
    solver = tmp_path / "solver.prototxt"
    solver.write_text('net: "net.prototxt" base_lr: 1 lr_policy: "fixed" max_iter: 1')
    assert guarded(solve.main, [str(solver), "--memory", "4", "--prefix", "run"]) == 2
    said = capsys.readouterr().err
    assert "needs more memory than allowed" in said and "The largest tile that fits has" in said
    size = int(said.split("fits has ")[1].split()[0])
    assert 100 < size < 572


def test_a_full_card_names_the_tile_that_fits(monkeypatch):
    class Full(type(CPU)):
        def free(self):
            return largest_need(source(), 300)

    solver = netspec.read_solver(str(MODELS / "solver-small.prototxt"))
    solver.message.net = str(MODELS / "unet-small.prototxt")
    options = {"device": Full(), "memory": None, "recompute": False}
    with (
        pytest.raises(DeviceError, match=r"fits has 300 pixels.*Take a smaller tile"),
        solve.naming_what_fits(solver, options),
    ):
        raise DeviceError("--gpu 0: out of memory", remedy="Take a smaller tile")
    with pytest.raises(DeviceError) as other, solve.naming_what_fits(solver, options):
        raise DeviceError("--gpu 0: no driver")
    assert str(other.value) == "--gpu 0: no driver."


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """What is said where a net cannot be trained on a card with so much free memory, and the
    stand-in for CuPy."""
    monkeypatch.chdir(tmp_path)
    _device._card.cache_clear()

    def train(net, free):
        made = FakeCupy(free=free)
        for name, module in made.names().items():
            monkeypatch.setitem(sys.modules, name, module)
        (tmp_path / "net.prototxt").write_text(net)
        (tmp_path / "solver.prototxt").write_text(
            'net: "net.prototxt" base_lr: 1 lr_policy: "fixed" max_iter: 1'
        )
        assert guarded(solve.main, ["solver.prototxt", "-gpu", "0", "--prefix", "run"]) == 2
        said = capsys.readouterr().err
        assert "Traceback" not in said
        return said, made

    yield train
    _device._card.cache_clear()


def test_a_tile_of_more_pixels_than_a_card_counts_names_the_one_that_fits(refused):
    said, _ = refused(NET.replace("572", "90000").replace("570", "89998"), 8 << 30)
    assert "needs more memory than is free on NVIDIA" in said
    assert 8000 < int(said.split("The largest tile that fits has ")[1].split()[0]) < 46341


def test_a_card_that_fills_up_while_it_trains_names_the_flag_and_the_tile(refused, monkeypatch):
    """CuPy's own arrays are not in the plan."""

    def full(net, *_, **__):
        raise OutOfMemoryError("Out of memory allocating 512 bytes")

    monkeypatch.setattr(cards, "SPARE", 0)
    monkeypatch.setattr(Net, "forward", full)
    said, made = refused(NET, 40 << 20)
    assert "--gpu 0: out of memory" in said and "The largest tile that fits has 572 pix" in said
    assert ("pool", "freed") in made.calls
