"""Packing: every number in the files against the arrays they came from."""

import json

import h5py
import numpy as np
import pytest
from demitasse.data import augment
from demitasse.data.crops import Pair
from demitasse.data.hdf5 import HDF5Rows
from demitasse.data.labels import LabelRule
from demitasse.data.normalize import Normalization
from demitasse.data.pack import Recipe, pack
from demitasse.data.weight_map import class_balance, weight_map
from demitasse.errors import DataError, ImageError, OutputError

PAIR = Pair((28, 28), (12, 12))


@pytest.fixture
def stack():
    """Three slices of 30 x 20 with cells, and labels 0 and 255."""
    rng = np.random.default_rng(0)
    y, x = np.indices((30, 20))
    labels = np.stack([(y + s) % 10 > 1 for s in range(3)]) & ((x % 7 > 0)[None])
    images = rng.normal(100, 20, labels.shape) + 40 * labels
    return images.astype(np.uint8), (255 * labels).astype(np.uint8)


def load(paths):
    parts = []
    for path in paths:
        with h5py.File(path) as file:
            parts.append({name: file[name][()] for name in ("data", "label", "weight")})
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


def test_regular_tiles_hold_the_image_its_mirror_labels_and_weights(stack, tmp_path):
    images, labels = stack
    summary = pack(images, labels, tmp_path / "a.h5", Recipe(PAIR))
    tiles = load(summary.files)
    assert summary.tiles == len(tiles["data"]) == 3 * 6  # 3 rows x 2 columns cover 30 x 20
    assert {k: (v.dtype, v.shape[1:]) for k, v in tiles.items()} == {
        "data": (np.float32, (1, 28, 28)),
        "label": (np.uint8, (1, 12, 12)),
        "weight": (np.float32, (1, 12, 12)),
    }
    classes = (labels > 0).astype(np.uint8)
    balance = class_balance([(classes == 0).sum(), (classes == 1).sum()])
    corners = [(y, x) for y in (0, 9, 18) for x in (0, 8)]
    rule = LabelRule()
    for number in range(18):
        s, (y, x) = number // 6, corners[number % 6]
        normal = Normalization("zscore")(images[s])
        padded = np.pad(normal, 50, mode="reflect")[42 + y : 70 + y, 42 + x : 70 + x]
        np.testing.assert_array_equal(tiles["data"][number, 0], padded)
        np.testing.assert_array_equal(tiles["label"][number, 0], classes[s, y : y + 12, x : x + 12])
        weight = weight_map(rule(labels[s]).objects, classes[s], balance)
        np.testing.assert_array_equal(tiles["weight"][number, 0], weight[y : y + 12, x : x + 12])


def test_the_list_file_is_read_by_the_data_layer(stack, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "em").mkdir()
    summary = pack(*stack, "em/train.h5", Recipe(PAIR, per_file=7))
    assert [str(f) for f in summary.files] == [f"em/train-00{i}.h5" for i in range(3)]
    assert (tmp_path / "em" / "train.txt").read_text().split() == [str(f) for f in summary.files]
    rows = HDF5Rows("em/train.txt", ["data", "label", "weight"])
    out = [np.zeros((18, *s), np.float32) for s in rows.row_shapes]
    rows.read(out)
    tiles = load(summary.files)
    np.testing.assert_array_equal(out[0], tiles["data"])
    np.testing.assert_array_equal(out[1], tiles["label"])
    np.testing.assert_array_equal(out[2], tiles["weight"])


def test_how_tiles_are_spread_over_files_changes_nothing(stack, tmp_path):
    recipe = {"tiles": 9, "augment": ("flips", "elastic", "grey"), "seed": 5}
    one = pack(*stack, tmp_path / "one.h5", Recipe(PAIR, **recipe))
    many = pack(*stack, tmp_path / "many.h5", Recipe(PAIR, per_file=4, **recipe))
    assert len(one.files) == 1 < len(many.files) == 3
    a, b = load(one.files), load(many.files)
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


