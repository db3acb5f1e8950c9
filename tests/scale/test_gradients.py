"""The mean gradient: cut into buckets, handed over while backward runs, the same everywhere."""

import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from demitasse.scale import mpi
from demitasse.scale.gradients import MeanGradient, buckets
from demitasse.scale.wishes import Wishes
from demitasse.solvers import Hook
from demitasse.tools._ranks import begin
from emulator.emulated import Emulated

from . import nets


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    nets.write(snapshot=0)


def world(sum_of, level=2):
    """A process alone, whose sums are `sum_of(array)`; level: of threads (2: one at a time)."""
    here = SimpleNamespace(rank=0, size=1, Free=lambda: None)
    comm = SimpleNamespace(rank=0, size=1, Split_type=lambda kind: here)
    comm.Allreduce = lambda _, array: sum_of(array)
    facts = {"COMM_TYPE_SHARED": 0, "IN_PLACE": None, "THREAD_SERIALIZED": 2}
    facts |= {"Query_thread": lambda: level, "Get_processor_name": lambda: "here"}
    return mpi.World(SimpleNamespace(COMM_WORLD=comm, **facts))


@pytest.mark.parametrize("size", [1, 20, 30, 48, 10_000])
def test_buckets_are_the_whole_gradient_from_its_end_cut_between_layers(size):
    net = nets.build().net
    found = buckets(net.learnable, size)
    parts = [bucket.part for bucket in found]
    assert [p.start for p in parts] == [p.stop for p in parts[1:]] + [0]
    assert parts[0].stop == net.flat_diff.size
    starts = {}  # where the parameters of each layer begin
    for p in net.learnable:
        starts.setdefault(p.node, p.offset)
    assert all(starts[b.layer] == b.part.start for b in found)
    assert all(p.stop - p.start >= size for p in parts[:-1])


@pytest.mark.parametrize("level", [0, 2])
def test_a_bucket_holds_the_final_gradient_although_a_parameter_is_shared(level):
    straight = nets.build().net
    straight.forward()
    straight.backward()

    seen = []
    net = nets.build().net
    hook = MeanGradient(net, world(lambda array: seen.append(array.copy()), level), size=1)
    hook.on_start()
    net.forward()
    net.backward()
    hook.on_gradients_ready()
    np.testing.assert_array_equal(np.concatenate(seen[::-1]), straight.flat_diff)


def test_the_last_layers_are_summed_while_backward_still_runs():
    summed, waited = threading.Event(), []
    net = nets.build().net
    hook = MeanGradient(net, world(lambda array: summed.set()), size=1)
    first = min(p.node for p in net.learnable)
    net.callbacks.before_backward.append(
        lambda i: waited.append(summed.wait(10)) if i == first else None
    )
    hook.on_start()
    net.forward()
    net.backward()
    hook.on_gradients_ready()
    assert waited == [True]


def train(world, iterations, **settings):
    solver = nets.build(rank=world.rank, ranks=world.size, **settings)
    if world.rank:
        solver.net.flat_data[...] = 7  # rank 0's are given to all
    begin(solver, world)
    solver.param.test_interval = 0
    solver.step(iterations)
    return solver


@pytest.mark.parametrize(("ranks", "passes"), [(2, 1), (3, 1), (2, 2)])
def test_processes_of_batch_1_train_as_one_of_a_larger_batch(threads, ranks, passes):
    nets.write(snapshot=0, passes=passes)
    found = threads(ranks).run(lambda world: train(world, 20))
    nets.write(snapshot=0, batch=ranks, passes=passes)
    alone = nets.build()
    alone.param.test_interval = 0
    alone.step(20)
    for solver in found:
        np.testing.assert_array_equal(solver.net.flat_data, found[0].net.flat_data)
        np.testing.assert_array_equal(solver.history[0], found[0].history[0])
        assert solver.net.state() == alone.net.state()
    np.testing.assert_allclose(found[0].net.flat_data, alone.net.flat_data, rtol=0, atol=1e-6)


def test_dropout_differs_between_processes_and_parameters_do_not(threads):
    nets.write(snapshot=0, dropout=True)

    def masks(world):
        solver = train(world, 3)
        drop = next(layer for layer in solver.net.layers if layer.type == "Dropout")
        return drop.saved[0].tobytes(), solver.net.flat_data.tobytes()

    found = threads(4).run(masks)
    assert len({mask for mask, _ in found}) > 1
    assert len({data for _, data in found}) == 1


def test_what_one_is_asked_for_is_done_by_all_after_the_same_iteration(threads):
    def asked(world):
        solver = nets.build(rank=world.rank, ranks=world.size)
        solver.param.test_interval = 0
        wishes = begin(solver, world)
        if world.rank == 1:
            solver.net.callbacks.after_forward.append(
                lambda i: setattr(wishes, "stop", solver.iter == 4)
            )
        solver.step(9)
        return solver.iter

    assert threads(3).run(asked) == [5, 5, 5]


def test_a_snapshot_that_one_is_asked_for_is_written_once(threads):
    class Solver:
        stop = snapshot_now = False

    def asked(world):
        solver = Solver()
        wishes = Wishes(solver, world)
        wishes.snapshot_now = world.rank == 1
        wishes.settle()
        now = solver.snapshot_now
        solver.snapshot_now = False
        wishes.settle()
        return now, solver.snapshot_now, solver.stop

    assert threads(2).run(asked) == [(True, False, False), (False, False, False)]


def test_a_failure_while_summing_reaches_the_solver():
    def fail(array):
        raise OSError("the network is gone")

    net = nets.build().net
    hook = MeanGradient(net, world(fail))
    hook.on_start()
    net.forward()
    net.backward()
    with pytest.raises(OSError, match="network is gone"):
        hook.on_gradients_ready()


@pytest.mark.parametrize("passes", [1, 2, 3])
def test_what_is_recorded_hands_nothing_over_and_every_iteration_sums_it_all_once(passes):
    """The first two passes are run, the third is recorded, and run so from then on."""
    Path("list.txt").unlink()
    nets.write(snapshot=0, passes=passes, recorded=True)
    device, iterations = Emulated(), []

    class Recording:
        def begin(self, array):
            assert not device.recording
            iterations[-1].append(array.get())

        def finish(self):
            whole = np.concatenate(iterations[-1][::-1])
            np.testing.assert_array_equal(whole, solver.net.flat_diff.get())

    solver = nets.build(net_options={"device": device})
    solver.param.test_interval = 0
    hook = MeanGradient(solver.net, Recording(), passes=passes, size=1)
    each = Hook()
    each.on_start = lambda: iterations.append([])
    solver.hooks = (each, hook)
    solver.step(4)
    assert [len(arrays) for arrays in iterations] == [len(hook.buckets)] * 4
    assert solver._recorded._replay is not None
