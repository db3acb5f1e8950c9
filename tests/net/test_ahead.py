"""The part that runs ahead: which it is, that nothing changes, and that nobody waits for it."""

from __future__ import annotations

import time

import h5py
import numpy as np
import pytest
from demitasse.errors import DataError
from demitasse.net import Net
from demitasse.netspec import build, parse_net

TEXT = """
force_backward: true
layer { name: 'data' type: 'DummyData' top: 'data' top: 'labels' dummy_data_param {
  shape { dim: 1 dim: 1 dim: 30 dim: 32 }
  data_filler { type: 'uniform' } data_filler { type: 'constant' value: 1 } } }
layer { name: 'create' type: 'CreateDeformation' bottom: 'labels' top: 'def'
  create_deformation_param { ny: 20 nx: 20 random_elastic_grid_spacing { v: 8 v: 8 }
    random_elastic_deform_magnitude { v: 2 v: 2 } random_offset_range_from_pdf: true } }
layer { name: 'see' type: 'ApplyDeformation' bottom: 'data' bottom: 'def' top: 'data2' }
layer { name: 'grey' type: 'ValueAugmentation' bottom: 'data2' top: 'data3' }
layer { name: 'shift' type: 'ValueTransformation' bottom: 'data3' top: 'd0'
  value_transformation_param { offset { v: -0.5 } } }
layer { name: 'drop' type: 'Dropout' bottom: 'd0' top: 'd0' }
layer { name: 'conv' type: 'Convolution' bottom: 'd0' top: 'score' convolution_param {
  num_output: 2 kernel_size: 3 weight_filler { type: 'msra' } } }
layer { name: 'drop2' type: 'Dropout' bottom: 'score' top: 'score' }
layer { name: 'crop' type: 'ApplyDeformation' bottom: 'labels' bottom: 'def' top: 'truth'
  apply_deformation_param { interpolation: 'nearest' output_shape_from: 'score' } }
layer { name: 'loss' type: 'SoftmaxWithLoss' bottom: 'score' bottom: 'truth' top: 'loss' }
"""


def net(ahead, text=TEXT, **settings):
    return Net(build(parse_net(text), "TRAIN"), seed=5, poison=True, ahead=ahead, **settings)


def step(made):
    made.clear_param_diffs()
    loss = made.forward()
    made.backward()
    return loss, made.flat_diff.copy()


def same(a, b):
    assert a[0] == b[0]
    np.testing.assert_array_equal(a[1], b[1])


def names(made):
    return {made.graph.nodes[i].name for i in made.planned.ahead}


def test_what_runs_ahead():
    found = names(net(True))
    assert {"data", "create", "see", "grey", "shift", "drop", "crop"} <= found
    assert not found & {"conv", "drop2", "loss"}
    assert not net(False).planned.ahead and net(False).ahead is None
    assert not net(True, keep=True).planned.ahead


def test_same_bits_and_less_memory_in_the_net():
    plain, ahead = net(False), net(True)
    assert ahead.planned.arena_bytes < plain.planned.arena_bytes
    for _ in range(5):
        same(step(plain), step(ahead))
        assert plain.state() == ahead.state()


def test_the_state_is_that_of_what_was_consumed():
    first = net(True)
    for _ in range(3):
        step(first)
    state = {name: dict(found) for name, found in first.state().items()}
    assert state["create"] == {"passes": 3}
    second = net(True)
    step(second)
    second.load_state(state)
    for _ in range(3):
        same(step(first), step(second))
    second.load_state(state)
    third = net(False)
    third.load_state(state)
    same(step(second), step(third))


def test_nobody_waits():
    made = net(True)
    made.forward()
    made.ahead.waited, made.ahead.late = 0.0, 0
    for _ in range(10):
        time.sleep(0.05)  # a step, longer than it takes to make the data
        made.forward()
    assert made.ahead.late <= 2 and made.ahead.waited < 0.05, made.ahead.waited
    assert made.ahead.passes == 11


def test_an_error_comes_in_its_pass_and_the_next_one_repeats_it():
    text = TEXT.replace("type: 'uniform'", "type: 'constant' value: 7")
    made = net(True, text)
    for _ in range(2):
        with pytest.raises(DataError, match="grey values from 0 to 1"):
            made.forward()
        assert made.state()["create"] == {"passes": 0}


def test_layers_that_belong_to_their_pass_stay(tmp_path):
    text = TEXT.replace("type: 'DummyData'", "type: 'Input'").replace("data_filler", "#")
    text = text.replace("dummy_data_param", "input_param").replace(
        "{ type: 'constant' value: 1 }", ""
    )
    text = TEXT[: TEXT.index("layer { name: 'create'")]
    out = f"layer {{ name: 'out' type: 'HDF5Output' bottom: 'data' bottom: 'labels' \
hdf5_output_param {{ file_name: '{tmp_path / 'o.h5'}' }} }}"
    assert names(net(True, text + out)) >= {"data"} and "out" not in names(net(True, text + out))
    given = "layer { name: 'in' type: 'Input' top: 'x' input_param { shape { dim: 2 dim: 2 } } }"
    assert not names(net(True, given + "layer { name: 'a' type: 'TanH' bottom: 'x' top: 'y' }"))


def test_files_are_read_ahead(tmp_path):
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = rows
    (tmp_path / "list.txt").write_text("a.h5\n")
    text = """layer { name: 'd' type: 'HDF5Data' top: 'x'
                hdf5_data_param { source: 'list.txt' batch_size: 2 } }
              layer { name: 'f' type: 'InnerProduct' bottom: 'x' top: 'y' inner_product_param {
                num_output: 1 weight_filler { value: 1 } } }"""
    made = net(True, text, folder=str(tmp_path))
    sums = []
    for _ in range(4):
        made.forward()
        sums.append(made.blobs["y"].data.ravel().tolist())
        assert made.state() == {"d": {"epoch": len(sums) // 3, "file": 0, "row": 2 * len(sums) % 6}}
    assert sums == [[1, 5], [9, 13], [17, 21], [1, 5]]
