"""Files from strangers: links out, bombs, nonsense and code"""

import ast
import pickle
import re
import resource
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse import weights
from demitasse.errors import DemitasseError
from demitasse.tools import caffe, deploy, plan, solve
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("tiny")

ROOT = Path(__file__).resolve().parents[2]
SOLVER, STATE = "solver.prototxt", "tiny_iter_2.solverstate.h5"
BLOB = "data/d0/0"


@pytest.fixture
def secret(tmp_path):
    """A file that nobody may read through another one."""
    path = tmp_path / "secret.h5"
    with h5py.File(path, "w") as file:
        file["d0"] = np.full((4, 1, 3, 3), 7, "f4")
    return path


@pytest.fixture
def replaced(trained):
    """Replace an object of an HDF5 file."""

    def replaced(make, *, name=BLOB, path="tiny.h5"):
        with h5py.File(path, "r+") as file:
            del file[name]
            make(file, name)

    return replaced


def external_link(file, name, target="/d0"):
    file[name] = h5py.ExternalLink("secret.h5", target)


def soft_link(file, name):
    file["d1/0"] = np.zeros((4, 1, 3, 3), "f4")
    file[name] = h5py.SoftLink("/d1/0")


def loop(file, name):
    file[name] = h5py.SoftLink(f"/{name}")


def external_storage(file, name):
    file.create_dataset(name, (4, 1, 3, 3), "f4", external=[("secret.h5", 0, 144)])


def virtual(file, name):
    layout = h5py.VirtualLayout((4, 1, 3, 3), "f4")
    layout[:] = h5py.VirtualSource("secret.h5", "d0", (4, 1, 3, 3))
    file.create_virtual_dataset(name, layout)


def bomb(file, name):
    file.create_dataset(name, (1 << 23, 1 << 23), "f4", chunks=(64, 64))


def packed_bomb(file, name):
    file.create_dataset(name, (1 << 20, 1 << 10), "f4", chunks=(1 << 10, 1 << 10), compression=9)
    file[name].id.write_direct_chunk((0, 0), b"\x78\x9c\x03\x00\x00\x00\x00\x01")


def text(file, name):
    file[name] = "not a number"


def complex_numbers(file, name):
    file[name] = np.zeros((4, 1, 3, 3), "c8")


def group(file, name):
    file.create_group(name)


def nothing(file, name):
    file[name] = h5py.Empty("f4")


HOSTILE = {
    external_link: "'data/d0/0' is a link into another file (secret.h5)",
    soft_link: "'data/d0/0' is a link",
    loop: "'data/d0/0' is a link",
    external_storage: "keeps its values in another file (secret.h5)",
    virtual: "is a virtual dataset: its values lie in other files",
    bomb: "declares far more than the file holds",
    packed_bomb: "declares far more than the file holds",
    text: "holds no plain numbers; expected numbers, found strings",
    complex_numbers: "holds no plain numbers; expected numbers, found complex numbers",
    group: "is a group, not a dataset",
    nothing: "is a null dataset",
}


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_weights_that_are_not_what_they_say(refused, replaced, make):
    """A weights file links into another file, takes its values from there, loops, declares
    petabytes, or holds no numbers.
    Refused, with the dataset and what is wrong with it; no other file is opened, and no memory is
    taken.
    """
    replaced(make)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = refused(deploy.main, "--weights", "tiny.h5", "img.tif")
    assert "tiny.h5" in said and BLOB in said and HOSTILE[make] in said
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + (64 << 10)  # KiB


@pytest.mark.usefixtures("secret")
def test_a_layer_that_is_a_link(refused, replaced):
    """A whole layer, or all layers, of a weights file are a link into another file.
    Refused, with the name of the link.
    """
    replaced(external_link, name="data/d0")
    assert "'data/d0' is a link" in refused(deploy.main, "--weights", "tiny.h5", "img.tif")
    replaced(external_link, name="data")
    said = refused(deploy.main, "--weights", "tiny.h5", "img.tif")
    assert "tiny.h5: is HDF5 but no parameter file: it has no group '/data'" in said


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("name", ["history/0", "learned_net", "iter"])
@pytest.mark.parametrize("make", [external_link, loop, external_storage, bomb, group])
def test_solver_states_that_are_not_what_they_say(refused, replaced, name, make):
    """A solver state links into another file, loops, declares petabytes or holds no numbers.
    Refused, with the dataset; no other file is opened.
    """
    replaced(make, name=name, path=STATE)
    said = refused(solve.main, SOLVER, "--overwrite", "-snapshot", STATE)
    assert STATE in said and name in said


