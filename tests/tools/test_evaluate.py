"""The evaluate command: what it reads, recognises, prints and refuses."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from demitasse.data import synthetic
from demitasse.errors import ImageError, OutputError
from demitasse.imaging import tiff
from demitasse.imaging.metrics import DEFAULTS, MEASURES, Settings
from demitasse.imaging.metrics import evaluate as measure
from demitasse.imaging.views import Pair, View
from demitasse.tools import evaluate
from demitasse.tools._main import guarded
from scipy import ndimage


@pytest.fixture(scope="module")
def drawn():
    """Three slices of instances, and a blurred version of their interior."""
    _, instances = synthetic.volume(0, 3, (44, 52))
    labels = (instances > 0).astype(np.uint8)
    rng = np.random.default_rng(0)
    guess = np.stack([ndimage.gaussian_filter(x.astype(float), 1.2) for x in labels])
    guess = np.clip(guess + rng.normal(0, 0.1, guess.shape), 0, 1).astype(np.float32)
    return instances.astype(np.uint16), labels, guess


@pytest.fixture
def truth(tmp_path, monkeypatch, drawn):
    """truth.tif (0 and 255), guess.tif (probabilities) and cells.tif (instances)."""
    monkeypatch.chdir(tmp_path)
    instances, labels, guess = drawn
    tiff.write("truth.tif", labels * 255)
    tiff.write("guess.tif", guess)
    tiff.write("cells.tif", instances)
    return labels, guess


def last_rows(out):
    return [line.split() for line in out.splitlines() if line.split()[:1] in (["all"], ["at"])]


def run(capsys, *words):
    """(exit code, stdout, stderr) of the command."""
    code = guarded(evaluate.main, list(words))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def record(*words):
    assert evaluate.main([*words, "--json", "s.json", "--overwrite"]) == 0
    return json.loads(Path("s.json").read_text())


def folders(pages, **names):
    """Folders of files of one page each, NAME.tif; none for a name that is None."""
    for folder, each in names.items():
        Path(folder).mkdir()
        for page, name in zip(pages, each, strict=False):
            if name:
                tiff.write(f"{folder}/{name}.tif", page[None])


def test_the_table_and_the_json_hold_the_metrics(truth, capsys):
    assert evaluate.main(["truth.tif", "guess.tif", "--json", "s.json"]) == 0
    out = capsys.readouterr().out
    pairs = [Pair(View(t, "binary"), View(g, "probability")) for t, g in zip(*truth, strict=True)]
    expected = measure(pairs)
    row = last_rows(out)[0]
    for cell, score in zip(row[1:], expected.values(), strict=True):
        assert float(cell) == pytest.approx(score.value, abs=6e-5)
    for name in DEFAULTS["membrane"]:
        assert MEASURES[name].title in out
    assert "comparing   membrane, 3 slices" in out
    slices = [line for line in out.splitlines() if line.split()[:1] in (["0"], ["1"], ["2"])]
    assert len(slices) == 3
    found = json.loads(Path("s.json").read_text())
    assert found["v_rand"]["value"] == expected["v_rand"].value
    assert found["warping_error"]["counts"] == expected["warping_error"].counts
    assert found["iou"]["classes"]["border"]["value"] == expected["iou"].classes["border"].value
    assert (found["kind"], found["slices"], found["failed"]) == ("membrane", [0, 1, 2], {})
    with pytest.raises(OutputError, match="exists already"):
        evaluate.main(["truth.tif", "guess.tif", "--json", "s.json"])


def test_slices_are_chosen_by_their_number(truth):
    some = record("truth.tif", "guess.tif", "--slices", "1-2")
    every = record("truth.tif", "guess.tif", "--metrics", "iou")
    assert some["slices"] == [1, 2]
    assert some["iou"]["slices"] == every["iou"]["slices"][1:]
    with pytest.raises(ImageError, match="0 to 2, found 3"):
        evaluate.main(["truth.tif", "guess.tif", "--slices", "3"])


@pytest.mark.parametrize(
    ("convert", "said"),
    [
        (lambda g: np.rint(255 * g).astype(np.uint8), "uint8 divided by 255"),
        (lambda g: np.rint(65535 * g).astype(np.uint16), "uint16 divided by 65535"),
        (lambda g: np.stack([1 - g, g], axis=1), "float32"),
        (lambda g: (g > 0.5).astype(np.uint8), "binary (the only value besides 0 is 1)"),
        (lambda g: (g > 0.5).astype(np.uint8) * 255, "binary (the only value besides 0 is 255)"),
    ],
    ids=["8 bit", "16 bit", "two channels", "0 and 1", "0 and 255"],
)
def test_how_the_prediction_was_read_is_said(truth, convert, said, capsys):
    tiff.write("other.tif", convert(truth[1]))
    _, out, _ = run(capsys, "truth.tif", "other.tif", "--metrics", "pixel_error")
    assert said in out
    evaluate.main(["truth.tif", "guess.tif", "--metrics", "pixel_error"])
    expected = last_rows(capsys.readouterr().out)[0]
    assert float(last_rows(out)[0][1]) == pytest.approx(float(expected[1]), abs=0.02)


def test_the_truth_is_perfect(truth):
    for name, kind in (("truth.tif", "membrane"), ("cells.tif", "instances")):
        found = record(name, name)
        assert found["kind"] == kind
        for key in DEFAULTS[kind]:
            assert found[key]["value"] == pytest.approx(MEASURES[key].best)
    every = record("cells.tif", "cells.tif", "--metrics", "all")
    assert [every[key]["value"] for key in MEASURES] == pytest.approx(
        [m.best for m in MEASURES.values()]
    )


def test_an_inverted_prediction_is_noticed_and_can_be_turned(truth, capsys):
    tiff.write("membrane.tif", 1 - truth[1])
    few = ("--metrics", "pixel_error,rand_error")
    assert "give --invert" in run(capsys, "truth.tif", "membrane.tif", *few)[1]
    _, turned, _ = run(capsys, "truth.tif", "membrane.tif", "--invert", *few)
    _, out, _ = run(capsys, "truth.tif", "guess.tif", *few)
    assert "give --invert" not in out
    assert last_rows(turned) == last_rows(out)


def test_a_channel_must_be_named_where_there_are_many(truth):
    tiff.write("three.tif", np.stack([truth[1]] * 3, axis=1))
    few = ("--metrics", "iou")
    with pytest.raises(ImageError, match=r"not clear which channel.*--channel 0 to 2"):
        evaluate.main(["truth.tif", "three.tif", *few])
    assert evaluate.main(["truth.tif", "three.tif", "--channel", "2", *few]) == 0
    for name, channel, said in (
        ("three.tif", "3", r"has no channel 3; expected .*0 to 2, found 3 channels \(axes ZCYX\)"),
        ("guess.tif", "1", r"has no channel 1; expected .*0, found 1 channel \(axes ZYX\)"),
        ("guess.tif", "-1", "has no channel -1"),
    ):
        with pytest.raises(ImageError, match=said):
            evaluate.main(["truth.tif", name, "--channel", channel, *few])


def test_a_map_is_taken_apart_for_truth_with_instances(truth, drawn):
    found = record("cells.tif", "truth.tif")
    assert found["kind"] == "instances"
    assert found["read_as"]["prediction"].startswith("binary")
    binary = [
        Pair(View(t, "instances"), View(g, "binary"))
        for t, g in zip(drawn[0], truth[0], strict=True)
    ]
    expected = measure(binary, settings=Settings(kind="instances"))
    assert found["seg"]["value"] == expected["seg"].value
    assert 0 < found["seg"]["value"] <= 1
    assert record("truth.tif", "cells.tif")["kind"] == "instances"


def test_objects_of_which_some_are_in_pieces_are_objects_still(truth):
    """They were read as probabilities, whatever was asked for."""
    objects = np.zeros((90, 40), np.uint16)
    for k in range(1, 21):
        objects[4 * k : 4 * k + 3, 2:38] = k
    cut = objects.copy()
    cut[: 4 * 12, 30] = 0  # eleven of twenty
    tiff.write("objects.tif", objects[None])
    tiff.write("cut.tif", cut[None])
    found = record("objects.tif", "cut.tif", "--kind", "instances")
    assert found["read_as"]["prediction"].startswith("instances")
    assert found["seg"]["value"] > 0.9


def test_objects_of_few_pixels_are_objects_still(truth, drawn):
    """Most of a noisy segmentation's objects are specks; they were read as probabilities."""
    specks = drawn[0].copy()
    free = np.argwhere(specks[:, ::3, ::3] == 0)[:60] * (1, 3, 3)
    first = int(specks.max()) + 1
    specks[tuple(free.T)] = np.arange(first, first + len(free))
    tiff.write("specks.tif", specks)
    found = record("cells.tif", "specks.tif")
    assert found["read_as"]["prediction"].startswith("instances") and found["seg"]["value"] == 1


