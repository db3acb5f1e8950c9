"""A short run for endurance, and that a leak would show."""

import subprocess
import sys
from pathlib import Path

import endurance


def test_a_short_run_is_flat():
    script = Path(endurance.__file__)
    done = subprocess.run([sys.executable, script, "--short"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second, verdict = done.stdout.splitlines()
    assert first.startswith("50 iterations in ") and second.startswith("25 images in ")
    assert verdict == "flat"


def test_what_grows_after_the_warm_up_shows():
    watch = endurance.Watch(lambda: 0.0)
    with watch:
        pass
    watch.seen = [(k / 10, 100 + (50 if k < 2 else k), 4 + (k > 7)) for k in range(11)]
    found = watch.found()
    assert (found["memory"], found["later"]) == (103, 110)
    assert (found["files"], found["files_later"]) == (4, 4)
    watch.seen = [(k / 10, 100, 4 + k) for k in range(11)]
    assert watch.found()["files_later"] > watch.found()["files"]
