"""`make gpu-test` fails where nothing can run on a card, and needs nothing but that."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
NO_CARD = """
import pytest, sys
sys.modules["cupy"] = None  # is not installed
sys.exit(pytest.main(sys.argv[1:]))
"""
SKIPPED = """
import pytest, sys
sys.path.insert(0, "tests")
import devices
devices.missing = lambda: ""  # a card
devices.card = lambda *_: pytest.skip("as if")
sys.exit(pytest.main(sys.argv[1:]))
"""


NO_COMPILER = "import os; os.environ['PATH'] = ''\n" + SKIPPED
HERE_TOO = "tests/kernels/cuda/test_convolution_cut.py"


def outcome(script, *options, tests="tests/gpu/test_nccl.py"):
    argv = ["-q", "-m", "gpu", "-p", "no:cacheprovider", *options, tests]
    done = subprocess.run(
        [sys.executable, "-c", script, *argv], capture_output=True, text=True, cwd=HERE.parents[1]
    )
    return done.returncode, done.stdout + done.stderr


def test_no_card_is_a_failure_where_one_is_needed():
    code, said = outcome(NO_CARD, "--needs-card")
    assert code == pytest.ExitCode.USAGE_ERROR
    assert "need a card, and there is none: --gpu 0: CuPy is not installed" in said


def test_so_is_a_run_that_skips_everything():
    code, said = outcome(SKIPPED, "--needs-card")
    assert code == pytest.ExitCode.TESTS_FAILED and "nothing has run on the card" in said


def test_without_the_option_they_are_skipped():
    code, said = outcome(NO_CARD)
    assert code == 0 and "2 skipped" in said


def test_a_card_is_tried_where_the_emulator_cannot_be_built():
    _, said = outcome(NO_COMPILER, tests=HERE_TOO)
    assert "as if" in said and "g++" not in said
    code, said = outcome(NO_COMPILER, "-m", "not gpu", tests=HERE_TOO)
    assert code == 0 and "passed" not in said and "needs g++, which is not installed" in said


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_finds_this_folder_for_another_python():
    def commands(target, *settings):
        argv = ["make", "--no-print-directory", "-n", target, *settings]
        alone = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        return subprocess.run(
            argv, capture_output=True, text=True, cwd=HERE.parents[1], check=True, env=alone
        ).stdout.splitlines()

    for target, words in (
        ("gpu-test", '-m gpu -k "not sanitizer" --needs-card'),
        ("gpu-sanitize", '-k "sanitizer and (memcheck or racecheck)" --needs-card'),
        ("gpu-bench", "benchmarks/gpu.py"),
    ):
        link, run = commands(target, "PYTHON_GPU=python9")
        assert f'ln -sfn "{HERE.parents[1]}" build/gpu/demitasse' in link
        found, rest = run.split(" python9 ")
        assert words in rest
        for given in ({}, {"PYTHONPATH": "/theirs"}):
            mine = [f"{HERE.parents[1]}/build/gpu", *given.values()]
            argv = ["sh", "-c", found + " sh -c 'echo \"$PYTHONPATH\"'"]
            out = subprocess.run(argv, capture_output=True, text=True, check=True, env=given)
            assert out.stdout.strip().split(":") == mine
        assert not any("build/gpu" in line for line in commands(target))
    assert "racecheck" not in commands("gpu-sanitize", "TOOLS=memcheck")[-1]