def test_what_deploy_says_of_its_objects_is_taken(truth, drawn):
    halves = drawn[0].copy()
    halves[:, ::2] = 0  # all in pieces
    tiff.write("halves.tif", halves * 900, info="demitasse 1.0: instances of img.tif")
    found = record("cells.tif", "halves.tif")
    assert found["read_as"]["prediction"] == "instances (as the file says)"


def test_sequences_of_masks_are_paired_by_frame(truth, drawn, capsys):
    Path("01_GT/SEG").mkdir(parents=True)
    Path("01_RES").mkdir()
    instances = drawn[0]
    moved = np.pad(instances, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    for t in range(3):
        tiff.write(f"01_RES/mask{t:03}.tif", moved[t : t + 1])
        if t != 1:
            tiff.write(f"01_GT/SEG/man_seg{t:03}.tif", instances[t : t + 1])
    Path("01_RES/res_track.txt").write_text("1 0 2 0\n")
    tiff.write("all.tif", moved)
    found = record("01_GT", "01_RES", "--metrics", "seg")
    assert "1 prediction has no truth and is left out" in capsys.readouterr().out
    assert found["slices"] == [0, 2]
    assert 0.5 < found["seg"]["value"] < 1
    for words in (("01_GT/SEG", "all.tif"), ("01_GT/SEG/man_seg*.tif", "01_RES/mask*.tif")):
        assert record(*words, "--metrics", "seg")["seg"] == found["seg"]
    one = record("01_GT/SEG/man_seg002.tif", "01_RES", "--metrics", "seg")
    assert one["slices"] == [2]
    assert one["seg"]["slices"] == found["seg"]["slices"][1:]
    three = record("cells.tif", "01_RES", "--metrics", "seg")
    assert three["seg"]["slices"][::2] == found["seg"]["slices"]
    Path("01_RES/mask002.tif").unlink()
    with pytest.raises(ImageError, match=r"no prediction for man_seg002.tif; expected .* frame 2"):
        evaluate.main(["01_GT", "01_RES"])


def test_two_predictions_of_a_frame_are_told_apart_by_a_pattern(truth, drawn):
    Path("gt").mkdir()
    Path("results").mkdir()
    tiff.write("gt/cell1.tif", drawn[0][:1])
    for kind in ("labels", "prob"):
        tiff.write(f"results/cell1.{kind}.tif", drawn[0][:1])
    found = r"cell1\.labels\.tif and results.cell1\.prob\.tif"
    remedy = r"by a pattern: 'results/\*\.labels\.tif' or 'results/\*\.prob\.tif'"
    with pytest.raises(ImageError, match=f"two predictions are of one frame.*{found}.*{remedy}"):
        evaluate.main(["gt", "results"])
    assert evaluate.main(["gt", "results/*.prob.tif", "--kind", "instances"]) == 0
    folders(drawn[0][:2], both=("c01", "c1"))
    with pytest.raises(ImageError, match=r"both.c01\.tif and both.c1\.tif.*pattern in quotes"):
        evaluate.main(["gt", "both"])
    with pytest.raises(ImageError, match=r"two files of the truth.*both.c1\.tif, both frame 1"):
        evaluate.main(["both", "gt"])
    with pytest.raises(ImageError, match=r"two files of the truth.*both frame 1"):
        evaluate.main(["both", "cells.tif"])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("A1 A2", "B1 B2"),
        ("A1_mask A2_mask", "B1.labels B2.labels"),
        ("mask_A1 mask_A2", "seg_B1 seg_B2"),
        ("B2", "A1 A2 A3"),
        ("A1 B2", "mask1 mask2"),
        ("mask1 mask2", "A1 B2"),
        ("exp1_05 exp1_06", "exp2_05 exp2_06"),
        ("2026-11-27_1 2026-11-27_2", "2026-11-28_1 2026-11-28_2"),
        ("t1_z1 t2_z2", "mask1 mask2"),
    ],
)
def test_a_number_alone_does_not_pair_what_has_other_names(truth, drawn, ours, theirs):
    """A1, A2, ... were compared with B1, B2, ..., without a word."""
    folders(drawn[0], gt=ours.split(), res=theirs.split())
    lone = ours.split()[0]
    with pytest.raises(ImageError, match=rf"no prediction for {lone}\.tif.*Name both sides alike"):
        evaluate.main(["gt", "res"])


