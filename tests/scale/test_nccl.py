"""Training on several cards: sums by NCCL, here by its stand-in (tests/emulator/nccl.py)."""

import hashlib
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from demitasse.errors import DeviceError
from demitasse.kernels.cuda.card import Card
from demitasse.kernels.device import CPU
from demitasse.scale.nccl import Nccl, meet, new_uid
from demitasse.tools import _device
from emulator.cupy import FakeCupy
from emulator.emulated import Emulated

from . import nets

ON_CARDS = Path(__file__).with_name("on_cards.py")
# eight steps with a snapshot after four, the last four again from that; what every rank holds
STEPS = """
import hashlib, json
from types import SimpleNamespace
from demitasse.scale import mpi
from demitasse import netspec, solvers
from demitasse.tools import _device, _ranks

world, args = mpi.join(), SimpleNamespace(gpu="auto", threads=None)
source = netspec.read_solver("solver.prototxt")
_ranks.agree(source.message, world)
shared = _ranks.share(args, world)
options = {"device": _device.choose(args.gpu)}

def trained(steps, state=None):
    solver = solvers.build(source, net_options=options, **shared)
    if world.rank:
        solver.net.flat_data.fill(7)  # rank 0's are given to all
    elif state:
        solver.restore(state)
    _ranks.begin(solver, world)
    solver.step(steps)
    assert solver._recorded._replay is not None
    return [a.get() for a in (solver.net.flat_data, *solver.history)]

first, again = trained(8), trained(4, "run_iter_4.solverstate.h5")
held = [[hashlib.sha256(a.tobytes()).hexdigest() for a in arrays] for arrays in (first, again)]
held = world.gather((args.gpu, held))
if world.rank == 0:
    print(json.dumps(held))
    first[0].tofile("found")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def cupy(monkeypatch):
    """A CuPy of `count` cards, whose NCCL sums over what `meet` gives: another rank that has three
    times as much."""

    def installed(count=1, ranks=None):
        made = FakeCupy(count=count)
        other = SimpleNamespace(allgather=lambda array: [array, 3 * array])
        made.cuda.nccl.meet = lambda size, uid, rank: ranks or other
        for name, module in made.names().items():
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setattr(Card, "capture", Emulated.capture)
        return made

    _device._card.cache_clear()
    yield installed
    _device._card.cache_clear()


def test_two_ranks_on_cards_hold_the_same_train_as_one_and_go_on_from_a_snapshot(job, cupy):
    Path("steps.py").write_text(STEPS)
    nets.write(iterations=8, snapshot=4, recorded=True)
    code, out, err = job(2, ON_CARDS, '{"cards": 2}', "steps.py").end()
    assert code == 0, err
    (one, held), (other, same) = json.loads(out.splitlines()[-1])
    assert (one, other) == ("0", "1") and held == same  # weights and momentum, bit for bit
    assert held[0] == held[1]
    nets.write(batch=2, snapshot=0, recorded=True)
    cupy()
    alone = nets.build(net_options={"device": Card()})
    alone.param.test_interval = 0
    alone.step(8)
    found = np.fromfile("found", "f4")
    assert held[0][0] == hashlib.sha256(found).hexdigest()
    np.testing.assert_allclose(found, alone.net.flat_data.get(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("how", ["fails", "breaks"])
def test_a_rank_whose_nccl_fails_ends_the_job_and_says_which_it_is(job, solve, how):
    nets.write(iterations=10**6, snapshot=0)
    began = time.monotonic()
    settings = json.dumps({"cards": 2, how: 4})
    code, out, err = job(2, ON_CARDS, settings, solve, "solver.prototxt", "-gpu", "auto").end()
    assert time.monotonic() - began < 60
    assert code == 2
    assert "NCCL 2.27.7 sums on " in out and "cuda:0, " in out and "cuda:1\n" in out
    assert "rank 1 of 2 on " in err and "error: NCCL could not " in err and "rank 0 of 2" not in err
    assert "Traceback" not in err


def test_the_stand_in_refuses_what_would_be_wrong_on_a_card(cupy, monkeypatch):
    there, card = cupy(), Card()
    x, stream = card.zeros((1, 2), np.float32), there.cuda.Stream()
    comm = there.cuda.nccl.NcclCommunicator(2, b"u" * 128, 0)
    call = (x.data.ptr, x.data.ptr, 2, there.cuda.nccl.NCCL_FLOAT32, 0, stream.ptr)
    comm.allReduce(*call)
    card.relu.relu(x, x, 0.0, None)
    with pytest.raises(AssertionError, match="may still be computed"):
        comm.allReduce(*call)
    monkeypatch.setattr(type(x), "busy", True)
    with pytest.raises(RuntimeError, match="while a CUDA graph is captured"):
        comm.allReduce(*call)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sum_is_behind_what_the_card_was_told_and_beside_what_it_is_told_next(cupy, dtype):
    there = cupy()
    card = Card()
    sums = Nccl(card, new_uid(card), 0, 2)
    x, y = (card.upload(np.array([[-1, 2]], dtype)) for _ in range(2))
    there.calls.clear()
    for array in (x, y):
        card.relu.relu(array, array, 0.0, None)
        sums.begin(array)
    stream = sums._stream
    assert stream is not card.stream
    told = [("record", card.stream), ("wait", stream)] * 2
    assert [(what, where) for what, where, *_ in there.calls] == told
    np.testing.assert_array_equal(x.get(), [[0, 2]])
    sums.finish()
    for array in (x, y):
        np.testing.assert_array_equal(array.get(), [[0, 4]])


def test_a_broadcast_gives_rank_0s_array(cupy):
    cupy(ranks=SimpleNamespace(allgather=lambda array: [0 * array + 5, array]))
    card = Card()
    sums, x = Nccl(card, new_uid(card), 1, 2), card.upload(np.ones(3, np.float32))
    sums.broadcast(x)
    sums.finish()
    np.testing.assert_array_equal(x.get(), [5, 5, 5])


@pytest.mark.parametrize(
    ("settings", "what"),
    [({"fails": 0}, "connect the cards"), ({"fails": 1}, "begin a sum"), ({"breaks": 1}, "end a")],
)
def test_what_nccl_says_is_said_with_where_to_read_more(cupy, settings, what):
    vars(cupy().cuda.nccl).update(settings)
    card = Card()
    with pytest.raises(DeviceError, match=f"NCCL could not {what}.*NCCL_ERROR_.*NCCL_DEBUG"):
        sums = Nccl(card, new_uid(card), 0, 2)
        sums.begin(card.zeros(3, np.float32))
        sums.finish()


def test_a_cupy_without_nccl_is_refused_with_what_to_install(cupy):
    cupy().cuda.nccl.available = False
    with pytest.raises(DeviceError, match=r"finds no NCCL.*pip install nvidia-nccl-cu13"):
        new_uid(Card())


def test_ranks_of_a_machine_take_its_cards_in_turn(cupy):
    cupy(count=2)
    chosen = [_device.choose("auto", turn=turn) for turn in range(4)]
    assert [card.number for card in chosen] == [0, 1, 0, 1]
    assert _device.choose("1", turn=2).number == 1
    cupy(count=0)
    _device._card.cache_clear()
    assert _device.choose("auto", turn=3).on_host


def card_at(number, place):
    nccl = SimpleNamespace(get_unique_id=lambda: b"", NcclError=ZeroDivisionError)
    return SimpleNamespace(on_host=False, name=f"cuda:{number}", place=place, nccl=lambda: nccl)


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        ([card_at(0, "a"), card_at(0, "a")], "rank 0 computes on this rank's card, cuda:0"),
        ([card_at(0, "a"), card_at(1, "b"), card_at(0, "b")], "rank 1 computes on this rank's"),
        ([card_at(0, "a"), CPU], "no card for this rank, while rank 0 computes on one"),
        ([CPU, card_at(0, "a")], "no card for this rank, while rank 1 computes on one"),
    ],
)
def test_cards_that_are_not_one_for_each_rank_are_refused(threads, devices, words):
    world = threads(len(devices))
    with pytest.raises(DeviceError, match=words):
        world.run(lambda rank: meet(rank, devices[rank.rank]) or rank.gather(0))


def test_cards_of_the_same_number_are_others_on_another_machine_or_in_another_process(
    threads, cupy
):
    """SLURM may show each process one card, which is number 0 of each."""
    cupy()

    def met(world):
        card = Card()
        card.place, world.machine = [("a", "x"), ("b", "x"), ("a", "y")][world.rank]
        meet(world, card)
        return world.sums.title

    title = "NCCL 2.27.7 sums on x cuda:0, x cuda:0, y cuda:0"
    assert threads(3).run(met) == [title] * 3


def test_processes_on_cpus_sum_as_they_did(threads):
    def sums(world):
        meet(world, CPU)
        return world.sums is world

    assert threads(2).run(sums) == [True, True]
