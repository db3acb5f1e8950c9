"""Is this ready to be released?  `make release-check`

The source distribution is built, and the wheel from it; the wheel holds every module, prototxt and
kernel that git knows, and nothing else of size; installed in a clean environment it works from
outside the repository.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
LARGEST = 2 << 20  # bytes of the wheel


def run(*words: object, cwd: Path = ROOT) -> None:
    print("$", *words, flush=True)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    subprocess.run([str(w) for w in words], cwd=cwd, check=True, env=environment)


def wanted() -> set[str]:
    """What the wheel must hold, under the names it has there."""
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    kinds = {package: [".py"] for package in setup["packages"]}
    for package, patterns in setup["package-data"].items():
        kinds[package] += [Path(pattern).suffix for pattern in patterns]
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = set()
    for path in map(Path, listed.stdout.splitlines()):
        package = ".".join(("demitasse", *path.parent.parts))
        if path.suffix in kinds.get(package, ()):
            found.add(f"demitasse/{path}")
    return found


def check_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        found = {name for name in file.namelist() if ".dist-info/" not in name}
    missing, more = sorted(wanted() - found), sorted(found - wanted())
    size = wheel.stat().st_size
    print(f"{wheel.name}: {len(found)} files, {size / 2**10:.0f} KiB")
    for what, names in (("lacks", missing), ("should not hold", more)):
        if names:
            raise SystemExit(f"the wheel {what} {', '.join(names)}")
    if size > LARGEST:
        raise SystemExit(f"the wheel has {size} bytes, more than {LARGEST}")


def main() -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST, ROOT)
    (wheel,) = DIST.glob("*.whl")
    (source,) = DIST.glob("*.tar.gz")
    check_wheel(wheel)
    with tempfile.TemporaryDirectory() as folder:
        outside = Path(folder)
        run(sys.executable, "-m", "venv", outside / "clean")
        python = outside / "clean" / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", f"{wheel}[fast]")
        demitasse = outside / "clean" / "bin" / "demitasse"
        run(demitasse, "doctor", cwd=outside)
        run(demitasse, "demo", "--max-iter", "20", cwd=outside)
        run(
            demitasse,
            "deploy",
            "--weights",
            "demo/unet-small.h5",
            "demo/image.tif",
            "--dry-run",
            cwd=outside,
        )
    print(f"ready: {wheel.name}, {source.name}")


if __name__ == "__main__":
    main()
