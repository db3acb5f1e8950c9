"""Compiled kernels are imported where they compute something, and not before."""

import subprocess
import sys

import pytest
from demitasse.kernels.optional import optional

LATE = """
import sys
from demitasse.kernels.convolution import COLUMNS, THIN, choose
from demitasse.kernels.im2col import Window

def chosen(kernel, size):
    window = Window((kernel,) * 2, (1, 1), (0, 0), (1, 1))
    x, y = (1, 512, size + kernel - 1, size + kernel - 1), (1, 512, size, size)
    return choose(x, (512, 512, kernel, kernel), y, window, 1, "float32")

assert chosen(1, 64) == COLUMNS
assert "numba" not in sys.modules
assert chosen(3, 4) == THIN
assert "numba" in sys.modules
"""


def test_what_is_not_there():
    assert optional("nothing_numba") is None


def test_choosing_what_exists_in_numpy_imports_no_numba():
    pytest.importorskip("numba")
    subprocess.run([sys.executable, "-c", LATE], check=True)
