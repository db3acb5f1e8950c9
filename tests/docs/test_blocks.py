"""Every command and code block of the documentation runs.

The ```sh and ```python blocks of a page run one after another, in a folder with small nets and
images (tests/tools/world.py).  Of a block that is marked,

    ```sh parsed="needs an NVIDIA card"

only the options are read, and the mark says why; blocks that are a file (`file="NAME"`) are for
test_layer.py.  Commands of demitasse run in this process, all else in bash.
"""

import contextlib
import importlib
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from demitasse import netspec
from demitasse.tools import cli

from ..tools import world

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)(.*)$")
LANGUAGES = {"sh", "python", "prototxt", "text", "css"}
SMALLER = {  # what would take too long here, in commands and in what they write
    "max_iter: 3000": "max_iter: 2",
    "--tiles 400": "--tiles 2",
    "--tiles 200": "--tiles 2",
    "--max-iter 500": "--max-iter 2",
    "--max-iter 2000": "--max-iter 2",
    "--max-iter 200": "--max-iter 4",
    "test_iter: 8": "test_iter: 1",
    "display: 20": "display: 1",
}
RUNS_OF_THEIR_OWN = {"demo", "doctor"}  # `make demo`; tests/tools/test_doctor.py


@dataclass(frozen=True)
class Block:
    where: str  # path:line
    language: str
    info: str  # behind the language
    text: str

    @property
    def reason(self):
        """Why it is only parsed; "" where it runs."""
        return self._said("parsed")

    @property
    def file(self):
        """Which file it shows; "" where it is none."""
        return self._said("file")

    def _said(self, key):
        found = re.search(rf'{key}="([^"]+)"', self.info)
        return found[1] if found else ""


def blocks(path):
    found, opened, lines = [], None, []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        fence = FENCE.match(line)
        if opened is None and fence:
            opened, lines = (number, fence[1], fence[2].strip()), []
        elif opened and line == "```":
            where = f"{path.relative_to(ROOT)}:{opened[0]}"
            found.append(Block(where, opened[1], opened[2], "\n".join(lines) + "\n"))
            opened = None
        else:
            lines.append(line)
    assert opened is None, f"{path}:{opened}: the block does not end"
    return found


WITH_BLOCKS = [p for p in PAGES if any(b.language in ("sh", "python") for b in blocks(p))]


def name(path):
    return str(path.relative_to(ROOT))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    with contextlib.chdir(folder):
        world.build(folder)
        ours()
    return folder


def ours():
    """What the pages name beyond the examples of the commands' help."""
    for i in range(10):
        labels = np.kron(world.grey(10, 10) > 99, np.ones((6, 6))).astype("u1") * 255
        for kind, pixels in (("images", world.grey(60, 60)), ("labels", labels)):
            Path("mine", kind).mkdir(parents=True, exist_ok=True)
            world.save(f"mine/{kind}/{i}.tif", pixels)
    world.save("stack_labels.tif", (world.grey(2, 30, 30) > 99).astype("u1"))
    net = Path("models/unet.prototxt").read_text()
    net = re.sub(r'"tiles.txt"', '"examples/isbi2012/train.txt"', net)
    net = re.sub(r"batch_size: 1\s+shuffle", "batch_size: 1 shuffle", net)
    net = re.sub(r'train.txt"\s+batch', 'train.txt" batch', net)
    Path("benchmarks/isbi2012").mkdir(parents=True)
    Path("benchmarks/isbi2012/unet-16.prototxt").write_text(net)
    source = netspec.read_net("models/unet.prototxt")
    net = netspec.to_text(netspec.deploy(source, shape=(1, 1, 188, 188), softmax=False))
    Path("deploy.prototxt").write_text(net)
    solver = world.solver("models/phseg_v5.prototxt", "phseg").replace("test_", "# test_")
    Path("models/phseg_v5_solver.prototxt").write_text(solver)
    world.save("img_truth.tif", (world.grey(40, 50) > 99).astype("u1"))


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=name)
def test_the_blocks_of_a_page_run(page, made, tmp_path, monkeypatch):
    here = tmp_path / "here"
    shutil.copytree(made, here)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    said = {"__name__": "page"}
    for block in blocks(page):
        if block.language == "python":
            code = compile(block.text, block.where, "exec")
            if not (block.reason or block.file):
                exec(code, said)
        elif block.language == "sh":
            for command in commands(block.text):
                if block.reason:
                    read(command, block.where)
                else:
                    run(command, block.where)


