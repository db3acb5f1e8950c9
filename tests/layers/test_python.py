"""Python layers: what a class named in a net sees, alone and in a net."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
from demitasse import netspec
from demitasse.errors import ShapeError, SpecError
from demitasse.layers.base import Blob, Context
from demitasse.layers.python import Python
from demitasse.layers.registry import create
from demitasse.layers.scripted import PythonBlob, PythonBlobs, PythonLayer
from demitasse.net import Net

from .driver import Rig, layer


class Product(PythonLayer):
    """y = w x0 x1; counts its calls."""

    def setup(self, bottom, top):
        self.calls, self.at_setup = ["setup"], [b.shape for b in bottom]
        if len(bottom) != 2:
            raise RuntimeError("two bottoms")
        self.blobs.add_blob(1)
        self.blobs[0].data[0] = float(self.param_str or 1)

    def reshape(self, bottom, top):
        self.calls.append("reshape")
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom, top):
        self.calls.append("forward")
        top[0].data[...] = self.blobs[0].data[0] * bottom[0].data * bottom[1].data

    def backward(self, top, propagate_down, bottom):
        x, y, dz, w = bottom[0].data, bottom[1].data, top[0].diff, self.blobs[0].data[0]
        self.blobs[0].diff[0] += (dz * x * y).sum()
        for i, other in ((0, y), (1, x)):
            if propagate_down[i]:
                bottom[i].diff[...] = dz * w * other


class Doubled(PythonLayer):
    """In place, without a look at the bottom."""

    def forward(self, bottom, top):
        assert bottom[0].data is top[0].data
        top[0].data[...] *= 2

    def backward(self, top, propagate_down, bottom):
        assert bottom[0].diff is top[0].diff
        bottom[0].diff[...] *= 2


class Chosen(PythonLayer):
    """The positive values, their number known only in forward (as a proposal layer does it)."""

    def setup(self, bottom, top):
        top[0].reshape(1)

    def forward(self, bottom, top):
        self.where = np.flatnonzero(bottom[0].data > 0)
        top[0].reshape(len(self.where))
        top[0].data[...] = bottom[0].data.reshape(-1)[self.where]

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff.reshape(-1)[self.where] = top[0].diff  # the rest is 0


class Counter(PythonLayer):
    """A source: its phase, how often it ran, and something written once, long ago."""

    def setup(self, bottom, top):
        self.passes = 0
        top[1].reshape(2)
        top[1].data[...] = 7

    def reshape(self, bottom, top):
        top[0].reshape()

    def forward(self, bottom, top):
        top[0].data[()] = 100 * self.phase + self.passes
        self.passes += 1

    def state(self):
        return {"passes": self.passes}

    def load_state(self, state):
        self.passes = state["passes"]


class Forwardless(PythonLayer):
    pass


@pytest.fixture(autouse=True)
def classes(monkeypatch):
    """These classes, under a name of their own."""
    made = types.ModuleType("layers_for_tests")
    for cls in (Product, Doubled, Chosen, Counter, Forwardless):
        setattr(made, cls.__name__, cls)
    made.number = 3
    monkeypatch.setitem(sys.modules, "layers_for_tests", made)


def spec(name, blobs="bottom: 'x' bottom: 'y' top: 'z'", more="", module="layers_for_tests"):
    made = layer(
        f"type: 'Python' {blobs} python_param {{ module: '{module}' layer: '{name}' {more} }}"
    )
    if "bottom:" not in blobs:
        made.ClearField("bottom")
    return made


def net_of(text, phase="TRAIN", **settings):
    graph = netspec.build(netspec.parse_net(text, "n.prototxt"), phase)
    return Net(graph, **{"allow_python": True, **settings})


def python(name, blobs, more=""):
    return (
        f"layer {{ name: '{name}' type: 'Python' {blobs} "
        f"python_param {{ module: 'layers_for_tests' layer: '{name}' {more} }} }}"
    )


def given(name, *shape):
    dims = " ".join(f"dim: {n}" for n in shape)
    return (
        f" layer {{ name: 'in_{name}' type: 'Input' top: '{name}' "
        f"input_param {{ shape {{ {dims} }} }} }}"
    )


# ---- alone


def test_gradients_of_bottoms_and_parameter():
    rng = np.random.default_rng(0)
    x, y, dz = rng.standard_normal((3, 3, 4))
    rig = Rig(Python, spec("Product"), [x, y], params=[[1.5]], allow_python=True)
    assert rig.shapes.params == ((1,),) and rig.layer.code.at_setup == [(3, 4), (3, 4)]
    np.testing.assert_allclose(rig.forward()[0], 1.5 * x * y)
    (dx, dy), (dw,) = rig.backward([dz])
    np.testing.assert_allclose(dx, 1.5 * dz * y)
    np.testing.assert_allclose(dy, 1.5 * dz * x)
    np.testing.assert_allclose(dw, [(dz * x * y).sum()])
    rig.forward()
    assert rig.backward([dz], [False, True])[0][0] is None  # Rig: and nothing was written there


def test_setup_runs_once_and_reshape_before_every_forward():
    rig = Rig(Python, spec("Product"), [np.ones(2), np.ones(2)], allow_python=True)
    assert rig.layer.code.calls == ["setup", "reshape"]
    rig.forward()
    rig.forward()
    assert rig.layer.code.calls == ["setup", "reshape", *["reshape", "forward"] * 2]


def test_phase_param_str_and_type():
    for phase, number in (("TRAIN", 0), ("TEST", 1)):
        made = create(spec("Product", more="param_str: '2.5'"), Context(phase, allow_python=True))
        assert (made.code.phase, made.code.param_str, made.code.type) == (number, "2.5", "Python")
        made.shapes((2,), (2,))
        assert made.fillers()[0].tolist() == [2.5]


def test_values_written_once_stay_and_a_number_has_no_axes():
    rig = Rig(Python, spec("Counter", "top: 'a' top: 'b'"), [], phase="TEST", allow_python=True)
    assert rig.shapes.tops == ((), (2,))
    for k in range(3):
        count, kept = rig.forward()
        assert count == 100 + k and kept.tolist() == [7, 7]
    assert rig.layer.state() == {"passes": 3}
    rig.layer.load_state({"passes": 9})
    assert rig.forward()[0] == 109


def test_code_runs_only_where_it_is_allowed():
    with pytest.raises(SpecError) as caught:
        create(spec("Product", module="os"), Context(where="n.prototxt:1:1"))
    said = str(caught.value)
    assert said.startswith("n.prototxt:1:1: layer 'test' (Python) runs Python code: 'Product' of")
    assert "--allow-python-layers" in said and "allow_python=True" in said


def test_a_refused_module_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SpecError, match="runs Python code"):
        create(spec("Trap", module="trap"), Context())
    with pytest.raises(SystemExit):
        create(spec("Trap", module="trap"), Context(allow_python=True))


@pytest.mark.parametrize(
    "name, module, match",
    [
        ("Product", "no_such_module", "cannot be imported .*Put the folder it is in on PYTHONPATH"),
        ("Produkt", "layers_for_tests", "is no layer; .*PythonLayer.*found nothing of that name"),
        ("number", "layers_for_tests", "is no layer.*found 3"),
        ("Forwardless", "layers_for_tests", "which has no forward"),
        ("", "layers_for_tests", "needs python_param { module layer }"),
    ],
)
def test_refusals(name, module, match):
    with pytest.raises(SpecError, match=match):
        create(spec(name, module=module), Context(allow_python=True)).shapes((1,), (1,))


def test_exceptions_of_the_class_come_through():
    with pytest.raises(RuntimeError, match="two bottoms"):
        net_of(given("x", 2) + python("Product", "bottom: 'x' top: 'z'"))
    rig = Rig(Python, spec("Counter", "top: 'a' top: 'b'"), [], allow_python=True)
    rig.forward()
    with pytest.raises(NotImplementedError, match="Counter has no backward"):
        rig.backward([0, 0])


def test_a_top_that_is_not_what_the_class_made_is_refused():
    made = create(spec("Chosen", "bottom: 'x' top: 'z'"), Context(allow_python=True))
    assert made.shapes((3,)).tops == ((1,),)
    with pytest.raises(ShapeError, match=r"gave its top 'z' another shape.*found shape 2"):
        made.forward([Blob(np.array([1.0, -1, 1]))], [Blob(np.zeros(1))])


# ---- in a net


@pytest.mark.parametrize("keep", [True, False])
def test_tops_may_change_in_forward(keep):
    net = net_of(
        "force_backward: true"
        + given("x", 2, 3)
        + python("Chosen", "bottom: 'x' top: 'z'")
        + "layer { name: 'p' type: 'Power' bottom: 'z' top: 'out' loss_weight: 3 "
        "power_param { scale: 2 } }",
        keep=keep,
        poison=not keep,
    )
    for x in ([[1, -2, 3], [-4, 5, 6]], [[-1, -2, 3], [-4, -5, -6]], [[1, 2, 3], [4, 5, 6]]):
        x = np.array(x, float)
        net.blobs["x"].data[...] = x
        loss = net.forward()
        assert net.blobs["out"].data.tolist() == (2 * x[x > 0]).tolist()
        assert loss == 6 * x[x > 0].sum()
        net.backward()
        if keep:
            np.testing.assert_array_equal(net.blobs["x"].diff, 6.0 * (x > 0))


@pytest.mark.parametrize("keep", [True, False])
def test_in_place(keep):
    """The bottom is still read by another layer's backward: it must not change underneath."""
    text = (
        "force_backward: true"
        + given("x", 3)
        + "layer { name: 's' type: 'Sigmoid' bottom: 'x' top: 'y' }"
        + python("Doubled", "bottom: 'y' top: 'y'")
        + "layer { name: 'p' type: 'Power' bottom: 'y' top: 'out' loss_weight: 1 }"
    )
    net = net_of(text, keep=keep, poison=not keep, dtype=np.float64)
    x = np.array([-1.0, 0.5, 2.0])
    net.blobs["x"].data[...] = x
    net.forward()
    s = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(net.blobs["out"].data, 2 * s)
    net.backward()
    if keep:
        np.testing.assert_allclose(net.blobs["x"].diff, 2 * s * (1 - s))


