"""The three upgrade commands write, byte by byte, what Caffe's own wrote."""

from pathlib import Path

import numpy as np
import pytest
from demitasse import netspec, weights
from demitasse.tools import (
    upgrade_net_proto_binary,
    upgrade_net_proto_text,
    upgrade_solver_proto_text,
)
from demitasse.tools._main import guarded

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(p.name.split(".")[0] for p in (GOLDEN / "upgrade").glob("*.upgraded.prototxt"))


def tool(case):
    return upgrade_solver_proto_text if "solver" in case else upgrade_net_proto_text


def test_recorded_cases_are_there():
    assert len(CASES) == 8


@pytest.mark.parametrize("case", CASES)
def test_text_as_caffe_writes_it(case, tmp_path, capsys):
    old, new = GOLDEN / "upgrade" / f"{case}.prototxt", tmp_path / "new.prototxt"
    assert guarded(tool(case).main, [str(old), str(new)]) == 0
    assert new.read_bytes() == old.with_suffix(".upgraded.prototxt").read_bytes()
    assert capsys.readouterr().out == f"{new}: upgraded\n"


@pytest.mark.parametrize("case", CASES)
def test_what_is_new_stays_as_it_is(case, tmp_path, capsys):
    path = tmp_path / "n.prototxt"
    text = (GOLDEN / "upgrade" / f"{case}.upgraded.prototxt").read_text()
    path.write_text("# a comment\n" + text)
    assert guarded(tool(case).main, [str(path), str(path)]) == 0
    assert path.read_text() == text
    assert "in the latest form" in capsys.readouterr().out


def test_a_binary_net_keeps_every_bit_of_its_parameters(tmp_path, capsys):
    case, new = GOLDEN / "nets" / "unet_v1_trunk", tmp_path / "new.caffemodel"
    assert (
        guarded(upgrade_net_proto_binary.main, [str(case / "weights_v1.caffemodel"), str(new)]) == 0
    )
    assert "upgraded" in capsys.readouterr().out
    net = netspec.schema.NetParameter.FromString(new.read_bytes())
    assert not len(net.layers)
    today = netspec.schema.NetParameter.FromString((case / "weights.caffemodel").read_bytes())
    types = {layer.name: layer.type for layer in today.layer}
    learned = [layer for layer in net.layer if len(layer.blobs)]
    assert learned and all(types[layer.name] == layer.type for layer in learned)
    old, got = weights.read(case / "weights_v1.caffemodel"), weights.read(new)
    for name, blobs in old.layers.items():
        for a, b in zip(blobs, got.layers[name], strict=True):
            assert np.array_equal(a, b) and a.shape == b.shape


@pytest.mark.parametrize(
    "main, content, words",
    [
        (upgrade_net_proto_text.main, b"", ["an empty file"]),
        (upgrade_net_proto_text.main, b"\x08\x01\x00", ["upgrade_net_proto_binary"]),
        (upgrade_net_proto_text.main, b"layer { nmae: 'a' }", ["in:1:9", "Did you mean name"]),
        (upgrade_net_proto_binary.main, b"layer { }", ["not a binary net", "text"]),
        (upgrade_net_proto_binary.main, b"", ["an empty file"]),
        (upgrade_net_proto_binary.main, b"\x0a\x05\x00", ["is not a net"]),
        (upgrade_solver_proto_text.main, b'type: "SGD" solver_type: SGD', ["in:1:13", "type"]),
    ],
)
def test_what_is_refused_leaves_the_target_alone(
    main, content, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    Path("in").write_bytes(content)
    Path("out").write_text("precious")
    assert guarded(main, ["in", "out"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: in") and all(word in message for word in words)
    assert Path("out").read_text() == "precious"


def test_a_missing_argument_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as ended:
        upgrade_net_proto_text.main(["in"])
    assert ended.value.code == 2 and "OUT" in capsys.readouterr().err