def test_the_seed_decides(stack, tmp_path):
    tiles = []
    for k, seed in enumerate((1, 1, 2)):
        recipe = Recipe(PAIR, tiles=4, augment=("flips",), seed=seed)
        tiles.append(load(pack(*stack, tmp_path / f"{k}.h5", recipe).files)["data"])
    np.testing.assert_array_equal(tiles[0], tiles[1])
    assert not np.array_equal(tiles[0], tiles[2])


def test_every_slice_is_drawn_equally_often(stack, tmp_path):
    images = np.stack([np.full((30, 20), v) for v in (1.0, 2.0, 3.0)])
    recipe = Recipe(PAIR, normalization=Normalization("none"), tiles=9)
    data = load(pack(images, stack[1], tmp_path / "a.h5", recipe).files)["data"]
    values = data[:, 0, 0, 0]
    assert sorted(values) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    rounds = [tuple(values[i : i + 3]) for i in (0, 3, 6)]
    assert all(len(set(r)) == 3 for r in rounds)
    assert len(set(rounds)) > 1  # in another order each time


def smooth_truth():
    """A big smooth object, so that bending and nearest pixels agree nearly everywhere."""
    y, x = np.indices((120, 120))
    return ((np.hypot(y - 55, x - 70) < 35) * 255).astype(np.uint8)


@pytest.mark.parametrize("kinds", [("flips",), ("elastic",), ("flips", "elastic")])
def test_image_label_and_weight_move_together(kinds, tmp_path):
    labels = smooth_truth()[None]
    recipe = Recipe(
        Pair((60, 60), (40, 40)),
        normalization=Normalization("none"),
        tiles=12,
        augment=kinds,
    )
    tiles = load(pack(labels / 255.0, labels, tmp_path / "a.h5", recipe).files)
    seen = tiles["data"][:, :, 10:50, 10:50] > 0.5
    assert 0.2 < tiles["label"].mean() < 0.9
    agree = (seen == tiles["label"]).mean()
    assert agree > (0.99 if "elastic" in kinds else 0.99999)
    for label in (0, 1):  # one object: the weight is w_c of the class, but for interpolation
        inner = tiles["weight"][tiles["label"] == label]
        share = (labels == 0).mean() if label == 0 else (labels > 0).mean()
        assert np.median(inner) == pytest.approx(1 / (2 * share), rel=1e-4)


def test_elastic_tiles_are_bent_and_grey_ones_are_not(tmp_path):
    stripes = np.tile((np.arange(120) % 12 < 6) * 200.0, (120, 1))[None]
    labels = smooth_truth()[None]
    made = {}
    for kinds in ((), ("elastic",), ("grey",)):
        recipe = Recipe(Pair((60, 60), (40, 40)), tiles=3, augment=kinds, seed=1)
        made[kinds] = load(
            pack(stripes, labels, tmp_path / f"{kinds}.h5".replace(" ", ""), recipe).files
        )

    def columns_vary(d):
        return d.std(axis=2).max()

    assert columns_vary(made[()]["data"]) < 1e-6
    assert columns_vary(made[("elastic",)]["data"]) > 0.5
    assert columns_vary(made[("grey",)]["data"]) < 1e-5
    np.testing.assert_array_equal(made[()]["label"], made[("grey",)]["label"])
    assert not np.array_equal(made[()]["data"], made[("grey",)]["data"])


