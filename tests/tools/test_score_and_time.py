"""`demitasse test` and `demitasse time`: Caffe's log on stderr, a table on stdout."""

import re

import pytest
from demitasse.tools import score_net, time_net
from demitasse.tools._main import guarded

pytestmark = pytest.mark.usefixtures("trained")


def run(capsys, main, *argv):
    capsys.readouterr()
    assert guarded(main, list(argv)) == 0
    said = capsys.readouterr()
    return [line.split() for line in said.out.splitlines()], said.err


def test_the_mean_of_the_test_batches(capsys):
    table, log = run(
        capsys, score_net.main, "net.prototxt", "-weights", "tiny.h5", "-iterations", "3"
    )
    assert table[0] == ["output", "mean"] and table[1][0] == "loss" and len(table) == 2
    losses = [float(v) for v in re.findall(r"\] Batch \d, loss = (\S+)", log)]
    assert len(losses) == 3
    assert float(table[1][1]) == pytest.approx(sum(losses) / 3, rel=1e-4)


def test_the_time_of_every_layer(capsys):
    table, log = run(capsys, time_net.main, "-model", "net.prototxt", "-iterations", "2")
    rows = {row[0]: row for row in table}
    assert rows["score"][1:3] == ["Convolution", "1x2x16x16"]
    forward = sum(float(row[3]) for row in table[1:-2])
    assert float(table[-1][-3]) == pytest.approx(forward, abs=0.01 * len(table))
    assert table[-1][-1] == "100.0%"
    assert re.search(r"\] +score\tforward: \S+ ms\.", log) and "Average Forward pass:" in log


@pytest.mark.parametrize("main", [score_net.main, time_net.main])
def test_a_net_is_needed(main, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["-weights", "tiny.h5"] if main is score_net.main else [])
    assert ended.value.code == 2 and "the net is missing" in capsys.readouterr().err
