"""Every benchmark runs by itself, without peers, on a tiny net, and writes what it says."""

import json
import subprocess
import sys

import pytest

TINY = ["--base", "4", "--repeat", "1", "--threads", "1"]


@pytest.fixture
def figures(benchmarks, tmp_path):
    """Run a benchmark; its JSON, and what it printed."""

    def run(name, *options):
        target = tmp_path / "figures.json"
        done = subprocess.run(
            [sys.executable, benchmarks / f"{name}.py", *TINY, *options, "--json", target],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        found = json.loads(target.read_text())
        assert found["benchmark"] == name and found["limits"]["sgemm_gflops"] > 0
        assert "GFLOP/s sgemm" in done.stdout
        return found["results"], done.stdout

    return run


def test_step(figures):
    found, said = figures("step", "--size", "188", "--ours", "fast,numpy")
    assert set(found["forward"]["contestants"]) == {"demitasse", "demitasse numpy"}
    assert found["step"]["contestants"]["demitasse"]["median"] > 0
    assert "demitasse numpy / demitasse" in said


def test_the_check_of_the_scores(figures):
    found, said = figures("step", "--size", "188", "--check", "--ours", "fast,caffe")
    assert max(found["check"].values()) < 1e-3 and "all agree" in said


def test_layers(figures):
    found, said = figures("layers", "--size", "188")
    assert found["demitasse"]["conv_d0b-c"]["flop_forward"] == 2 * 4 * 4 * 9 * 184**2
    assert "upconv_u1d_u0a" in said


def test_memory(figures):
    found, _ = figures("memory", "--size", "188", "--recompute")
    step = found["step"]["contestants"]["demitasse"]
    assert step["planned_bytes"]["activations"] < step["peak_bytes"]


def test_deploy(figures):
    found, said = figures("deploy", "--image", "60")
    assert found["tile"] == 252 and found["contestants"]["demitasse"]["median"] > 0
    assert "1x1 of 252 pixels" in said


def test_scaling(figures):
    found, said = figures(
        "scaling", "--series", "size,tiles", "--jobs", "forward", "--sizes", "188,252",
        "--image", "60",
    )  # fmt: skip
    assert set(found["size forward"]["points"]) == {"188", "252"}
    assert found["size forward"]["fits"]["demitasse"]["seconds"]["exponent"] > 0
    assert "the deployer's own choice is" in said