def test_a_stack_is_not_compared_with_files_that_differ_in_more_than_a_number(truth, drawn):
    folders(drawn[0], gt=("A0", "B1"))
    with pytest.raises(ImageError, match=r"not clear which page .* found A0\.tif, B1\.tif"):
        evaluate.main(["gt", "cells.tif"])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("man_seg000 man_seg001", "mask000 mask001"),
        ("man_track000 man_track001", "t000.labels t001.labels"),
        ("mask_0 mask_1", "frames_00 frames_01"),
        ("mask_A0 mask_A1", "A0 A1"),
        ("gt1", "seg1"),
    ],
)
def test_pairs_by_number_are_said(truth, drawn, capsys, ours, theirs):
    ours, theirs = ours.split(), theirs.split()
    folders(drawn[0], gt=ours, res=theirs)
    found = record("gt", "res", "--metrics", "seg", "--kind", "instances")
    assert (found["slices"], found["seg"]["value"]) == ([0, 1][-len(ours) :], 1)
    said = f"pairs       by frame number: {ours[0]}.tif with {theirs[0]}.tif"
    assert said in capsys.readouterr().out


def test_what_counts_as_found_is_said(truth, drawn, capsys):
    """One object over all of them covers each, and lies on none."""
    few = np.zeros((1, 40, 40), np.uint16)
    for number, (y, x) in enumerate(((4, 4), (4, 30), (30, 4)), 1):
        few[0, y : y + 4, x : x + 4] = number
    tiff.write("few.tif", few)
    tiff.write("one.tif", np.where(np.arange(40) < 38, 1, 0)[None, :].repeat(40, 0)[None])
    more = ("--distance", "2.5", "--min-iou", "0.7")
    evaluate.main(["few.tif", "one.tif", "--kind", "instances", *more])
    out = capsys.readouterr().out
    assert "comparing   instances, 1 slice\n" in out
    for said in (
        "SEG: 3 matched, 3 objects (matched: a prediction covers more than half of the object)",
        "F1 detection: 0 true positives, 1 prediction, 3 objects (true positives: centres within "
        "2.5 px)",
        "F1 segmentation: 0 true positives, 1 prediction, 3 objects (true positives: an IoU of at "
        "least 0.7)",
    ):
        assert said in out, out


