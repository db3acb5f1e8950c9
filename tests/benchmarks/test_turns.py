"""The contest itself: turns, failures, whole processes."""

import sys
import time


def make(seconds=0.0, fail=0, broken=False):
    """What a contestant's module has."""
    if broken:
        raise ValueError("broken")
    turns = iter(range(100))

    def run():
        time.sleep(seconds)
        turn = next(turns)
        if fail and turn == fail:
            raise RuntimeError("no more")
        return turn

    return run


def test_all_take_turns_and_who_fails_drops_out(monkeypatch):
    import _turns

    monkeypatch.setattr(_turns, "REST", 0)
    monkeypatch.syspath_prepend(__file__.rpartition("/")[0])
    found = _turns.compete(
        [
            _turns.Contestant("a", "test_turns", {"seconds": 0.02}),
            _turns.Contestant("b", "test_turns", {"fail": 1}),
            _turns.Contestant("c", "test_turns", {"broken": True}),
        ],
        2,
    )
    assert found["a"].found == [1, 2] and len(found["a"].seconds) == 2  # turn 0 warmed up
    assert 0.02 <= found["a"].median < 1
    assert 0 < found["a"].ready_bytes <= found["a"].peak_bytes
    assert found["b"].error == "RuntimeError: no more"
    assert found["c"].error == "ValueError: broken"
    assert found["c"].record() == {"error": "ValueError: broken"}


def test_whole_processes(monkeypatch):
    import _turns

    monkeypatch.setattr(_turns, "REST", 0)
    good = [sys.executable, "-c", "x = bytearray(400 << 20)"]
    bad = [sys.executable, "-c", "raise SystemExit('out of luck')"]
    found = _turns.compete_commands({"good": good, "bad": bad}, 2)
    assert len(found["good"].seconds) == 2 and found["good"].peak_bytes > 400 << 20
    assert found["bad"].error == "exit code 1: out of luck"
