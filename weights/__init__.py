"""Parameter files: which arrays they hold, by layer, and whether these fit a net.

    weights = read("phseg_v5.caffemodel")          of whatever kind: told by its content
    report = match({"conv_d0a-b": [(64, 1, 3, 3), (64,)], ...}, weights)
    report.require(complete=True)                  every layer there, every shape right

What is written is written whole or not at all: write_hdf5 (Caffe's .caffemodel.h5), write_model
(the same, describing itself), write_caffemodel (Caffe's binary file).
"""

from .base import Layers, Model, Weights
from .caffemodel import write_caffemodel
from .hdf5 import write_hdf5
from .match import Mismatch, Report, match
from .model import write_model
from .reading import read

__all__ = [
    "Layers",
    "Mismatch",
    "Model",
    "Report",
    "Weights",
    "match",
    "read",
    "write_caffemodel",
    "write_hdf5",
    "write_model",
]