def test_parameters_learn_are_filled_and_shared():
    text = (
        given("x", 2)
        + given("y", 2)
        + python("Product", "bottom: 'x' bottom: 'y' top: 'z' loss_weight: 1", "param_str: '4'")
    )
    net = net_of(text)
    assert net.params["Product"][0].data.tolist() == [4]
    net.blobs["x"].data[...], net.blobs["y"].data[...] = [1, 2], [3, 5]
    assert net.forward() == 52
    net.backward()
    net.backward()
    assert net.params["Product"][0].diff.tolist() == [26]  # added to, as of any layer
    test = net_of(text, "TEST", share=net)
    net.params["Product"][0].data[0] = -1
    test.blobs["x"].data[...], test.blobs["y"].data[...] = [1, 2], [3, 5]
    assert test.forward() == -13


def test_other_inputs_reach_the_class():
    net = net_of(
        given("x", 2) + given("y", 2) + python("Product", "bottom: 'x' bottom: 'y' top: 'z'"),
        keep=True,
    )
    net.reshape({"x": (4, 5), "y": (4, 5)})
    net.blobs["x"].data[...] = net.blobs["y"].data[...] = 3
    net.forward()
    assert net.blobs["z"].shape == (4, 5) and (net.blobs["z"].data == 9).all()


