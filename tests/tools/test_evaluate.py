"""The evaluate command: what it reads, prints and refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from demitasse.data import synthetic
from demitasse.errors import ImageError, OutputError
from demitasse.imaging import metrics, tiff
from demitasse.tools import evaluate
from scipy import ndimage


@pytest.fixture
def truth(tmp_path, monkeypatch):
    """Three drawn slices in truth.tif, and a blurred version of the truth in guess.tif."""
    monkeypatch.chdir(tmp_path)
    _, instances = synthetic.volume(0, 3, (70, 80))
    labels = (instances > 0).astype(np.uint8)
    rng = np.random.default_rng(0)
    guess = np.stack([ndimage.gaussian_filter(x.astype(float), 1.2) for x in labels])
    guess = np.clip(guess + rng.normal(0, 0.1, guess.shape), 0, 1).astype(np.float32)
    tiff.write("truth.tif", labels * 255)
    tiff.write("guess.tif", guess)
    return labels, guess


def last_rows(out):
    return [line.split() for line in out.splitlines() if line.split()[:1] in (["all"], ["at"])]


def test_the_table_and_the_json_hold_the_metrics(truth, capsys):
    assert evaluate.main(["truth.tif", "guess.tif", "--json", "s.json"]) == 0
    out = capsys.readouterr().out
    expected = metrics.evaluate(truth[0], truth[1])
    row = last_rows(out)[0]
    assert row[1:] == [
        f"{v:.4f}"
        for v in (
            expected.pixel_error.value,
            expected.rand_error.value,
            expected.v_rand.value,
            expected.v_info.value,
            *expected.iou,
        )
    ]
    assert "float32 probabilities" in out
    assert "V_rand" in out
    assert (
        len([line for line in out.splitlines() if line.split()[:1] in (["0"], ["1"], ["2"])]) == 3
    )
    record = json.loads(Path("s.json").read_text())
    assert record["v_rand"]["value"] == expected.v_rand.value
    assert record["slices"] == [0, 1, 2]
    assert record["mean_iou"] == pytest.approx(expected.mean_iou)
    with pytest.raises(OutputError, match="exists already"):
        evaluate.main(["truth.tif", "guess.tif", "--json", "s.json"])


def test_slices_are_chosen_by_their_number(truth, capsys):
    evaluate.main(["truth.tif", "guess.tif", "--slices", "1-2", "--json", "s.json"])
    record = json.loads(Path("s.json").read_text())
    expected = metrics.evaluate(truth[0][1:], truth[1][1:])
    assert record["slices"] == [1, 2]
    assert record["rand_error"]["value"] == expected.rand_error.value
    with pytest.raises(ImageError, match="0 to 2, found 3"):
        evaluate.main(["truth.tif", "guess.tif", "--slices", "3"])


@pytest.mark.parametrize(
    ("convert", "said"),
    [
        (lambda g: np.rint(255 * g).astype(np.uint8), "uint8 divided by 255"),
        (lambda g: np.rint(65535 * g).astype(np.uint16), "uint16 divided by 65535"),
        (lambda g: np.stack([1 - g, g], axis=1), "float32 probabilities"),
        (lambda g: (g > 0.5).astype(np.uint8), "binary, above 0 = interior"),
        (lambda g: (g > 0.5).astype(np.uint8) * 255, "binary, above 0 = interior"),
    ],
    ids=["8 bit", "16 bit", "two channels", "0 and 1", "0 and 255"],
)
def test_how_the_prediction_was_read_is_said(truth, convert, said, capsys):
    tiff.write("other.tif", convert(truth[1]))
    evaluate.main(["truth.tif", "other.tif"])
    out = capsys.readouterr().out
    assert said in out
    error = float(last_rows(out)[0][1])
    assert error == pytest.approx(metrics.evaluate(*truth).pixel_error.value, abs=0.02)


def test_the_truth_is_perfect(truth, capsys):
    evaluate.main(["truth.tif", "truth.tif"])
    row = last_rows(capsys.readouterr().out)[0]
    assert row == ["all", "0.0000", "0.0000", "1.0000", "1.0000", "1.0000", "1.0000"]


def test_an_inverted_prediction_is_noticed_and_can_be_turned(truth, capsys):
    tiff.write("membrane.tif", 1 - truth[1])
    evaluate.main(["truth.tif", "membrane.tif"])
    assert "give --invert" in capsys.readouterr().out
    evaluate.main(["truth.tif", "membrane.tif", "--invert"])
    turned = last_rows(capsys.readouterr().out)
    evaluate.main(["truth.tif", "guess.tif"])
    out = capsys.readouterr().out
    assert "give --invert" not in out
    assert turned[0] == last_rows(out)[0]


def test_a_channel_must_be_named_where_there_are_many(truth):
    tiff.write("three.tif", np.stack([truth[1]] * 3, axis=1))
    with pytest.raises(ImageError, match=r"not clear which channel.*--channel 0 to 2"):
        evaluate.main(["truth.tif", "three.tif"])
    assert evaluate.main(["truth.tif", "three.tif", "--channel", "2"]) == 0
    with pytest.raises(ImageError, match="--channel 3"):
        evaluate.main(["truth.tif", "three.tif", "--channel", "3"])


def test_what_is_no_probability_is_refused(truth):
    tiff.write("big.tif", truth[1] * 255)
    tiff.write("fewer.tif", truth[1][:2])
    tiff.write("narrow.tif", truth[1][:, :, :9])
    classes = np.zeros((3, 70, 80), np.uint8)
    classes[0, 0, :3] = [0, 1, 2]
    tiff.write("classes.tif", classes)
    for name, words in (
        ("classes.tif", "looks like a map of classes"),
        ("big.tif", "not a probability map; expected values from 0 to 1"),
        ("fewer.tif", r"different numbers of pages; expected 3.*found 2"),
        ("narrow.tif", "different sizes"),
    ):
        with pytest.raises(ImageError, match=words):
            evaluate.main(["truth.tif", name])


def test_slices_without_cells_are_dashes_and_nulls(truth, capsys):
    tiff.write("empty.tif", np.zeros((1, 9, 9), np.uint8))
    evaluate.main(["empty.tif", "empty.tif", "--json", "s.json"])
    assert " - " in capsys.readouterr().out
    assert json.loads(Path("s.json").read_text())["v_rand"]["value"] is None


def test_the_help_teaches(capsys):
    with pytest.raises(SystemExit):
        evaluate.main(["--help"])
    out = capsys.readouterr().out
    for words in ("Rand error", "examples:", "--slices 20-23", "kept out of training"):
        assert words in out
