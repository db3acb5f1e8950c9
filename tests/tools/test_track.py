"""The track command: what it writes, what it takes for an object, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from demitasse.imaging import tiff
from demitasse.tools import track
from demitasse.tools._main import guarded

CLASSES = "demitasse 1.0: labels of img.tif"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def stack(name="masks.tif", ids=(5, 9), info=""):
    """Two squares that move apart, in three frames; their numbers change places every time."""
    frames = np.zeros((3, 30, 40), np.uint8)
    for t in range(3):
        first, second = ids if t % 2 else ids[::-1]
        frames[t, 4:12, 4 + t : 12 + t] = first
        frames[t, 14 + t : 22 + t, 20:28] = second
    tiff.write(name, frames, info=info, overwrite=True)
    return frames


def run(*argv, code=0):
    assert guarded(track.main, [str(a) for a in argv]) == code


def written():
    return [tifffile.imread(p) for p in sorted(Path("out").glob("mask*.tif"))]


def test_a_stack_of_instances():
    frames = stack()
    run("masks.tif", "-o", "out")
    masks = written()
    assert [m.dtype for m in masks] == [np.uint16] * 3
    one = masks[0][4, 4]
    for t, made in enumerate(masks):
        np.testing.assert_array_equal(made > 0, frames[t] > 0)
        assert made[5, 8] == one != made[20, 22]
    assert Path("out/res_track.txt").read_text() == "1 0 2 0\n2 0 2 0\n"


def test_files_of_one_class_in_natural_order(capsys):
    frames = stack(ids=(1, 1))
    for t in range(3):
        tiff.write(f"m{t + 9}.tif", frames[t][None])
    run("m[0-9]*.tif", "-o", "out")
    assert "its connected pixels are the objects" in capsys.readouterr().out
    assert Path("out/res_track.txt").read_text() == "1 0 2 0\n2 0 2 0\n"
    np.testing.assert_array_equal(written()[2] > 0, frames[2] > 0)


def test_sizes_and_border_are_options():
    stack()
    run("masks.tif", "-o", "out", "--min-size", "64")
    assert Path("out/res_track.txt").read_text() == ""
    run("masks.tif", "-o", "out", "--border", "12", "--overwrite")
    assert [len(np.unique(m)) - 1 for m in written()] == [1, 1, 1]


def test_empty_masks(capsys):
    tiff.write("none.tif", np.zeros((2, 9, 9), np.uint8))
    run("none.tif", "-o", "out")
    assert "no object in any frame" in capsys.readouterr().out
    assert Path("out/res_track.txt").read_text() == "" and len(written()) == 2


@pytest.mark.parametrize(
    "make, argv, said",
    [
        (lambda: None, ["masks.tif"], "masks.tif: does not exist"),
        (
            lambda: (stack(), tiff.write("x.tif", np.zeros((1, 9, 9), np.uint8))),
            ["masks.tif", "x.tif"],
            "x.tif: has another size",
        ),
        (
            lambda: tiff.write("masks.tif", np.full((1, 9, 9), 0.5, np.float32)),
            ["masks.tif"],
            "masks.tif, page 0: the label image holds fractions",
        ),
        (stack, ["masks.tif", "--border", "20"], "the border zone covers the whole image"),
        (stack, ["masks.tif", "--fill-holes"], "--components"),
        (stack, ["masks.tif", "--connectivity", "8"], "--connectivity is for maps of classes"),
        (
            lambda: (stack("a.labels.tif", info=CLASSES), stack("b.instances.tif")),
            ["a.labels.tif", "b.instances.tif"],
            "some masks hold classes and others objects",
        ),
        (
            lambda: tifffile.imwrite(
                "masks.tif", np.ones((2, 3, 9, 9), "u1"), imagej=True, metadata={"axes": "TZYX"}
            ),
            ["masks.tif"],
            "masks.tif: it is not clear which of its pages are the frames",
        ),
    ],
)
def test_what_is_refused_in_one_line(make, argv, said, capsys):
    make()
    run(*argv, "-o", "out", code=2)
    err = capsys.readouterr().err.strip()
    assert err.startswith("error: ") and said in err and "\n" not in err


def test_results_that_exist(capsys):
    stack()
    run("masks.tif", "-o", "out")
    run("masks.tif", "-o", "out", code=2)
    assert "exists already" in capsys.readouterr().err


def test_a_folder_of_results_gives_frames_of_one_kind(capsys):
    """Objects and classes of the same frames were followed in turn."""
    frames = stack()
    Path("res").mkdir()
    for t, frame in enumerate(frames):
        tiff.write(f"res/t{t}.tif", frame[None])
        tiff.write(f"res/t{t}.prob.tif", np.full((1, 30, 40), 0.5, np.float32))
        tiff.write(f"res/t{t}.labels.tif", (frame > 0).astype("u1")[None])
    run("res", "-o", "out")
    assert len(written()) == 3
    said = "3 label images taken (t0.labels.tif, t1.labels.tif, t2.labels.tif), "
    assert f"{said}6 other files left out (t0.prob.tif, t0.tif, " in capsys.readouterr().err
    for t, frame in enumerate(frames):
        tiff.write(f"res/t{t}.instances.tif", frame[None])
    for named in ["res/*.tif"], sorted(Path("res").glob("*.tif")):  # or a shell names all
        run(*named, "-o", "out", "--overwrite")
        assert len(written()) == 3
        assert ", 9 other files left out" in capsys.readouterr().err
        assert Path("out/res_track.txt").read_text() == "1 0 2 0\n2 0 2 0\n"


def test_files_in_a_shells_order():
    """Frame 10 came before frame 9; an order of one's own stays."""
    frames = stack()
    for t, frame in enumerate(frames):
        tiff.write(f"m{t + 9}.tif", frame[None])
    run("m10.tif", "m11.tif", "m9.tif", "-o", "out")
    for mask, frame in zip(written(), frames, strict=True):
        np.testing.assert_array_equal(mask > 0, frame > 0)
    run("m11.tif", "m10.tif", "m9.tif", "-o", "out", "--overwrite")
    np.testing.assert_array_equal(written()[2] > 0, frames[0] > 0)


