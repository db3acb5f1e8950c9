"""`demitasse test` and `demitasse time`: tables, and nothing of Caffe's log."""

import re
from pathlib import Path

import pytest
from demitasse.tools import caffe, score_net, time_net
from demitasse.tools._main import guarded

pytestmark = pytest.mark.usefixtures("trained")


def run(capsys, main, *argv):
    capsys.readouterr()
    assert guarded(main, list(argv)) == 0
    said = capsys.readouterr()
    return [line.split() for line in said.out.splitlines()], said.err


def test_the_mean_of_the_test_batches(capsys):
    words = ["-model", "net.prototxt", "-weights", "tiny.h5", "-iterations", "3"]
    table, said = run(capsys, score_net.main, *words)
    assert table[0] == ["output", "mean"] and table[1][0] == "loss" and len(table) == 2
    _, log = run(capsys, lambda words: caffe.main(["test", *words]), *words)
    assert table[1][1] == re.search(r"\] loss = (\S+)", log)[1] and said == ""


def test_layers_that_are_left_out_are_said(capsys):
    net = Path("net.prototxt")
    net.write_text(net.read_text().replace('name: "score"', 'name: "score2"'))
    _, said = run(capsys, score_net.main, "net.prototxt", "-weights", "tiny.h5", "-iterations", "1")
    kept = "layer score2 is not in tiny.h5: it keeps what its fillers made"
    assert said.splitlines() == ["Ignoring source layer score", kept]


def test_the_time_of_every_layer(capsys):
    table, said = run(capsys, time_net.main, "-model", "net.prototxt", "-iterations", "2")
    rows = {row[0]: row for row in table}
    assert rows["score"][1:3] == ["Convolution", "1x2x16x16"]
    forward = sum(float(row[3]) for row in table[1:-2])
    assert float(table[-1][-3]) == pytest.approx(forward, abs=0.01 * len(table))
    assert table[-1][-1] == "100.0%" and said == ""


@pytest.mark.parametrize("main", [score_net.main, time_net.main])
def test_a_net_is_needed(main, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["-weights", "tiny.h5"] if main is score_net.main else [])
    assert ended.value.code == 2 and "the net is missing" in capsys.readouterr().err
