"""Terminals, pipes, languages and folders"""

import contextlib
import io
import os
import pty
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import tifffile
from demitasse import weights
from demitasse.errors import DemitasseError
from demitasse.imaging import tiff
from demitasse.tools import caffe, deploy, export, pack, port, solve

from .conftest import ROOT

pytestmark = pytest.mark.usefixtures("tiny")
# Python's default, which this may have been started without
BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def kept_with(path):
    """The text that lies in a result, which ImageJ shows."""
    with tifffile.TiffFile(path) as file:
        return file.imagej_metadata["Info"]


def test_the_reader_of_a_pipe_goes_away(trained):
    """The output was piped into a command that stopped reading (`| head -1`).
    Ends quietly with exit code 141, as every Unix command; nothing is said on stderr.
    """
    for words in ("deploy.py --weights tiny.h5 img.tif", "check.py --help"):
        script, *argv = words.split()
        process = subprocess.Popen(
            [sys.executable, ROOT / "tools" / script, *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=BUFFERED,
        )
        process.stdout.close()  # before the first line
        _, said = process.communicate(timeout=60)
        assert process.returncode == 141 and said == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_output_into_a_file_on_a_full_disk():
    """What a command prints was sent into a file, for which the disk had no room.
    Says so and ends with exit code 1.
    """
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, ROOT / "tools" / "check.py", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=BUFFERED,
            timeout=60,
        )
    assert ended.returncode == 1 and ended.stderr == b"error: No space left on device.\n"


def test_no_stdout_at_all(trained):
    """The command was started with its output closed (`>&-`).
    Works; what it would say goes nowhere, least of all into a file that it writes.
    """
    code = 'exec "$0" "$1" --weights tiny.h5 img.tif >&- 2>&-'
    script = ROOT / "tools" / "deploy.py"
    ended = subprocess.run(["sh", "-c", code, sys.executable, script], timeout=60)
    assert ended.returncode == 0 and tiff.read("img.labels.tif").shape == (1, 1, 40, 50)


def test_no_terminal(run, edit):
    """Training without a terminal: in a file, a pipe or a batch job.
    Prints plain lines, no bar and no escape sequence.
    """
    edit("solver.prototxt", "max_iter: 4", "max_iter: 4 display: 1")
    ended = run(solve.main, "solver.prototxt")
    assert ended.code == 0 and "\x1b" not in ended.out + ended.err
    assert sum(line.startswith("Iteration ") for line in ended.out.splitlines()) >= 4


