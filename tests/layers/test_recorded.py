"""Which layers a card records, and that what it records has the bits of passes run one by one."""

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse import netspec
from demitasse.layers.registry import MODULES, layer_class
from demitasse.net import Net
from demitasse.net.captured import WARM, Captured
from devices import CARD, EMULATOR, card
from emulator.cupy import FakeCupy

CASES = sorted((Path(__file__).parent.parent / "golden" / "layers").glob("*.h5"))
UNRECORDED = {
    "a product by cuBLAS, which CuPy does not capture": "InnerProduct LSTM RNN",
    "a sum or a divisor is a number of the host": """ContrastiveLoss EuclideanLoss HingeLoss
        InfogainLoss MultinomialLogisticLoss SigmoidCrossEntropyLoss""",
    "labels or indices are looked at in every pass": "Accuracy BatchReindex Embed",
    "some are sorted, which CuPy waits for": "ArgMax",
    "it draws, or looks whether what it is given is finite": """ApplyDeformation CreateDeformation
        ValueAugmentation""",
    "shapes change": "Filter",
}
NOT = set(" ".join(UNRECORDED.values()).split())


@pytest.fixture(params=[EMULATOR, pytest.param(CARD, marks=pytest.mark.gpu)])
def there(request, monkeypatch):
    """Makes devices that record: cards, or what CuPy's stand-in shows as such."""
    if request.param == CARD:
        return card
    for name, module in FakeCupy().names().items():
        monkeypatch.setitem(sys.modules, name, module)
    from demitasse.kernels.cuda.card import Card

    return Card


def weighted(case):
    """The case's net; what comes out of it is a loss, if it has a gradient."""
    source = netspec.parse_net(case.attrs["prototxt"])
    if "top_diff" in case:
        ends = {v.blob for v in netspec.build(source, case.attrs["phase"]).outputs}
        for layer in reversed(source.message.layer):
            if ends & set(layer.top) and not layer.loss_weight:
                layer.loss_weight.extend(0.5 if top in ends else 0.0 for top in layer.top)
            ends -= set(layer.top)
    return netspec.build(source, case.attrs["phase"])


def passes(case, device):
    """What five passes leave, each with the data in another order; and what ran them."""
    backward = "top_diff" in case
    net = Net(weighted(case), seed=3, backward=backward, device=device)
    for layer, arrays in case.get("params", {}).items():
        for index, array in arrays.items():
            device.write(net.params[layer][int(index)].data, array[...])
    runs, found = Captured(net, pytest.fail, backward=backward), []
    for i in range(WARM + 3):
        for blob, array in case.get("bottom", {}).items():
            net.blobs[blob].data[...] = np.roll(array[...], i)
        runs.run()
        found += [net.read(name) for name in net.outputs]
    return [*found, device.host(net.flat_data), device.host(net.flat_diff)], runs


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_recorded_pass_has_the_bits_of_one_that_is_not(path, there):
    check(path, there)


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        (
            """layer { name: "t" type: "ValueTransformation" bottom: "a" top: "y"
            value_transformation_param { offset { v: -0.5 } scale { v: 2 v: 3 } } }""",
            [(1, 2, 3, 4)],
        ),
        (
            """layer { name: "t" type: "LSTMUnit" bottom: "a" bottom: "b" bottom: "c"
            top: "y" top: "z" }""",
            [(1, 2, 3), (1, 2, 12), (1, 2)],
        ),
    ],
)
def test_layers_that_nobody_has_recorded_values_of(text, shapes, there, tmp_path):
    with h5py.File(tmp_path / "case.h5", "w") as case:
        for name, shape in zip("abc", shapes, strict=False):
            case[f"bottom/{name}"] = np.random.default_rng(0).random(shape, np.float32)
            dims = "".join(f"dim: {n} " for n in shape)
            text = f'input: "{name}" input_shape {{ {dims} }} ' + text
        case.attrs["prototxt"], case.attrs["phase"] = "force_backward: true " + text, "TRAIN"
        case.create_group("top_diff")
    check(tmp_path / "case.h5", there)


def check(path, there):
    with h5py.File(path) as case:
        device, plain, graph = there(), there(), weighted(case)
        if not Captured(Net(graph, backward="top_diff" in case, device=device)).possible:
            assert {node.type for node in graph.nodes} & NOT
            return
        plain.capture = None
        (found, runs), (expected, _) = passes(case, device), passes(case, plain)
    assert runs._replay is not None
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_layer_is_recorded_or_says_why_not():
    """Those that work on the host, or ahead of the pass, need not be."""
    for name in MODULES:
        cls = layer_class(name)
        assert (name in NOT) + cls.on_host + cls.records == 1, name
