"""Drawn volumes: repeatable, plausible, and written as training files."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from demitasse.data import volumes
from demitasse.netspec import parse_net
from demitasse.tools.solve import make_data_of

SHAPE = (24, 40, 32)


@pytest.fixture(scope="module")
def drawn():
    return volumes.volume(3, SHAPE)


def test_a_volume_is_a_function_of_its_seed(drawn):
    pixels, classes = volumes.volume(3, SHAPE)
    np.testing.assert_array_equal(pixels, drawn[0])
    np.testing.assert_array_equal(classes, drawn[1])
    assert not np.array_equal(volumes.volume(4, SHAPE)[0], pixels)


def test_it_is_plausible(drawn):
    pixels, classes = drawn
    assert (pixels.shape, classes.shape) == (SHAPE, SHAPE)
    assert (pixels.dtype, classes.dtype) == (np.float32, np.uint8)
    assert pixels.min() >= 0 and pixels.max() <= 1 and 0.4 < classes.mean() < 0.9
    assert pixels[classes == 1].mean() - pixels[classes == 0].mean() > 0.15
    # walls are sheets: along each axis a voxel is mostly as its neighbour is
    for axis in range(3):
        assert (np.diff(classes, axis=axis) == 0).mean() > 0.8


def test_weights_are_balanced(drawn):
    weight = volumes.balance(drawn[1])
    inside, wall = (weight[drawn[1] == c].sum() for c in (1, 0))
    assert abs(weight.mean() - 1) < 1e-5 and abs(inside / wall - 1) < 1e-4
    assert (volumes.balance(np.ones((2, 2, 2), np.uint8)) == 0.5).all()


@pytest.mark.parametrize(
    ("source", "shape"),
    [
        ("examples/volumes-16x24x20/train.txt", (16, 24, 20)),
        ("volumes-132x148x148/test.txt", (132, 148, 148)),
        ("examples/volumes-16x24/train.txt", None),
        ("examples/volumes-0x24x24/train.txt", None),
        ("examples/volumes-16x24x20/other.txt", None),
    ],
)
def test_names_of_built_in_data(source, shape):
    found = volumes.built_in(source)
    assert (found and found.shape) == shape


def test_the_trainer_makes_them_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    net = parse_net(
        'layer { name: "d" type: "HDF5Data" top: "data" top: "label" top: "weight"'
        ' hdf5_data_param { source: "examples/volumes-12x16x14/train.txt" batch_size: 1 } }'
    )
    assert ["volumes of cells" in said for said in make_data_of(net)] == [True]
    assert list(make_data_of(net)) == []
    for part, count in (("train", 4), ("test", 1)):
        (path,) = Path(f"examples/volumes-12x16x14/{part}.txt").read_text().split()
        with h5py.File(path) as file:
            assert {file[n].shape for n in file} == {(count, 1, 12, 16, 14)}
            assert list(file) == ["data", "label", "weight"]
            assert list(file.attrs["class_names"]) == ["membrane", "interior"]
