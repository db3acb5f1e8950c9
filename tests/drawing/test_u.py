"""U-Nets are told by their connections and drawn without overlaps; the rest are graphs."""

from itertools import combinations
from pathlib import Path

import pytest
from demitasse import drawing, netspec
from demitasse.drawing.reach import field
from demitasse.drawing.scene import Arrow, Box, Text
from demitasse.tools.draw import segmenting

ROOT = Path(__file__).resolve().parent.parent.parent
SHIPPED = sorted(p for p in (ROOT / "models").glob("*.prototxt") if "solver" not in p.name)
PLAIN = ROOT / "models/ciresan2012.prototxt"  # the one without an expansive path
NETS = [path for path in SHIPPED if path != PLAIN]
GOLDEN = sorted((ROOT / "tests/golden/nets").glob("*/net.prototxt"))


def facts_of(path, size=None):
    source = netspec.read_net(str(path))
    segments, _ = segmenting(source, size, None) or (netspec.build(source, "TEST"), None)
    return drawing.look(segments)


def text_of(path, old="", new=""):
    source = netspec.parse_net(path.read_text().replace(old, new), str(path))
    return drawing.look(segmenting(source, None, None)[0])


def check(scene):
    """No two words and no two boxes overlap, and no word lies on an arrow."""
    boxes = [item for item in scene.items if isinstance(item, Box)]
    words = [item for item in scene.items if isinstance(item, Text)]
    arrows = [item for item in scene.items if isinstance(item, Arrow) and item.style != "wire"]
    for kind in (boxes, words):
        for a, b in combinations(kind, 2):
            assert not a.bounds.overlaps(b.bounds, -0.01), (a, b)
    for word in words:
        assert not any(word.bounds.overlaps(a.bounds) for a in arrows), word
    return boxes, words


def test_a_net_that_only_contracts_is_no_u():
    assert drawing.find_u(facts_of(PLAIN)) is None


@pytest.mark.parametrize("path", NETS, ids=lambda p: p.stem)
def test_every_u_net_of_the_lineage_is_drawn_as_a_u(path):
    facts = facts_of(path)
    u = drawing.find_u(facts)
    assert u is not None
    scene = drawing.draw_u(facts, u, note="a line below")
    boxes, words = check(scene)
    for box in boxes:
        assert not any(box.bounds.overlaps(word.bounds) for word in words), box
    joins = sum(step.type == "Concat" for step in facts.steps)
    crops = sum(step.type == "Crop" for step in facts.steps)
    assert joins == len(u.levels) - 1
    # every map is a box; of a join, what was copied and what was up-convolved
    assert len(boxes) == len(facts.maps) - crops
    said = {word.words for word in words}
    assert {str(len(u.levels) - 1), "copy and crop"} <= said


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.parent.name)
def test_any_net_is_drawn_as_a_graph(path):
    facts = facts_of(path)
    boxes, words = check(drawing.draw_flow(facts))
    assert len(boxes) == len(facts.steps)
    said = {word.words for word in words}
    assert {step.nodes[0].name for step in facts.steps} <= said
    assert {n.name for s in facts.steps for n in s.nodes} == {
        n.name for n in facts.graph.nodes if n.type != "Split"
    }


def test_names_and_the_order_of_a_join_do_not_matter():
    path = ROOT / "models/unet-small.prototxt"
    swapped = text_of(path, 'bottom: "u1a" bottom: "d1cc"', 'bottom: "d1cc" bottom: "u1a"')
    u = drawing.find_u(swapped)
    assert u is not None and len(u.levels) == 4
    text = path.read_text()
    for i, name in enumerate(("d0c", "d1c", "u0a", "u1a", "score")):
        text = text.replace(f'"{name}"', f'"blob{i}"')
    renamed = drawing.look(segmenting(netspec.parse_net(text, "renamed"), None, None)[0])
    assert drawing.find_u(renamed) is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('bottom: "u1a" bottom: "d1cc"', 'bottom: "u1a" bottom: "u1a"'),  # a join with itself
        ('bottom: "d1c" bottom: "u1a"', 'bottom: "d1b" bottom: "u1a"'),  # not the level's last map
        ("kernel_size: 2 stride: 2", "kernel_size: 2 stride: 1"),  # nothing goes down or up
    ],
)
def test_a_net_that_is_connected_otherwise_is_no_u(old, new):
    text = (ROOT / "models/unet-small.prototxt").read_text()
    assert old in text
    message = netspec.parse_net(text.replace(old, new), "changed")
    net = netspec.deploy(message, shape=(1, 1, 188, 188), softmax=False)
    facts = drawing.look(netspec.build(netspec.Source("changed", net), "TEST"))
    assert drawing.find_u(facts) is None


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.parent.name)
def test_the_golden_u_nets_are_us_and_the_others_are_not(path):
    u = drawing.find_u(facts_of(path))
    assert (u is not None) == path.parent.name.startswith("unet")


def test_figure_1_says_what_the_paper_says():
    facts = facts_of(ROOT / "models/unet.prototxt")
    u = drawing.find_u(facts)
    sizes = [[facts.maps[i].shape[1:3] for i in (*lv.down, *lv.up)] for lv in u.levels]
    assert sizes == [
        [(1, 572), (64, 570), (64, 568), (128, 392), (64, 390), (64, 388), (2, 388)],
        [(64, 284), (128, 282), (128, 280), (256, 200), (128, 198), (128, 196)],
        [(128, 140), (256, 138), (256, 136), (512, 104), (256, 102), (256, 100)],
        [(256, 68), (512, 66), (512, 64), (1024, 56), (512, 54), (512, 52)],
        [(512, 32), (1024, 30), (1024, 28)],
    ]
    scene = drawing.draw_u(facts, u)
    legend = [item.words for item in scene.items if isinstance(item, Text)]
    for words in ("conv 3 x 3, ReLU", "conv 1 x 1", "max pool 2 x 2", "up-conv 2 x 2"):
        assert words.replace(" x ", " \N{MULTIPLICATION SIGN} ") in legend
    assert "Level 4, bottom: 512 x 32x32, 1024 x 30x30, 1024 x 28x28." in scene.description


def test_receptive_fields_of_the_papers_net():
    facts = facts_of(ROOT / "models/unet.prototxt")
    value = {m.blob: m.value for m in facts.maps}

    def reaches(blob):
        return field(facts.graph, facts.layers, facts.shapes, value[blob], value["data"])

    # 5 = two 3 x 3; one more pooling doubles what every later step adds
    assert [reaches(b)[0] for b in ("d0c", "d1c", "d2c", "d3c", "d4c")] == [5, 14, 32, 68, 140]
    assert reaches("score") == (204, 204)
    assert reaches("data") == (1, 1)
