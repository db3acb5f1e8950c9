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
        found = json.loads(target.read_text()) if target.exists() else None
        assert target.with_suffix(".md").exists() == (found is not None)
        return code, found, capsys.readouterr().out

    return run


def test_ours_is_measured_where_there_is_no_pytorch(figures, monkeypatch, tmp_path):
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
    assert ours["recorded"] is ours["warpgroups"] is False  # the CPU has neither
    assert found["results"]["floors"]["fp32"]["step"] > 0
    assert found["results"]["measured_floors"] == {}
    assert "conv_d0b-c" in said and "step/floor" in said
    assert "goals: only of 64 channels, 572 px and an image of 512 px" in said
    page = (tmp_path / "figures.md").read_text()
    assert "`python benchmarks/gpu.py --place cpu" in page and "conv_d0b-c" in page


def test_nothing_is_written_where_there_is_no_card(figures, monkeypatch):
    import gpu
    from _turns import Outcome

    asked = []

    def compete(who, *more, **settings):
        asked.extend(c.name for c in who)
        return {c.name: Outcome(error="DeviceError: --gpu 0: CuPy is not installed") for c in who}

    monkeypatch.setattr(gpu, "compete", compete)
    code, found, said = figures("--ours", "fp32", "--peer", "strict")
    assert (code, found, asked) == (1, None, ["limits"])
    assert "CuPy is not installed" in said and "there is no card to measure" in said


def test_nothing_is_written_where_nothing_of_ours_ran(figures, monkeypatch):
    import gpu
    from _turns import Outcome

    def compete(who, *more, **settings):
        made = {
            "limits": Outcome(found=[{"card": "NVIDIA H200"}]),
            "demitasse fp32": Outcome(error="RuntimeError: lost"),
            "torch strict": outcome(3.0),
        }
        return {c.name: made[c.name] for c in who}

    monkeypatch.setattr(gpu, "compete", compete)
    code, found, said = figures("--ours", "fp32", "--peer", "strict")
    assert (code, found) == (1, None) and "nothing of ours ran" in said and "lost" in said


def turn(step, layers=None):
    common = {"forward": 2.0, "deploy": 4.0, "memory_bytes": 1 << 20, "scores": [1.0, -2.0]}
    return {"step": step, "layers": layers or {"c": (1.0, 2.0)}, "recorded": True, **common}


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
    assert "demitasse fp32 / torch strict: step 0.40 (0.30 to 5.00" in gpu.ratio_lines(results)[0]
    text = gpu.table(found, {"fp32": {"step": 2.0}}, {"fp32": {"step": 2.5}})
    assert "of measured limits" in text and "PyTorch finds no card" in text
    line = next(line for line in text.splitlines() if line.startswith("demitasse"))
    numbers = "4.00 3.00-50.00 2.00 2.00 1.60 2.00 4.00 1 MiB graph"
    assert " ".join(line.split()) == f"demitasse fp32 {numbers}"


def invented(step=3.8, peer=10.0, deploy=20.0, gib=1.5):
    """Results in which ours has these figures."""
    fp32 = {"step": step, "deploy": deploy, "memory_bytes": gib * 2**30}
    tf32 = {"error": "left out"}
    return {
        "contestants": {"demitasse fp32": fp32, "demitasse tf32": tf32},
        "floors": {"fp32": {"step": 2.0}},
        "ratios": {"demitasse fp32 / torch strict": {"step": step / peer}},
    }


def test_each_goal_is_met_or_not():
    import gpu

    assert gpu.reached(invented()) == {
        "fp32 / strict": "fp32 step / torch strict step: 0.38; must 0.65 met, aim 0.45 met",
        "tf32 / tf32 last": "tf32 step / torch tf32 last step: not measured (must 1.1, aim 0.75)",
        "fp32 / floor": "fp32 step / its floor by the data sheet: 1.9; must 2.2 met, "
        "aim 1.5 not met",
        "deploy": "fp32 deploy of 512 x 512, from memory to memory: 20 ms; must 30 met, "
        "aim 10 not met",
        "memory": "memory of training, fp32: 1.5 GiB; must 1.9 met, aim 1.4 not met",
    }  # fmt: skip
    slow = gpu.reached(invented(step=6.6, deploy=31.0, gib=2.0))
    del slow["tf32 / tf32 last"]
    assert all(said.count("not met") == 2 for said in slow.values()), slow
    assert "must 2.2 met" in gpu.reached(invented(step=4.4))["fp32 / floor"]  # at the bound
    assert "not met" in gpu.Goal("", 1, 1).verdict(float("nan"))


def test_what_failed_is_not_measured():
    import gpu

    results = {"contestants": {"demitasse fp32": {"error": "lost"}}, "floors": {}, "ratios": {}}
    said = gpu.reached(results)
    assert set(said) == set(gpu.GOALS) and all("not measured" in line for line in said.values())


