"""Drawn micrographs: repeatable, plausible, and neither trivial nor hopeless."""

import h5py
import numpy as np
import pytest
from demitasse.data import synthetic
from demitasse.errors import DataError, OutputError
from scipy import ndimage


@pytest.fixture(scope="module")
def pair():
    return synthetic.image(4, (256, 256)), synthetic.image(5, (256, 256))


def test_an_image_is_a_function_of_seed_and_shape():
    a, b = synthetic.image(3, (64, 80)), synthetic.image(3, (64, 80))
    np.testing.assert_array_equal(a.pixels, b.pixels)
    np.testing.assert_array_equal(a.instances, b.instances)
    assert not np.array_equal(a.pixels, synthetic.image(2, (64, 80)).pixels)


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (33, 200)])
def test_any_shape(shape):
    drawn = synthetic.image(0, shape)
    assert drawn.pixels.shape == drawn.instances.shape == shape
    assert drawn.pixels.dtype == np.uint8


def test_labels_and_grey_values_are_plausible(pair):
    drawn, _ = pair
    assert 0.7 < drawn.interior.mean() < 0.93
    assert 10 < drawn.instances.max() < 120
    inside, membrane = (drawn.pixels[drawn.instances != 0], drawn.pixels[drawn.instances == 0])
    assert inside.mean() - membrane.mean() > 25
    assert 25 < drawn.pixels.std() < 70
    assert drawn.pixels.min() < 30 < 220 < drawn.pixels.max()


def test_instances_are_the_pieces_of_the_interior(pair):
    drawn, _ = pair
    pieces, count = ndimage.label(drawn.interior)
    assert count == drawn.instances.max()
    assert len(np.unique(pieces * 1000 + drawn.instances)) == count + 1


def best_iou(membrane, score):
    """Of all thresholds, as if the truth were known."""
    best = 0.0
    for threshold in np.quantile(score, np.linspace(0.6, 0.96, 19)):
        found = score > threshold
        best = max(best, (found & membrane).sum() / (found | membrane).sum())
    return best


def features(pixels):
    """Grey values, gradients and curvatures at a few scales: what a linear model may use."""
    x = (pixels - pixels.mean()) / pixels.std()
    found = [np.ones(x.size), x.ravel()]
    for sigma in (1, 1.5, 2.5, 5):
        g = ndimage.gaussian_filter(x, sigma)
        gy, gx = np.gradient(g)
        (gyy, gyx), (_, gxx) = np.gradient(gy), np.gradient(gx)
        trace, spread = gyy + gxx, np.sqrt((gyy - gxx) ** 2 + 4 * gyx**2)
        for f in (g, np.hypot(gy, gx), trace + spread, trace - spread, (trace + spread) * g):
            found.append(f.ravel())
    return np.stack(found, 1)


def test_a_threshold_does_badly_and_a_learnt_rule_much_better(pair):
    train, test = pair
    membrane = test.instances == 0
    pixels = [p.pixels.astype(float) for p in pair]
    by_threshold = max(
        best_iou(membrane, -ndimage.gaussian_filter(pixels[1], s)) for s in (0.1, 0.7, 1.5)
    )
    a = features(pixels[0])
    weights = np.linalg.solve(
        a.T @ a + np.eye(a.shape[1]), a.T @ (train.instances == 0).ravel().astype(float)
    )
    learnt = best_iou(membrane, (features(pixels[1]) @ weights).reshape(membrane.shape))
    assert by_threshold < 0.45
    assert learnt > by_threshold + 0.1


def test_volumes_share_no_image_with_training_data(tmp_path):
    pixels, instances = synthetic.volume(0, 2, (40, 40))
    assert pixels.shape == instances.shape == (2, 40, 40)
    assert not np.array_equal(pixels[0], pixels[1])
    for i in range(4):
        assert not any(np.array_equal(synthetic.image(2 * i, (40, 40)).pixels, p) for p in pixels)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("examples/membranes-572-388/train.txt", ((572, 572), (388, 388))),
        ("membranes-444x892-260x708/test.txt", ((444, 892), (260, 708))),
        ("/data/membranes-64-64/train.h5", ((64, 64), (64, 64))),
    ],
)
def test_built_in_names_are_recognised(name, sizes):
    found = synthetic.built_in(name)
    assert (found.pair.input, found.pair.output) == sizes
    assert str(found.folder) == name.rsplit("/", 1)[0]
    assert found.train > found.test > 0


@pytest.mark.parametrize(
    "name", ["train.txt", "em/train.txt", "membranes-572-388/other.txt", "membranes-572/train.txt"]
)
def test_other_names_are_not(name):
    assert synthetic.built_in(name) is None


def test_impossible_sizes_are_refused():
    with pytest.raises(DataError, match="do not belong together"):
        synthetic.built_in("membranes-100-188/train.txt")


def test_make_writes_pairs_of_the_sizes(tmp_path):
    made = synthetic.make(tmp_path / "new", 48, (20, 28), train=3, test=2)
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        "test.h5",
        "test.txt",
        "train.h5",
        "train.txt",
    ]
    assert (made["train"].tiles, made["test"].tiles) == (3, 2)
    with h5py.File(tmp_path / "new" / "train.h5") as file:
        assert file["data"].shape == (3, 1, 48, 48)
        assert file["label"].shape == file["weight"].shape == (3, 1, 20, 28)
        drawn = synthetic.image(2, (48, 48))
        label = file["label"][1, 0]
        np.testing.assert_array_equal(label, drawn.interior[14:34, 10:38])
        standard = (drawn.pixels - drawn.pixels.mean()) / drawn.pixels.std()
        np.testing.assert_allclose(file["data"][1, 0], standard, atol=1e-4)
    with pytest.raises(OutputError, match="exists already"):
        synthetic.make(tmp_path / "new", 48, 20, train=1, test=1)


def test_a_built_in_set_is_completed_and_not_made_twice(tmp_path):
    recipe = synthetic.built_in(tmp_path / "membranes-36-36" / "train.txt")
    recipe = synthetic.BuiltIn(recipe.folder, recipe.pair, 2, 1)
    assert set(recipe.make()) == {"train", "test"}
    (recipe.folder / "test.txt").unlink()  # as if it had been interrupted there
    before = (recipe.folder / "train.h5").stat().st_mtime_ns
    assert set(recipe.make()) == {"test"}
    assert (recipe.folder / "train.h5").stat().st_mtime_ns == before
    assert recipe.make() == {}