def test_gaps_between_touching_objects_survive_bending(tmp_path):
    y, x = np.indices((300, 300))
    instances = (1 + y // 10 * 30 + x // 10)[None]
    recipe = Recipe(
        Pair((240, 240), (240, 240)), LabelRule("instances"), tiles=2, augment=("elastic",), seed=2
    )
    label = load(pack(instances, instances, tmp_path / "a.h5", recipe).files)["label"]
    from scipy import ndimage

    for tile in label[:, 0]:
        pieces = np.bincount(ndimage.label(tile == 1)[0].ravel())[1:]
        assert pieces.max() < 160  # no two of the 100-pixel squares have grown together


def test_an_image_smaller_than_the_tile_is_mirrored_and_the_mirror_weighs_nothing(tmp_path):
    rng = np.random.default_rng(0)
    image, labels = rng.random((8, 9)), rng.integers(0, 2, (8, 9))
    summary = pack([image], [labels], tmp_path / "a.h5", Recipe(PAIR))
    tiles = load(summary.files)
    assert summary.tiles == 1
    expected = np.pad(labels, ((2, 2), (1, 2)), mode="reflect")
    np.testing.assert_array_equal(tiles["label"][0, 0], expected)
    weight = tiles["weight"][0, 0]
    assert (weight[2:10, 1:10] > 0).all()
    assert weight[2:10, 1:10].sum() == pytest.approx(weight.sum())
    assert any(w.startswith("1 image is smaller than the output") for w in summary.warnings)


def test_one_pixel(tmp_path):
    summary = pack([np.ones((1, 1))], [np.ones((1, 1), int)], tmp_path / "a.h5", Recipe(PAIR))
    assert np.isfinite(load(summary.files)["data"]).all()


def test_ignored_pixels_are_255_and_weigh_nothing(stack, tmp_path):
    images, labels = stack
    labels = labels.copy()
    labels[:, 5:9] = 77
    recipe = Recipe(PAIR, LabelRule("binary", ignore=77))
    summary = pack(images, labels, tmp_path / "a.h5", recipe)
    tiles = load(summary.files)
    assert ((tiles["label"] == 255) == (tiles["weight"] == 0)).all()
    assert summary.ignored == pytest.approx((tiles["label"] == 255).mean())
    assert summary.ignored > 0.1


@pytest.mark.parametrize("shape", [(60, 60), (24, 60)])
def test_bent_tiles_do_not_learn_from_ignored_pixels_or_the_mirror(shape, tmp_path):
    y, x = np.indices(shape)
    labels = np.where(np.hypot(y - 12, x - 30) < 9, 1, 0)
    labels[:, 40:46] = 77
    recipe = Recipe(
        Pair((60, 60), (40, 40)), LabelRule(ignore=77), tiles=6, augment=("elastic",), seed=1
    )
    tiles = load(pack([labels * 1.0], [labels], tmp_path / "a.h5", recipe).files)
    assert (tiles["label"] == 255).any()
    assert (tiles["weight"][tiles["label"] == 255] == 0).all()
    # a slice of 24 rows fills at most about 24 of a tile's 40 rows
    weighed = (tiles["weight"] > 0).mean(axis=(1, 2, 3)).max()
    assert weighed > 0.9 if shape[0] == 60 else 0.3 < weighed < 0.8


def test_the_summary_counts_what_is_in_the_files(stack, tmp_path):
    summary = pack(*stack, tmp_path / "a.h5", Recipe(PAIR, class_names=("membrane", "cell")))
    tiles = load(summary.files)
    assert [c.name for c in summary.classes] == ["membrane", "cell"]
    assert summary.classes[1].share == pytest.approx(tiles["label"].mean())
    assert summary.mean_weight == pytest.approx(tiles["weight"].mean(), rel=1e-5)
    assert summary.bytes == sum(f.stat().st_size for f in summary.files)


def test_the_attributes_say_what_deployment_must_repeat(stack, tmp_path):
    recipe = Recipe(PAIR, normalization=Normalization("percentile", {"low": 2}), seed=3)
    images = np.stack([stack[0], stack[0]], axis=1)
    summary = pack(
        images,
        stack[1],
        tmp_path / "a.h5",
        recipe,
        origin={"sources": ["a.tif"]},
        pixel_size=(0.2, 0.1),
        unit="um",
    )
    with h5py.File(summary.files[0]) as file:
        said = dict(file.attrs)
        assert file["data"].chunks is None  # one stretch of the file
        assert file["data"].shape[1] == said["input_channels"] == 2
    assert Normalization.from_json(said["normalization"]) == recipe.normalization
    assert said["padding"] == "mirror"
    assert list(said["class_names"]) == ["background", "foreground"]
    assert list(said["pixel_size"]) == [0.2, 0.1]
    assert said["pixel_unit"] == "um"
    origin = json.loads(said["origin"])
    assert (origin["sources"], origin["seed"]) == (["a.tif"], 3)


def test_many_sources_still_fit_into_the_attribute(stack, tmp_path):
    origin = {"sources": [{"name": f"{i}.png", "sha256": "0" * 64} for i in range(3000)]}
    summary = pack(*stack, tmp_path / "a.h5", Recipe(PAIR), origin=origin)
    with h5py.File(summary.files[0]) as file:
        assert "sha256 of their list" in json.loads(file.attrs["origin"])["sources"]


def test_classes_keep_their_number_even_where_one_is_absent(tmp_path):
    labels = np.zeros((1, 20, 20), np.uint8)
    labels[0, 3:9, 3:9], labels[0, 12:17, 3:9] = 3, 1
    summary = pack(labels, labels, tmp_path / "a.h5", Recipe(PAIR, LabelRule("classes")))
    assert [c.name for c in summary.classes] == ["class 0", "class 1", "class 2", "class 3"]
    assert summary.classes[2].balance == 0
    assert any("no pixel at all is class 2" in w for w in summary.warnings)


def test_classes_painted_in_grey_values_are_told_in_one_warning(tmp_path):
    labels = np.zeros((1, 20, 20), np.uint8)
    labels[0, 3:9, 3:9], labels[0, 12:17, 3:9] = 85, 170
    (said,) = pack(labels, labels, tmp_path / "a.h5", Recipe(PAIR, LabelRule("classes"))).warnings
    assert said == (
        "of 171 classes 168 have no pixel at all: class 1, class 2, class 3 and 165 more; where "
        "the labels are grey values, list those in use with --classes"
    )


def test_suspicious_labels_are_pointed_out(stack, tmp_path):
    images, labels = stack
    labels = labels.copy()
    labels[1] = 0
    names = ["a", "b", "c"]
    summary = pack(images, labels, tmp_path / "a.h5", Recipe(PAIR), names=names)
    assert any(w.startswith("b: every pixel is background") for w in summary.warnings)
    rare = np.zeros((1, 100, 100), np.uint8)
    rare[0, 0, :9] = 1
    summary = pack(rare, rare, tmp_path / "b.h5", Recipe(PAIR))
    assert any("foreground is rare and weighs 556 times" in w for w in summary.warnings)


def write_nothing(folder):
    return not list(folder.iterdir())


@pytest.mark.parametrize(
    ("images", "labels", "settings", "words"),
    [
        ((2, 9, 9), (3, 9, 9), {}, "do not come in pairs; expected 2 .*found 3"),
        ((0, 9, 9), (0, 9, 9), {}, "no image to pack"),
        ((1, 9, 9), (1, 9, 8), {}, "slice 0: .*different sizes"),
        ((1, 9, 9), (1, 9, 9), {"class_names": ("only",)}, "fewer class names than classes"),
        ((1, 9, 9), (1, 9, 9), {"rule": LabelRule(ignore=0)}, "no pixel is labelled"),
        ((1, 9, 9), (1, 9, 9), {"augment": ("flips",)}, "for random tiles"),
        ((1, 9, 9), (1, 9, 9), {"tiles": 2, "augment": ("flip",)}, "no augmentation 'flip'"),
        ((1, 9, 9), (1, 9, 9), {"tiles": 0}, "number of tiles must be at least 1"),
        ((1, 9, 9), (1, 9, 9), {"per_file": 0}, "tiles in a file must be"),
        ((1, 9, 9), (1, 9, 9), {"sigma": 0.0}, "sigma > 0"),
        ((1, 9, 9), (1, 9, 9), {"seed": -1}, "seed must not be negative"),
    ],
)
def test_refusals_leave_nothing_behind(images, labels, settings, words, tmp_path):
    with pytest.raises(DataError, match=words):
        pack(np.zeros(images), np.zeros(labels, int), tmp_path / "a.h5", Recipe(PAIR, **settings))
    assert write_nothing(tmp_path)


def test_a_fault_in_the_last_image_leaves_nothing_behind(stack, tmp_path):
    images, labels = stack
    images = images.astype(np.float32)
    images[2, 4, 5] = np.nan
    with pytest.raises(ImageError, match="slice 2: 1 of 600 pixels"):
        pack(images, labels, tmp_path / "a.h5", Recipe(PAIR, per_file=5))
    assert write_nothing(tmp_path)
    pack(images, labels, tmp_path / "a.h5", Recipe(PAIR, nonfinite="zero"))


def test_channels_must_agree(stack, tmp_path):
    images = [stack[0][0], np.stack([stack[0][1]] * 3)]
    with pytest.raises(DataError, match=r"slice 1: .*different numbers of channels.*expected 1"):
        pack(images, stack[1][:2], tmp_path / "a.h5", Recipe(PAIR))


def test_an_output_that_exists_is_kept_unless_told(stack, tmp_path):
    target = tmp_path / "a.h5"
    pack(*stack, target, Recipe(PAIR))
    before = target.read_bytes()
    with pytest.raises(OutputError, match=r"exists already.*--overwrite"):
        pack(*stack, target, Recipe(PAIR, seed=1))
    assert target.read_bytes() == before
    pack(stack[0] // 2, stack[1], target, Recipe(PAIR), overwrite=True)
    assert target.read_bytes() != before


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("a.tif", DataError, "name ending in .h5"),
        ("no/a.h5", OutputError, "does not exist"),
        ("two words.h5", DataError, "split at white space"),
    ],
)
def test_impossible_outputs_are_refused_first(name, error, words, tmp_path, stack):
    with pytest.raises(error, match=words):
        pack(*stack, tmp_path / name, Recipe(PAIR))


