"""What pages have from the code is what the code says now, and the site builds from them."""

import contextlib
import importlib.util
import re
import subprocess
import sys
import tomllib
from dataclasses import replace

import numpy as np
import pytest

from .test_blocks import PAGES, ROOT

MADE = ROOT / "docs" / "made"


@pytest.fixture(scope="module")
def made():
    """docs/made/__main__.py."""
    sys.path.insert(0, str(MADE))
    try:
        spec = importlib.util.spec_from_file_location("docs_made", MADE / "__main__.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(MADE))


def test_the_pages_are_as_the_code_has_it(made):
    assert list(made.stale()) == [], "run `python docs/made`"


def test_every_part_is_on_a_page(made):
    text = "".join(path.read_text() for path in made.DOCS.rglob("*.md"))
    assert set(re.findall(r"<!-- made: (\w+) -->", text)) == set(made.PARTS)


def test_measured_numbers_may_differ_a_little_and_nothing_else_at_all(made):
    assert made.agree("| u3a | 0.0011 | 2.9e-13 |", "| u3a | 0.00112 | 3e-13 |")
    assert not made.agree("| u3a | 0.0011 |", "| u3a | 0.0013 |")
    assert not made.agree("| u3a | 0.0011 |", "| u3b | 0.0011 |")


REFERENCE = ROOT / "docs/reference/prototxt.md"
NOT_LISTED = {"V1LayerParameter", "V0LayerParameter", "BlobProto"}  # old nets, weights


def section(heading):
    """The part of the reference below "### HEADING"."""
    _, found, text = REFERENCE.read_text().partition(f"\n### {heading}\n")
    assert found, f"{REFERENCE.name} has no section {heading}"
    return text.split("\n### ")[0]


def all_messages(*names):
    """Descriptors of messages and of those inside them."""
    from demitasse.netspec import schema

    found, waiting = {}, [schema.message(name).DESCRIPTOR for name in names]
    while waiting:
        one = waiting.pop()
        if one.name not in found and one.name not in NOT_LISTED:
            found[one.name] = one
            waiting += [field.message_type for field in one.fields if field.message_type]
    return list(found.values())


def test_every_layer_and_every_field_that_is_taken_is_in_the_reference(made):
    """Of the schema: what it does not have is refused."""
    from demitasse.layers import registry

    for kind in registry.MODULES:
        section(kind)
    page = REFERENCE.read_text()
    for message in all_messages("NetParameter", "SolverParameter"):
        names = [f.name for f in message.fields if f.name not in made.prototxt.NOT_BY_HAND]
        if message.name == "LayerParameter":
            inner = [name for name in names if name.endswith("_param")]
            assert all(f"\n`{name}`:" in page for name in inner), inner
            names = [name for name in names if name not in inner]
        tables = page.split("\n\n")
        assert any(all(f"| `{n}` |" in one for n in names) for one in tables), message.name


class Watched:
    """A LayerParameter that notes which of its messages are read."""

    def __init__(self, spec, read):
        self._spec, self._read = spec, read

    def __getattr__(self, name):
        if name.endswith("_param"):
            self._read.add((self._spec.type, name))
        return getattr(self._spec, name)


DATA = {  # so far without their files: transform_param is read before them
    "Data": "data_param { source: 's' batch_size: 1 backend: LMDB }",
    "HDF5Data": "hdf5_data_param { source: 's' batch_size: 1 }",
    "ImageData": "image_data_param { source: 's' batch_size: 1 }",
    "MemoryData": "memory_data_param { batch_size: 1 channels: 1 height: 1 width: 1 }",
    "WindowData": "window_data_param { source: 's' batch_size: 1 }",
}


def read_by_layers():
    """{(type, message)}: of every type as it is made, of those that Caffe recorded as they run."""
    import h5py
    from demitasse import netspec
    from demitasse.errors import DemitasseError
    from demitasse.layers import registry
    from demitasse.layers.context import Context
    from demitasse.net import Net

    read = set()
    for kind in registry.MODULES:
        one = registry.layer_class(kind)
        least = [n if isinstance(n, int) else n[0] for n in (one.bottoms, one.tops)]
        names = "".join(f"bottom: 'b{i}' " for i in range(least[0]))
        names += "".join(f"top: 't{i}' " for i in range(least[1] or 1))
        text = f"layer {{ name: 'l' type: '{kind}' {names} {DATA.get(kind, '')} }}"
        with contextlib.suppress(DemitasseError):
            one(Watched(netspec.parse_net(text).message.layer[0], read), Context())
    for path in sorted((ROOT / "tests/golden/layers").glob("*.h5")):
        with h5py.File(path) as case:
            source = netspec.parse_net(case.attrs["prototxt"], path.name)
            graph = netspec.build(source, case.attrs["phase"])
        nodes = [replace(node, layer=Watched(node.layer, read)) for node in graph.nodes]
        Net(replace(graph, nodes=tuple(nodes)), threads=1).forward()
    return read


def test_every_message_that_a_layer_reads_is_in_its_section():
    """Seen as layers run: the page is made by looking through their source."""
    read = read_by_layers()
    assert len({name for _, name in read}) > 40
    missing = {(kind, name) for kind, name in read if f"\n`{name}`:" not in section(kind)}
    assert not missing
    assert "transform_param" not in section("HDF5Data")  # which refuses it
    assert "bias_param" not in section("BatchNorm")


def test_every_picture_is_made_by_a_script_and_shown(made):
    source = "".join(path.read_text() for path in MADE.glob("*.py"))
    pages = "".join(path.read_text() for path in [ROOT / "README.md", *made.DOCS.rglob("*.md")])
    for path in (ROOT / "docs/images").iterdir():
        stem = path.stem.partition("-")[0]
        assert stem in source, f"{path.name}: no script makes it"
        assert f"images/{path.name}" in pages, f"{path.name}: no page shows it"


@pytest.mark.usefixtures("made")
def test_the_errors_of_the_pictures_say_what_the_page_says_of_them():
    """Prose that a change of the pictures would make untrue."""
    import mistakes

    scores = {name: mistakes.scores(interior) for name, (_, interior) in mistakes.spoilt().items()}
    dearest = {m: max(scores, key=lambda name: scores[name][m]) for m in mistakes.MEASURES}
    assert dearest["pixel_error"] == "thick" and dearest["rand_error"] == "gap"
    assert {n for n, s in scores.items() if s["warping_error"] == 0} >= {"thick", "shift", "lost"}
    assert set(scores["truth"].values()) == {0.0}


@pytest.mark.usefixtures("made")
def test_how_far_the_skips_win_where_weights_are_too_small():
    import variances

    net = variances.net("gaussian")
    net.blobs["data"].data[...] = variances.image()
    net.forward()
    page = (ROOT / "docs/explanation/unet.md").read_text()
    told = re.findall(r"1/([\d,]+) (?:of that of[\w\s]+)?at level (\d)", page)
    assert [level for _, level in told] == list("3210")
    for times, level in told:
        side, below = (
            np.square(net.read(f"{n}{level}{c}"), dtype=float).mean() for n, c in ("dc", "ua")
        )
        assert side / below == pytest.approx(int(times.replace(",", "")), rel=0.05)


@pytest.mark.usefixtures("made")
def test_each_skip_is_cropped_to_where_the_map_below_lies():
    import alignment

    spans = alignment.spans()
    for level, crop in enumerate((88, 40, 16, 4)):
        skip, cut, up = (spans[name.format(level)] for name in ("d{}c", "d{}cc", "u{}a"))
        assert cut == up and skip.pixels - up.pixels == 2 * crop
    assert spans["score"].first == 92


def test_the_scripts_that_are_not_called_as_their_verbs_are_named():
    from demitasse.tools import cli

    page = " ".join((ROOT / "docs/reference/commands.md").read_text().split())
    other = {verb: module for verb, (module, _) in cli.VERBS.items() if module != verb}
    assert "(" + ", ".join(f"{verb}: `{name}.py`" for verb, name in other.items()) + ")" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_the_extras_that_a_page_names_exist(page):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"demitasse\[([\w,]+)\]", page.read_text())
    named += re.findall(r"\(extra `(\w+)`\)", page.read_text())
    assert {one for names in named for one in names.split(",")} <= set(
        extras["optional-dependencies"]
    )


