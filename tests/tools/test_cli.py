"""`demitasse VERB ...`."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from demitasse import __version__
from demitasse.tools import cli, deploy
from demitasse.tools._options import Parser, spoken

PROMISED = {
    *("train", "test", "deploy", "evaluate", "pack", "port", "check", "plan", "time", "draw"),
    *("fiji", "doctor", "serve", "export", "report"),
}


def test_without_a_verb_it_lists_them(capsys):
    assert cli.main([]) == cli.main(["--help"]) == 0
    said = capsys.readouterr().out
    assert all(f"  {verb} " in said for verb in cli.VERBS)
    assert set(cli.VERBS) >= PROMISED


def test_it_says_its_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"demitasse {__version__}\n"


@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_every_verb_is_a_command(verb):
    module = importlib.import_module(f"demitasse.tools.{cli.VERBS[verb][0]}")
    assert callable(module.main)
    assert module.parser().prog == f"demitasse {verb}"


def test_a_verb_does_what_its_script_does(tmp_path, capsys):
    assert cli.main(["plan", str(tmp_path / "missing.prototxt")]) == 2
    assert "missing.prototxt" in capsys.readouterr().err


def test_a_verb_under_its_earlier_name(tmp_path, capsys):
    assert cli.main(["solve", str(tmp_path / "missing.prototxt")]) == 2
    assert "missing.prototxt" in capsys.readouterr().err


def test_an_unknown_verb(capsys):
    assert cli.main(["deploi"]) == 2
    assert "did you mean deploy?" in capsys.readouterr().err
    assert cli.main(["xyz"]) == 2
    assert "expected one of" in capsys.readouterr().err


def test_the_list_of_verbs_comes_at_once():
    """No library is imported for it, and it takes less than 0.25 s of a CPU."""
    code = (
        "import sys, time; from demitasse.tools import cli; cli.main(['--help']); "
        "print([m for m in ('numpy', 'scipy', 'h5py', 'rich', 'google') if m in sys.modules]); "
        "print(time.process_time())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, seconds = done.stdout.splitlines()[-2:]
    assert heavy == "[]" and float(seconds) < 0.25


def test_help_speaks_of_the_command_that_was_typed(monkeypatch):
    text = "python tools/solve.py a.prototxt, for tools/deploy.py; python tools/no_verb.py"
    assert spoken(text) == (
        "demitasse train a.prototxt, for demitasse deploy; python tools/no_verb.py"
    )
    for runs_scripts in ("python -m mpi4py tools/solve.py a", "python -m demitasse.pycaffe a.py"):
        assert spoken(runs_scripts) == runs_scripts
    monkeypatch.setattr(sys, "argv", ["tools/deploy.py"])
    assert spoken(text) == text and deploy.parser().prog == "deploy.py"


def is_docstring(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def test_no_message_names_a_script_to_who_typed_the_command():
    """What is printed passes through `spoken`; docstrings and help may name scripts."""
    scripts = re.compile(rf"tools/({'|'.join(module for module, _ in cli.VERBS.values())})\.py")
    bad = []
    for path in sorted(Path(cli.__file__).parents[1].glob("*/*.py")):
        if path.parent.name in ("tests", "benchmarks"):
            continue
        tree = ast.parse(path.read_text())
        said = [node.value for node in tree.body if isinstance(node, ast.Assign)]  # EPILOG
        said += [node for node in ast.walk(tree) if is_docstring(node)]
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1] == "spoken":
                said += call.args
        free = {constant for node in said for constant in ast.walk(node)}
        bad += [
            f"{path}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and scripts.search(str(node.value))
            if node not in free
        ]
    assert bad == []


# ---- gflags' spelling --------------------------------------------------------------------------


def options():
    p = Parser(prog="x")
    p.add_argument("-solver", "--solver")
    p.add_argument("--tile-size")
    p.add_argument("--sigint_effect")
    p.add_argument("--dry-run", action="store_true")
    p.add_argument("-o", "--folder")
    p.add_argument("images", nargs="*")
    return p


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("-solver a", {"solver": "a"}),
        ("--solver=a", {"solver": "a"}),
        ("-solver=a=b", {"solver": "a=b"}),
        ("-tile_size 9", {"tile_size": "9"}),
        ("--tile_size=9", {"tile_size": "9"}),
        ("-tile-size 9", {"tile_size": "9"}),
        ("--sigint-effect stop", {"sigint_effect": "stop"}),
        ("-dry_run", {"dry_run": True}),
        ("-dry_run=true", {"dry_run": True}),
        ("--dry-run=false", {"dry_run": False}),
        ("-o out", {"folder": "out"}),
        ("-solver b a c", {"solver": "b", "images": ["a", "c"]}),
        ("-- -solver", {"images": ["-solver"]}),
    ],
)
def test_one_dash_or_two_and_either_mark(words, expected):
    found = vars(options().parse_args(words.split()))
    assert {name: value for name, value in found.items() if name in expected} == expected


@pytest.mark.parametrize("words", ["-silver a", "-tile 9", "--dry-run=maybe"])
def test_what_is_no_option_is_refused(words, capsys):
    with pytest.raises(SystemExit) as ended:
        options().parse_args(words.split())
    assert ended.value.code == 2
    assert words.split("=")[0].split()[0].lstrip("-") in capsys.readouterr().err


# ---- completion --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scripts():
    import shtab
    from demitasse.tools import completion

    whole = completion.everything()
    return {shell: shtab.complete(whole, shell=shell) for shell in completion.SHELLS}


def completed(script, *words):
    """What bash offers for the last word."""
    ask = (
        'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}; '
        "$(complete -p demitasse | sed 's/.*-F \\([^ ]*\\).*/\\1/') demitasse; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    argv = ["bash", "-c", f"{script}\n{ask}", "bash", "demitasse", *words]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def test_bash_completes_verbs_options_values_and_files(scripts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unet.h5").touch()
    assert "deploy" in completed(scripts["bash"], "dep")
    assert completed(scripts["bash"], "deploy", "--overw") == ["--overwrite"]
    assert completed(scripts["bash"], "deploy", "-wei") == ["-weights"]
    assert completed(scripts["bash"], "deploy", "--average", "ro") == ["rotate", "rotate7"]
    assert completed(scripts["bash"], "deploy", "-weights", "un") == ["unet.h5"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_verb_is_in_the_script_of_every_shell(shell, scripts):
    assert all(re.search(rf"\b{verb}\b", scripts[shell]) for verb in cli.VERBS)
    assert "overwrite" in scripts[shell]


ORPHAN = """
import threading
from demitasse.tools import cli
from demitasse.tools._main import leave

threading.Thread(target=threading.Event().wait).start()  # nobody will end it
leave({})
"""


def test_after_ctrl_c_no_thread_is_waited_for():
    """Pressed while a thread was started, it left one that Python's exit waited for."""
    done = subprocess.run([sys.executable, "-c", ORPHAN.format(130)], timeout=60)
    assert done.returncode == 130
