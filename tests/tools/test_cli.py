"""`demitasse VERB ...`."""

import importlib

import pytest
from demitasse.tools import cli


def test_without_a_verb_it_lists_them(capsys):
    assert cli.main([]) == cli.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {verb} " in said for verb in cli.VERBS)


@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_every_verb_is_a_command(verb):
    module = importlib.import_module(f"demitasse.tools.{cli.VERBS[verb][0]}")
    assert callable(module.main)


def test_a_verb_does_what_its_script_does(tmp_path, capsys):
    assert cli.main(["plan", str(tmp_path / "missing.prototxt")]) == 2
    assert "missing.prototxt" in capsys.readouterr().err


def test_an_unknown_verb(capsys):
    assert cli.main(["deploi"]) == 2
    assert "did you mean deploy?" in capsys.readouterr().err
    assert cli.main(["xyz"]) == 2
    assert "expected one of" in capsys.readouterr().err