def test_slices_of_volumes_and_volumes(truth, drawn):
    instances = drawn[0]
    for folder in ("gt", "res", "whole"):
        Path(folder).mkdir()
    tiff.write("gt/man_seg_004_002.tif", instances[2:])
    tiff.write("res/mask004.tif", instances)
    found = record("gt", "res", "--metrics", "seg")
    assert (found["slices"], found["seg"]["value"]) == (["4/2"], 1)
    tiff.write("whole/man_seg004.tif", instances)
    found = record("whole", "res", "--volumes")
    assert found["slices"] == [4]
    assert found["seg"]["counts"]["objects"] == len(np.unique(instances)) - 1
    assert record("cells.tif", "cells.tif", "--volumes", "--kind", "instances")["slices"] == [0]
    with pytest.raises(ImageError, match="rand_error is not defined for volumes"):
        evaluate.main(["whole", "res", "--volumes", "--metrics", "rand_error"])


def series(name, pages, axes):
    """A hyperstack of ImageJ."""
    tifffile.imwrite(name, pages, imagej=True, metadata={"axes": axes})


def test_volumes_of_a_time_series_are_compared_one_by_one(truth, capsys):
    """An object at the end of one time and one at the beginning of the next were joined."""
    objects = np.zeros((2, 3, 20, 20), np.uint8)
    objects[:, :, 12:18, 2:8] = 1
    objects[0, 2, 2:8, 2:8] = objects[1, 0, 2:8, 2:8] = 1
    series("tz.tif", objects, "TZYX")
    few = ("--volumes", "--kind", "instances", "--metrics", "seg")
    found = record("tz.tif", "tz.tif", *few)
    assert (found["slices"], found["seg"]["counts"]["objects"]) == ([0, 1], 4)
    assert "comparing   instances, 2 volumes" in capsys.readouterr().out
    series("flat.tif", objects.reshape(6, 20, 20), "ZYX")
    _, _, err = run(capsys, "tz.tif", "flat.tif", *few)
    assert "flat.tif: truth and prediction have different numbers of volumes" in err
    series("t.tif", objects.reshape(6, 20, 20), "TYX")
    assert (
        "it is a series of images, and volumes are wanted" in run(capsys, "t.tif", "t.tif", *few)[2]
    )
    series("z.tif", objects.reshape(6, 20, 20), "ZYX")
    code, out, err = run(capsys, "t.tif", "z.tif", *few)
    assert code == 2 and "say so: --truth-axes ZYX" in err
    code, out, _ = run(capsys, "t.tif", "z.tif", *few, "--truth-axes", "ZYX")
    assert code == 0 and "\nvolume" in out and "slice" not in out
    said = run(capsys, "z.tif", "z.tif", *few, "--slices", "1")[2]
    assert "a volume that is not there is asked for; expected 0, found 1" in said
    Path("parts").mkdir()
    for t in (0, 1):
        series(f"parts/p{t}.tif", objects[t], "ZYX")
    for words in (("tz.tif", "parts"), ("parts", "tz.tif"), ("parts", "parts")):
        assert record(*words, *few)["seg"] == found["seg"], words


