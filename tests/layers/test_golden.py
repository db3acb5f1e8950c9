"""Every layer against the recorded outputs of real Caffe (tests/golden/README.md)."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse import netspec
from demitasse.kernels.device import CPU
from demitasse.net import Net
from devices import WHERE, device

CASES = sorted((Path(__file__).parent.parent / "golden" / "layers").glob("*.h5"))


def close(got, dataset, what):
    ref = dataset[...]
    assert got.shape == ref.shape, what
    scale = np.abs(ref).max(initial=0)
    assert np.abs(got - ref).max(initial=0) <= (1e-5 * scale or 1e-7), what


def write(net, blob, array):
    data = net.blobs[blob].data
    if isinstance(data, np.ndarray):
        data[...] = array
    else:
        net.device.write(data, array)


def pairs(group):
    """(layer, index, dataset) of a group of parameters."""
    for layer, arrays in (group or {}).items():
        for index in arrays:
            yield layer, int(index), arrays[index]


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_outputs_and_gradients(path, keep):
    run(path, keep, CPU)


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_outputs_and_gradients_on_a_device(path, where):
    """Arrays of another device: nothing falls back to the host's (its arrays are refused)."""
    run(path, False, device(where))


def run(path, keep, device):
    with h5py.File(path) as case:
        source = netspec.parse_net(case.attrs["prototxt"], path.name)
        graph = netspec.build(source, case.attrs["phase"])
        net = Net(graph, keep=keep, poison=not keep, backward="top_diff" in case, device=device)
        for layer, index, array in pairs(case.get("params")):
            if case.attrs.get("params_from_filler"):
                close(
                    device.host(net.params[layer][index].data), array, f"filler of {layer} {index}"
                )
            device.write(net.params[layer][index].data, array[...])
        for bottoms in (*case.get("earlier", {}).values(), case.get("bottom", {})):
            for blob, array in bottoms.items():
                write(net, blob, array[...])
            net.forward()
        for blob, array in case["top"].items():
            close(net.read(blob), array, f"data of {blob}")
        for layer, index, array in pairs(case.get("params_after")):
            close(device.host(net.params[layer][index].data), array, f"{layer} {index} afterwards")
        if "top_diff" not in case:
            return
        for blob, array in case["top_diff"].items():
            if net.output_weights().get(blob, 0) == 0:
                device.write(net.blobs[blob].diff, array[...])
        net.backward()
        for layer, index, array in pairs(case.get("params_diff")):
            close(device.host(net.params[layer][index].diff), array, f"gradient of {layer} {index}")
        if keep:
            for blob, array in case.get("bottom_diff", {}).items():
                close(device.host(net.blobs[blob].diff), array, f"gradient of {blob}")


def test_there_are_cases():
    assert len(CASES) > 90