def test_a_net_keeps_the_state_of_its_python_layers():
    net = net_of(python("Counter", "top: 'a' top: 'b'"))
    net.forward()
    assert net.state() == {"Counter": {"passes": 1}}
    net.load_state({"Counter": {"passes": 5}})
    net.forward()
    assert net.blobs["a"].data == 5


def test_a_net_refuses_code_by_default():
    with pytest.raises(SpecError, match=r"n\.prototxt:1:1: layer 'Counter' \(Python\) runs Python"):
        net_of(python("Counter", "top: 'a' top: 'b'"), allow_python=False)


# ---- blobs


def test_blobs_have_pycaffes_names():
    blob = PythonBlob((2, 3), np.float32)
    assert (blob.num, blob.channels, blob.height, blob.width, blob.count) == (2, 3, 1, 1, 6)
    assert blob.data.shape == blob.diff.shape == (2, 3) and blob.data.dtype == np.float32
    assert not blob.data.any() and not blob.diff.any()
    blob.data[...] = np.arange(6).reshape(2, 3)
    blob.reshape(1, 2, 2)
    assert blob.data.ravel().tolist() == [0, 1, 2, 3] and blob.shape == (1, 2, 2)
    blob.reshape(7)
    assert not blob.data.any() and blob.data.shape == blob.diff.shape == (7,)
    blob.reshape()
    assert blob.shape == () and blob.count == 1 and blob.data.shape == ()
    blobs = PythonBlobs(np.float64)
    blobs.add_blob(3)
    blobs.add_blob()
    assert [b.shape for b in blobs] == [(3,), ()] and blobs[0].data.dtype == np.float64


@pytest.mark.parametrize(
    "imports, remedy",
    [
        ("caffe", r'demitasse\.pycaffe "\$\(command -v demitasse\)"'),
        ("no_such_module", "Install no_such_module, which it imports"),
    ],
)
def test_what_a_module_imports_may_be_missing(imports, remedy, tmp_path, monkeypatch):
    (tmp_path / f"wants_{imports}.py").write_text(f"import {imports}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, imports, raising=False)
    with pytest.raises(SpecError, match=remedy):
        create(spec("L", module=f"wants_{imports}"), Context(allow_python=True))