def test_what_is_not_read_of_files_is_said_once(truth, capsys):
    for name in ("a.ome.tif", "b.ome.tif"):
        Path("many").mkdir(exist_ok=True)
        with tifffile.TiffWriter(f"many/{name}", ome=True) as file:
            file.write(np.eye(20, dtype="u1"), metadata={"axes": "YX"})
            file.write(np.eye(9, dtype="u1"), metadata={"axes": "YX"})
    _, out, _ = run(capsys, "many", "many", "--metrics", "iou")
    assert out.count("the first of 2 images alone is read") == 1
    assert "\nnote: many/a.ome.tif and 1 more file: the first" in out
    _, out, _ = run(capsys, "many/a.ome.tif", "many/b.ome.tif", "--metrics", "iou")
    assert out.count("the first of 2 images alone is read") == 1


def test_patterns_that_a_shell_wrote_out(truth, capsys):
    """They were unrecognized arguments."""
    with pytest.raises(SystemExit):
        evaluate.main(["a1.tif", "a2.tif", "--metrics", "iou", "b1.tif", "b2.tif"])
    said = capsys.readouterr().err
    assert "b1.tif and 1 more: TRUTH and PREDICTION are one name each; put patterns in quot" in said


def test_a_stack_among_several_files_is_refused(truth, drawn, capsys):
    """Its first page alone was compared."""
    for folder in ("a", "b"):
        Path(folder).mkdir()
        tiff.write(f"{folder}/one.tif", drawn[0][:1])
        tiff.write(f"{folder}/two.tif", drawn[0][:2])
    code, out, err = run(capsys, "a", "b", "--kind", "instances", "--metrics", "seg")
    assert code == 2 and "1 of 2" in out
    assert "two.tif: has 2 pages; expected one page, as it is one of several files" in err
    assert "--volumes" in err


def test_names_without_numbers_are_paired_up_to_the_first_dot(truth, drawn):
    for folder in ("a", "b"):
        Path(folder).mkdir()
    for name, k in (("left", 0), ("right", 1)):
        tiff.write(f"a/{name}.tif", drawn[0][k : k + 1])
        tiff.write(f"b/{name}.labels.tif", drawn[0][k : k + 1])
        Path(f"b/._{name}.labels.tif").write_bytes(b"Mac OS X")
    found = record("a", "b", "--metrics", "seg")
    assert (found["slices"], found["seg"]["value"]) == (["left", "right"], 1)


def test_pages_and_files_are_paired_in_natural_order(truth, capsys):
    """They were paired 0, 1, 10, 11, 2, ..."""
    pages = np.zeros((12, 9, 40), np.uint8)
    for k, page in enumerate(pages):
        page[2:7, 3 * k : 3 * k + 4] = 1
    tiff.write("pages.tif", pages)
    Path("p").mkdir()
    for k, page in enumerate(pages):
        tiff.write(f"p/f{k}.tif", page[None])
    for words in (("pages.tif", "p"), ("pages.tif", "p/f*.tif")):
        found = record(*words, "--metrics", "pixel_error")
        assert found["pixel_error"]["value"] == 0
    said = "pages.tif, page 0 with f0.tif ... pages.tif, page 11 with f11.tif"
    assert f"pairs       {said}" in capsys.readouterr().out


