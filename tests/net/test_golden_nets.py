"""Whole nets against what real Caffe recorded: every blob, every gradient."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse import netspec, weights
from demitasse.layers.registry import MODULES
from demitasse.net import Net

NETS = Path(__file__).resolve().parent.parent / "golden" / "nets"


def known(folder):
    graph = netspec.build(netspec.read_net(str(folder / "net.prototxt")), "TEST")
    return all(node.type in MODULES for node in graph.nodes)


CASES = sorted(p.name for p in NETS.iterdir() if p.is_dir() and known(p))


def load(folder, net="net.prototxt", file="weights.caffemodel.h5", **settings):
    graph = netspec.build(netspec.read_net(str(folder / net)), "TEST")
    built = Net(graph, backward=True, **settings)
    built.load(weights.read(folder / file), complete=True)
    with h5py.File(folder / "io.h5") as io:
        for name, array in io["inputs"].items():
            built.blobs[name].data[...] = array[()]
    return built


def close(got, dataset, tolerance, what):
    want = dataset[()]
    if "sampled_every" in dataset.attrs:
        got = got.ravel()[:: int(dataset.attrs["sampled_every"])]
    got = np.asarray(got).reshape(want.shape)
    scale = np.abs(want).max()
    error = np.abs(got - want).max()
    assert error <= tolerance * scale if scale else error <= 1e-7, f"{what}: {error} of {scale}"


def test_the_u_net_is_among_the_cases():
    assert {"unet_narrow", "unet_v1_trunk", "fcn_like"} <= set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_every_blob_and_gradient(case):
    net = load(NETS / case, keep=True)
    with h5py.File(NETS / case / "io.h5") as io:
        names = [n.decode() if isinstance(n, bytes) else n for n in io.attrs["blob_names"]]
        assert list(net.blobs) == names
        layers = [n.decode() if isinstance(n, bytes) else n for n in io.attrs["layer_names"]]
        assert [layer.name for layer in net.layers] == layers
        net.forward()
        for name, data in io["data"].items():
            close(net.blobs[name].data, data, 1e-5, f"data of {name}")
        if "diff" not in io:
            return  # a net without a loss was recorded forward only
        net.clear_param_diffs()
        net.backward()
        tolerance = float(io.attrs.get("tol_diff", 1e-4))
        compared = 0
        for name, diff in io["diff"].items():
            if np.any(diff[()]):
                close(net.blobs[name].diff, diff, tolerance, f"diff of {name}")
                compared += 1
        for layer, diffs in io["params_diff"].items():
            for i, diff in diffs.items():
                close(net.params[layer][int(i)].diff, diff, tolerance, f"diff of {layer}/{i}")
                compared += 1
        assert compared


@pytest.mark.parametrize("case", CASES)
def test_reusing_buffers_changes_no_bit(case):
    """The planned net, its freed buffers poisoned, equals the net that keeps everything."""
    results = []
    for settings in ({"keep": True}, {"poison": True}):
        net = load(NETS / case, **settings)
        loss = net.forward()
        outputs = {name: net.blobs[name].data.copy() for name in net.outputs}
        net.clear_param_diffs()
        net.backward()
        results.append((loss, outputs, net.flat_diff.copy()))
    (loss, outputs, diffs), (planned_loss, planned_outputs, planned_diffs) = results
    assert loss == planned_loss
    for name, array in outputs.items():
        np.testing.assert_array_equal(planned_outputs[name], array)
    np.testing.assert_array_equal(planned_diffs, diffs)


@pytest.mark.parametrize("net", ["net.prototxt", "net_v1.prototxt"])
@pytest.mark.parametrize(
    "file", ["weights.caffemodel", "weights.caffemodel.h5", "weights_v1.caffemodel"]
)
def test_old_and_new_syntax_and_files_give_the_same_scores(net, file):
    folder = NETS / "unet_v1_trunk"
    first = load(folder)
    first.forward()
    second = load(folder, net, file)
    second.forward()
    for name in first.outputs:
        np.testing.assert_array_equal(second.blobs[name].data, first.blobs[name].data)
