"""Logs of trainings: Caffe's, with glog's headers of any year, ours, and log.jsonl."""

from _files import as_file
from demitasse.errors import DemitasseError
from demitasse.tools import _logs, _runs

GLOG = """\
I1231 23:59:58.250000  7 caffe.cpp:197] Use CPU.
I1231 23:59:58.300000  7 solver.cpp:45] Initializing solver from parameters:
base_lr: 0.01
display: 20
I1231 23:59:58.400000  7 net.cpp:51] Initializing net from parameters:
name: "n"
layer { name: "loss" type: "SoftmaxWithLoss" }
I1231 23:59:59.000000  7 solver.cpp:347] Iteration 0, Testing net (#0)
I1231 23:59:59.500000  7 solver.cpp:414]     Test net output #0: accuracy = 0.5
I1231 23:59:59.500000  7 solver.cpp:414]     Test net output #1: loss = 0.7 (* 1 = 0.7 loss)
I0101 00:00:01.000000  7 solver.cpp:239] Iteration 0 (-1.5e-20 iter/s, 2s/20 iters), loss = 0.75
I0101 00:00:01.000000  7 solver.cpp:258]     Train net output #0: loss = 0.75 (* 1 = 0.75 loss)
I0101 00:00:01.000000  7 sgd_solver.cpp:112] Iteration 0, lr = 0.01
I0101 00:00:05.000000  7 sgd_solver.cpp:284] Snapshotting solver state to binary proto file \
a_iter_20.solverstate
I0101 00:00:05.000000  7 solver.cpp:327] Iteration 20, loss = nan
I0101 00:00:05.000000  7 solver.cpp:332] Optimization Done.
"""
OURS = """\
net tiny: 274 parameters, 12 layers
Iteration 0 (0 iter/s, 0.1s/1 iters), loss = 0.9
    Train net output #0: loss = 0.9 (* 1 = 0.9 loss)
Iteration 0, lr = 0.01, gradient norm = 1.2
Snapshotting solver state to HDF5 file tiny_iter_2.solverstate.h5
"""
RECORD = """\
{"kind": "start", "run": "0a1b2c3d", "prefix": "tiny", "folder": "/x", "solver": {"text": "a: 1"}}
{"kind": "train", "run": "0a1b2c3d", "iter": 20, "loss": 0.5, "smoothed": 0.5, "lr": 0.01, \
"gradient_norm": 1.5, "seconds": 2.0, "resident": 1000, "outputs": {"loss": [0.5]}}
{"kind": "test", "run": "0a1b2c3d", "iter": 20, "net": 0, "outputs": {"loss": [0.5]}, "seconds": 3}
{"kind": "snapshot", "run": "0a1b2c3d", "iter": 20, "path": "a_iter_20.solverstate.h5"}
{"kind": "start", "run": "1", "resumed": {"snapshot": "a_iter_20.solverstate.h5", "iter": 20}}
{"kind": "model", "run": "1", "iter": 40, "path": "a.h5", "seconds": 8}
{"kind": "end", "run": "1", "reason": "finished", "iter": 40, "seconds": 9}
"""


def seeds():
    years = GLOG.replace("I1231 ", "I20261231 ").replace("I0101 ", "I20270101 ")
    return [text.encode() for text in (GLOG, years, OURS, RECORD, GLOG + OURS)]


def words():
    said = ("Iteration ", "loss = ", "lr = ", "Testing net (#", "Test net output #", "_iter_")
    values = ("nan", "1e999", "9" * 400, "-1", "null", "[[]]", "{}", "true", '"iter":', "I0229 ")
    return [word.encode() for word in said + values]


def check(data):
    path = as_file(data, "some.log")
    _logs.read(data.decode(errors="replace").splitlines())
    try:
        run = _runs.read(path)
    except DemitasseError as error:
        str(error)
    else:
        assert run.name and run.iterations >= 0 and run.seconds is not None
