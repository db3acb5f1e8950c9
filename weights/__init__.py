"""Parameter files: which arrays they hold, by layer, and whether these fit a net.

    weights = read("phseg_v5.caffemodel")          of whatever kind: told by its content
    report = match({"conv_d0a-b": [(64, 1, 3, 3), (64,)], ...}, weights)
    report.require(complete=True)                  every layer there, every shape right

    weights, changed = modern(weights)             shapes of old files without leading ones
    state = read_state("net_iter_100.solverstate")
    checked = check("unet.h5")                     is every blob as it was written?
    definition = read_modeldef("2d_cell_net_v0.modeldef.h5")     a net and how to feed it

What is written is written whole or not at all: write_hdf5 (Caffe's .caffemodel.h5), write_model
(the same, describing itself), write_caffemodel (Caffe's binary file), write_caffemodel_v1 (the one
of 2014), write_binary_state and write_hdf5_state (.solverstate, .solverstate.h5), write_modeldef
(the Fiji plugin's .modeldef.h5).
"""

from .adapt import adapt
from .base import Layers, Model, Weights
from .caffemodel import LIMIT, write_caffemodel
from .caffemodel_v1 import write_caffemodel_v1
from .checking import Checked, check
from .hdf5 import fingerprint, write_hdf5
from .legacy import Reshaped, modern
from .match import Mismatch, Report, match
from .model import check_model, write_model, wrong_in
from .modeldef import LossWeights, ModelDef, is_modeldef, read_modeldef, write_modeldef
from .reading import read, read_description, read_state
from .solverstate import State, write_binary_state, write_hdf5_state

__all__ = [
    "LIMIT",
    "Checked",
    "Layers",
    "LossWeights",
    "Mismatch",
    "Model",
    "ModelDef",
    "Report",
    "Reshaped",
    "State",
    "Weights",
    "adapt",
    "check",
    "check_model",
    "fingerprint",
    "is_modeldef",
    "match",
    "modern",
    "read",
    "read_description",
    "read_modeldef",
    "read_state",
    "write_binary_state",
    "write_caffemodel",
    "write_caffemodel_v1",
    "write_hdf5",
    "write_hdf5_state",
    "write_model",
    "write_modeldef",
    "wrong_in",
]
