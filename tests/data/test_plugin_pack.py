"""The plugin's files: every number against the arrays they came from."""

import json

import h5py
import numpy as np
import pytest
from demitasse.data.crops import Pair
from demitasse.data.hdf5 import HDF5Rows
from demitasse.data.masks import MaskRule
from demitasse.data.normalize import Normalization
from demitasse.data.plugin_pack import Frames, PluginRecipe, pack
from demitasse.data.plugin_weights import WeightParameters, training_maps
from demitasse.data.rescale import linear, nearest
from demitasse.errors import DataError, ImageError, MemoryBudgetError, OutputError


def made(shape=(18, 21), count=3, channels=1):
    """Images of noise, masks with two touching objects (2, 3), background 1 and an open strip 0."""
    rng = np.random.default_rng(0)
    masks = np.ones((count, *shape), int)
    masks[..., 3:9, 4:10], masks[..., 3:9, 10:15], masks[..., :2] = 2, 3, 0
    masks[0] = np.where(masks[0] == 3, 2, masks[0])
    return rng.integers(0, 999, (count, channels, *shape)).astype(np.uint16), masks


def frames(images, masks, files=None, pixel=1.0, **others):
    axes = images[0].ndim - 1
    return Frames(
        images,
        masks,
        [f"frame {i}" for i in range(len(images))],
        files or [0] * len(images),
        [(pixel,) * axes] * len(images),
        **others,
    )


def maps_of(mask, scale=None):
    target = MaskRule()(mask)
    classes, objects = target.classes, target.objects
    if scale:
        classes, objects = nearest(classes, scale), nearest(objects, scale)
    return training_maps(classes, [np.where(classes == 1, objects, 0)], WeightParameters())


def test_a_training_file(tmp_path):
    images, masks = made()
    summary = pack(frames(images, masks, pixel=0.5), tmp_path / "a.h5", PluginRecipe())
    assert summary.files == (tmp_path / "a.h5",)
    with h5py.File(tmp_path / "a.h5") as file:
        assert set(file) == {"data", "labels", "weights", "weights2", "conversionParameters"}
        for name in ("data", "labels", "weights", "weights2"):
            d = file[name]
            assert (d.shape, d.dtype) == ((3, 1, 18, 21), np.float32)
            assert (d.chunks, d.compression, d.compression_opts) == ((1, 1, 18, 21), "gzip", 3)
            np.testing.assert_array_equal(d.attrs["element_size_um"], [0.5, 0.5])
        for i in range(3):
            expected = maps_of(masks[i])
            normal = Normalization("minmax")(images[i])
            np.testing.assert_array_equal(file["data"][i], normal)
            np.testing.assert_array_equal(file["labels"][i, 0], expected.labels)
            np.testing.assert_array_equal(file["weights"][i, 0], expected.weights)
            np.testing.assert_array_equal(file["weights2"][i, 0], expected.pdf)
        said = file["conversionParameters"].attrs
        numbers = ("foregroundBackgroundRatio", "sigma1_um", "borderWeightFactor")
        assert [said[n] for n in (*numbers, "borderWeightSigmaPx")] == [0.1, 10, 50, 6]
        assert (said["normalizationType"], said["normalizationType"].dtype) == (1, np.int32)
        assert list(said["classNames"]) == [b"background", b"foreground"]
        assert json.loads(file.attrs["normalization"])["name"] == "minmax"
    assert summary.ignored == pytest.approx((masks == 0).mean())
    assert sum(c.share for c in summary.classes) == pytest.approx(1)
    assert sum(c.weight_share for c in summary.classes) == pytest.approx(1)
    assert summary.classes[1].mean_weight == 1


def test_the_list_is_read_by_the_data_layer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images, masks = made()
    pack(frames(images, masks, [0, 1, 1]), "a.h5", PluginRecipe(per_file=1))
    assert (tmp_path / "a.txt").read_text().split() == ["a-000.h5", "a-001.h5", "a-002.h5"]
    rows = HDF5Rows("a.txt", ["data", "labels", "weights", "weights2"])
    out = [np.zeros((3, *shape), np.float32) for shape in rows.row_shapes]
    rows.read(out)
    np.testing.assert_array_equal(out[2][1, 0], maps_of(masks[1]).weights)


