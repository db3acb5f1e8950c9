"""Options are refused where they are read: exit code 2 and the option's name, no traceback."""

import argparse
import errno
import importlib
import os
import pkgutil
import re
from pathlib import Path

import pytest
from demitasse import files, tools
from demitasse.errors import OutputError
from demitasse.tools import _options, cli, deploy, plan
from demitasse.tools._main import guarded

DEPLOY = ["--weights", "w.h5", "img.tif"]


@pytest.mark.parametrize(
    "main, argv",
    [
        *((deploy.main, [*DEPLOY, "--tile-size", v]) for v in ("9x9x9x9", "0", "-4", "x", "")),
        *((deploy.main, [*DEPLOY, "--memory", v]) for v in ("nan", "inf", "-1", "0", "much")),
        *((deploy.main, [*DEPLOY, "--tiles", v]) for v in ("0", "-3", "1.5", "9" * 30)),
        *((deploy.main, [*DEPLOY, "--pages", v]) for v in ("2-1", "-1", "0-9999999999", "a", "")),
        *((deploy.main, [*DEPLOY, "--pixel-size", v]) for v in ("0", "-1", "1x2x3x4", "nan", "um")),
        *((deploy.main, [*DEPLOY, "--model-pixel-size", v]) for v in ("0", "none", "")),
        *((deploy.main, [*DEPLOY, "--percentiles", v]) for v in ("1", "1,2,3", "a,b")),
        *((deploy.main, [*DEPLOY, "--min-size", v]) for v in ("-1", "1.5", "many")),
        *((plan.main, ["net.prototxt", "--channels", v]) for v in ("0", "-1", "9" * 30)),
        (plan.main, ["net.prototxt", "--input", "9x22x22x22"]),
    ],
)
def test_a_value_out_of_range_names_its_option(main, argv, capsys):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert f"argument {argv[-2]}: '" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--weight", "w.h5", "img.tif"], "unknown option --weight; did you mean --weights?"),
        (["img.tif", "--tilesize=9"], "unknown option --tilesize; did you mean --tile-size?"),
        ([*DEPLOY, "--zzz"], "unknown option --zzz: deploy.py --help lists all"),
    ],
)
def test_a_misspelt_option_is_named_and_not_the_one_that_is_missing(argv, said, capsys):
    with pytest.raises(SystemExit) as ended:
        deploy.main(argv)
    error = capsys.readouterr().err.replace("demitasse deploy", "deploy.py")
    assert ended.value.code == 2 and error == f"deploy.py: error: {said}\n"


def test_what_is_no_option_is_left_to_argparse():
    options = deploy.parser().parse_args(["--weights", "w.h5", "-oresults", "--", "-x.tif"])
    assert options.folder == "results" and options.images == ["-x.tif"]


def test_what_is_in_range_is_read():
    assert _options.positive_int("3") == 3 and _options.positive_float("0.5") == 0.5
    assert _options.size("22") == (22, 22) and _options.size("22X38") == (22, 38)
    assert _options.pages("0,3,5-7") == (0, 3, 5, 6, 7) and _options.pages("4-4") == (4,)
    assert _options.seconds("2m") == 120
    assert _options.lengths("22") == (22, 22) and _options.lengths("9x22X38") == (9, 22, 38)
    assert _options.pixel_size("0.5x0.2") == (0.5, 0.2) and _options.pixel_size("1") == (1.0,)
    assert _options.pixel_size_or_none("None") == "none" and _options.count("0") == 0


@pytest.mark.parametrize("text", ["nan", "-1s", "0", "infh", "s"])
def test_a_time_is_finite_and_positive(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not a time"):
        _options.seconds(text)


@pytest.mark.parametrize(
    "error, said",
    [
        (
            MemoryError("Unable to allocate 9 TiB"),
            "error: not enough memory (Unable to allocate 9 TiB). Take smaller tiles: --memory or "
            "--tile-size.\n",
        ),
        (MemoryError(), "error: not enough memory. Take smaller tiles: --memory or --tile-size.\n"),
        (
            PermissionError(errno.EACCES, "Permission denied", "a.tif"),
            "error: a.tif: Permission denied.\n",
        ),
        (OSError(errno.ENOSPC, "No space left"), "error: No space left.\n"),
    ],
)
def test_what_the_system_refuses_is_one_line(error, said, capsys):
    def main(argv):
        raise error

    assert guarded(main, []) == 1
    assert capsys.readouterr().err == said


def test_a_folder_that_may_not_be_searched_is_refused_in_words(tmp_path, monkeypatch):
    """`stat` fails there for everybody but root, and Python 3.11's Path.exists passes that on."""
    stat = os.stat

    def denied(path, *args, **settings):
        if Path(os.fsdecode(path)).parent == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, *args, **settings)

    def touch(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", denied)
    monkeypatch.setattr(Path, "touch", touch)
    with pytest.raises(OutputError, match=r"cannot be written \(Permission denied"):
        files.check_writable(tmp_path / "a.tif")


# ---- help --------------------------------------------------------------------------------------


def parsers():
    """The parser of every command, the verbs' and the other scripts'."""
    for found in pkgutil.iter_modules(tools.__path__):
        if not found.name.startswith("_"):
            module = importlib.import_module(f"demitasse.tools.{found.name}")
            if hasattr(module, "parser"):
                yield found.name, module.parser()


def helps(parser):
    """(option, its help) of a parser, and of the parsers of its commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from ((choice.dest, choice.help) for choice in action._choices_actions)
            for command in action.choices.values():
                yield from helps(command)
        else:
            yield "/".join(action.option_strings) or action.dest, action.help


def test_every_option_of_every_command_says_what_it_is_for():
    """A default alone says nothing."""
    commands = dict(parsers())
    assert {module for module, _ in cli.VERBS.values()} <= commands.keys()
    silent = [
        f"{command} {option}"
        for command, parser in commands.items()
        for option, said in helps(parser)
        if not re.search("[a-z]{2}", re.sub(r"default:? [^,;)]+", "", said or ""))
    ]
    assert not silent
