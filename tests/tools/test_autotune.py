"""`--autotune`: measured once on this machine, and kept in the user's cache folder."""

import argparse
import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest
from demitasse.errors import DeviceError
from demitasse.kernels.device import CPU
from demitasse.tools import _autotune, deploy, solve, time_net
from demitasse.tools._main import guarded


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "demitasse" / "autotune.json"


@pytest.mark.parametrize(
    ("environment", "platform", "folder"),
    [
        ({}, "linux", "~/.cache/demitasse"),
        ({"XDG_CACHE_HOME": "/c"}, "linux", "/c/demitasse"),
        ({"XDG_CACHE_HOME": "/c"}, "darwin", "/c/demitasse"),
        ({"XDG_CACHE_HOME": "c"}, "linux", "~/.cache/demitasse"),
        ({}, "darwin", "~/Library/Caches/demitasse"),
        ({"LOCALAPPDATA": "/local"}, "win32", "/local/demitasse"),
        ({}, "win32", "~/AppData/Local/demitasse"),
    ],
)
def test_where_the_table_is(environment, platform, folder):
    assert _autotune.cache_folder(environment, platform) == Path(folder).expanduser()


@pytest.mark.usefixtures("trained")
class TestCommands:
    def run(self, capfd, main, *argv):
        capfd.readouterr()
        assert guarded(main, list(argv)) == 0
        return capfd.readouterr()

    def test_training_measures_once(self, cache, capfd):
        argv = ["solver.prototxt", "--autotune", "--overwrite", "--max-iter", "1"]
        said = self.run(capfd, solve.main, *argv)
        assert "the fastest as measured here" in said.out
        assert "autotune: 1x1x22x22 by 4x1x3x3" in said.err
        (place,) = json.loads(cache.read_text())
        assert "numpy" in place and "threads" in place
        assert "autotune" not in self.run(capfd, solve.main, *argv).err

    def test_deploying_and_timing(self, cache, capfd):
        argv = ["--weights", "tiny.h5", "img.tif", "--autotune", "--overwrite"]
        assert "the fastest as measured here" in self.run(capfd, deploy.main, *argv).out
        known = cache.read_text()
        said = self.run(capfd, time_net.main, "net.prototxt", "--autotune", "-iterations", "1")
        assert "the fastest as measured here" in said.err
        assert len(cache.read_text()) > len(known)

    def test_without_the_option_nothing_is_measured(self, cache, capfd):
        said = self.run(capfd, deploy.main, "--weights", "tiny.h5", "img.tif", "--overwrite")
        assert "measured" not in said.out and not cache.exists()


def test_a_card_has_nothing_to_measure():
    args = argparse.Namespace(autotune=True)
    pickle.dumps(_autotune.tuner(args, CPU))  # other processes get it
    with pytest.raises(DeviceError, match="--autotune measures the CPU's engines"):
        _autotune.tuner(args, SimpleNamespace(on_host=False))
    assert _autotune.tuner(argparse.Namespace(autotune=False), CPU) is None
