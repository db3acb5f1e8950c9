"""Lets `python tools/NAME.py` run from a clone, set up or not, and `python -m` its module.

If the libraries are there, this clone is the package `demitasse`; if only `.venv` has them, the
command goes on in it; if nothing has, the one line that mends it is printed.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEEDED = ("numpy", "scipy", "h5py", "google", "tifffile", "rich", "PIL", "shtab")


def run(name: str) -> None:
    """Run the command `name` with this process's arguments and exit."""
    missing = [module for module in NEEDED if importlib.util.find_spec(module) is None]
    if missing:
        venv = ROOT / ".venv"
        python = venv / "bin" / "python"
        if python.exists() and Path(sys.prefix) != venv:
            os.execv(python, [str(python), *sys.argv])
        print(
            f"demitasse is not set up here ({', '.join(missing)} missing):"
            f" run `make -C {ROOT} setup`, then try again",
            file=sys.stderr,
        )
        sys.exit(2)
    if not __package__:  # else it is there: python -m
        spec = importlib.util.spec_from_file_location(
            "demitasse", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        assert spec is not None and spec.loader is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules["demitasse"] = package
        spec.loader.exec_module(package)
        sys.path.remove(str(ROOT / "tools"))
    tool = importlib.import_module(f"demitasse.tools.{name}")
    # what processes that this one spawns import, instead of running the script
    sys.modules["__main__"].__spec__ = tool.__spec__
    from demitasse.tools._main import guarded, leave  # type: ignore[import-not-found, unused-ignore]

    leave(guarded(tool.main, sys.argv[1:]))
