"""Every benchmark runs by itself, without peers, on a tiny net, and writes what it says."""

import importlib
import json
import sys

import numpy as np
import pytest

TINY = ["--base", "4", "--repeat", "1", "--threads", "1"]
LIMITS = {"sgemm_gflops": 90.0, "copy_gb_s": 20.0}


@pytest.fixture
def figures(monkeypatch, tmp_path, capsys):
    """Run a benchmark; its results, and what it printed."""
    import _limits
    import _turns

    monkeypatch.setattr(_turns, "REST", 0)
    monkeypatch.setattr(_limits, "measure", lambda threads: LIMITS)

    def run(name, *options, ours="numpy"):
        target = tmp_path / "figures.json"
        argv = [f"{name}.py", *TINY, "--ours", ours, *options, "--json", str(target)]
        monkeypatch.setattr(sys, "argv", argv)
        assert importlib.import_module(name).main() == 0
        found, said = json.loads(target.read_text()), capsys.readouterr().out
        assert (found["benchmark"], found["limits"]) == (name, LIMITS)
        assert found["command"].startswith(f"benchmarks/{name}.py --base 4")
        assert str(tmp_path) not in json.dumps(found)
        assert "90 GFLOP/s sgemm, 20.0 GB/s copy (read and written), 1 thread" in said
        return found["results"], said

    return run


def test_step(figures):
    found, said = figures("step", "--size", "188", "--jobs", "forward", ours="numpy,caffe")
    assert set(found["forward"]["contestants"]) == {"demitasse numpy", "demitasse caffe"}
    assert found["forward"]["contestants"]["demitasse caffe"]["median"] > 0
    assert "demitasse caffe / demitasse numpy" in said


def test_the_check_of_scores_and_gradients(figures):
    found, said = figures("step", "--size", "188", "--check", ours="numpy")  # caffe joins by itself
    assert found["scores"]["demitasse numpy"]["score"] < 1e-5 and "\nall agree" in said
    assert len(found["gradients"]["demitasse numpy"]) == 46  # of 23 layers


def test_a_difference_that_is_too_large_is_found():
    import step

    right = np.array([1.0, -4.0])
    assert step.differences(right + np.array([0, 1]), right) == {"score": 0.25}
    assert step.differences({"w": right, "b": -right}, {"w": right, "b": right})["b"] == 2
    assert np.isnan(step.differences(right * np.nan, right)["score"])


def test_the_table_of_errors(figures):
    found, said = figures("layers", "--accuracy")
    assert len(found) == 14 and "all within 3e-05" in said
    assert max(found["4 to 4"]["im2col"]) < 1e-6


def test_layers(figures):
    found, said = figures("layers", "--size", "188")
    assert found["demitasse numpy"]["conv_d0b-c"]["flop_forward"] == 2 * 4 * 4 * 9 * 184**2
    assert "upconv_u1d_u0a" in said


def test_memory(figures):
    found, _ = figures("memory", "--size", "188")
    forward, step = (found[j]["contestants"]["demitasse numpy"] for j in ("forward", "step"))
    assert forward["planned_bytes"]["parameters"] == step["planned_bytes"]["momentum"]
    assert step["planned_bytes"]["activations"] < step["peak_bytes"]


def test_deploy(figures):
    found, said = figures("deploy", "--image", "60")
    assert found["tile"] == 252 and found["contestants"]["demitasse numpy"]["median"] > 0
    assert "1x1 of 252 pixels" in said


def test_scaling(figures):
    found, said = figures(
        "scaling", "--series", "size,tiles", "--jobs", "forward", "--sizes", "188,252",
        "--image", "60", "--grids", "1",
    )  # fmt: skip
    assert set(found["size forward"]["points"]) == {"188", "252"}
    assert found["size forward"]["fits"]["demitasse numpy"]["seconds"]["spread"] >= 1
    assert set(found["tiles"]["tilings"]) == {"chosen", "1 x 1"}
    assert "the deployer's own choice is" in said


def test_limits_are_measured(monkeypatch):
    import _limits

    monkeypatch.setattr(_limits, "SIDE", 64)
    monkeypatch.setattr(_limits, "BYTES", 1 << 20)
    found = _limits.make(2)()
    assert all(0.01 < found[name] < 1e5 for name in LIMITS)
