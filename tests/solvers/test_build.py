"""Which nets a solver's prototxt names, in which state, and the weights it starts from."""

from pathlib import Path

import numpy as np
import pytest
from demitasse import netspec, solvers, weights
from demitasse.errors import DemitasseError, SolverError, SpecError
from own import Mine

DATA = """
layer { name: "x" type: "DummyData" top: "x" top: "y"
  dummy_data_param { shape { dim: 2 dim: 3 } shape { dim: 2 dim: 1 }
    data_filler { type: "gaussian" } data_filler { type: "constant" } } }
"""
NET = (
    DATA
    + """
layer { name: "ip" type: "InnerProduct" bottom: "x" top: "s"
  inner_product_param { num_output: 1 weight_filler { type: "gaussian" } } }
layer { name: "probe" type: "InnerProduct" bottom: "s" top: "p" include { phase: TEST }
  inner_product_param { num_output: 2 } }
layer { name: "deep" type: "InnerProduct" bottom: "s" top: "d" include { stage: "deep" }
  inner_product_param { num_output: 1 } }
layer { name: "fine" type: "InnerProduct" bottom: "s" top: "f" include { min_level: 2 }
  inner_product_param { num_output: 1 } }
layer { name: "loss" type: "EuclideanLoss" bottom: "s" bottom: "y" top: "loss" }
"""
)
OTHER = DATA + 'layer { name: "only" type: "Silence" bottom: "x" bottom: "y" }'
SOLVER = 'base_lr: 0.1 lr_policy: "fixed" max_iter: 4 random_seed: 1 test_interval: 2 '


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)
    Path("other.prototxt").write_text(OTHER)
    weights.write_hdf5("a.h5", {"ip": [np.full((1, 3), 7, "f4"), np.full(1, 8, "f4")]})
    probe = [np.full((2, 1), 5, "f4"), np.full(2, 6, "f4")]
    weights.write_hdf5("b.h5", {"probe": probe, "ip": [np.full((1, 3), 9, "f4"), np.ones(1, "f4")]})
    weights.write_hdf5("probe.h5", {"probe": probe})
    return tmp_path


def build(text, **settings):
    return solvers.build(netspec.parse_solver(SOLVER + text), **settings)


def names(net):
    return [layer.name for layer in net.layers if layer.blobs]


def test_the_net_itself_is_the_test_net_as_often_as_test_iter_asks():
    solver = build('net: "net.prototxt" test_iter: 1 test_iter: 2')
    assert names(solver.net) == ["ip"]
    assert [names(net) for net in solver.test_nets] == [["ip", "probe"]] * 2


def test_the_order_is_written_inline_then_files_then_the_net():
    solver = build(
        'net: "net.prototxt" test_iter: 1 test_iter: 1 test_iter: 1 test_net: "other.prototxt"'
        f"test_net_param {{ {DATA} layer {{ name: 'z' type: 'Silence' bottom: 'x' bottom: 'y' }} }}"
    )
    assert [[layer.name for layer in net.layers][-1] for net in solver.test_nets] == [
        "z",
        "only",
        "loss",
    ]


@pytest.mark.parametrize("field", ["train_net", "net"])
def test_a_train_net_beside_test_nets(field):
    solver = build(f'{field}: "net.prototxt" test_net: "other.prototxt" test_iter: 3')
    assert len(solver.test_nets) == 1 and solver.test_nets[0].phase == "TEST"


@pytest.mark.parametrize("field", ["net_param", "train_net_param"])
def test_nets_written_inline(field):
    solver = build(f"{field} {{ {NET} }}")
    assert names(solver.net) == ["ip"] and not solver.test_nets


def test_states_choose_layers():
    solver = build(
        'net: "net.prototxt" train_state { stage: "deep" } test_iter: 1 test_iter: 1'
        ' test_state { level: 2 } test_state { stage: "deep" stage: "more" }'
    )
    assert names(solver.net) == ["ip", "deep"]
    first, second = solver.test_nets
    assert names(first) == ["ip", "probe", "fine"] and names(second) == ["ip", "probe", "deep"]