def test_tiles_are_of_the_streams_of_augment(stack, tmp_path):
    """Tile k of seed s is drawn from generator(s, k): the place first, then the symmetry."""
    images, labels = stack
    recipe = Recipe(PAIR, normalization=Normalization("none"), tiles=3, augment=("flips",), seed=8)
    data = load(pack(images[:1], labels[:1], tmp_path / "a.h5", recipe).files)["data"]
    for k in range(3):
        rng = augment.generator(8, k)
        y, x = augment.corner(rng, (30, 20), (12, 12))
        tile = np.pad(images[0], 50, mode="reflect")[42 + y : 70 + y, 42 + x : 70 + x]
        expected = augment.symmetry(tile, augment.random_symmetry(rng, square=True))
        np.testing.assert_array_equal(data[k, 0], expected)


def test_bent_tiles_have_the_border_weights_on_their_own_background(tmp_path):
    instances = np.zeros((1, 90, 90), np.uint16)
    for k in range(16):
        y, x = 6 + 20 * (k // 4), 5 + 20 * (k % 4)
        instances[0, y : y + 20, x : x + 20] = k + 1
    recipe = Recipe(
        Pair((60, 60), (60, 60)),
        LabelRule("instances"),
        tiles=3,
        augment=("elastic",),
        border_inside=False,
        sigma=2.5,
    )
    made = load(pack(np.zeros((1, 90, 90)), instances, tmp_path / "a.h5", recipe).files)
    label, weight = made["label"][:, 0], made["weight"][:, 0]
    cells, rest = (weight[(label == c) & (weight > 0)] for c in (1, 0))
    assert np.ptp(cells) == 0  # w_c and nothing else
    assert np.median(rest) > 4 * cells[0] and rest.min() >= 0.9 * cells[0]


def test_a_constant_image_is_said(stack, tmp_path):
    images, labels = stack
    images[2] = 5
    summary = pack(images, labels, tmp_path / "a.h5", Recipe(PAIR))
    assert (
        "slice 2: every pixel of the image is the same: nothing to learn from" in summary.warnings
    )
    assert np.isfinite(load(summary.files)["data"]).all()