def test_images_of_different_files_are_not_mixed(tmp_path):
    images, masks = made()
    other, more = made((9, 30), 1)
    both = frames([*images, *other], [*masks, *more], [0, 0, 1, 2])
    summary = pack(both, tmp_path / "a.h5", PluginRecipe())
    shapes = []
    for path in summary.files:
        with h5py.File(path) as file:
            shapes.append(file["data"].shape)
    assert shapes == [(2, 1, 18, 21), (1, 1, 18, 21), (1, 1, 9, 30)]


def test_rescaled_before_normalised_and_weighed(tmp_path):
    images, masks = made(channels=3)
    recipe = PluginRecipe(element_size=(0.4, 0.8), normalization=Normalization("zscore"))
    pack(frames(images, masks, pixel=0.5), tmp_path / "a.h5", recipe)
    scale = (0.5 / 0.4, 0.5 / 0.8)
    with h5py.File(tmp_path / "a.h5") as file:
        expected = Normalization("zscore")(linear(images[1], scale))
        np.testing.assert_array_equal(file["data"][1], expected)
        weights = maps_of(masks[1], scale).weights
        np.testing.assert_array_equal(file["weights"][1, 0], weights)
        np.testing.assert_array_equal(file["weights"].attrs["element_size_um"], [0.4, 0.8])


def test_validation_tiles_are_mirrored_and_weigh_nothing_outside(tmp_path):
    images, masks = made(count=2)
    recipe = PluginRecipe("validation", pair=Pair((20, 22), (10, 12)), blob="data9")
    summary = pack(frames(images, masks), tmp_path / "v.h5", recipe)
    assert len(summary.files) == 2 * 4
    padded = np.pad(Normalization("minmax")(images[1])[0], 30, mode="reflect")
    expected = maps_of(masks[1])
    for number, (y, x) in enumerate([(0, 0), (0, 12), (10, 0), (10, 12)]):
        with h5py.File(summary.files[4 + number]) as file:
            assert set(file) == {"data9", "labels", "weights"}
            tile = padded[25 + y : 45 + y, 25 + x : 47 + x]
            np.testing.assert_array_equal(file["data9"][0, 0], tile)
            inside = np.pad(expected.weights, ((0, 9), (0, 9)))[y : y + 10, x : x + 12]
            np.testing.assert_array_equal(file["weights"][0, 0], inside)
            label = np.pad(expected.labels, ((0, 9), (0, 9)), mode="reflect")
            np.testing.assert_array_equal(file["labels"][0, 0], label[y : y + 10, x : x + 12])


def test_a_volume_for_training_validation_and_prediction(tmp_path):
    images, masks = made((4, 12, 17), count=2, channels=2)
    both = frames(images, masks)
    pack(both, tmp_path / "t.h5", PluginRecipe())
    with h5py.File(tmp_path / "t.h5") as file:
        assert file["data"].shape == (2, 2, 4, 12, 17)
        assert file["weights"].shape == (2, 1, 4, 12, 17)
        assert file["data"].chunks == (1, 1, 1, 12, 17)
        expected = maps_of(masks[1])
        np.testing.assert_array_equal(file["labels"][1, 0], expected.labels)
        np.testing.assert_array_equal(file["weights"][1, 0], expected.weights)
    recipe = PluginRecipe("validation", pair=Pair((5, 8, 10), (3, 4, 6)))
    summary = pack(both, tmp_path / "v.h5", recipe)
    assert len(summary.files) == 2 * (2 * 3 * 3)
    with h5py.File(summary.files[17]) as file:  # the last tile of the first volume
        assert file["data3"].shape == (1, 2, 5, 8, 10)
        weights = np.pad(maps_of(masks[0]).weights, ((0, 2), (0, 0), (0, 1)))
        np.testing.assert_array_equal(file["weights"][0, 0], weights[3:6, 8:12, 12:18])
    pack(frames(images, None), tmp_path / "p.h5", PluginRecipe("predict", dataset="image"))
    with h5py.File(tmp_path / "p.h5") as file:
        assert list(file) == ["image"]
        np.testing.assert_array_equal(file["image"][1], Normalization("minmax")(images[1]))


def test_classes_instances_and_ignored_regions(tmp_path):
    images, masks = made(count=1)
    classes = np.where(masks == 3, 2, masks)
    ignored = np.zeros(masks.shape, int)
    ignored[0, 15:] = 1
    given = frames(images, classes, objects=masks, ignored=ignored)
    recipe = PluginRecipe(rule=MaskRule("classes"), class_names=("bg", "a", "b"))
    summary = pack(given, tmp_path / "a.h5", recipe)
    assert [c.name for c in summary.classes] == ["bg", "a", "b"]
    assert any("no pixel at all is b" in text for text in summary.warnings)
    assert summary.ignored == pytest.approx(((masks == 0) | (ignored > 0)).mean())


