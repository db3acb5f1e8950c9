"""What needs more memory than there is, or than allowed, is refused before any is asked for."""

import tracemalloc

import numpy as np
import pytest
from demitasse import netspec
from demitasse.errors import MemoryBudgetError
from demitasse.net import Net, limits
from demitasse.tools import caffe, solve
from demitasse.tools._main import guarded
from devices import EMULATOR, device

TEXT = """
layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ {} }} }} }}
layer {{ name: "c" type: "Convolution" bottom: "x" top: "y"
         convolution_param {{ num_output: 8 kernel_size: 3 }} }}
"""


def graph(*dims):
    text = TEXT.format(" ".join(f"dim: {d}" for d in dims))
    return netspec.build(netspec.parse_net(text, "net.prototxt"), "TRAIN")


def test_the_plan_is_refused_before_it_is_allocated():
    tile = graph(1, 1, 6000, 6000, 6000)  # 0.8 TB
    tracemalloc.start()
    with pytest.raises(MemoryBudgetError) as refused:
        Net(tile)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()
    said = str(refused.value)
    assert "needs more memory than there is" in said and "net.prototxt" in said
    assert "for 1x1x6000x6000x6000" in said and "of parameters and gradients" in said


def test_a_limit_counts_activations_parameters_and_gradients():
    net = Net(graph(1, 1, 40, 40, 40), memory=100 << 20)
    needed = net.planned.arena_bytes + net.flat_data.nbytes + net.flat_diff.nbytes
    Net(graph(1, 1, 40, 40, 40), memory=needed)
    with pytest.raises(MemoryBudgetError, match=r"than allowed.*more --memory"):
        Net(graph(1, 1, 40, 40, 40), memory=needed - 1)


def test_what_a_solver_remembers_counts():
    net = Net(graph(1, 1, 40, 40, 40))
    needed = net.planned.arena_bytes + 3 * net.flat_data.nbytes  # values, gradients, one history
    Net(graph(1, 1, 40, 40, 40), memory=needed, histories=1)
    with pytest.raises(MemoryBudgetError, match="parameters and gradients, and their history"):
        Net(graph(1, 1, 40, 40, 40), memory=needed, histories=2)


def test_on_a_card_a_reshape_counts_as_held_what_the_solver_has():
    """`free` is what nobody holds: a net that is made anew gives back what it held itself."""
    made = Net(graph(1, 1, 12, 12, 12), device=device(EMULATOR), histories=2)
    needed = made.planned.arena_bytes + 4 * made.flat_data.nbytes
    made.device.free = lambda: 0
    assert limits.room(made) == needed
    made.reshape({"x": (1, 1, 12, 12, 12)})
    with pytest.raises(MemoryBudgetError, match="is free on"):
        made.reshape({"x": (1, 1, 20, 20, 20)})


def test_a_reshape_is_refused_and_leaves_the_net_as_it_was():
    net = Net(graph(1, 1, 12, 12, 12), memory=4 << 20)
    with pytest.raises(MemoryBudgetError, match="for 1x1x90x90x90"):
        net.reshape({"x": (1, 1, 90, 90, 90)})
    net.blobs["x"].data[...] = 1
    net.forward()
    assert net.blobs["y"].shape == (1, 8, 10, 10, 10) and np.isfinite(net.blobs["y"].data).all()


def test_the_smallest_of_machine_and_container_counts(tmp_path, monkeypatch):
    machine = limits.installed()
    group = tmp_path / "memory.max"
    monkeypatch.setattr(limits, "_GROUPS", (str(tmp_path / "none"), str(group)))
    for said, want in (("max\n", None), (f"{1 << 62}\n", None), ("123456789\n", 123456789)):
        group.write_text(said)
        assert limits.installed() == (want or limits.installed()) <= max(machine, 1 << 50)
    assert limits.installed() == 123456789


@pytest.mark.parametrize("command", ["solve", "caffe"])
def test_the_commands_have_a_limit(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "in" type: "DummyData" top: "x" dummy_data_param {'
        " shape { dim: 1 dim: 1 dim: 400 dim: 400 } } }"
        'layer { name: "c" type: "Convolution" bottom: "x" top: "y"'
        " convolution_param { num_output: 8 kernel_size: 3 } }"
        'layer { name: "l" type: "Reduction" bottom: "y" top: "l" loss_weight: 1 }'
    )
    (tmp_path / "solver.prototxt").write_text(
        'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 1 snapshot_prefix: "a"'
    )
    main, start = {
        "solve": (solve.main, ["solver.prototxt"]),
        "caffe": (caffe.main, ["train", "-solver", "solver.prototxt"]),
    }[command]
    assert guarded(main, [*start, "--memory", "3"]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "needs more memory than allowed" in said and "at most 3 MiB" in said
