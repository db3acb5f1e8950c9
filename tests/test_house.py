"""The house rules: who may import whom, how long a file may be, what an import costs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["data", "drawing", "export", "imaging", "kernels", "layers", "net", "netspec"]
PACKAGES += ["pycaffe", "scale", "solvers", "tools", "weights"]


def modules():
    yield from ROOT.glob("*.py")
    for package in PACKAGES:
        yield from (ROOT / package).rglob("*.py")


def test_imports_run_downward_only():
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=None) == 0


def test_every_package_is_listed_for_the_wheel():
    import tomllib

    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = [
        p.parent.relative_to(ROOT).parts
        for name in PACKAGES
        for p in (ROOT / name).rglob("__init__.py")
    ]
    there = {"demitasse"} | {".".join(("demitasse", *parts)) for parts in found}
    assert set(listed) == there | {"demitasse.models", "demitasse.tools.page"}  # no code in them


def test_files_stay_short():
    lengths = {p.relative_to(ROOT): len(p.read_text().splitlines()) for p in modules()}
    limit = {p: 200 if p.parts[0] == "layers" else 400 for p in lengths}
    assert {p: n for p, n in lengths.items() if n > limit[p]} == {}


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_importing_the_package_imports_nothing_else():
    code = "import sys, demitasse; print([m for m in sys.modules if m.startswith('numpy')])"
    assert run(code) == "[]\n"


@pytest.mark.parametrize(
    "package", ["netspec", "net", "layers.registry", "imaging.tiles", "pycaffe"]
)
def test_what_a_command_does_not_need_is_not_imported(package):
    code = (
        f"import sys, demitasse.{package}\n"
        "print([m for m in ('scipy', 'rich', 'PIL', 'tifffile', 'cupy') if m in sys.modules])"
    )
    assert run(code) == "[]\n"


def test_no_tracked_file_names_a_machine():
    tracked = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.toml", "*.prototxt", "Makefile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    words = ["/" + "work/", "/" + "root/"]
    bad = [f for f in tracked if any(w in (ROOT / f).read_text() for w in words)]
    assert bad == []
