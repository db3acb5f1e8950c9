"""Tables, ratios and what is kept of the command line."""

import argparse

import pytest


def test_columns_are_as_wide_as_need_be():
    import _report

    assert _report.table(["", "s"], [["torch", "1.5"], ["us", "12.25"]]) == (
        "           s\ntorch    1.5\nus     12.25"
    )
    assert _report.table(["a", "b", "c"], [["x", "yyy", "z"]], left=2) == "a  b    c\nx  yyy  z"


def test_a_peer_is_taken_at_its_best_in_each_respect():
    import _report
    from _turns import Outcome

    outcomes = {
        "demitasse": Outcome([1.0, 2.0, 1.0], 0, 50),
        "demitasse recompute": Outcome([1.5, 1.5, 1.5], 0, 25),
        "torch contiguous": Outcome([4.0, 4.0, 8.0], 0, 100),
        "torch channels_last": Outcome([2.0, 2.0, 2.0], 0, 200),
        "ncnn": Outcome(error="ended"),
    }
    found = {(r["ours"], r["peer"]): r for r in _report.ratios(outcomes)}
    assert set(found) == {
        ("demitasse", "torch"),
        ("demitasse recompute", "torch"),
        ("demitasse recompute", "demitasse"),
    }
    plain = found["demitasse", "torch"]
    assert plain["version"] == "torch channels_last"
    assert (plain["time"], plain["time_low"], plain["time_high"]) == (0.5, 0.5, 1.0)
    assert plain["memory"] == 0.5
    beside = found["demitasse recompute", "demitasse"]
    assert (beside["time"], beside["memory"]) == (1.5, 0.5)


def test_one_that_failed_has_its_line():
    import _report
    from _turns import Outcome

    text = _report.contest_table({"a": Outcome([0.5], 0, 1 << 20), "b": Outcome(error="no memory")})
    assert "500 ms" in text and "1 MiB" in text and "b" in text and "no memory" in text
    assert "loaded" not in text  # nobody said what it held


def test_the_place_of_the_json_is_no_part_of_the_experiment():
    import _report

    argv = ["--size", "284", "--json", "x.json", "--short", "--json=y.json"]
    assert _report.arguments(argv) == ["--size", "284", "--short"]


def test_names_on_the_command_line():
    import _report

    parse = _report.several(("torch", "ncnn"))
    assert parse("torch,ncnn") == ["torch", "ncnn"] and parse("") == []
    with pytest.raises(argparse.ArgumentTypeError, match="'caffe' is none of torch, ncnn"):
        parse("caffe")


def test_a_peer_that_is_not_there_is_named_with_its_remedy(monkeypatch, capsys):
    import _contestants

    monkeypatch.setattr(_contestants.importlib.util, "find_spec", lambda name: None)
    assert _contestants.installed(["onnxruntime"]) == []
    assert capsys.readouterr().out == (
        "onnxruntime: not installed (pip install onnxruntime onnx)\n"
    )


def test_who_can_do_what(monkeypatch, tmp_path):
    import _contestants

    monkeypatch.setattr(_contestants._models, "write", lambda *a: None)

    def names(job, batch):
        found = _contestants.contestants(
            job,
            ["demitasse", "demitasse recompute"],
            ["torch", "ncnn", "openvino"],
            folder="",
            base=4,
            size=188,
            threads=1,
            batch=batch,
        )
        return [c.name for c in found]

    torch = ["torch contiguous", "torch channels_last"]
    assert names("forward", 1) == ["demitasse", *torch, "ncnn", "openvino"]
    assert names("forward", 2) == ["demitasse", *torch, "openvino"]
    assert names("step", 1) == ["demitasse", "demitasse recompute", *torch]
