"""Built graphs: all recorded runs of Caffe 1.0, versions of blobs, and refusals by name."""

import json
from pathlib import Path

import pytest
from demitasse.errors import GraphError, SpecError
from demitasse.netspec import Value, build, deploy, parse_net, read_net, schema

GOLDEN = Path(__file__).parents[1] / "golden"
RUNS = [
    pytest.param(path, run, id=f"{path.stem}-{run['phase']}-{run['level']}-{run['stages']}")
    for path in sorted(GOLDEN.glob("upgrade/*.json")) + sorted(GOLDEN.glob("rules/*.json"))
    for run in json.loads(path.read_text())["runs"]
]


def test_all_recorded_runs_are_here():
    assert len(RUNS) == 29


@pytest.mark.parametrize(("path", "run"), RUNS)
def test_as_caffe_builds_it(path, run):
    graph = build(
        read_net(path.with_suffix(".prototxt")), run["phase"], run["level"], run["stages"]
    )
    layers = [
        {"name": n.name, "type": n.type, "bottom": list(n.layer.bottom), "top": list(n.layer.top)}
        for n in graph.nodes
    ]
    assert layers == run["layers"]
    assert list(graph.blobs) == run["blobs"]
    assert [value.blob for value in graph.inputs] == run["inputs"]
    assert [value.blob for value in graph.outputs] == run["outputs"]
    assert graph.phase == run["phase"]


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*/*.final*.prototxt")), ids=lambda p: p.name)
def test_the_layers_are_those_caffe_writes_back(path):
    """Rules, phase, moved weights, parameters; only a loss's implied weight is not ours."""
    final = read_net(path).message
    case = path.name.split(".")[0]
    run = json.loads((path.parent / f"{case}.json").read_text())["runs"][0]
    phase = path.name.split(".")[2] if path.name.count(".") == 3 else run["phase"]
    source = read_net(path.parent / f"{case}.prototxt")
    graph = build(source, phase, run["level"], run["stages"])
    assert len(graph.nodes) == len(final.layer)
    for node, expected in zip(graph.nodes, final.layer, strict=True):
        if node.type == "SoftmaxWithLoss" and not len(node.layer.loss_weight):
            expected.ClearField("loss_weight")
        assert node.layer == expected


# ---- values ----------------------------------------------------------------------------------

IN = 'layer { name: "in" type: "Input" top: "data" }\n'


def test_in_place_layers_make_versions():
    text = IN + "".join(
        f'layer {{ name: "{n}" type: "ReLU" bottom: "data" top: "data" }}' for n in "ab"
    )
    graph = build(parse_net(text + 'layer { name: "c" bottom: "data" top: "y" }'), "TEST")
    versions = [[Value("data", i) for i in pair] for pair in ((0, 1), (1, 2))]
    assert [[*n.bottoms, *n.tops] for n in graph.nodes[1:3]] == versions
    assert graph.nodes[3].bottoms == (Value("data", 2),)
    assert graph.blobs == ("data", "y")
    assert graph.outputs == (Value("y", 0),)
    assert graph.inputs == (Value("data", 0),)


def test_every_value_is_written_once_and_read_at_most_once(unet_2015):
    graph = build(parse_net(unet_2015), "TRAIN")
    tops = [value for node in graph.nodes for value in node.tops]
    bottoms = [value for node in graph.nodes for value in node.bottoms]
    assert len(set(tops)) == len(tops)
    assert len(set(bottoms)) == len(bottoms)
    assert set(tops) - set(bottoms) == set(graph.outputs)


def test_the_unets_splits_depend_on_the_phase(unet_2015):
    source = parse_net(unet_2015)
    train = [node.name for node in build(source, "TRAIN").nodes]
    assert "d3c_dropout_d3c_0_split" in train
    given = 'input: "data" input_dim: [1, 1, 188, 188] ' + unet_2015
    graph = build(parse_net(given), "TEST")
    names = [node.name for node in graph.nodes]
    assert "d3c_relu_d3c_0_split" in names
    assert "u3a_relu_u3a_0_split" in names
    # input, 19 convolutions, 4 up-convolutions, 22 ReLU, 4 pools, 4 crops, 4 concats, 8 splits
    assert len(names) == 66
    assert [value.blob for value in graph.outputs] == ["score"]


def test_losses_without_top_get_an_automatic_one_that_is_no_output():
    loss = 'layer {{ name: "{0}" type: "EuclideanLoss" bottom: "data" bottom: "data" }}\n'
    graph = build(parse_net(IN + loss.format("l") + loss.format("m")), "TRAIN")
    losses = [node for node in graph.nodes if node.type == "EuclideanLoss"]
    assert [node.tops for node in losses] == [
        (Value("(automatic)", 0),),
        (Value("(automatic) 2", 0),),
    ]
    assert graph.outputs == ()
    assert not len(losses[0].layer.top)


def test_outputs_stand_by_alphabet_capitals_first():
    tops = "".join(f'layer {{ name: "{n}" top: "{n}" }}' for n in ("b", "a", "Z", "é"))
    assert [value.blob for value in build(parse_net(tops), "TEST").outputs] == ["Z", "a", "b", "é"]


def test_phase_is_filled_in_and_the_source_left_alone():
    source = parse_net(IN + 'layer { name: "d" phase: TEST bottom: "data" }', "n")
    before = source.message.SerializeToString()
    graph = build(source, "TRAIN")
    assert [node.layer.phase for node in graph.nodes] == [schema.TRAIN, schema.TEST]
    assert all(node.layer.HasField("phase") for node in graph.nodes)
    assert source.message.SerializeToString() == before
    assert (graph.path, graph.nodes[1].where) == ("n", "n:2:1")


def test_a_split_stands_where_its_maker_does():
    text = IN + 'layer { name: "a" bottom: "data" }\nlayer { name: "b" bottom: "data" }'
    assert [node.where for node in build(parse_net(text, "n"), 1).nodes] == [
        "n:1:1",
        "n:1:1",
        "n:2:1",
        "n:3:1",
    ]


def test_layers_may_share_a_name():
    text = IN + 'layer { name: "a" bottom: "data" top: "x" }\nlayer { name: "a" bottom: "x" }'
    graph = build(parse_net(text, "n"), "TEST")
    assert [node.where for node in graph.nodes] == ["n:1:1", "n:2:1", "n:3:1"]


def test_a_bare_message_is_a_source():
    graph = build(parse_net(IN).message, "TEST")
    assert (graph.path, graph.nodes[0].where) == ("<message>", "<message>")


def test_phases_by_name_or_number():
    assert build(parse_net(IN), "train").phase == build(parse_net(IN), 0).phase == "TRAIN"
    with pytest.raises(SpecError, match="no phase 'DEPLOY'"):
        build(parse_net(IN), "DEPLOY")


# ---- refusals (cases 16 to 19 of Caffe's recorded errors, and their kin) ---------------------

X = 'layer { name: "p" type: "Power" bottom: "data" top: "x" }\n'


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        (
            'layer { name: "r" bottom: "dat" top: "r" }',
            "2:19",
            ["'r' reads the blob 'dat'", "no layer makes", "Did you mean data?"],
        ),
        (
            'layer { name: "r" bottom: "x" top: "r" }\n' + X,
            "2:19",
            ["made later, by layer 'p'", "Put layer 'p' before it"],
        ),
        ('layer { name: "r" bottom: "r" top: "r" }', "2:19", ["which it makes itself"]),
        (
            'layer { name: "t" top: "x" include { phase: TRAIN } }\n'
            'layer { name: "r" bottom: "data" bottom: "x" }',
            "3:34",
            ["made by layer 't' only", "left out in TEST", "Input layer with top 'x'"],
        ),
        (
            'layer { name: "a" bottom: "data" top: "x" }\n'
            'layer { name: "b" bottom: "x" top: "y" top: "x" }',
            "3:40",
            ["'x' is made twice, by layer 'a' and by layer 'b'", "same place in their lists"],
        ),
        (
            'layer { name: "a" bottom: "data" top: "x" }\nlayer { name: "b" top: "x" }',
            "3:19",
            ["'x' is made twice", "another name"],
        ),
        ('layer { name: "a" top: "x" top: "x" }', "2:28", ["'a' makes the blob 'x' twice"]),
        (
            X + 'layer { name: "q" bottom: "x" top: "y" }\n'
            'layer { name: "r" type: "ReLU" bottom: "x" top: "x" }',
            "4:44",
            ["'r' works in place on the blob 'x'", "'q' reads before it", "right behind 'p'"],
        ),
        (
            X + 'layer { name: "r" bottom: "x" bottom: "x" top: "x" }',
            "3:43",
            ["reads a second time"],
        ),
        (
            'layer { name: "p" top: "x" loss_weight: 1 }\nlayer { name: "r" bottom: "x" top: "x" }',
            "3:31",
            ["is a loss of layer 'p'"],
        ),
    ],
)
def test_what_does_not_connect_is_refused_by_name(text, where, words):
    with pytest.raises(GraphError) as caught:
        build(parse_net(IN + text, "n"), "TEST")
    message = str(caught.value)
    assert message.startswith(f"n:{where}: ")
    for word in words:
        assert word in message


def test_in_place_before_the_other_readers_is_fine():
    text = IN + X + 'layer { name: "r" bottom: "x" top: "x" }layer { name: "q" bottom: "x" }'
    build(parse_net(text + 'layer { name: "s" bottom: "x" }'), "TEST")


@pytest.mark.parametrize("given", ["net.prototxt", Path("net.prototxt"), None])
def test_what_is_no_net_is_refused_in_words(given):
    """A path above all."""
    with pytest.raises(SpecError, match=r"expected what read_net or parse_net gives.*read_net\("):
        build(given, "TEST")
    with pytest.raises(SpecError, match="is no net"):
        deploy(given)
