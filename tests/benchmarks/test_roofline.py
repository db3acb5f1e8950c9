"""Floors from a net's graph: counted work, and the totals of the paper's net."""

import json
import sys

import pytest


@pytest.fixture(scope="module")
def unet():
    from roofline import counted

    return counted("", 572, 64)


def test_the_papers_net_is_counted_as_by_hand(unet):
    found, parameters, shape = unet
    assert shape == (1, 1, 572, 572) and parameters == 31_030_658
    forward, backward = (sum(getattr(r, w).flop for r in found) / 1e9 for w in ("forward", "back"))
    assert forward == pytest.approx(300.9, abs=0.05)
    assert forward + backward == pytest.approx(902.2, abs=0.1)
    one = next(r for r in found if r.name == "conv_d0b-c")
    assert one.forward.flop == 2 * 64 * 64 * 9 * 568**2
    assert one.forward.moved == 64 * 570**2 + 64 * 64 * 9 + 64 * 568**2
    first = next(r for r in found if r.name == "conv_d0a-b")
    assert first.back == first.forward  # no gradient of the image


@pytest.mark.parametrize(
    ("mode", "forward", "step"),
    [("fp32", 4.60, 13.8), ("3xTF32", 1.93, 5.84), ("TF32", 0.73, 2.23), ("bf16", 0.36, 1.19)],
)
def test_floors_of_the_papers_net_on_an_h200(unet, mode, forward, step):
    from _cards import CARDS
    from _floors import totals

    found, parameters, _ = unet
    made = totals(found, CARDS["h200"], mode, parameters)
    assert 1e3 * made["forward"] == pytest.approx(forward, rel=0.01)
    assert 1e3 * made["step"] == pytest.approx(step, rel=0.01)


def test_a_floor_is_the_longer_of_arithmetic_and_memory():
    from _cards import Card
    from _floors import Work

    card = Card("slow", bandwidth=100.0, fp32=10.0, tf32=30.0, bf16=60.0)
    assert Work(1000.0, 1.0).floor(card, "fp32") == 100
    assert Work(1000.0, 1.0).floor(card, "3xTF32") == 100
    assert Work(1.0, 1000.0).floor(card, "fp32") == 40
    assert Work(1.0, 1000.0).floor(card, "bf16") == 20


def test_the_table_and_its_json(monkeypatch, tmp_path, capsys):
    import roofline
    from _unet import ROOT

    target = tmp_path / "floors.json"
    net = str(ROOT / "models" / "unet-small.prototxt")
    argv = ["roofline.py", net, "--card", "rtx3090", "--size", "284", "--json", str(target)]
    monkeypatch.setattr(sys, "argv", argv)
    assert roofline.main() == 0
    said, found = capsys.readouterr().out, json.loads(target.read_text())
    assert "RTX 3090" in said and "conv_d0a-b" in said and "GFLOP back" in said
    assert found["command"].startswith("benchmarks/roofline.py ") and str(target) not in str(found)
    assert found["layers"]["conv_d0a-b"]["shape"][2:] == [282, 282]
    assert found["totals"]["fp32"]["step"] > found["totals"]["TF32"]["forward"] > 0


def test_the_table_of_the_pages_is_what_is_computed(unet):
    from _cards import CARDS
    from _floors import totals
    from _unet import ROOT

    kept = json.loads((ROOT / "benchmarks" / "results" / "roofline-572-h200.json").read_text())
    found, parameters, _ = unet
    assert kept["card"] == CARDS["h200"]._asdict() and set(kept["layers"]) == {
        r.name for r in found
    }
    for mode, parts in kept["totals"].items():
        assert parts == pytest.approx(totals(found, CARDS["h200"], mode, parameters))
