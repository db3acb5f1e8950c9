"""Every example in the help of every verb of `demitasse` runs."""

import contextlib
import importlib
import itertools
import re
import shlex
import shutil

import pytest
from demitasse.tools import cli

from . import world

# numbers of an example that would take too long here
SMALLER = {
    ("--tiles", "400"): "2",
    ("-iterations", "100"): "1",
    ("-iterations", "10"): "1",
}
# how examples begin of which only the options are read, and why
READ_ONLY = {
    "demitasse export --to bioimageio": "seconds; test_export.py does so",
    "demitasse serve": "until Ctrl-C; test_serve.py does",
    "demitasse deploy --weights unet.h5 --dask": "starts workers; test_big.py does so",
    "demitasse plan models/unet.prototxt --recompute": "seconds; test_solve.py plans so",
}


def examples(verb):
    """The command lines in a verb's help, without what the shell does with their output."""
    lines = iter([*(parser(verb).epilog or "").splitlines(), ""])
    line = next(lines)
    for following in lines:
        if line.endswith("\\"):
            line = line[:-1] + following
        elif re.match(r"  demitasse ", line) and following.strip().startswith("-"):
            line += following
        else:
            if line.startswith("  demitasse "):
                yield " ".join(line.split())
            line = following


def parser(verb):
    return importlib.import_module(f"demitasse.tools.{cli.VERBS[verb][0]}").parser()


EVERY = [line for verb in cli.VERBS for line in examples(verb)]


@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_every_verb_has_an_example_of_itself(verb):
    shown = list(examples(verb))
    assert shown and all(line.split()[1] == verb for line in shown)
    said = parser(verb).format_help()
    assert "python tools/" not in said and "mpi4py demitasse" not in said


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    with contextlib.chdir(folder):
        world.build(folder)
    return folder


@pytest.mark.parametrize("line", EVERY)
def test_an_example(line, made, tmp_path, monkeypatch, capsys):
    here = tmp_path / "here"
    shutil.copytree(made, here)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    words = [
        w.replace("~", str(tmp_path / "home"), 1) if w[0] == "~" else w for w in arguments(line)
    ]
    for i, pair in enumerate(itertools.pairwise(words)):
        words[i + 1] = SMALLER.get(pair, words[i + 1])
    if line.startswith(tuple(READ_ONLY)):
        parser(words[0]).parse_args(words[1:])
        return
    code = cli.main(words)
    said = capsys.readouterr().err
    if "Graphviz" in said:
        pytest.skip("Graphviz is not installed")
    assert code == 0, said


def arguments(line):
    words = shlex.split(line)[1:]
    ends = [i for i, word in enumerate(words) if word in (">", "|", "2>&1")]
    return words[: ends[0]] if ends else words