def test_the_nets_own_state_comes_between():
    Path("net.prototxt").write_text(NET + 'state { level: 2 stage: "deep" }')
    solver = build('net: "net.prototxt" train_state { level: 0 } test_iter: 1')
    assert names(solver.net) == ["ip", "deep"]  # the level is overruled, the stage stays
    assert names(solver.test_nets[0]) == ["ip", "probe", "deep", "fine"]


@pytest.mark.parametrize(
    "text, words",
    [
        ('net: "net.prototxt" net_param { }', "one training net.*found net and net_param"),
        ('net: "net.prototxt" test_net: "other.prototxt"', "one test_iter for each test net"),
        ('train_net: "net.prototxt" test_iter: 1', "one test_iter for each test net"),
        ('net: "net.prototxt" test_iter: 1 test_state { } test_state { }', "a test_state for each"),
        ('train_net: "net.prototxt" test_state { }', "a test_state for each"),
    ],
)
def test_what_does_not_add_up(text, words):
    with pytest.raises(SolverError, match=words):
        build(text)


@pytest.mark.parametrize(
    "text", ['weights: "a.h5" weights: "b.h5"', 'weights: "a.h5, b.h5"', 'weights: "a.h5,b.h5,"']
)
def test_weights_are_loaded_in_order_into_train_and_test_nets(text):
    said = []
    observer = solvers.Observer()
    observer.said = said.append
    solver = build(f'net: "net.prototxt" test_iter: 1 {text}', observer=observer)
    (test,) = solver.test_nets
    assert solver.net.params["ip"][0].data.tolist() == [[9, 9, 9]]
    assert test.params["ip"][0].data is solver.net.params["ip"][0].data
    assert test.params["probe"][0].data.tolist() == [[5], [5]]
    assert test.params["probe"][1].data.tolist() == [6, 6]
    assert sum("loaded" in line for line in said) == 2
    solver.step(3)  # the test net's own layer is nobody's to learn
    assert test.params["probe"][0].data.tolist() == [[5], [5]]


def test_weights_lie_in_the_solvers_folder(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    solver = build('net: "net.prototxt" weights: "a.h5"', folder=str(tmp_path))
    assert solver.net.params["ip"][0].data.tolist() == [[7, 7, 7]]


def test_weights_that_do_not_fit():
    with pytest.raises(DemitasseError, match="another net"):
        build('net: "net.prototxt" weights: "probe.h5"')
    with pytest.raises(DemitasseError, match="ghost"):
        build('net: "net.prototxt" weights: "ghost.h5"')
    weights.write_hdf5("c.h5", {"ip": [np.ones((1, 3), "f4"), np.ones(1, "f4")], "probe": []})
    build('net: "net.prototxt" test_iter: 1 weights: "c.h5"')
    wrong = [np.ones((3, 1), "f4"), np.ones(3, "f4")]
    weights.write_hdf5("d.h5", {"ip": [np.ones((1, 3), "f4"), np.ones(1, "f4")], "probe": wrong})
    with pytest.raises(DemitasseError, match="layer probe, blob 0: file has 3x1, net wants 2x1"):
        build('net: "net.prototxt" test_iter: 1 weights: "d.h5"')


def test_types_of_the_callers_own_are_in_every_net():
    text = NET.replace('bottom: "s" bottom: "y"', 'bottom: "t" bottom: "y"')
    text += 'layer { name: "t" type: "Mine" bottom: "s" top: "t" }'
    head, _, loss = text.rpartition('layer { name: "loss"')
    loss, _, own = loss.partition("\n")
    Path("net.prototxt").write_text(f'{head}{own}\nlayer {{ name: "loss"{loss}')
    solver = build('net: "net.prototxt" test_iter: 1', net_options={"types": [Mine]})
    for net in (solver.net, *solver.test_nets):
        assert isinstance(net.layers[-2], Mine)
    solver.step(2)
    with pytest.raises(SpecError, match="unknown type 'Mine'"):
        build('net: "net.prototxt"')