def test_files_are_paired_by_their_names_where_these_agree(truth, drawn):
    """A1, B1, C1 were all of frame 1."""
    for folder in ("gt", "res", "gt2", "res2"):
        Path(folder).mkdir()
    for name, k in (("A1", 0), ("B1", 1), ("C1", 2)):
        tiff.write(f"gt/{name}.tif", drawn[0][k : k + 1])
        tiff.write(f"res/{name}.prob.tif", drawn[0][k : k + 1])
    found = record("gt", "res", "--metrics", "seg")
    assert (found["slices"], found["seg"]["value"]) == (["A1", "B1", "C1"], 1)
    Path("res/C1.prob.tif").unlink()
    with pytest.raises(ImageError, match=r"no prediction for C1\.tif; expected .* C1"):
        evaluate.main(["gt", "res"])
    for name, k in (("a07", 0), ("b8", 1)):
        tiff.write(f"gt2/{name}.tif", drawn[0][k : k + 1])
        tiff.write(f"res2/{name}.prob.tif", drawn[0][k : k + 1])
    found = record("gt2", "res2", "--metrics", "seg", "--slices", "8")
    assert (found["slices"], found["seg"]["value"]) == ([8], 1)


def test_one_prediction_is_compared_with_the_truth_of_its_name(truth, drawn, capsys):
    """It was compared with the first, as page 0."""
    folders(drawn[0], gt="012", res=("0.labels", "1.labels", "2.labels"))
    for words in ((), ("--slices", "2")):
        found = record("gt", "res/2.labels.tif", "--metrics", "seg", *words)
        assert (found["slices"], found["seg"]["value"]) == ([2], 1)
    assert "note: 2 other files have no prediction and are left out" in capsys.readouterr().out
    tiff.write("res/7.tif", drawn[0][:1])
    with pytest.raises(ImageError, match=r"no file of the truth .* as 7\.tif, found 0\.tif"):
        evaluate.main(["gt", "res/7.tif"])


def test_only_slices_that_are_asked_for_need_a_prediction(truth, drawn):
    folders(drawn[0], gt="012", res=(None, "1.prob", "2.prob"))
    found = record("gt", "res", "--metrics", "seg", "--slices", "1,2")
    assert (found["slices"], found["seg"]["value"]) == ([1, 2], 1)
    for words in ((), ("--slices", "0-1")):
        with pytest.raises(ImageError, match=r"no prediction for 0\.tif.*--slices"):
            evaluate.main(["gt", "res", *words])
    with pytest.raises(ImageError, match=r"that is not there .* 1 to 2, found 5"):
        evaluate.main(["gt", "res", "--slices", "5"])


@pytest.mark.parametrize(
    ("ours", "theirs", "slices"),
    [
        ("2024.11.28_cell{1}", "2024.11.28_cell{1}.labels", [1, 2, 10]),
        ("cells 1.5uM rep{1}", "cells 1.5uM rep{1}.prob", [1, 2, 10]),
        ("{0}1_mask", "{0}1.labels", ["A1", "B1", "C1"]),
        ("{0}1", "{0}1_cp_masks", ["A1", "B1", "C1"]),
        ("{0}1.gt", "{0}1.seg", ["A1", "B1", "C1"]),
        ("{0}1_mask", "{0}1_pred", ["A1", "B1", "C1"]),
        ("{0}01_Mask", "{0}1.labels-0.25", ["A01", "B01", "C01"]),
        ("2026-11-28_{0}1", "2026-11-28_{0}1_seg", [f"2026-11-28_{r}1" for r in "ABC"]),
        ("{0}1.05uM+", "{0}1.05uM+ cp masks", ["A1.05uM+", "B1.05uM+", "C1.05uM+"]),
        ("M\u00fcller {0}1", "Mu\u0308ller {0}1.labels", [f"M\u00fcller {r}1" for r in "ABC"]),
        ("{0}1_left_eye_mask", "{0}1_left_eye", ["A1_left_eye", "B1_left_eye", "C1_left_eye"]),
    ],
)
def test_names_agree_in_spite_of_dots_and_last_words(truth, drawn, ours, theirs, slices):
    names = list(zip("ABC", (1, 2, 10), strict=True))
    folders(drawn[0], gt=[ours.format(*n) for n in names], res=[theirs.format(*n) for n in names])
    found = record("gt", "res", "--metrics", "seg")
    assert (found["slices"], found["seg"]["value"]) == (slices, 1)


