"""Lets `import caffe` find this package."""

from __future__ import annotations

import sys
from importlib import import_module

from . import _MODULES, SAME

PACKAGE = __name__.rpartition(".")[0]


def install(name: str = "caffe") -> None:
    """Enter this package and its modules into sys.modules as `caffe`, `caffe.io` and so on.

    Every module is entered, so that none is imported a second time under another name.
    """
    package = import_module(PACKAGE)
    sys.modules[name] = package
    for module in SAME:
        sys.modules[f"{name}.{module}"] = package
    for module in _MODULES:
        sys.modules[f"{name}.{module}"] = import_module(f".{module}", PACKAGE)
    sys.modules[f"{name}.proto.caffe_pb2"] = import_module(".caffe_pb2", PACKAGE)
