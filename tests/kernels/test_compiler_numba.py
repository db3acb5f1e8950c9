"""What is kept of compiled kernels is renewed when it should be."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("numba")

INNER = """
from demitasse.kernels.compiler_numba import compiler

@compiler()
def inner(x):
    return x + {}
"""
OUTER = """
from demitasse.kernels.compiler_numba import compiler
from inner_numba import inner

@compiler()
def outer(x):
    return inner(x)

print(outer(1), sum(outer.stats.cache_hits.values()))
"""


def test_a_change_of_what_a_kernel_calls(tmp_path):
    (tmp_path / "outer_numba.py").write_text(OUTER)

    def run():
        call = [sys.executable, "outer_numba.py"]
        return subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    (tmp_path / "inner_numba.py").write_text(INNER.format(1))
    assert run().split() == ["2", "0"] and run().split() == ["2", "1"]
    (tmp_path / "inner_numba.py").write_text(INNER.format(22))
    assert run().split() == ["23", "0"]


KEPT = """
import sys
from demitasse.kernels.compiler_numba import compiler

@compiler()
def {0}(x):
    return x + 1

assert {0}(1) == 2
print(sum({0}.stats.cache_hits.values()), "numba.np.linalg" in sys.modules)
if sys.argv[1:]:
    fresh = compiler()(lambda x: {0}(x) * 3)
    assert fresh(1) == 6
"""


def test_what_is_kept_is_taken_without_what_only_compiling_needs(tmp_path):
    """And a function that has to be compiled may call it."""
    (tmp_path / "kept_numba.py").write_text(KEPT.format("kept"))

    def run(*words):
        call = [sys.executable, "kept_numba.py", *words]
        return subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert run().split() == ["0", "True"]
    assert run().split() == ["1", "False"]
    assert run("compile").split() == ["1", "False"]


def test_without_its_compiler_numba_counts_as_not_installed():
    """NUMBA_DISABLE_JIT is what debuggers and coverage set."""
    code = "from demitasse.kernels.winograd_cut import transforms; print(transforms().__name__)"
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    call = [sys.executable, "-c", code]
    found = subprocess.run(call, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.strip().endswith("tiles_numpy")
