"""A .cu file and one of its kernels, compiled by g++ into a library that is kept by its hash.

`#include "..."` of our own headers is resolved here, so the hash sees them; `extern __shared__ T
name[]` becomes a pointer to the block's dynamic shared memory.  All else is compiled as it is,
after cuda.h.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
CACHE = Path(tempfile.gettempdir()) / f"cuda-emulator-{os.getuid()}"
KEPT = 7 * 24 * 3600  # seconds, for as long a library stays there
COMPILER = shutil.which("g++")
SOURCES = ("runtime.cpp", "races.cpp", "products.cpp")
MISSING = "the CUDA emulator needs g++, which is not installed"

CHECKS = "alignment,bounds,shift,signed-integer-overflow,integer-divide-by-zero"
COMMON = ["-std=c++17", "-fPIC", "-g1", "-fcf-protection=none", "-fno-strict-aliasing"]
COMMON += ["-fno-gnu-unique"]  # a template's shared memory is its own in every library
RUNTIME = [*COMMON, "-O2", "-Wall", "-Werror"]
KERNEL = [*COMMON, "-O1", "-ffp-contract=off", "-march=native", "-fno-exceptions"]
KERNEL += ["-fsanitize=thread", "--param=tsan-instrument-func-entry-exit=0"]  # races.cpp
KERNEL += [f"-fsanitize={CHECKS}", "-fno-sanitize-recover=all", "-Wall", "-Werror=uninitialized"]
KERNEL += ["-Wno-unknown-pragmas", "-Wno-unused-function", "-Wno-maybe-uninitialized"]

_include = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)".*$', re.MULTILINE)
_dynamic = re.compile(
    r"extern\s+__shared__\s+(?:(?:__align__|alignas)\s*\(\s*\d+\s*\)\s*)?([\w:<>\s]+?)\s+"
    r"(?:(?:__align__|alignas)\s*\(\s*\d+\s*\)\s*)?(\w+)\s*\[\s*\]\s*;"
)


class CompileError(Exception):
    """g++ rejected the source; what it said."""


def flatten(path: Path, seen: set[Path]) -> str:
    """The text of a file with our own headers in it, each once, and every line's origin named."""
    seen.add(path)
    text = _dynamic.sub(
        r"\1* \2 = reinterpret_cast<\1*>(emulator::dynamic_shared());", path.read_text()
    )

    def inline(match: re.Match) -> str:
        header = (path.parent / match[1]).resolve()
        after = text.count("\n", 0, match.start()) + 2
        inside = "" if header in seen else flatten(header, seen)
        return f'{inside}\n#line {after} "{path.name}"'

    return f'#line 1 "{path.name}"\n' + _include.sub(inline, text.replace("#pragma once", ""))


@cache
def runtime() -> Path:
    for old in CACHE.glob("*.so"):
        with suppress(FileNotFoundError):  # another process tidies up as well
            if time.time() - old.stat().st_mtime > KEPT:
                old.unlink()
    parts = [HERE / name for name in ("cuda.h", "runtime.h", *SOURCES)]
    text = "".join(part.read_text() for part in parts)
    return _library("runtime", text, [part for part in parts if part.suffix == ".cpp"], RUNTIME)


def kernel(path: Path, expression: str, defines: tuple[str, ...]) -> Path:
    """The library of one kernel, compiled now unless it is there."""
    text = f"{flatten(path.resolve(), set())}\nEMULATOR_EXPORT({expression})\n"
    flags = [*KERNEL, *(f"-D{d}" for d in defines), "-include", str(HERE / "cuda.h")]
    return _library(path.stem, text + (HERE / "cuda.h").read_text(), text, flags)


def _library(name: str, seen: str, source: str | list[Path], flags: list[str]) -> Path:
    if COMPILER is None:  # whoever needs the emulator is skipped, and nobody who runs on a card
        pytest.skip(MISSING)
    key = "\0".join([seen, *flags, platform.node(), _compiler_version()])
    made = CACHE / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:20]}.so"
    if made.exists():
        return made
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as place:
        work = Path(place)
        if isinstance(source, str):
            (work / f"{name}.cu").write_text(source)
            source = [work / f"{name}.cu"]
        # linked in a step of its own, without -fsanitize: the runtime is what the checks call
        objects = [str(work / f"{part.stem}.o") for part in source]
        for part, compiled in zip(source, objects, strict=True):
            _run([COMPILER, *flags, "-x", "c++", "-c", str(part), "-o", compiled])
        _run([COMPILER, "-shared", *objects, "-o", str(work / "library.so")])
        os.replace(work / "library.so", made)
    return made


@cache
def _compiler_version() -> str:
    return _run([COMPILER, "--version"])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise CompileError(done.stderr)
    return done.stdout


def place_of(library: Path, offset: int) -> str:
    """file:line of an instruction, or nothing where addr2line cannot tell."""
    if shutil.which("addr2line") is None:
        return ""
    command = ["addr2line", "-e", str(library), hex(offset - 1)]
    found = subprocess.run(command, capture_output=True, text=True).stdout.split(" ")[0].strip()
    return "" if "?" in found else Path(found).name
