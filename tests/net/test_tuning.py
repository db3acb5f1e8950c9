"""A net whose engines were measured."""

import json

import numpy as np
import pytest
from demitasse.kernels.convolution import COLUMNS, WINOGRAD
from demitasse.net.engines import engines
from demitasse.net.tuning import MARGIN, Tuner

from .nets import build, conv, data, join

NET = data("data", 1, 8, 20, 20) + conv("a", "data", "x", n=8) + conv("b", "x", "y", n=8)
TRAINED = NET + data("t", 1, 8, 16, 16) + join("loss", "y", "t", kind="EuclideanLoss")
DEEP = NET + conv("c", "y", "z", n=8)


class Machine:
    """Where engines take the seconds that the test says."""

    def __init__(self, path, **seconds):
        self.seconds = {COLUMNS: 1.0, WINOGRAD: 1.0} | seconds
        self.asked, self.said = [], []
        self.name = "a machine"
        self.tuner = Tuner(path, lambda: self.name, self.said.append, self.measure)

    def measure(self, problem, able, room):
        self.asked.append(problem)
        return {name: self.seconds.get(name, 9.0) for name in able}

    def net(self, text=NET, phase="TEST", **settings):
        return build(text, phase, tuner=self.tuner, threads=1, **settings)


@pytest.fixture
def table(tmp_path):
    return tmp_path / "cache" / "autotune.json"


def chosen(net):
    layers = [layer for layer in net.layers if layer.type == "Convolution"]
    return [next(iter(layer.measured.values())) for layer in layers]


def result(net):
    net.blobs["data"].data[...] = np.random.default_rng(0).standard_normal((1, 8, 20, 20))
    net.forward()
    return net.blobs["y"].data.copy()


def test_the_fastest_computes(table):
    fast = Machine(table, **{WINOGRAD: 0.5})
    net = fast.net()
    assert chosen(net) == [WINOGRAD, WINOGRAD] and len(fast.asked) == 2
    assert engines(net).startswith("2 convolutions by Winograd")
    assert engines(net).endswith("; the fastest as measured here")
    by_rule = build(NET, "TEST", threads=1)
    assert engines(by_rule) == "2 convolutions by im2col; 1 thread"  # small: nothing to gain
    got, want = result(net), result(by_rule)
    assert 0 < np.abs(got - want).max() < 1e-4 * np.abs(want).max()


def test_a_second_start_measures_nothing_and_computes_the_same_bits(table):
    first = Machine(table, **{WINOGRAD: 0.5})
    want = result(first.net())
    second = Machine(table, **{WINOGRAD: 2.0})  # by now it would be slower
    net = second.net()
    assert not second.asked and not second.said and chosen(net) == [WINOGRAD, WINOGRAD]
    assert np.array_equal(result(net), want)


def test_a_little_faster_is_not_enough(table):
    assert chosen(Machine(table, **{WINOGRAD: 1.01 * MARGIN}).net()) == [COLUMNS, COLUMNS]


def test_only_what_is_new_is_measured(table):
    Machine(table).net()
    again = Machine(table)
    again.net(DEEP)
    assert [p.x for p in again.asked] == [(1, 8, 16, 16)]


@pytest.mark.parametrize("other", ["name", "threads", "training"])
def test_another_machine_other_threads_and_training_are_measured_anew(table, other):
    Machine(table).net()
    again = Machine(table)
    if other == "name":
        again.name = "another machine"
        again.net()
    elif other == "threads":
        build(NET, "TEST", tuner=again.tuner, threads=2)
    else:
        again.net(TRAINED, "TRAIN")
    assert len(again.asked) == 2
    Machine(table).net()
    assert len(json.loads(table.read_text())) == (1 if other == "training" else 2)


def test_training_asks_for_the_gradients_that_the_net_needs(table):
    machine = Machine(table)
    machine.net(TRAINED, "TRAIN")
    assert [(p.backward, p.down) for p in machine.asked] == [(True, False), (True, True)]


def test_another_input_shape_is_measured(table):
    machine = Machine(table, **{WINOGRAD: 0.5})
    net = machine.net()
    machine.asked.clear()
    net.reshape({"data": (1, 8, 24, 24)})
    assert [p.x for p in machine.asked] == [(1, 8, 24, 24), (1, 8, 22, 22)]
    assert engines(net).startswith("2 convolutions by Winograd")


@pytest.mark.parametrize("how", [{"engine": "caffe"}, {"dtype": np.float64}])
def test_where_there_is_one_engine_nothing_is_measured(table, how):
    machine = Machine(table, **{WINOGRAD: 0.5})
    assert chosen(machine.net(**how)) == [COLUMNS, COLUMNS]
    assert not machine.asked and not table.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": [[1]]}', "\xff", "[" * 60_000])
def test_a_damaged_table_is_made_anew(table, text):
    table.parent.mkdir()
    table.write_text(text, encoding="latin-1")
    machine = Machine(table)
    machine.net()
    assert "cannot be read" in " ".join(machine.said) and len(machine.asked) == 2
    again = Machine(table)
    again.net()
    assert not again.asked


def test_an_engine_that_no_longer_exists_is_measured_again(table):
    Machine(table).net()
    table.write_text(table.read_text().replace(f'"engine": "{COLUMNS}"', '"engine": "abacus"'))
    again = Machine(table)
    assert chosen(again.net()) == [COLUMNS, COLUMNS] and len(again.asked) == 2


def test_a_table_that_cannot_be_written_is_said_once(tmp_path):
    (tmp_path / "cache").write_text("a file")
    machine = Machine(tmp_path / "cache" / "autotune.json")
    machine.net()
    machine.net()
    refused = [line for line in machine.said if "nothing is kept" in line]
    assert len(refused) == 1
    assert len(machine.asked) == 2  # this process remembers
