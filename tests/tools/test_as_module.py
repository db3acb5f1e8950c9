"""`python -m demitasse.tools.NAME` is the command, as `python tools/NAME.py` is."""

import subprocess
import sys
from pathlib import Path

import pytest
from demitasse import __path__ as package

TOOLS = Path(package[0]) / "tools"
COMMANDS = sorted(path.stem for path in TOOLS.glob("[a-z]*.py") if path.stem != "cli")


@pytest.mark.parametrize("how", ["module", "file"])
def test_a_refusal_is_said_and_ends_with_exit_code_2(how, tmp_path):
    what = ["-m", "demitasse.tools.check"] if how == "module" else [str(TOOLS / "check.py")]
    done = subprocess.run(
        [sys.executable, *what, "none.prototxt"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.startswith("error: none.prototxt: there is no such")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_runs_itself(name):
    guard = "".join(
        (TOOLS / f"{name}.py").read_text().split('if __name__ == "__main__":')[1].split()
    )
    assert f'import_module("._root"if__package__else"_root",__package__).run("{name}")' in guard