@pytest.mark.parametrize("name", ["none", "minmax", "zscore", "max"])
def test_a_constant_image_stays_finite(name, tmp_path):
    images, masks = made(count=1)
    recipe = PluginRecipe(normalization=Normalization(name))
    pack(frames(np.full_like(images, 7), masks), tmp_path / "a.h5", recipe)
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.isfinite(file["data"][()]).all()


def test_an_empty_mask_is_pointed_out_and_weighs_the_ratio(tmp_path):
    images, masks = made(count=2)
    masks[1] = 1
    summary = pack(frames(images, masks), tmp_path / "a.h5", PluginRecipe())
    assert any("frame 1: every pixel is background; is the mask" in w for w in summary.warnings)
    with h5py.File(tmp_path / "a.h5") as file:
        assert (file["weights"][1] == np.float32(0.1)).all()


def test_masks_whose_0_is_background_are_refused_or_pointed_out(tmp_path):
    images, masks = made(count=1)
    ours = np.where(masks >= 2, masks, 0)
    with pytest.raises(DataError, match=r"no pixel .* is background \(value 1\).*--background 0"):
        pack(frames(images, ours), tmp_path / "a.h5", PluginRecipe())
    ours[masks == 2] = 1  # an object called 1
    summary = pack(frames(images, ours), tmp_path / "a.h5", PluginRecipe())
    assert any("give --background 0" in w for w in summary.warnings)


def test_not_a_number_is_refused_by_its_own_place_or_becomes_0(tmp_path):
    images, masks = made(count=1)
    images = images.astype(np.float32)
    images[0, 0, 5, 6] = np.nan
    recipe = {"element_size": (0.5, 0.5)}
    with pytest.raises(ImageError, match=r"frame 0: 1 of 378 pixels.*y 5, x 6"):
        pack(frames(images, masks), tmp_path / "a.h5", PluginRecipe(**recipe))
    assert not list(tmp_path.iterdir())
    pack(frames(images, masks), tmp_path / "a.h5", PluginRecipe(nonfinite="zero", **recipe))
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.isfinite(file["data"][()]).all()
        assert file["data"][0, 0, 10, 12] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda i, m: (i[..., :-1], m),
            r"frame 0: .*different sizes.*\(18, 20\), found \(18, 21\)",
        ),
        (lambda i, m: ([i[0], i[1].repeat(2, 0)], m), "frame 1: .*numbers of channels; expected 1"),
        (lambda i, m: ([], []), "no image to pack"),
        (lambda i, m: (i, m * 0), "no pixel is labelled"),
    ],
)
def test_refusals_leave_nothing_behind(change, words, tmp_path):
    images, masks = change(*made(count=2))
    given = Frames(images, masks, ["frame 0", "frame 1"][: len(images)], [0, 0], [(1.0, 1.0)] * 2)
    with pytest.raises(DataError, match=words):
        pack(given, tmp_path / "a.h5", PluginRecipe())
    assert not list(tmp_path.iterdir())


def test_a_wrong_pixel_size_is_refused_before_memory_is_touched(tmp_path):
    images, masks = made(count=1)
    with pytest.raises(MemoryBudgetError, match=r"frame 0: .*too much memory.*--pixel-size"):
        pack(frames(images, masks), tmp_path / "a.h5", PluginRecipe(element_size=(1e-4, 1e-4)))


def test_outputs_are_not_overwritten_unasked(tmp_path):
    given = frames(*made(count=1))
    pack(given, tmp_path / "a.h5", PluginRecipe())
    with pytest.raises(OutputError, match="exists already"):
        pack(given, tmp_path / "a.h5", PluginRecipe())
    pack(given, tmp_path / "a.h5", PluginRecipe(), overwrite=True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"purpose": "test"}, "one of train, validation, predict"),
        ({"purpose": "validation"}, "input and an output size"),
        ({"per_file": 0}, "at least 1"),
        ({"normalization": Normalization("depth")}, "none, minmax, zscore, max"),
    ],
)
def test_impossible_recipes(settings, words):
    with pytest.raises(DataError, match=words):
        PluginRecipe(**settings)