def test_the_figures_of_the_plan_in_the_readme(capsys):
    """To one per cent: scratch is cut into whole vectors, whose length is the processor's."""
    from demitasse.tools import plan

    assert plan.main([str(ROOT / "models/unet.prototxt"), "--threads", "2"]) == 0
    said = capsys.readouterr().out
    readme = (ROOT / "README.md").read_text()
    least, most = re.findall(r"(\d+) MiB for activations", said)
    blobs = re.findall(r"one array per blob ([\d,]+) MiB", said)
    rows = re.findall(
        r"^\|.*activations.*\| ([\d,]+) MiB, .*?([\d,]+) MiB \|", readme, re.MULTILINE
    )
    found = [int(n.replace(",", "")) for n in (least, blobs[0], most, blobs[1])]
    told = [int(n.replace(",", "")) for row in rows for n in row]
    assert told == pytest.approx(found, rel=0.01)


def test_the_site_builds_and_asks_the_network_for_nothing(tmp_path):
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for page in tmp_path.rglob("*.html"):
        text = page.read_text()
        loads = re.findall(r'<(?:script|img|link|iframe)[^>]*?(?:src|href)="(https?:[^"]+)"', text)
        assert loads == [], page
        # light or dark as the system is now, and not as it was at the first visit
        assert 'data-md-color-media="(prefers-color-scheme)"' in text, page
    css = "".join(path.read_text() for path in tmp_path.rglob("*.css"))
    assert not re.findall(r"url\(['\"]?https?:|@import", css)
