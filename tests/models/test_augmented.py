"""Nets that augment in themselves train on whole images and volumes: thin, on small tiles."""

import h5py
import numpy as np
import pytest
from demitasse import netspec
from demitasse.net import Net

from .nets import MODELS

IMAGE, VOLUME, FLAT = (200, 212), (96, 100, 100), (24, 104, 108)


def thin(name, source, tile):
    """The TRAIN graph of a file with 1/32 of its channels, other data and another tile."""
    net = netspec.read_net(str(MODELS / name))
    for layer in net.message.layer:
        if layer.type == "HDF5Data":
            layer.hdf5_data_param.source = source
        elif layer.type in ("Convolution", "Deconvolution") and layer.top[0] != "score":
            layer.convolution_param.num_output //= 32
        elif layer.type == "CreateDeformation":
            for axis, size in zip(("nx", "ny", "nz"), reversed(tile), strict=False):
                setattr(layer.create_deformation_param, axis, size)
    return netspec.build(net, "TRAIN")


@pytest.mark.parametrize(
    ("name", "shape", "tile", "out"),
    [
        ("phseg_v7.prototxt", IMAGE, (188, 188), (4, 4)),
        ("unet_augmented.prototxt", IMAGE, (188, 204), (4, 20)),
        ("2d_cell_net_v0.prototxt", IMAGE, (188, 188), (4, 4)),
        ("unet3d_bn.prototxt", VOLUME, (92, 92, 92), (4, 4, 4)),
        ("unet3d_anisotropic.prototxt", FLAT, (20, 100, 100), (4, 12, 12)),
    ],
)
def test_a_step_on_a_bent_tile(tmp_path, name, shape, tile, out):
    rng = np.random.default_rng(0)
    full = (2, 1, *shape)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = rng.random(full, np.float32)
        for blob in ("label", "labels"):
            file[blob] = rng.integers(0, 2, full).astype("u1")
        for blob in ("weight", "weights", "weights2"):
            file[blob] = np.ones(full, "f4")
    (tmp_path / "a.txt").write_text(f"{tmp_path / 'a.h5'}\n")
    graph = thin(name, str(tmp_path / "a.txt"), tile)
    first, again = Net(graph, seed=1), Net(graph, seed=1)
    losses = []
    for net in (first, again):
        shapes = {value.blob: s for value, s in net.planned.inferred.values.items()}
        assert shapes["labelcrop"] == (1, 1, *out) and shapes["score"][2:] == out
        net.clear_param_diffs()
        losses.append(net.forward())
        net.backward()
    assert 0.2 < losses[0] < 3 and losses[0] == losses[1]
    assert first.params["conv_u0d-score"][0].diff.any()
    np.testing.assert_array_equal(first.flat_diff, again.flat_diff)