def test_words_that_tell_files_apart_are_not_left_out(truth, drawn):
    folders(drawn[0][:2], gt=("cell1_left", "cell1_right"))
    tiff.write("cell1.tif", drawn[0][:1])
    with pytest.raises(ImageError, match="no file of the truth is of its frame"):
        evaluate.main(["gt", "cell1.tif"])
    folders(drawn[0][::-1], eyes=("A1_right_mask", "A1_left_mask"))
    folders(drawn[0][2:], one=("A1_right_pred",))
    assert record("eyes", "one/A1_right_pred.tif", "--metrics", "seg")["seg"]["value"] == 1
    folders(drawn[0][:1], dated=("2024.11.28_cell1",))
    tiff.write("2024.11.28_cell2.tif", drawn[0][:1])
    with pytest.raises(ImageError, match="no file of the truth is of its frame"):
        evaluate.main(["dated", "2024.11.28_cell2.tif"])


def test_classes_by_value_and_by_channel(truth, capsys):
    labels = np.zeros((2, 20, 24), np.uint8)
    labels[:, ::2, ::3] = 1
    labels[:, 1::4, 1::4] = 2
    guess = labels.copy()
    guess[0, :5] = 0
    tiff.write("classes.tif", labels)
    tiff.write("other.tif", guess)
    code, out, _ = run(capsys, "classes.tif", "other.tif", "--json", "a.json")
    assert code == 0
    first = json.loads(Path("a.json").read_text())
    assert first["kind"] == "classes"
    assert list(first["iou"]["classes"]) == ["0", "1", "2"]
    assert [line.split()[0] for line in out.splitlines() if "class " in line] == ["class"]
    scores = np.stack([0.1 + 0.5 * (guess == c) for c in range(3)], axis=1).astype(np.float32)
    tiff.write("prob.tif", scores)
    assert record("classes.tif", "prob.tif")["iou"] == first["iou"]

    # the plugin's values: 0 unlabelled, 1 background, 2 and 3 classes
    shifted = labels + 1
    shifted[1] = 0
    tiff.write("plugin.tif", shifted)
    found = record("plugin.tif", "other.tif", "--ignore", "0", "--classes", "1,2,3")
    assert found["iou"]["slices"] == [first["iou"]["slices"][0], None]


def test_truth_of_minus_one_may_be_ignored(truth):
    """Any negative value was refused."""
    labels = truth[0].astype(np.int16)
    labels[:, :9] = -1
    tifffile.imwrite("minus.tif", labels, photometric="minisblack")
    unlabelled = np.where(labels < 0, 9, labels).astype(np.uint8)
    tiff.write("nine.tif", unlabelled)
    few = ("guess.tif", "--metrics", "iou,pixel_error", "--ignore")
    assert record("minus.tif", *few, "-1")["iou"] == record("nine.tif", *few, "9")["iou"]


def test_options_reach_the_measures(truth):
    near = record("cells.tif", "guess.tif", "--metrics", "f1_detection", "--distance", "0.01")
    far = record("cells.tif", "guess.tif", "--metrics", "f1_detection", "--distance", "50")
    assert near["f1_detection"]["value"] < far["f1_detection"]["value"]
    strict = record("cells.tif", "guess.tif", "--metrics", "f1_segmentation", "--min-iou", "1")
    assert strict["f1_segmentation"]["value"] < 0.5
    low, high = (
        record("truth.tif", "guess.tif", "--metrics", "iou", "--threshold", t)
        for t in ("0.1", "0.9")
    )
    assert low["iou"]["value"] != high["iou"]["value"]
    assert high["settings"]["threshold"] == 0.9