def test_the_edits_of_the_training_page_fit_the_net_that_is_there(tmp_path, monkeypatch):
    """Above, a narrow net stands in its place."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "benchmarks/isbi2012", "benchmarks/isbi2012")
    Path("mine").mkdir()
    found = [c for b in blocks(ROOT / "docs/how-to/train.md") for c in commands(b.text)]
    (edit,) = (command for command in found if command.startswith("sed "))
    run(edit, "train.md")
    text = Path("mine/unet.prototxt").read_text()
    assert '"mine/train.txt"' in text and '"mine/test.txt"' in text and "examples/" not in text


def commands(text):
    """Whole commands: lines joined by a backslash, or up to the end of a here-document."""
    lines = iter(text.splitlines())
    for line in lines:
        while line.endswith("\\"):
            line += "\n" + next(lines)
        if "<<'END'" in line:
            while not line.endswith("\nEND"):
                line += "\n" + next(lines)
        if line.strip() and not line.startswith("#"):
            yield line


def words_of(command):
    """demitasse's words, or None where another program is called."""
    words = shlex.split(command.replace("\\\n", " "), comments=True)
    if words[:1] == ["demitasse"]:
        return words[1:]
    if words[:1] == ["python"] and words[1].startswith("tools/"):
        script = Path(words[1]).stem
        return [next(v for v, (module, _) in cli.VERBS.items() if module == script), *words[2:]]
    return None


def run(command, where):
    for long, short in SMALLER.items():
        command = command.replace(long, short)
    words = words_of(command)
    if words is None:
        other(command, where)
    elif words[0] in RUNS_OF_THEIR_OWN:
        read(command, where)
    elif words != ["--help"]:
        words = [str(Path(word).expanduser()) if word[0] == "~" else word for word in words]
        assert cli.main(words) == 0, f"{where}: {command}"


def read(command, where):
    """The verb exists and takes the options."""
    words = words_of(command)
    if words is None:
        other_read(command, where)
        return
    parser = importlib.import_module(f"demitasse.tools.{cli.VERBS[words[0]][0]}").parser()
    try:
        parser.parse_args(words[1:])
    except SystemExit:
        pytest.fail(f"{where}: {command}")


def other(command, where):
    """make's targets exist; an environment is there already; bash does the rest."""
    words = shlex.split(command.split("<<")[0], comments=True)
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets), f"{where}: {command}"
    elif words[0] == "python" and words[1].startswith(("benchmarks/", "docs/", "-m")):
        other_read(command, where)
    elif words != [".", ".venv/bin/activate"]:
        subprocess.run(["bash", "-euc", command], check=True)


def other_read(command, where):
    """Scripts are there, and know the options; of all else the grammar is checked."""
    words = shlex.split(command, comments=True)
    if words[:1] == ["python"] and words[1].startswith(("benchmarks/", "docs/")):
        assert (ROOT / words[1]).exists(), f"{where}: {command}"
        folder = (ROOT / words[1]).parent
        source = "".join(p.read_text() for p in folder.glob("*.py"))
        options = [w for w in words if w.startswith("--")]
        assert all(f'"{option}"' in source for option in options), f"{where}: {command}"
    subprocess.run(["bash", "-n", "-c", command], check=True)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_block_says_what_it_is(page):
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block.where}: a block in no known language"
        assert not block.info or block.reason or block.file, f"{block.where}: {block.info}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_command_hides_in_another_block(page):
    """Only what is in a ```sh or ```python block is run by these tests."""
    hidden = [
        f"{page.name}:{number}"
        for number, line in enumerate(page.read_text().splitlines(), 1)
        if re.match(r"(    |\t)(python |demitasse |\.venv/bin/|make )", line)
    ]
    assert not hidden


def test_a_wrong_option_is_found():
    with pytest.raises(pytest.fail.Exception):
        read("demitasse deploy --weights unet.h5 --overlays img.tif", "here")


def test_a_command_that_fails_is_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError):
        run("demitasse plan missing.prototxt", "here")
    with pytest.raises(subprocess.CalledProcessError):
        run("cp missing.prototxt there.prototxt", "here")