NONSENSE = {
    "layers": ['{"rows": 3}', "[]", '{"rows": {"row": "x"}}', "[" * 100_000, "x", b"\xff", 7],
    "test_layers": ["{}", "[3]", "x"],
    "seed": ["x", 1.5, np.zeros(2)],
    "losses": ["x", [b"a", b"b"]],
    "solver": [3],
    "unknown": [3],
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, each in NONSENSE.items() for v in each])
def test_a_solver_state_that_says_nonsense(refused, trained, key, value):
    """What demitasse adds to a solver state was changed into nonsense.
    Refused as damaged.
    """
    with h5py.File(STATE, "r+") as file:
        del file["demitasse"].attrs["sha256"]
        try:
            file["demitasse"].attrs[key] = value
        except OSError:  # HDF5 keeps longer texts in another way
            return
    said = refused(solve.main, SOLVER, "--overwrite", "-snapshot", STATE)
    assert STATE in said and "is damaged" in said


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_file_with_random_bytes_in_it(training, data):
    """Some bytes of a weights file or a solver state were overwritten at random.
    It is read, or refused in words.
    """
    name = data.draw(st.sampled_from(["tiny.h5", STATE, "tiny_iter_4.caffemodel.h5"]))
    content = bytearray((training / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = training / "changed.h5"
    path.write_bytes(content)
    for read in (weights.read, weights.read_state):
        try:
            read(path)
        except DemitasseError as error:
            assert "changed.h5" in str(error)
    assert weights.check(path).path == str(path)


# ---------------------------------------------------------------------- code

CODE = """
from pathlib import Path
Path("ran").touch()
from demitasse.layers.scripted import PythonLayer

class Same(PythonLayer):
    def setup(self, bottom, top): pass
    def reshape(self, bottom, top): top[0].reshape(*bottom[0].shape)
    def forward(self, bottom, top): top[0].data[...] = bottom[0].data
    def backward(self, top, propagate_down, bottom): bottom[0].diff[...] = top[0].diff
"""
PYTHON = """layer { name: "py" type: "Python" bottom: "d0" top: "d0p"
  python_param { module: "strange_layers" layer: "Same" } }
layer { name: "pool" type: "Pooling" bottom: "d0p"""


@pytest.fixture
def python_layer(tiny, edit, monkeypatch):
    """A net with a Python layer, whose module leaves a trace where it is run."""
    Path("strange_layers.py").write_text(CODE)
    monkeypatch.syspath_prepend(".")
    edit("net.prototxt", 'layer { name: "pool" type: "Pooling" bottom: "d0', PYTHON)
    yield
    sys.modules.pop("strange_layers", None)


@pytest.mark.usefixtures("python_layer")
def test_a_net_with_python_layers(refused, run):
    """A prototxt names Python code (a Python layer).
    Refused with every command, and the code is not run, unless --allow-python-layers was given.
    """
    for main, argv in (
        (solve.main, [SOLVER]),
        (caffe.main, ["train", "-solver", SOLVER]),
        (caffe.main, ["time", "-model", "net.prototxt"]),
        (plan.main, ["net.prototxt"]),
    ):
        said = refused(main, *argv)
        assert "layer 'py' (Python) runs Python code: 'Same' of the module 'strange_layers'" in said
        assert "--allow-python-layers" in said and not Path("ran").exists()
    for main, argv in ((solve.main, [SOLVER]), (plan.main, ["net.prototxt"])):
        assert run(main, *argv, "--allow-python-layers").code == 0
    assert Path("ran").exists()


@pytest.mark.usefixtures("python_layer")
def test_a_model_with_python_layers(refused, run):
    """A model file from a stranger has a net with a Python layer.
    Refused, and the code is not run, unless --allow-python-layers was given.
    """
    assert run(solve.main, SOLVER, "--allow-python-layers").code == 0
    Path("ran").unlink()
    del sys.modules["strange_layers"]
    said = refused(deploy.main, "--weights", "tiny.h5", "img.tif")
    assert "runs Python code" in said and not Path("ran").exists()
    ended = run(deploy.main, "--weights", "tiny.h5", "img.tif", "--allow-python-layers")
    assert ended.code == 0, ended.err


class Trap:
    def __reduce__(self):
        return (Path.touch, (Path("ran"),))


def test_a_pickle_given_as_weights(refused):
    """A pickle, which would run code where Python loads it, was given as weights or image.
    Refused unopened.
    """
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        Path("unet.pt").write_bytes(pickle.dumps(Trap(), protocol))
        refused(deploy.main, "--weights", "unet.pt", "img.tif")
        refused(solve.main, SOLVER, "-snapshot", "unet.pt")
        assert not Path("ran").exists()


def test_nothing_in_demitasse_loads_code():
    """A file tries to be loaded as code in a way not thought of here.
    No module imports pickle or its kin, calls eval, exec or compile, or loads arrays that may hold
    objects; a Python layer's module is the only import by a name that is not ours.
    """
    banned = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}
    calls = r"(?<![.\w])(eval|exec|compile|__import__)\(|\b(np|numpy)\.load\("
    suspect = re.compile("|".join((*sorted(banned), calls)))
    for path, text in modules():
        for node in ast.walk(ast.parse(text)) if suspect.search(text) else ():
            if isinstance(node, ast.Import):
                assert not banned & {alias.name.split(".")[0] for alias in node.names}, path
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert node.module.split(".")[0] not in banned, path
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("eval", "exec", "compile", "__import__"), f"{path}: {called}"
                if called in ("np.load", "numpy.load"):
                    given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                    assert given.get("allow_pickle") == "False", path


def modules():
    """The product's own modules and their texts."""
    for path in ROOT.rglob("*.py"):
        first = path.relative_to(ROOT).parts[0]
        if not first.startswith(".") and first not in ("tests", "benchmarks", "build", "examples"):
            yield path, path.read_text()
