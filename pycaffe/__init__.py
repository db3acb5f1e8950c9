"""pycaffe: Caffe's Python interface, so that old scripts run unchanged.

    python -m demitasse.pycaffe script.py arguments       a script that says `import caffe`
    python -m demitasse.pycaffe -m unittest discover      a module
    import demitasse.pycaffe as caffe                     in a script of your own

Names, arguments and results are those of BVLC Caffe 1.0's python/caffe.  A net made here keeps
every blob readable and writable between passes, as Caffe's do, and needs the memory for it.

Caffe's interface has global switches (mode, device, seed); they live in `settings` and reach
nothing outside this package.  Importing it is cheap: everything is imported when first asked for.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

TRAIN, TEST = 0, 1
__version__ = "1.0.0"  # of the interface: BVLC Caffe 1.0

# the names of each module
_HOLDS = {
    "net": "Net",
    "blob": "Blob",
    "layer": "Layer layer_type_list",
    "timer": "Timer",
    "classifier": "Classifier",
    "detector": "Detector",
    "net_spec": "NetSpec layers params to_proto",
    "glog": "init_log log",
    "solver": "SGDSolver NesterovSolver AdaGradSolver RMSPropSolver AdaDeltaSolver AdamSolver NCCL "
    "get_solver",
    "settings": "set_mode_cpu set_mode_gpu set_device set_random_seed solver_count "
    "set_solver_count solver_rank set_solver_rank set_multiprocess has_nccl",
}
_NAMES = {name: module for module, names in _HOLDS.items() for name in names.split()}
_MODULES = ("classifier", "coord_map", "detector", "draw", "io", "net_spec", "proto")
# Caffe's modules whose names were all in the package as well
SAME = ("_caffe", "pycaffe")

__all__ = ["TEST", "TRAIN", "__version__", *sorted(_NAMES), "io"]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        found = getattr(import_module(f".{_NAMES[name]}", __name__), name)
        globals()[name] = found
        return found
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name in SAME:
        return sys.modules[__name__]
    raise AttributeError(f"module 'caffe' has no attribute '{name}'")
