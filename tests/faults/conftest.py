"""A tiny U-Net in a folder of its own, and commands run as a user runs them.

The convention of this folder: a test is named after what a user did; the first line of its
docstring says it, the lines after it say what demitasse does.  `table.py` makes
docs/reliability.md of them.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from demitasse.tools import solve
from demitasse.tools._main import guarded

from ..tools.conftest import tiny, write_data  # fixtures are found by their names

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys):
    """Run a command, given by its `main`, in this process; no traceback ever reaches the user."""

    def run(main, *argv):
        capsys.readouterr()
        code = guarded(main, [str(a) for a in argv])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Ended(code, said.out, said.err)

    return run


@pytest.fixture
def refused(run):
    """Run a command that must be refused for what the user did (exit code 2); the one paragraph
    that it said."""

    def refused(main, *argv, code=2):
        ended = run(main, *argv)
        errors = [line for line in ended.err.splitlines() if line.startswith("error: ")]
        assert ended.code == code, ended
        assert len(errors) == 1 and ended.err.strip().splitlines()[-1] == errors[0], ended.err
        return errors[0]

    return refused


@pytest.fixture
def failed(refused):
    """Run a command that must fail while it runs (exit code 1); the one paragraph that it said."""

    def failed(main, *argv):
        return refused(main, *argv, code=1)

    return failed


@pytest.fixture
def command():
    """Run a script of tools/ in a process of its own."""

    def command(name, *argv, env=None, **settings):
        settings = {"capture_output": True, "text": True, "timeout": 60} | settings
        script = ROOT / "tools" / f"{name}.py"
        ended = subprocess.run(
            [sys.executable, script, *map(str, argv)], env={**os.environ, **(env or {})}, **settings
        )
        assert "Traceback" not in str(ended.stderr), ended.stderr
        return ended

    return command


@pytest.fixture(scope="session")
def training(tmp_path_factory):
    """A folder in which the tiny net was trained, once for all tests."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        tiny.__wrapped__(folder, patch)
        assert guarded(solve.main, ["solver.prototxt"]) == 0
    return folder


@pytest.fixture
def trained(tiny, training):
    """tiny.h5 and the snapshots, after four iterations, in the current folder."""
    for path in training.glob("tiny*"):
        shutil.copy(path, tiny)
    return Path("tiny.h5")


@pytest.fixture
def edit():
    """Replace words in a file that has them."""

    def edit(path, old, new):
        text = Path(path).read_text()
        assert old in text
        Path(path).write_text(text.replace(old, new))

    return edit


@pytest.fixture
def write():
    """Write train.h5 anew with other arrays."""
    return write_data
