"""The benchmark of a card, on the CPU: every path of it but CUDA's clock."""

import json
import sys

import pytest
from emulator.cupy import FakeCupy


@pytest.fixture
def figures(monkeypatch, tmp_path, capsys):
    import _turns
    import gpu

    monkeypatch.setattr(_turns, "REST", 0)
    target = tmp_path / "figures.json"
    options = ["--place", "cpu", "--base", "1", "--size", "188", "--image", "4", "--repeat", "2"]

    def run(*more):
        argv = ["gpu.py", *options, *more, "--json", str(target)]
        monkeypatch.setattr(sys, "argv", argv)
        code = gpu.main()
        return code, json.loads(target.read_text()), capsys.readouterr().out

    return run


def test_ours_is_measured_where_there_is_no_pytorch(figures, monkeypatch):
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else find(name)
    )
    code, found, said = figures("--ours", "fp32")
    assert code == 0 and "torch: not installed" in said
    ours = found["results"]["contestants"]["demitasse fp32"]
    assert ours["step"] > 0 and ours["deploy"] > 0 and len(ours["turns"]["step"]) == 2
    assert ours["layers"]["conv_d0b-c"][0] > 0 and ours["layers"]["conv_d0b-c"][1] > 0
    assert found["results"]["floors"]["fp32"]["step"] > 0
    assert "conv_d0b-c" in said and "step/floor" in said


def turn(step, layers=None):
    common = {"forward": 2.0, "deploy": 4.0, "memory_bytes": 1 << 20, "scores": [1.0, -2.0]}
    return {"step": step, "layers": layers or {"c": (1.0, 2.0)}, **common}


def outcome(*steps, error=""):
    from _turns import Outcome

    return Outcome(found=[turn(s) for s in steps], error=error)


def test_medians_ratios_and_goals():
    import gpu

    found = {
        name: gpu.summary(o)
        for name, o in {
            "demitasse fp32": outcome(3.0, 4.0, 50.0),
            "torch strict": outcome(10.0, 8.0, 10.0),
            "torch tf32": outcome(error="PyTorch finds no card"),
        }.items()
    }
    made = gpu.ratios(found)
    assert made == {
        "demitasse fp32 / torch strict": {
            "step": 0.4, "forward": 1.0, "deploy": 1.0, "step_low": 0.3, "step_high": 5.0,
        }
    }  # fmt: skip
    results = {"ratios": made, "scores": gpu.agreement(found)}
    said = "\n".join(gpu.ratio_lines(results))
    assert "goal: fp32 step / torch strict: 0.40, aim (0.65)" in said
    text = gpu.table(found, {"fp32": {"step": 2.0}})
    assert "PyTorch finds no card" in text and "4.00  3.00-50.00   2.00        2.00" in text


def test_nobody_starts_and_no_turn_begins_that_the_budget_does_not_allow(monkeypatch):
    import _turns
    from _turns import Contestant, compete

    monkeypatch.setattr(_turns, "REST", 0)
    who = [Contestant(name, "_gpu_limits", {"place": "cpu"}) for name in "ab"]
    made = compete(who, 5, budget=0)
    assert all("left out" in o.error for o in made.values())
    clock = iter([0.0] + [1.0] * 2 + [100.0 * i for i in range(1, 99)])
    monkeypatch.setattr(_turns.time, "monotonic", lambda: next(clock))
    made = compete(who, 9, budget=500)
    assert 1 <= len(made["a"].found) < 9 and not made["a"].error


@pytest.mark.parametrize(
    ("card", "row"),
    [
        ("NVIDIA H200", "h200"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("the CPU", "h100"),
    ],
)
def test_the_floors_are_those_of_the_card(card, row):
    import gpu

    assert gpu.named(card) == row


def test_ceilings_are_measured_without_pytorch_as_well(monkeypatch):
    import _gpu_limits

    monkeypatch.setitem(sys.modules, "cupy", FakeCupy())
    monkeypatch.setitem(sys.modules, "torch", None)
    for place, value in (("_clock.BYTES", 64), ("_gpu_limits.BYTES", 64), ("_gpu_limits.SIDE", 8)):
        monkeypatch.setattr(place, value)
    found = _gpu_limits.make("cuda")()
    assert found.pop("card") == "NVIDIA Emulated"
    assert set(found) == {"copy_tb_s", "sgemm_tflops"} and min(found.values()) > 0


def test_times_are_those_of_events(monkeypatch):
    from _clock import CupyClock, timed
    from demitasse.kernels.cuda.card import Card

    cupy = FakeCupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr("_clock.BYTES", 64)
    monkeypatch.setattr("_clock.BUSY", 3)
    clock = CupyClock(Card())
    clock.busy()
    ran = []
    assert timed(clock, lambda: ran.append(1), 4) > 0 and len(ran) == 4
    assert [c[0] for c in cupy.calls[-3:]] == ["record", "record", "synchronize"]
