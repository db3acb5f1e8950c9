"""Files checked blob by blob: what is found, in every kind of file."""

import numpy as np
import pytest
from demitasse.weights import State, check, write_binary_state, write_hdf5, write_hdf5_state
from demitasse.weights.checking import Blob

from .wirebytes import net, packed, shape, v2

HISTORY = [np.arange(6, dtype="f4").reshape(2, 3), np.float32(1).reshape(())]
EXTRA = {"solver": "SGD", "seed": 1, "losses": [], "layers": {}, "test_layers": []}


def test_binary_parameters_are_unverified(tmp_path):
    path = tmp_path / "a.caffemodel"
    path.write_bytes(net(v2("a", shape(2, 1) + packed(5, [1, np.inf])), v2("b")))
    found = check(path)
    assert found.kind == "binary caffemodel of 2 layers" and not found.fine
    assert found.blobs == (Blob("a/0", "2x1 float32", "not finite", "1 of 2 numbers"),)
    path.write_bytes(path.read_bytes()[:-3])
    found = check(path)
    assert not found.fine and found.kind == "" and "it breaks at byte" in found.problems[0]


@pytest.mark.parametrize("write", [write_binary_state, write_hdf5_state])
def test_states(tmp_path, write):
    path = tmp_path / "a"
    write(path, State(3, 0, "a.caffemodel", HISTORY, EXTRA))
    found = check(path)
    assert found.fine and found.kind == "solver state" and found.learned_net == "a.caffemodel"
    assert [blob.state for blob in found.blobs] == ["ok", "ok"]
    assert [blob.kind for blob in found.blobs] == ["2x3 float32", "one number float32"]


def test_every_damaged_blob_is_found(tmp_path):
    path = tmp_path / "a.h5"
    layers = {f"l{i}": [np.full(50, i, "f4")] for i in range(1, 5)}
    write_hdf5(path, layers)
    content = bytearray(path.read_bytes())
    for name in ("l2", "l4"):
        content[content.index(layers[name][0].tobytes())] ^= 1
    path.write_bytes(content)
    found = check(path)
    assert [blob.state for blob in found.blobs] == ["ok", "damaged", "ok", "damaged"]
    assert found.blobs[1].why == "checksum mismatch in l2/0" and not found.problems


def test_what_is_no_such_file(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    assert "is empty" in check(tmp_path / "a").problems[0]
    assert "does not exist" in check(tmp_path / "b").problems[0]
    assert "is a folder" in check(tmp_path).problems[0]
