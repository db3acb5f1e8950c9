"""Images larger than memory: segmented part by part into OME-Zarr, here and on Dask's workers."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import demitasse
import numpy as np
import pytest
import tifffile
from demitasse.imaging import ngff
from demitasse.tools import _big, _tile_tasks, deploy
from demitasse.tools._main import guarded

zarr = pytest.importorskip("zarr", reason="zarr is not installed: pip install 'demitasse[dask]'")

KINDS = ("labels", "prob", "score")
COMMAND = ["--weights", "tiny.h5", "--tile-size", "38", "--normalization", "z-score"]
PIXELS = np.random.default_rng(1).integers(0, 3000, (150, 170)).astype("u2")
TILES = 5 * 6  # of 32 pixels


@pytest.fixture(autouse=True)
def image(trained):
    """img.tif, and big.zarr that holds the same."""
    tifffile.imwrite("img.tif", PIXELS)
    array = zarr.create_array("big.zarr", shape=PIXELS.shape, chunks=(64, 64), dtype="u2")
    array[:] = PIXELS
    return trained


@pytest.fixture
def straight():
    """What the usual command says of img.tif, by kind."""
    assert guarded(deploy.main, [*COMMAND, "img.tif", "--output", ",".join(KINDS)]) == 0
    return {kind: tifffile.imread(f"img.{kind}.tif") for kind in KINDS}


def run(*argv, image="big.zarr"):
    return guarded(deploy.main, [*COMMAND, image, "--output", ",".join(KINDS), *argv])


def same(straight, stem="big"):
    """The results are these, bit for bit, and nothing else is left."""
    for kind, expected in straight.items():
        found = zarr.open_group(f"{stem}.{kind}.zarr", mode="r")["0"][:]
        np.testing.assert_array_equal(found, expected, kind)
    assert not list(Path().glob(".*.part"))


def test_a_zarr_image_gets_the_bits_that_the_image_in_memory_gets(straight, capsys):
    assert run() == 0
    same(straight)
    said = capsys.readouterr().out
    assert "30: 1 page; 5x6 tiles of 38x38 pixels" in said and "big.prob.zarr: prob" in said
    assert run() == 2  # they exist now
    assert "big.labels.zarr: exists already" in capsys.readouterr().err
    assert run("--overwrite") == 0
    assert run("--zarr", image="img.tif") == 0
    same(straight, "img")


def test_a_stack_keeps_its_axes(capsys):
    stack = np.stack([PIXELS, PIXELS[::-1], PIXELS // 2])
    tifffile.imwrite("stack.tif", stack, tile=(32, 32), photometric="minisblack")
    assert run("--zarr", "--axes", "ZYX", image="stack.tif") == 0
    assert guarded(deploy.main, [*COMMAND, "stack.tif", "--output", "score"]) == 0
    group = zarr.open_group("stack.score.zarr", mode="r")
    assert group["0"].metadata.dimension_names == ("c", "z", "y", "x")
    np.testing.assert_array_equal(
        group["0"][:].swapaxes(0, 1), tifffile.imread("stack.score.tif").reshape(3, 2, 150, 170)
    )
    assert run("--zarr", "--pages", "0,2", "-o", ".", "--overwrite", image="stack.tif") == 0
    assert zarr.open_group("stack.labels.zarr", mode="r")["0"].shape == (2, 150, 170)


def test_a_channel_and_a_series_may_be_taken(straight, capsys):
    both = np.stack([PIXELS // 2, PIXELS])
    array = zarr.create_array(
        "two.zarr", shape=both.shape, dtype="u2", dimension_names=tuple("cyx")
    )
    array[:] = both
    assert run(image="two.zarr") == 2
    assert "--channel takes one of them" in capsys.readouterr().err
    assert run("--channel", "1", image="two.zarr") == 0
    same(straight, "two")
    with tifffile.TiffWriter("many.tif") as file:
        file.write(PIXELS[:9], metadata=None)
        file.write(PIXELS, tile=(32, 32), compression="zlib", metadata=None)
    assert run("--zarr", "--series", "1", image="many.tif") == 0
    same(straight, "many")
    assert run("--series", "1", "--channel", "1", "--overwrite", image="two.zarr") == 2
    assert "two.zarr: has no series 1; expected 0: 2 x " in capsys.readouterr().err


def test_smaller_levels_are_written_too(monkeypatch):
    monkeypatch.setattr(ngff, "LEAST", 50)
    assert run() == 0
    group = zarr.open_group("big.labels.zarr", mode="r")
    assert [group[str(k)].shape for k in range(3)] == [(150, 170), (75, 85), (38, 43)]
    np.testing.assert_array_equal(group["2"][:], group["0"][::4, ::4])


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--instances"], "--output instances needs the whole image at once"),
        (["--overlay"], "--output overlay needs the whole image at once"),
        (["--average", "mirror"], "--average needs the whole image at once"),
        (["--output", "prob", "--area-opening", "9"], "--area-opening needs the whole image"),
        (["--dask", "local:x"], "'local:x' is not a number of workers"),
        (["--pixel-size", "1", "--model-pixel-size", "2"], "its pixels have another size"),
        (["--max-tiles", "3"], "more tiles than is allowed; expected at most 3"),
        (["-o", "nowhere"], "nowhere: the folder to write into does not exist"),
        (["--axes", "YXC"], "the axes 'YXC' do not fit"),
    ],
)
def test_refusals_before_any_work(capsys, monkeypatch, argv, words):
    monkeypatch.setattr(_tile_tasks, "segment", lambda *a: pytest.fail("segmented"))
    assert run(*argv) == 2
    assert words in capsys.readouterr().err
    assert not list(Path().glob("*/.part")) and not list(Path().glob("big.*.zarr"))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1 << 40, 1 << 40), "more tiles than is allowed; expected at most 10,000"),
        ((1 << 40, 40, 40), "more pages than one command segments; expected at most 1,000,000"),
    ],
)
def test_a_file_that_says_it_is_endless_is_refused_at_once(capsys, shape, words):
    zarr.create_array("huge.zarr", shape=shape, chunks=(40,) * len(shape), dtype="u1")
    began = time.monotonic()
    assert guarded(deploy.main, ["--weights", "tiny.h5", "huge.zarr", "--dry-run"]) == 2
    assert time.monotonic() - began < 10
    assert words in capsys.readouterr().err


class Killed(BaseException):
    """In the place of kill -9, in this process."""


def break_off(monkeypatch, after):
    """Let the command die after so many tiles; returns the numbers of those begun."""
    segment, begun = _tile_tasks.segment, []

    def counted(loaded, task):
        if len(begun) == after:
            raise Killed
        begun.append(task[0])
        return segment(loaded, task)

    monkeypatch.setattr(_tile_tasks, "segment", counted)
    return begun


def test_a_job_of_other_settings_is_not_gone_on_with(straight, monkeypatch, capsys):
    with monkeypatch.context() as patched, pytest.raises(Killed):
        break_off(patched, 7)
        run()
    assert guarded(deploy.main, [*COMMAND, "big.zarr", "--output", "labels"]) == 2
    assert ".big.zarr.part: holds a part of other results: another kinds" in capsys.readouterr().err
    assert run("--nonfinite", "zero") == 2
    assert ".big.zarr.part: holds a part of other results: another job" in capsys.readouterr().err
    begun = break_off(monkeypatch, -1)
    assert run() == 0
    assert len(begun) == TILES - 7
    same(straight)


def test_overwriting_begins_anew(straight, monkeypatch):
    with monkeypatch.context() as patched, pytest.raises(Killed):
        break_off(patched, 7)
        run("--nonfinite", "zero")
    begun = break_off(monkeypatch, -1)
    assert run("--overwrite") == 0
    assert len(begun) == TILES
    same(straight)


@pytest.fixture
def cluster():
    distributed = pytest.importorskip(
        "distributed", reason="Dask is not installed: pip install 'demitasse[dask]'"
    )
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as made:
        yield made


# where a scheduler and its workers end, their sockets may be found open
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_a_worker_that_is_killed_leaves_no_hole(cluster, straight, monkeypatch, capsys):
    real, killed = _big.runner, []

    @contextmanager
    def killing(address, threads):
        with real(address, threads) as run:

            def one_dies(load, work, waiting):
                for number, found in enumerate(run(load, work, waiting)):
                    if number == 4 and work is _tile_tasks.segment:
                        pids = run.args[0].run(os.getpid)
                        killed.append(next(iter(pids.values())))
                        os.kill(killed[0], signal.SIGKILL)
                    yield found

            yield one_dies

    monkeypatch.setattr(_big, "runner", killing)
    assert run("--dask", cluster.scheduler_address) == 0
    assert len(killed) == 1
    same(straight)


def test_a_client_that_is_killed_is_gone_on_with_by_the_same_command(straight, monkeypatch, capsys):
    pytest.importorskip("distributed", reason="Dask is not installed")
    script = Path(demitasse.__file__).parent / "tools" / "deploy.py"
    command = [sys.executable, script, *COMMAND, "big.zarr", "--output", ",".join(KINDS)]
    process = subprocess.Popen([*command, "--dask", "local:2"], stderr=subprocess.DEVNULL)
    marks, end = Path(".big.zarr.part/done"), time.monotonic() + 60
    while not (marks.exists() and sum(marks.read_bytes()) > 3):
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.005)
    process.send_signal(signal.SIGSTOP)  # so that what is marked stays so
    was = sum(marks.read_bytes())
    process.kill()
    process.wait()
    begun = break_off(monkeypatch, -1)
    assert run() == 0
    assert f"{was} of {TILES} tiles were done before" in capsys.readouterr().out
    assert len(begun) == TILES - was > 0
    same(straight)


MEASURE = """
import resource, sys
from demitasse.tools import deploy
from demitasse.tools._main import guarded
peaks = []
for name in ("small.zarr", "large.zarr"):
    assert guarded(deploy.main, ["--weights", "tiny.h5", "--threads", "1", "--tile-size", "262",
                                 "--normalization", "none", "--output", "score", name]) == 0
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
print(*peaks)
"""


def test_memory_does_not_grow_with_the_image():
    for name, size in (("small", 512), ("large", 2048)):
        zarr.create_array(f"{name}.zarr", shape=(size, size), chunks=(256, 256), dtype="f4")
    out = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True)
    small, large = map(int, out.stdout.split()[-2:])
    assert large - small < 16  # MiB; the image has 16, its scores 32
