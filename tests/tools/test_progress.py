"""Progress: lines in a pipe, a bar on a terminal, silence for short loops."""

import io
import sys

import pytest
from demitasse.tools import _progress


class Clock:
    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(_progress, "time", clock)
    return clock


def test_items_pass_through_unchanged(capsys):
    assert list(_progress.follow("abc", 3, "letters")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_a_line_for_every_tenth_of_slow_work(clock, capsys):
    for _ in _progress.follow(range(40), 40, "tiles"):
        clock.now += 0.5
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "tiles: 4 of 40, 18 s left"
    assert lines[-1] == "tiles: 40 of 40, 0 s left"
    assert len(lines) == 10


def test_a_line_every_five_seconds_of_very_slow_work(clock, capsys):
    for _ in _progress.follow(range(1000), 1000, "tiles"):
        clock.now += 1.0
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "tiles: 5 of 1000, 995 s left"
    assert len(lines) == 200


def test_at_most_a_line_a_second(clock, capsys):
    for _ in _progress.follow(range(10), 10, "tiles"):
        clock.now += 0.3
    assert len(capsys.readouterr().err.splitlines()) <= 3


def test_a_bar_on_a_terminal(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with _progress.track(3, "tiles") as advance:
        for _ in range(3):
            advance()
    assert "tiles" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


def test_rich_is_not_imported_in_a_pipe():
    import subprocess

    code = (
        "import sys\nfrom demitasse.tools._progress import follow\n"
        "list(follow(range(3), 3, 'x')); print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