def test_what_cannot_be_compared_is_one_line_and_exit_code_2(truth, capsys):
    labels, guess = truth
    few = np.zeros((3, 44, 52), np.uint8)
    few[0, 0, :4] = [0, 1, 0, 2]
    nan = guess.copy()
    nan[:, 3, 3] = np.nan
    Path("none").mkdir()
    for name, pixels in {
        "few.tif": few,
        "big.tif": guess * 255,
        "fewer.tif": guess[:2],
        "narrow.tif": guess[:, :, :9],
        "empty.tif": 0 * labels,
        "flat.tif": np.full_like(guess, 0.5),
        "full.tif": 0 * labels + 7,
        "nan.tif": nan,
        "ids.tif": 300 * few.astype(np.uint16),
    }.items():
        tiff.write(name, pixels)
    for words, said in (
        ("truth.tif few.tif", "cannot be told what is compared"),
        ("truth.tif few.tif --kind membrane", "looks like a map of classes or objects"),
        ("truth.tif big.tif", "not a probability map; expected values from 0 to 1"),
        ("truth.tif fewer.tif", "different numbers of pages; expected 3 as in truth.tif, found 2"),
        ("truth.tif narrow.tif", "different sizes"),
        ("cells.tif narrow.tif --metrics seg", "different sizes"),
        ("empty.tif guess.tif", "empty.tif: the truth is empty"),
        ("empty.tif empty.tif", "empty.tif: the truth is empty"),
        ("full.tif guess.tif", "full.tif: the truth is constant"),
        ("truth.tif flat.tif", "flat.tif: the prediction is constant; expected objects"),
        ("truth.tif empty.tif", "empty.tif: the prediction is empty"),
        ("truth.tif nan.tif", "nan.tif, page 0: holds values that are not finite"),
        ("guess.tif guess.tif", "guess.tif, page 0: the label image holds fractions"),
        (
            "truth.tif guess.tif --ignore 255",
            "found 0 in every pixel that is not ignored",
        ),
        ("truth.tif guess.tif --metrics rnd_error", "rnd_error is not known"),
        ("ids.tif ids.tif --kind classes", "these are no classes; expected values from 0 to 255"),
        ("cells.tif cells.tif --invert", "only a map of membranes can be inverted"),
        ("truth.tif none", "none: holds no TIFF or PNG file"),
        ("truth.tif none/*.tif", "none/*.tif: matches no file"),
        ("truth.tif missing.tif", "missing.tif"),
    ):
        code, _, err = run(capsys, *words.split())
        assert (code, err.count("\n"), said in err) == (2, 1, True), f"{words}: {err}"


def test_one_bad_frame_does_not_end_the_others(truth, capsys):
    nan = truth[1].copy()
    nan[1, 0, 0] = np.inf
    tiff.write("nan.tif", nan)
    few = ("--metrics", "pixel_error,seg", "--json", "s.json")
    code, out, err = run(capsys, "truth.tif", "nan.tif", *few)
    assert code == 2
    assert err.count("\n") == 1
    assert "error: slice 1 is left out: nan.tif, page 1: holds values that are not finite" in err
    assert "2 of 3" in out
    found = json.loads(Path("s.json").read_text())
    assert found["slices"] == [0, 2]
    assert list(found["failed"]) == ["1"]
    good = record("truth.tif", "guess.tif", "--slices", "0,2", "--metrics", "pixel_error,seg")
    assert good["pixel_error"] == found["pixel_error"]

    for folder in ("gt", "res"):
        Path(folder).mkdir()
    for k in range(3):
        tiff.write(f"gt/man_seg{k}.tif", truth[0][k : k + 1])
        tiff.write(f"res/mask{k}.tif", truth[0][k : k + 1, : 9 if k == 0 else None])
    Path("res/mask1.tif").write_bytes(b"II*\0 no image at all")
    code, out, err = run(capsys, "gt", "res", "--metrics", "seg")
    assert (code, err.count("\n")) == (2, 2)
    assert "different sizes" in err
    assert "mask1.tif" in err
    assert "1 of 3" in out


def test_slices_without_cells_are_dashes_and_nulls(truth, capsys):
    labels = truth[0].copy()
    labels[1] = 0
    tiff.write("gap.tif", labels)
    evaluate.main(["gap.tif", "guess.tif", "--json", "s.json", "--metrics", "v_rand,seg"])
    row = next(r for r in capsys.readouterr().out.splitlines() if r.split()[:1] == ["1"])
    assert row.split() == ["1", "-", "-"]
    found = json.loads(Path("s.json").read_text())
    assert found["v_rand"]["slices"][1] is None
    assert found["seg"]["value"] > 0


def test_a_terminal_gets_a_drawn_table(truth, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    evaluate.main(["truth.tif", "guess.tif", "--metrics", "pixel_error"])
    out = capsys.readouterr().out
    assert "│" in out
    assert "pixel error" in out


@pytest.mark.parametrize(
    "words", [["--threshold", "2"], ["--threshold", "x"], ["--min-iou", "0"], ["--distance", "-1"]]
)
def test_numbers_out_of_range_are_refused(words, capsys):
    with pytest.raises(SystemExit):
        evaluate.main(["a.tif", "b.tif", *words])
    err = capsys.readouterr().err
    assert f"argument {words[0]}: " in err
    assert "number" in err


def test_the_help_teaches(capsys):
    with pytest.raises(SystemExit):
        evaluate.main(["--help"])
    out = capsys.readouterr().out
    assert all(name in out for name in MEASURES)
    for words in ("ISBI 2012", "examples:", "--slices 20-23", "kept out of training"):
        assert words in out