def test_the_values_of_another_programs_labels_tell():
    """One object in two pieces was two."""
    frames = np.zeros((2, 20, 50), np.uint8)
    frames[:, 5:10, :6:2] = [1, 2, 3]
    frames[:, 15, 0] = 1
    tiff.write("m.labels.tif", frames)
    run("m.labels.tif", "-o", "out")
    assert len(Path("out/res_track.txt").read_text().splitlines()) == 3
    run("m.labels.tif", "-o", "out", "--components", "--overwrite")
    assert len(Path("out/res_track.txt").read_text().splitlines()) == 4


def test_one_frame_of_deploys_tells_of_all():
    """One that another program went over no longer says what it holds."""
    frames = stack(ids=(1, 2))
    frames[:, 24:28, 4:8] = 2
    for t, frame in enumerate(frames):
        tiff.write(f"t{t}.labels.tif", frame[None], info="" if t else CLASSES)
    run("t*.labels.tif", "-o", "out")
    assert len(Path("out/res_track.txt").read_text().splitlines()) == 3


def test_of_several_images_in_a_file_the_first_is_followed(capsys):
    for t in range(2):
        with tifffile.TiffWriter(f"t{t}.ome.tif", ome=True) as file:
            file.write(np.eye(9, dtype="u1"), metadata={"axes": "YX"})
            file.write(np.eye(5, dtype="u1"), metadata={"axes": "YX"})
    run("t*.ome.tif", "-o", "out")
    assert len(written()) == 2
    out = capsys.readouterr().out
    assert out.count("the first of 2 images alone is read") == 1
    assert "note: t0.ome.tif and 1 more file: " in out


def test_what_deploy_says_of_its_maps():
    """One object in two pieces was two; classes were objects."""
    frames = stack("m.instances.tif", ids=(1, 1))
    run("m.instances.tif", "-o", "out")
    assert Path("out/res_track.txt").read_text() == "1 0 2 0\n"
    frames[:, 24:28, 4:8] = 9
    tiff.write("m.tif", frames, info=CLASSES)
    run("m.tif", "-o", "out", "--overwrite", "--connectivity", "8")
    assert len(Path("out/res_track.txt").read_text().splitlines()) == 3


def test_frames_that_look_like_images_are_warned_of(capsys):
    grey = np.random.default_rng(0).integers(40, 200, (2, 60, 60), np.uint8)
    tiff.write("movie.tif", grey)
    run("movie.tif", "-o", "out")
    out = capsys.readouterr().out
    assert "warning: movie.tif looks like an image, not like labels (160 values" in out
    assert "Segment it first: demitasse deploy --instances" in out