def test_floors_of_measured_ceilings():
    import gpu

    args = gpu.parser().parse_args(["--size", "188", "--base", "4"])
    limits = {"copy_tb_s": 4.0, "sgemm_tflops": 50.0}
    made = gpu.floors_of(args, gpu.measured(limits), limits)
    assert set(made) == {"fp32-strict"}  # PyTorch measures the others
    limits |= {"tf32_tflops": 400.0, "bf16_tflops": 800.0}
    made = gpu.floors_of(args, gpu.measured(limits), limits)
    assert set(made) == set(gpu.PRECISIONS)
    assert made == gpu.floors_of(args, gpu.Card("", 4e12, 50e12, 400e12, 800e12))
    half = limits | {"copy_tb_s": 2.0}
    assert gpu.floors_of(args, gpu.measured(half), half)["fp32"]["step"] > made["fp32"]["step"]


def test_a_card_can_do_without_warpgroups(monkeypatch):
    import _gpu_ours
    import gpu

    args = gpu.parser().parse_args(["--ours", "tf32,tf32-warps", "--peer", "strict"])
    plain, _, single = gpu.contestants(args)
    assert plain.name == "demitasse tf32" and single.name == "demitasse tf32-warps"
    floors = gpu.floors_of(args, gpu.CARDS["h200"])
    assert floors["tf32-warps"] == floors["tf32"]

    monkeypatch.setitem(sys.modules, "cupy", FakeCupy())
    asked = ({k: c.options[k] for k in ("precision", "warpgroups")} for c in (plain, single))
    cards = [_gpu_ours.found_at("cuda", **settings)[0] for settings in asked]
    assert [card.precision for card in cards] == ["tf32", "tf32"]
    assert [card.warpgroups for card in cards] == [True, False]
    monkeypatch.setitem(sys.modules, "cupy", FakeCupy(capability="80"))
    assert not _gpu_ours.found_at("cuda", "tf32", True)[0].warpgroups


def test_the_memory_of_a_graph_counts_and_tells_that_there_is_one(monkeypatch):
    from types import SimpleNamespace as Some

    import _gpu_ours
    from demitasse.kernels.cuda.card import Card

    monkeypatch.setitem(sys.modules, "cupy", FakeCupy())
    card = Card()
    solver = Some(_recorded=Some(_replay=None))
    assert _gpu_ours.pool_of(solver) is None
    solver._recorded._replay = lambda: None  # not a graph
    assert _gpu_ours.pool_of(solver) is None
    solver._recorded._replay = card.capture(lambda: None)
    assert _gpu_ours.pool_of(solver) is not None

    device = Some(cupy=Some(get_default_memory_pool=lambda: Some(total_bytes=lambda: 100)))
    assert _gpu_ours.taken(device) == 100
    assert _gpu_ours.taken(device, Some(total_bytes=lambda: 20)) == 120
    assert _gpu_ours.taken(Some()) == 0


def test_layers_are_timed_when_the_inputs_are_there():
    """A copy from the host would wait for what keeps the device busy, and the host be late."""
    import _gpu_ours
    import _ours
    from _clock import HostClock

    told = []
    net, _ = _ours.build(False, 1, 188, 1, 1, {})
    take = net.take
    net.take = lambda: told.append("take") or take()

    class Clock(HostClock):
        def busy(self):
            told.append("busy")

    rows = _gpu_ours.layers(net, Clock())
    assert told == ["take", "busy", "busy"]
    assert len(rows) == len(net.layers) and sum(row["forward"] for row in rows) > 0


def test_the_memory_of_pytorch_is_that_of_a_step_alone():
    from types import SimpleNamespace as Some

    import _gpu_torch

    taken = [900]  # at most, by now

    def step():
        taken[0] = max(taken[0], 500)

    def forget():
        taken[0] = 0

    cuda = Some(
        empty_cache=lambda: None,
        reset_peak_memory_stats=forget,
        max_memory_reserved=lambda: taken[0],
    )
    assert _gpu_torch.peak(cuda, step) == 500


def test_pytorch_runs_each_kernel_unless_its_passes_are_recorded():
    """Three times beside, as it wants it; then what is recorded gives the same array again."""
    from contextlib import nullcontext
    from types import SimpleNamespace as Some

    import _gpu_torch
    import gpu

    told = []
    stream = Some(wait_stream=lambda other: told.append("wait"))
    cuda = Some(
        Stream=lambda: stream,
        current_stream=lambda: stream,
        stream=nullcontext,
        CUDAGraph=lambda: Some(replay=lambda: told.append("replay")),
        graph=lambda graph: told.append("record") or nullcontext(),
    )
    run = _gpu_torch.graph_of(cuda, lambda: told.append("run") or len(told))
    assert told == ["wait", "run", "run", "run", "wait", "record", "run"]
    assert run() == run() == 7 and told[7:] == ["replay"] * 2
    who = gpu.contestants(gpu.parser().parse_args(["--ours", "fp32"]))
    assert [c.name for c in who if c.name.endswith("graph")] == [
        "torch strict graph",
        "torch tf32 last graph",
    ]


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
