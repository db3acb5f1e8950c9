"""The fuzz targets' own seeds, what once broke them, and damaged copies: nothing but our errors may
be raised.  `make fuzz` looks deeper."""

import importlib
import random
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parent.parent / "fuzz"
TARGETS = sorted(path.stem for path in FUZZ.glob("[!_]*.py") if path.stem != "run")
TRIES = 60


@pytest.fixture(params=TARGETS)
def target(request, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(FUZZ)
    monkeypatch.chdir(tmp_path)
    yield importlib.import_module(request.param)
    for name in (*TARGETS, "run", "_files"):
        sys.modules.pop(name, None)


def damaged(seeds, words, draws):
    """A copy of a seed in which some bytes are others, missing, repeated or from another seed."""
    data = bytearray(draws.choice(seeds))
    for _ in range(draws.randint(1, 4)):
        at, length = draws.randrange(len(data) + 1), draws.choice((1, 1, 2, 4, 8, 60))
        part = data[at : at + length]
        other = draws.choice(seeds)
        start = draws.randrange(len(other) + 1)
        data[at : at + length] = draws.choice(
            (
                b"",
                part * 2,
                draws.randbytes(len(part)),
                b"\xff" * len(part),
                bytes(len(part)),
                part + draws.choice(words),
                other[start : start + length],
            )
        )
    return bytes(data)


def test_nothing_but_our_errors(target):
    """`check` lets through whatever is not ours."""
    seeds, words = target.seeds(), target.words()
    known = importlib.import_module("run").found(target.__name__)
    for data in (*random.Random(0).sample(seeds, min(len(seeds), 30)), *known):
        target.check(data)
    draws = random.Random(1)
    for _ in range(TRIES):
        target.check(damaged(seeds, words, draws))


def test_every_target_is_run_by_make_fuzz(monkeypatch):
    monkeypatch.syspath_prepend(FUZZ)
    assert sorted(importlib.import_module("run").TARGETS) == TARGETS
