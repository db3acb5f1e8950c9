from __future__ import annotations

import h5py
import numpy as np
import pytest
from demitasse.errors import OutputError, ShapeError, SpecError
from demitasse.layers.base import Context
from demitasse.layers.hdf5_output import HDF5Output
from demitasse.layers.registry import create

from .driver import Rig, layer


def output(param, bottoms=2):
    names = " ".join(f"bottom: 'x{i}'" for i in range(bottoms))
    spec = layer(f"type: 'HDF5Output' {names} hdf5_output_param {{ {param} }}")
    spec.ClearField("top")
    return spec


def rig(param, arrays, folder, **settings):
    return Rig(HDF5Output, output(param, len(arrays)), arrays, folder=str(folder), **settings)


def content(path):
    with h5py.File(path) as file:
        return {name: file[name][...] for name in file}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_writes_data_and_label_with_four_axes(tmp_path, dtype):
    data, label = np.arange(24.0).reshape(2, 3, 4), np.array([5.0, 6.0])
    (tmp_path / "o.h5").write_text("as before")
    one = rig("file_name: 'o.h5'", [data, label], tmp_path, dtype=dtype)
    assert (tmp_path / "o.h5").read_text() == "as before"
    one.forward()
    found = content(tmp_path / "o.h5")
    assert list(found) == ["data", "label"] and found["data"].dtype == dtype
    np.testing.assert_array_equal(found["data"], data[..., None])
    np.testing.assert_array_equal(found["label"], label.reshape(2, 1, 1, 1))
    diffs, _ = one.backward([])
    assert not np.any(diffs[0]) and not np.any(diffs[1])
    with pytest.raises(OutputError, match=r"o\.h5: holds 'data' already, from an earlier pass"):
        one.forward()
    assert list(content(tmp_path / "o.h5")) == ["data", "label"]


def test_passes_follow_each_other_in_one_file(tmp_path):
    data = np.arange(6.0).reshape(1, 6, 1)
    param = "file_name: 'o.h5' dset_name: 'score%03d' dset_name: '100%%/%d' squeeze: true"
    one = rig(param, [data, data + 1], tmp_path)
    for _ in range(2):
        one.forward()
    again = rig(param, [data, data + 1], tmp_path)
    again.layer.load_state(one.layer.state())
    again.forward()
    with h5py.File(tmp_path / "o.h5") as file:
        assert list(file) == ["100%", "score000", "score001", "score002"]
        assert list(file["100%"]) == ["0", "1", "2"]
        np.testing.assert_array_equal(file["score002"], np.arange(6))


def test_a_percent_sign_may_stand_before_a_d(tmp_path):
    data = np.ones((1, 2, 1))
    rig("file_name: 'o.h5' dset_name: '50%%d'", [data], tmp_path).forward()
    with h5py.File(tmp_path / "o.h5") as file:
        assert list(file) == ["50%d"]
    with pytest.raises(SpecError, match="a format that it does not know"):
        rig("file_name: 'o.h5' dset_name: '50%%%f'", [data], tmp_path)


def test_passes_go_into_numbered_files(tmp_path):
    deep = np.arange(32.0).reshape(2, 1, 2, 2, 2, 2)
    one = rig("file_name: 'o%d.h5' dset_name: 'x'", [deep], tmp_path)
    for k in range(3):
        one.forward([deep + k])
    for k in range(3):
        np.testing.assert_array_equal(content(tmp_path / f"o{k}.h5")["x"], deep + k)


def test_refusals(tmp_path):
    def no(kind, param, match, bottoms=2):
        with pytest.raises(kind, match=match):
            create(output(param, bottoms), Context(folder=str(tmp_path), where="n:1:1"))

    no(SpecError, "", "n:1:1: .* has no file_name")
    no(SpecError, "file_name: 'o'", r"expected 2 \(data, label\), found 3", bottoms=3)
    no(SpecError, "file_name: 'o' dset_name: 'a'", r"expected 1 \(a\), found 2")
    for bad in ("%s", "%", "%5.3d", "%n", "%*d"):
        no(SpecError, f"file_name: 'o{bad}'", "has a name with a format that it does not know")
    for bad in ("", ".", "/"):
        no(SpecError, f"file_name: 'o' dset_name: '{bad}'", "a dset_name that names nothing", 1)
    no(OutputError, "file_name: 'no/o'", "folder to write into does not exist")
    with pytest.raises(ShapeError, match="writes at most four axes"):
        rig("file_name: 'o'", [np.zeros((1, 1, 1, 1, 2)), np.zeros(1)], tmp_path)
    with pytest.raises(ShapeError, match="needs as many labels as data; expected 2 as in 'x0'"):
        rig("file_name: 'o'", [np.zeros((2, 1)), np.zeros(3)], tmp_path)
    same = rig("file_name: 'o' dset_name: 'a' dset_name: 'a'", [np.zeros(1)] * 2, tmp_path)
    with pytest.raises(OutputError, match="two bottoms have the same dset_name"):
        same.forward()
    lost = rig("file_name: 'o' dset_name: '%d'", [np.zeros(1)], tmp_path)
    lost.forward()
    (tmp_path / "o").unlink()
    with pytest.raises(OutputError, match="cannot be added to"):
        lost.forward()
