"""HDF5 files: parameters, models, solver states, the plugin's model definitions, training data."""

import h5py
import numpy as np
from _files import as_file, golden
from demitasse import weights
from demitasse.data.hdf5 import HDF5Rows
from demitasse.errors import DemitasseError, WeightsError
from demitasse.h5 import open_h5
from demitasse.weights.model import digest, stored


def seeds():
    found = golden("**/*.caffemodel.h5") + golden("**/*.solverstate.h5")
    return [*found, _modeldef(), _model(), _rows()]


def words():
    return [
        b"data",
        b"model_prototxt",
        b"unet_param",
        b"history",
        b"iter",
        b"learned_net",
        b"\x89HDF",
        b'"',
        b"[[[[[[[[",
        b"null",
    ]


def check(data):
    path = as_file(data, "some.h5")
    path = as_file(_renewed(data, path), "some.h5")
    listed = as_file(f"{path}\n".encode(), "list.txt")
    for read in (
        lambda: weights.read(path),
        lambda: weights.read_state(path),
        lambda: weights.is_modeldef(path),
        lambda: weights.read_modeldef(path),
        lambda: _read_rows(listed),
    ):
        try:
            read()
        except DemitasseError as error:
            str(error)


def _renewed(data, path):
    """The same with the digest that a model's description has: whoever makes a file computes it."""
    try:
        with open_h5(path, error=WeightsError) as file:
            kept, right = str(file.attrs["description_sha256"]), digest(stored(file))
    except Exception:  # no model
        return data
    return data.replace(kept.encode(), right.encode()) if len(kept) == len(right) else data


def _read_rows(listed):
    rows = HDF5Rows(str(listed), ["data", "label"])
    if all(np.prod((2, *shape), dtype=object) < 1 << 20 for shape in rows.row_shapes):
        rows.read([np.empty((2, *shape), np.float32) for shape in rows.row_shapes])


def _rows():
    path = as_file(b"", "rows.h5")
    with h5py.File(path, "w") as file:
        file["data"] = np.ones((2, 1, 3, 3), np.float32)
        file.create_dataset("label", data=np.zeros((2, 1, 2, 2), np.uint8), compression="gzip")
    return path.read_bytes()


def _model():
    path = as_file(b"", "model.h5")
    path.unlink()
    model = weights.Model(
        deploy='layer { name: "a" type: "ReLU" bottom: "x" top: "y" }',
        normalization={"name": "zscore", "parameters": {}},
        class_names=("a", "b"),
        input_channels=1,
        padding="mirror",
        pixel_size=(0.5, 0.5),
        origin={"program": "fuzz"},
    )
    weights.write_model(path, {"a": [np.ones(3, np.float32)]}, model)
    return path.read_bytes()


def _modeldef():
    path = as_file(b"", "some.modeldef.h5")
    sizes = {"downsampleFactor": [2, 2], "padInput": [6, 6], "padOutput": [0, 0]}
    with h5py.File(path, "w") as file:
        file[".unet-ident"] = "net"
        file["model_prototxt"] = 'layer { name: "a" type: "ReLU" bottom: "x" top: "y" }'
        file["solver_prototxt"] = "base_lr: 1"
        group = file.create_group("unet_param")
        for name, value in sizes.items():
            group[name] = np.array(value, np.int32)
        group["element_size_um"] = np.array([0.5, 0.5])
        group["normalization_type"] = np.int32(1)
        group["padding"] = "mirror"
        group["input_blob_name"] = "data"
        group["mapInputNumPxGPUMemMB"] = np.array([[100, 200], [3, 4]], np.float32)
    return path.read_bytes()
