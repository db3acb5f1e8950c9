"""The names of `caffe`, its switches, its log, and scripts that say `import caffe`."""

import re
import subprocess
import sys
import time

import pytest
from demitasse import pycaffe as caffe
from demitasse.pycaffe import glog

NAMES = """
Net SGDSolver NesterovSolver AdaGradSolver RMSPropSolver AdaDeltaSolver AdamSolver NCCL Timer
init_log log set_mode_cpu set_mode_gpu set_device Layer get_solver layer_type_list set_random_seed
solver_count set_solver_count solver_rank set_solver_rank set_multiprocess has_nccl __version__
TRAIN TEST Classifier Detector io layers params NetSpec to_proto proto net_spec draw coord_map
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_every_name_is_there(name):
    assert getattr(caffe, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'caffe' has no attribute 'Nett'"):
        _ = caffe.Nett


def test_layer_types():
    assert {"Convolution", "Python", "Data"} <= set(caffe.layer_type_list())


def test_switches_are_remembered():
    caffe.set_solver_count(2)
    caffe.set_solver_rank(1)
    assert (caffe.solver_count(), caffe.solver_rank()) == (2, 1)
    caffe.set_mode_cpu()
    caffe.set_device(0)
    caffe.set_multiprocess(True)


def test_a_timer_measures_milliseconds():
    timer = caffe.Timer()
    assert timer.ms == 0
    timer.start()
    time.sleep(0.01)
    timer.stop()
    first = timer.ms
    assert 10 <= first < 1000 and timer.ms == first
    timer.start()
    assert 0 <= timer.ms < 10


def test_the_log_is_glogs(monkeypatch, capsys):
    monkeypatch.setattr(glog, "_asked", [])
    monkeypatch.delenv("GLOG_minloglevel")
    caffe.log("hello")
    assert re.fullmatch(r"I\d{4} [\d:.]{15} +\d+ \S+\] hello\n", capsys.readouterr().err)
    caffe.init_log(1, True)
    caffe.log("hello")
    glog.warn("careful")
    assert re.fullmatch(r"W\d{4} .* careful\n", capsys.readouterr().err)


SCRIPT = """
import sys
import caffe, caffe.io, caffe.draw
import caffe.proto.caffe_pb2 as pb
from caffe import layers as L, params as P, coord_map
from caffe.proto import caffe_pb2
from caffe.pycaffe import Net
from caffe._caffe import layer_type_list
import helper

assert caffe.Net is Net and caffe.io.caffe_pb2 is caffe_pb2 is pb
assert caffe.net_spec.Top is coord_map.Top
assert __name__ == "__main__" and helper.here
print(caffe.__name__, sys.argv[1:])
sys.exit(3)
"""


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "demitasse.pycaffe", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
    )


def test_an_old_script_runs_unchanged(tmp_path):
    (tmp_path / "helper.py").write_text("here = True")
    (tmp_path / "old.py").write_text(SCRIPT)
    done = run(str(tmp_path / "old.py"), "--solver", "x", cwd="/")
    assert (done.stdout, done.stderr) == ("demitasse.pycaffe ['--solver', 'x']\n", "")
    assert done.returncode == 3


def test_an_old_module_runs_unchanged(tmp_path):
    (tmp_path / "test_old.py").write_text(
        "import unittest, caffe\n"
        "class TestOld(unittest.TestCase):\n"
        "    def test_it(self):\n"
        "        self.assertEqual(caffe.TEST, 1)\n"
    )
    done = run("-m", "unittest", "discover", "-v", cwd=tmp_path)
    assert done.returncode == 0 and "test_it (test_old.TestOld" in done.stderr


def test_what_cannot_be_run_is_refused(tmp_path):
    done = run("none.py", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr == "error: none.py: there is no such script.\n"
    assert run(cwd=tmp_path).returncode == run("-m", cwd=tmp_path).returncode == 2
    assert "usage:" in run("--help", cwd=tmp_path).stdout


def test_a_script_of_python_2_is_told_how_to_go_on(tmp_path):
    (tmp_path / "old.py").write_text("import caffe\nprint caffe.TEST\n")
    done = run("old.py", cwd=tmp_path)
    assert done.returncode == 1 and "SyntaxError" in done.stderr
    assert done.stderr.endswith("2to3 -w FILE\n")


def test_importing_it_is_cheap():
    code = "import sys, demitasse.pycaffe; print({'numpy', 'google.protobuf'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
