"""Tests of a training that leave samples out, and nets that say the same everywhere."""

from pathlib import Path

import numpy as np
import pytest
from demitasse.tools import report, solve
from demitasse.tools._main import guarded
from demitasse.tools._tests import Classes


def trained(capsys, *settings):
    with open("solver.prototxt", "a") as file:
        file.write("\n".join(settings) + "\n")
    assert guarded(solve.main, ["solver.prototxt"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("passes", "batch", "said"),
    [
        (2, 1, "takes 2 samples, others in every test, of layer 'rows' with 3; test_iter: 3 takes"),
        (3, 1, ""),
        (6, 1, ""),  # twice each
        (4, 1, "takes 4 samples"),
        (2, 2, "test_iter 2 with batches of 2 takes 4 samples"),
        (3, 2, ""),
    ],
)
def test_samples_that_a_test_leaves_out_are_said(tiny, passes, batch, said, capsys):
    net = Path("net.prototxt").read_text()
    Path("net.prototxt").write_text(net.replace("batch_size: 1", f"batch_size: {batch}"))
    out = trained(capsys, f"test_iter: {passes} test_interval: 2")
    assert said in out and ("others in every test" in out) == bool(said)


def test_a_training_without_tests_leaves_none_out(tiny, capsys):
    assert "test net" not in trained(capsys)


def dead():
    """Score 0 wins everywhere, whatever the image."""
    net = Path("net.prototxt").read_text()
    old = 'num_output: 2 kernel_size: 1 weight_filler { type: "msra" }'
    new = 'num_output: 2 kernel_size: 1 weight_filler { type: "constant" value: 0 }'
    assert old in net
    Path("net.prototxt").write_text(net.replace(old, new))
    text = Path("solver.prototxt").read_text()
    Path("solver.prototxt").write_text(text.replace("base_lr: 0.01", "base_lr: 0"))


def test_a_net_that_says_the_same_everywhere_is_named_in_log_and_report(tiny, capsys):
    dead()
    out = trained(capsys, "test_iter: 3 test_interval: 2")
    line = "the net predicts one class everywhere, 0;"
    assert f"Iteration 2: {line}" in out and f"Iteration 4: {line}" in out
    assert f"Iteration 0: {line}" not in out  # no net has learnt by then
    assert guarded(report.main, ["."]) == 0
    assert "The net predicts one class everywhere: 0." in Path("report.html").read_text()


def test_a_net_that_is_right_everywhere_is_not_called_dead(tiny, write, capsys):
    dead()
    write(label=np.zeros((3, 1, 16, 16), "u1"))
    assert "one class" not in trained(capsys, "test_iter: 3 test_interval: 2")
    assert guarded(report.main, ["."]) == 0
    assert "one class" not in Path("report.html").read_text()


def test_a_net_that_learns_is_not_called_dead(tiny, capsys):
    assert "one class" not in trained(capsys, "test_iter: 3 test_interval: 2")


def test_ignored_labels_do_not_count():
    score, label = np.zeros((1, 2, 2, 2)), np.full((1, 1, 2, 2), 255.0)
    score[:, 1] = 1
    label[..., 0, 0] = 1
    seen = Classes()
    assert seen.only is None
    seen.add(score, label, 255)
    assert seen.predicted.tolist() == seen.true.tolist() == [0, 1] and seen.only is None
    label[..., 0, 0] = 0
    seen.add(score, label, 255)
    assert seen.only == 1
    seen.add(-score, label, 255)
    assert seen.only is None


@pytest.mark.parametrize(("pixels", "only"), [(0, 1), (3, 1), (4, None), (300, None)])
def test_a_few_pixels_of_another_class_do_not_bring_a_net_to_life(pixels, only):
    """A third of the pixels belongs to class 0: of 900 that are 300, and a hundredth is 3."""
    score, label = np.zeros((1, 3, 30, 30)), np.ones((1, 1, 30, 30))
    label[0, 0, :10] = 0
    score[0, 1] = 1
    score.reshape(3, -1)[0, :pixels] = 2
    seen = Classes()
    seen.add(score, label, None)
    assert seen.only == only