def test_a_terminal_that_knows_ascii_only(trained):
    """The terminal's language is C, and it is a dumb one.
    Works, and shows names as they are; no character is an error.
    """
    parent, child = pty.openpty()
    Path("Größe µ.tif").write_bytes(Path("img.tif").read_bytes())
    language = {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    env = {**os.environ, **language, "TERM": "dumb", "COLUMNS": "60"}
    argv = [
        sys.executable,
        str(ROOT / "tools" / "deploy.py"),
        "--weights",
        "tiny.h5",
        "Größe µ.tif",
    ]
    with subprocess.Popen(argv, stdout=child, stderr=child, stdin=child, env=env) as process:
        os.close(child)
        shown = b""
        while True:
            try:
                shown += os.read(parent, 1 << 16)
            except OSError:  # the other end was closed
                break
        assert process.wait(timeout=60) == 0, shown
    os.close(parent)
    assert "Größe µ.labels.tif: labels".encode() in shown and b"\x1b" not in shown
    assert "Größe µ.tif" in kept_with("Größe µ.labels.tif")


@pytest.mark.parametrize("language", ["C", "POSIX"])
def test_a_refusal_in_the_language_c(language, command):
    """The language is C, and a message names a file with umlauts.
    The message comes with the name as it is; exit code 2.
    """
    env = {"LANG": language, "LC_ALL": language, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    ended = command("solve", "Größe.prototxt", env=env)
    assert ended.returncode == 2 and ended.stderr.startswith("error: Größe.prototxt: ")
    assert "there is no such file" in ended.stderr


@pytest.mark.parametrize("language", ["C", "C.UTF-8"])
def test_a_name_that_is_not_utf8(language, trained, command):
    """A file's name, from an old disk, is not UTF-8.
    Works; the name is printed byte for byte, and kept in the result with a sign for that byte.
    """
    name = os.fsdecode(b"Gr\xf6\xdfe.tif")
    Path(name).write_bytes(Path("img.tif").read_bytes())
    given = ["--weights", "tiny.h5", name, "--output", "labels,prob"]
    ended = command("deploy", *given, env={"LC_ALL": language}, text=False)
    assert ended.returncode == 0, ended.stderr
    assert b"\nGr\xf6\xdfe.labels.tif: labels\n" in ended.stdout
    assert "Gr\ufffd\ufffde.tif" in kept_with(os.fsdecode(b"Gr\xf6\xdfe.prob.tif"))


def not_utf8(name, into):
    """A copy of a file, with a name that is not UTF-8."""
    return shutil.copy(name, os.fsdecode(into))


def ended(main, *argv):
    """The exit code of a command whose output holds names that are not UTF-8."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return main(list(argv))


def test_names_that_are_not_utf8_in_metadata(trained):
    """Images, nets or parameters have names from an old disk, which are not UTF-8.
    Works for every result, also those that say in UTF-8 where they come from.
    """
    made = {
        path: not_utf8(name, path)
        for name, path in (
            ("tiny.h5", b"w\xe4.h5"),
            ("net.prototxt", b"n\xe4.prototxt"),
            ("img.tif", b"m\xe4.tif"),
            ("solver.prototxt", b"s\xe4.prototxt"),
        )
    }
    model, net, image, solver = made.values()
    assert ended(deploy.main, "--weights", model, image, "--ome", "-o", ".") == 0
    with tifffile.TiffFile("m\udce4.ome.tif") as file:
        assert "w\ufffd.h5" in file.ome_metadata
    assert ended(port.main, model, "--net", net, "-o", "ported.h5") == 0
    assert weights.read("ported.h5").model.origin["net"] == "n\ufffd.prototxt"
    assert ended(export.main, "--to", "safetensors", "--weights", model, "-o", "p.safetensors") == 0
    assert "w\ufffd.h5".encode() in Path("p.safetensors").read_bytes()
    assert ended(solve.main, solver, "--prefix", "p", "--max-iter", "1") == 0
    assert weights.read("p.h5").model is not None


def test_names_that_are_not_utf8_in_messages(trained):
    """A prefix, parameters to start from, or packed data get a name that is not UTF-8.
    Refused before the work: a prototxt or a list of files cannot hold it.
    """
    bad = not_utf8("tiny.h5", b"w\xe4.h5")
    Path("d\udce4").mkdir()
    text = Path("solver.prototxt").read_text().replace('snapshot_prefix: "tiny"', "")
    Path("s\udce4.prototxt").write_text(text)
    for main, *argv in (
        (solve.main, "solver.prototxt", "--prefix", "p\udce4"),
        (solve.main, "solver.prototxt", "--prefix", "d\udce4"),
        (solve.main, "solver.prototxt", "--prefix", "p", "-weights", bad),
        (solve.main, "s\udce4.prototxt"),
        (caffe.main, "train", "-solver", "solver.prototxt", "-weights", bad),
        (pack.main, "--images", "img.tif", "--labels", "img.tif", "--output", "d\udce4/p.h5"),
        (export.main, "--to", "torch", "--weights", "tiny.h5", "-o", "t\udce4.py"),
    ):
        with pytest.raises(
            DemitasseError, match=r"cannot (hold|name) .*: it is not UTF-8"
        ) as caught:
            ended(main, *argv)
        assert "\udce4" in caught.value.where


def test_a_home_that_cannot_be_written(trained, command):
    """HOME is read-only or does not exist, as in containers.
    Works: nothing is kept in it.
    """
    env = {
        "HOME": "/proc/nowhere",
        "XDG_CACHE_HOME": "/proc/nowhere",
        "XDG_CONFIG_HOME": "/proc/nowhere",
    }
    ended = command("deploy", "--weights", "tiny.h5", "img.tif", env=env)
    assert ended.returncode == 0 and ended.stderr == "", ended.stderr


def test_a_training_with_a_home_that_cannot_be_written(command):
    """HOME does not exist, and a net is trained.
    Works.
    """
    ended = command("solve", "solver.prototxt", env={"HOME": "/proc/nowhere"})
    assert ended.returncode == 0 and Path("tiny.h5").exists(), ended.stderr


@pytest.mark.skipif(not find_spec("numba"), reason="the extra `fast` is not installed")
def test_a_package_that_cannot_be_written(trained):
    """Neither the package nor HOME may be written: there is nowhere to keep compiled code.
    Works; the kernels are compiled in every process.
    """
    code = (
        "import numpy as np\n"
        "from demitasse.kernels.painting_numba import paint\n"
        "y = np.empty((1, 1, 2, 2), 'f4')\n"
        "paint(np.ones((1, 1, 2, 2, 1, 1), 'f4'), y, 0, 0, np.zeros(1, 'f4'), False)\n"
        "assert (y == 1).all()"
    )
    nowhere = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator"}
    env = {**os.environ, "NUMBA_CACHE_DIR": "/proc/nowhere", **nowhere}
    ended = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_paths_with_blanks_and_umlauts(run, edit):
    """Every path has blanks and umlauts.
    Trains and segments.
    """
    home = Path("Meine Bilder (März) ü")
    home.mkdir()
    for name in ("net.prototxt", "train.h5", "img.tif"):
        Path(name).rename(home / name)
    edit(home / "net.prototxt", "train.txt", f"{home}/list ß.txt")
    (home / "list ß.txt").write_text(f"{home}/train.h5\n", encoding="utf-8")
    edit("solver.prototxt", "net.prototxt", f"{home}/net.prototxt")
    edit("solver.prototxt", 'snapshot_prefix: "tiny"', f'snapshot_prefix: "{home}/net ö"')
    assert run(solve.main, "solver.prototxt").code == 0
    ended = run(deploy.main, "--weights", home / "net ö.h5", home / "img.tif")
    assert ended.code == 0 and (home / "img.labels.tif").exists()
    last = home / "net ö_iter_2.solverstate.h5"
    assert run(solve.main, "solver.prototxt", "-snapshot", last, "--overwrite").code == 0


def test_a_snapshot_folder_that_is_not_there(refused, edit):
    """The folder of the snapshots does not exist.
    Refused before iteration 0, with the command that makes it.
    """
    edit("solver.prototxt", '"tiny"', '"no/such/folder/tiny"')
    said = refused(solve.main, "solver.prototxt")
    assert "no/such/folder: the folder to write into does not exist" in said
    assert "mkdir -p 'no/such/folder'" in said
