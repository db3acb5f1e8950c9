"""`pack`: whether images and labels are the pairs that their names make of them."""

import re
from pathlib import Path

import numpy as np
import pytest
from demitasse.errors import DataError
from demitasse.imaging import tiff
from demitasse.tools import pack
from demitasse.tools._pack_names import alone, compare


def paths(names):
    return [Path(name) for name in names.split()]


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("t000.tif t001.tif t002.tif", "man_seg000.tif man_seg001.tif man_seg002.tif"),
        ("cell1.tif cell2.tif", "cell1_labels.tif cell2_labels.tif"),
        ("a.tif b.tif", "mask_a.tif mask_b.tif"),
        ("1.png 2.png 10.png", "01.tif 02.tif 10.tif"),
        ("2d_wt_1.tif 2d_ko_1.tif", "wt-1.labels.tif ko-1.labels.tif"),
        ("day1/img/1.tif day2/img/1.tif", "day1/seg/1.tif day2/seg/1.tif"),
        ("001_17.tif 002_38.tif 003_21.tif", "seg1.tif seg2.tif seg3.tif"),
        ("left_38.tif right_40.tif", "7_left.tif 3_right.tif"),
        ("Cell1.TIF Cell2.TIF", "cell1.png cell2.png"),
    ],
)
def test_names_that_agree(images, labels):
    assert compare(paths(images), paths(labels)).agree


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("frame17.tif frame23.tif frame40.tif", "1.tif 2.tif 3.tif"),
        ("apple.tif pear.tif", "x.tif y.tif"),
        ("images.tif", "labels.tif"),
        ("raw_488.tif", "labels_v2.tif"),
        ("p10.tif p11.tif", "seg20.tif seg21.tif"),
    ],
)
def test_names_that_say_nothing_of_each_other(images, labels):
    found = compare(paths(images), paths(labels))
    assert (found.agree, found.differ, found.sure) == (False, None, False)


@pytest.mark.parametrize(
    ("images", "labels", "first", "partner"),
    [
        ("cell0.tif cell1.tif cell2.tif", "cell0.tif cell1.tif cell3.tif", 2, ""),
        ("t0.tif t1.tif t2.tif t3.tif", "seg0.tif seg2.tif seg3.tif seg4.tif", 1, ""),
        ("cell0.tif cell1.tif", "cell1.png cell2.png", 0, ""),
        ("1.tif 2.tif 3.tif", "3.tif 1.tif 2.tif", 0, "1.tif"),
        ("a.tif b.tif c.tif", "mask_a.tif mask_c.tif mask_b.tif", 1, "mask_b.tif"),
        ("e1_t1.tif e1_t2.tif", "e1_t1.tif e2_t2.tif", 1, ""),
        ("t1.tif t2.tif t10.tif", "seg_1.tif seg_10.tif seg_2.tif", 1, "seg_2.tif"),
    ],
)
def test_a_pair_whose_names_differ(images, labels, first, partner):
    found = compare(paths(images), paths(labels))
    assert (found.agree, found.differ, found.sure) == (False, first, True)
    assert str(found.partner or "") == partner


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("t000.tif t001.tif t002.tif", "mask001.tif mask002.tif mask003.tif"),  # counted from 1?
        ("a1.tif a4.tif a12.tif a13.tif", "b1.tif b3.tif b7.tif b20.tif"),
        ("cell1.tif", "cell2.tif"),
    ],
)
def test_where_names_differ_but_may_be_meant_so(images, labels):
    found = compare(paths(images), paths(labels))
    assert found.differ is not None
    assert not found.sure


def test_who_has_no_partner():
    three, two = "cell0.tif cell1.tif cell2.tif", "cell0_mask.tif cell2_mask.tif"
    assert alone(paths(three), paths(two)) == [Path("cell1.tif")]
    assert alone(paths(two), paths(three)) == [Path("cell1.tif")]
    assert alone(paths(three), paths("x.tif y.tif")) == []
    assert alone(paths("a.tif"), paths("a.tif b.tif")) == [Path("b.tif")]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Folders to write images and labels into."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)

    def write(images, labels):
        for side, names in (("images", images), ("labels", labels)):
            Path(side).mkdir(exist_ok=True)
            for name in names.split():
                page = rng.integers(0, 200, (1, 30, 30)).astype(np.uint8)
                page = page if side == "images" else (page > 99).astype(np.uint8)
                tiff.write(f"{side}/{name}", page)

    return write


SIZES = ("--input-size", "30", "--output-size", "20")


def run(*options):
    return pack.main(["--images", "images", "--labels", "labels", "-o", "t.h5", *options])


@pytest.mark.parametrize("options", [SIZES, ("--convention", "plugin", "--background", "0")])
def test_a_pair_that_is_none_is_refused_by_name(folder, options, capsys):
    folder("cell0.tif cell1.tif cell2.tif", "cell0.tif cell1.tif cell3.tif")
    with pytest.raises(DataError) as caught:
        run(*options)
    said = str(caught.value)
    assert re.search(r"labels.cell3\.tif: .*expected .*cell2.*--in-order", said), said
    assert not Path("t.h5").exists()
    assert run(*options, "--in-order") == 0
    assert "their names were not compared" in capsys.readouterr().out


def test_the_right_partner_is_named(folder):
    folder("a.tif b.tif c.tif", "a_1.tif b_3.tif c_2.tif")
    run(*SIZES)
    argv = ["--images", "images", "--labels", *(f"labels/{x}.tif" for x in ("a_1", "c_2", "b_3"))]
    with pytest.raises(DataError, match=r"c_2\.tif: .*expected .*b_3\.tif"):
        pack.main([*argv, "-o", "u.h5", *SIZES])


def test_doubtful_pairs_are_pointed_out_and_packed(folder, capsys):
    folder("t0.tif t1.tif t2.tif t3.tif", "seg1.tif seg2.tif seg3.tif seg4.tif")
    assert run(*SIZES) == 0
    out = capsys.readouterr().out
    assert re.search(r"warning: .*t0\.tif with .*seg1\.tif.*counted from another number", out), out


def test_all_pairs_are_told_by_the_first_and_the_last(folder, capsys):
    folder("a1.tif a2.tif a3.tif a4.tif a5.tif", "b1.tif b2.tif b3.tif b4.tif b5.tif")
    run(*SIZES)
    said = "pairs: a1.tif with b1.tif ... a5.tif with b5.tif; their names agree\n"
    assert said in capsys.readouterr().out


def test_names_that_say_nothing_are_told(folder, capsys):
    folder("p.tif q.tif", "x.tif y.tif")
    run(*SIZES)
    said = "pairs: p.tif with x.tif, q.tif with y.tif; by their order alone, for the names tell no"
    assert said in capsys.readouterr().out


def test_a_file_without_a_partner_is_named(folder):
    folder("cell0.tif cell1.tif cell2.tif", "cell0.tif cell2.tif")
    with pytest.raises(DataError, match=r"found 2 in .*Nothing is paired with images.cell1\.tif"):
        run(*SIZES)


def test_files_of_unlike_depth_are_named(folder):
    folder("a.tif b.tif", "a.tif b.tif")
    tiff.write("labels/b.tif", np.zeros((2, 30, 30), np.uint8), overwrite=True)
    with pytest.raises(DataError, match=r"images.b\.tif has 1 slice, labels.b\.tif 2 slices: are"):
        run(*SIZES)
