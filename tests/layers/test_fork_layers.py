"""The layers of caffe_unet that make and use deformations and grey-value curves."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import DataError, GraphError, ShapeError, SpecError
from demitasse.layers.apply_deformation import ApplyDeformation
from demitasse.layers.create_deformation import CreateDeformation
from demitasse.layers.value_augmentation import ValueAugmentation
from demitasse.layers.value_transformation import ValueTransformation
from demitasse.net import Net
from demitasse.netspec import build, parse_net
from scipy import stats

from .driver import Rig, check_gradient, layer


def create(settings, *bottoms, seed=7):
    names = " ".join(f"bottom: 'b{i}'" for i in range(len(bottoms)))
    text = f"type: 'CreateDeformation' {names} create_deformation_param {{ {settings} }}"
    spec = layer(text)
    if not bottoms:
        del spec.bottom[:]
    return Rig(CreateDeformation, spec, bottoms, seed=seed)


def coordinates(*size):
    return np.moveaxis(np.indices(size, float), 0, -1)


def test_identity():
    (field,) = create("ny: 5 nx: 7 batch_size: 2").forward()
    np.testing.assert_array_equal(field, np.stack([coordinates(5, 7)] * 2))
    (field,) = create("nz: 3 ny: 4 nx: 5").forward()
    np.testing.assert_array_equal(field[0], coordinates(3, 4, 5))
    (field,) = create("nz: 3 ny: 4 nx: 5 ncomponents: 2").forward()
    np.testing.assert_array_equal(field[0], coordinates(3, 4, 5)[..., 1:])


def test_no_magnitude_is_no_deformation():
    zero = "random_elastic_grid_spacing { v: 3 v: 3 } random_elastic_deform_magnitude { v: 0 v: 0 }"
    (field,) = create("ny: 5 nx: 7 " + zero).forward()
    np.testing.assert_allclose(field[0], coordinates(5, 7), atol=1e-13)


def test_the_tile_is_centred_in_the_source():
    (field,) = create("ny: 4 nx: 6", np.zeros((1, 1, 10, 9))).forward()
    np.testing.assert_allclose(field[0], coordinates(4, 6) + np.array([3, 1.5]))


def test_elastic_first_and_turned_with_the_rest():
    elastic = (
        "random_elastic_grid_spacing { v: 8 v: 9 } random_elastic_deform_magnitude { v: 2 v: 1 }"
    )
    turned = "random_rotate_from { v: 90 } random_rotate_to { v: 90 }"
    (plain,) = create("ny: 20 nx: 20 " + elastic).forward()
    (field,) = create(f"ny: 20 nx: 20 {elastic} {turned}").forward()
    y, x = plain[0, ..., 0], plain[0, ..., 1]
    np.testing.assert_allclose(field[0], np.stack([20 - x, y], -1), atol=1e-12)


def test_magnitudes_belong_to_components_and_every_pass_is_new():
    rig = create(
        "ny: 40 nx: 40 batch_size: 8 random_elastic_grid_spacing { v: 4 v: 4 } "
        "random_elastic_deform_magnitude { v: 10 v: 2 }"
    )
    state = dict(rig.layer.state())
    first, second = rig.forward()[0], rig.forward()[0]
    spread = (first - coordinates(40, 40)).std((0, 1, 2))
    assert 4.4 < spread[0] < 5.2 and 0.88 < spread[1] < 1.04
    assert (first != second).any() and (first[0] != first[1]).any()
    rig.reset(state)
    np.testing.assert_array_equal(rig.forward()[0], first)


def test_offsets_and_angles_stay_in_their_ranges():
    rig = create(
        "ny: 4 nx: 4 batch_size: 300 "
        "random_offset_from { v: -3 v: 5 } random_offset_to { v: 2 v: 5 }"
        " random_rotate_from { v: -10 } random_rotate_to { v: 30 }"
    )
    (field,) = rig.forward()
    centre = field[:, 2, 2] - 2
    assert -3 <= centre[:, 0].min() < -2.8 and 1.8 < centre[:, 0].max() <= 2
    np.testing.assert_allclose(centre[:, 1], 5, atol=1e-9)
    step = field[:, 0, 1] - field[:, 0, 0]
    angle = np.degrees(np.arctan2(-step[:, 0], step[:, 1]))
    assert -10 <= angle.min() < -8 and 28 < angle.max() <= 30


def landed(field):
    """The voxel on which the centre of a 2 x 2 tile lies."""
    return field[:, 1, 1] - 0.5


@pytest.mark.parametrize("axes", [2, 3])
def test_places_follow_the_pdf(axes):
    pdf = np.zeros((3, 4, 5)[-axes:])
    pdf[(..., 1, 3)], pdf[(..., 2, 0)], pdf[(..., 3, 4)] = 1, 2, 5
    if axes == 3:
        pdf[0] = 0
    batch = np.broadcast_to(pdf, (600, 1, *pdf.shape))
    size = "ny: 2 nx: 2" if axes == 2 else "nz: 2 ny: 2 nx: 2"
    (field,) = create(size + " random_offset_range_from_pdf: true", batch).forward()
    centre = field[(slice(None), *(1,) * axes)] - 0.5
    counts = np.zeros(pdf.shape)
    for place in centre.round().astype(int):
        counts[tuple(place)] += 1
    np.testing.assert_allclose(centre, centre.round(), atol=1e-9)
    some = pdf > 0
    assert counts[some].sum() == 600
    assert stats.chisquare(counts[some], 600 * pdf[some] / pdf.sum()).pvalue > 0.01


def test_places_follow_labels_and_shape():
    labels = np.full((200, 1, 3, 4), 255.0)
    labels[:, 0, 1, 2] = labels[:, 0, 0, 0] = 0
    (field,) = create("ny: 2 nx: 2 random_offset_range_from_ignore_label: 255", labels).forward()
    assert {tuple(p) for p in landed(field).round().astype(int)} == {(1, 2), (0, 0)}
    rig = create(
        "ny: 2 nx: 2 random_offset_range_from_in_blob_shape: true", np.zeros((900, 2, 3, 4))
    )
    places = landed(rig.forward()[0]).round().astype(int)
    counts = np.bincount(places[:, 0] * 4 + places[:, 1], minlength=12)
    assert len(counts) == 12 and stats.chisquare(counts).pvalue > 0.01


def test_flips_are_only_drawn_where_asked_for():
    flags = "ny: 3 nx: 4 batch_size: 60 random_mirror_flag { v: 0 v: 1 } "
    assert (create(flags).forward()[0] == coordinates(3, 4)).all()
    (field,) = create(flags + "apply_mirror: true").forward()
    flipped = (field == coordinates(3, 4)[:, ::-1]).all((1, 2, 3))
    assert 15 < flipped.sum() < 45
    assert (field[~flipped] == coordinates(3, 4)).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("ny: 4", "tile's size"),
        ("ny: 4 nx: 4 ncomponents: 3", "nz is 0"),
        ("ny: 4 nx: 4 random_elastic_grid_spacing { v: 3 v: 3 }", "elastic"),
        ("ny: 4 nx: 4 random_rotate_from { v: 3 v: 3 v: 3 }", "expected 1 values"),
        ("ny: 4 nx: 4 random_rotate_to { v: 3 }", "both _from and _to"),
        ("ny: 4 nx: 4 random_rotate_from { v: 4 } random_rotate_to { v: 3 }", "up to those"),
        ("ny: 4 nx: 4 random_offset_range_from_pdf: true", "a bottom to draw from"),
    ],
)
def test_settings_that_do_not_fit(settings, words):
    with pytest.raises(SpecError, match=words):
        create(settings)


def test_bottoms_that_do_not_fit():
    pdf = "ny: 2 nx: 2 random_offset_range_from_pdf: true"
    with pytest.raises(ShapeError, match="one channel and 2 image axes"):
        create(pdf, np.ones((1, 2, 4, 4)))
    with pytest.raises(DataError, match="item 0: the probabilities are all 0"):
        create(pdf, np.zeros((1, 1, 4, 4))).forward()
    with pytest.raises(DataError, match="negative or not finite"):
        create(pdf, np.full((1, 1, 4, 4), -1.0)).forward()
    with pytest.raises(DataError, match="every label is 255"):
        ignore = "ny: 2 nx: 2 random_offset_range_from_ignore_label: 255"
        create(ignore, np.full((1, 1, 4, 4), 255.0)).forward()


APPLY = "type: 'ApplyDeformation' bottom: 'x' bottom: 'd' "


def apply(x, field, settings=""):
    spec = layer(f"{APPLY} apply_deformation_param {{ {settings} }}")
    return Rig(ApplyDeformation, spec, [x, field]).forward()[0]


@pytest.mark.parametrize("size", [(5, 6), (3, 4, 5)])
def test_identity_shows_the_source(size):
    x = np.random.default_rng(0).random((2, 3, *size))
    field = np.stack([coordinates(*size)] * 2)
    for words in ("", "extrapolation: 'zero'", "interpolation: 'nearest'"):
        np.testing.assert_array_equal(apply(x, field, words), x)


def test_slices_of_a_volume_are_planes():
    x = np.random.default_rng(1).random((1, 2, 3, 4, 5))
    field = (coordinates(3, 4, 5)[None, ..., 1:] + [0, 1]).copy()
    found = apply(x, field, "extrapolation: 'zero'")
    np.testing.assert_array_equal(found[..., :-1], x[..., 1:])
    assert not found[..., -1].any()


def test_refusals_of_apply():
    x, field = np.zeros((1, 1, 4, 4)), np.zeros((1, 4, 4, 2))
    with pytest.raises(SpecError, match="linear or nearest"):
        apply(x, field, "interpolation: 'cubic'")
    with pytest.raises(ShapeError, match="coordinate for each image axis"):
        apply(x, np.zeros((1, 4, 4, 3)))
    with pytest.raises(ShapeError, match="field for each item"):
        apply(np.zeros((2, 1, 4, 4)), field)
    with pytest.raises(DataError, match="field 'd', item 0"):
        apply(x, np.full((1, 4, 4, 2), np.nan))


NET = """
layer {{ name: 'in' type: 'Input' top: 'x' top: 'd'
  input_param {{ shape {{ dim: 1 dim: 1 dim: 8 dim: 8 }}
                shape {{ dim: 1 dim: 6 dim: 6 dim: 2 }} }} }}
layer {{ name: 'see' type: 'ApplyDeformation' bottom: 'x' bottom: 'd' top: 'y' }}
layer {{ name: 'c' type: 'Convolution' bottom: 'y' top: 's'
  convolution_param {{ num_output: 2 kernel_size: {kernel} }} }}
layer {{ name: 'l' type: 'ApplyDeformation' bottom: 'x' bottom: 'd' top: 'lab'
  apply_deformation_param {{ output_shape_from: '{like}' }} }}
"""


def net(kernel=3, like="s"):
    return Net(build(parse_net(NET.format(kernel=kernel, like=like), "n.prototxt"), "TEST"))


def test_output_shape_from_takes_the_middle():
    made = net()
    made.blobs["x"].data[...] = np.arange(64).reshape(8, 8)
    made.blobs["d"].data[...] = coordinates(6, 6)
    made.forward()
    assert made.graph.nodes[-1].likes[0].blob == "s"
    np.testing.assert_array_equal(
        made.blobs["lab"].data[0, 0], np.arange(64).reshape(8, 8)[1:5, 1:5]
    )


def test_output_shape_from_is_checked():
    with pytest.raises(ShapeError, match=r"size of 5x5 out of the middle of 6x6"):
        net(kernel=2)
    with pytest.raises(GraphError, match=r"n.prototxt:9.*takes its output's shape from the blob"):
        net(like="scores")
    with pytest.raises(GraphError, match="which it makes itself"):
        net(like="lab")


AUGMENT = "type: 'ValueAugmentation' value_augmentation_param { %s }"
RANGE = "black_from: -.05 black_to: .05 white_from: .95 white_to: 1.05 slope_min: .8 slope_max: 1.2"


def test_values_follow_one_curve_for_each_channel():
    x = np.broadcast_to(np.linspace(0, 1, 101), (2, 2, 101))
    rig = Rig(ValueAugmentation, layer(AUGMENT % RANGE), [x])
    state = dict(rig.layer.state())
    (y,) = rig.forward()
    slopes = np.diff(y) * 100
    assert slopes.min() > 0.79 and slopes.max() < 1.21
    assert np.abs(y[..., 0]).max() < 0.06 and np.abs(y[..., -1] - 1).max() < 0.06
    assert len({tuple(c) for c in y.reshape(4, -1).round(6)}) == 4
    assert (rig.forward()[0] != y).any()
    rig.reset(state)
    np.testing.assert_array_equal(rig.forward()[0], y)
    inside = Rig(ValueAugmentation, layer(AUGMENT % RANGE), [x], in_place=True)
    np.testing.assert_array_equal(inside.forward()[0], y)


@pytest.mark.parametrize("x", [255.0, -1.0, np.nan])
def test_images_outside_the_unit_interval(x):
    rig = Rig(ValueAugmentation, layer(AUGMENT % ""), [np.full((1, 1, 3), x)])
    with pytest.raises(DataError) as caught:
        rig.forward()
    text = str(caught.value)
    assert "grey values from 0 to 1" in text and "Normalise" in text and "\n" not in text


def test_rounding_is_forgiven():
    x = np.array([[[-1e-7, 1 + 1e-7]]])
    (y,) = Rig(ValueAugmentation, layer(AUGMENT % ""), [x]).forward()
    assert np.isfinite(y).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("slope_min: 2 slope_max: 1", "slope_min must"),
        ("lut_size: 1", "lut_size"),
        ("black_from: 1", "black_from must"),
        ("white_from: 2", "white_from must"),
        ("black_to: 1.5 white_to: 2", "black_to must"),
        ("slope_min: 1.1 slope_max: 1.5", "no curve can have slopes .* found 0 %"),
    ],
)
def test_curves_that_cannot_be(settings, words):
    with pytest.raises(SpecError, match=words):
        Rig(ValueAugmentation, layer(AUGMENT % settings), [np.zeros((1, 1, 2))])


TRANSFORM = "type: 'ValueTransformation' value_transformation_param { %s }"


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (1, 3, 2, 3, 2)])
@pytest.mark.parametrize("in_place", [False, True])
def test_transformation(shape, in_place):
    x = np.random.default_rng(2).standard_normal(shape)
    spec = layer(TRANSFORM % "offset { v: -0.5 } scale { v: 2 v: 3 v: -1 }")
    rig = check_gradient(ValueTransformation, spec, [x], in_place=in_place)
    scale = np.array([2, 3, -1]).reshape((-1,) + (1,) * (len(shape) - 2))
    np.testing.assert_allclose(rig.forward()[0], (x - 0.5) * scale)


def test_transformation_defaults_and_refusal():
    x = np.ones((1, 3, 2))
    assert (Rig(ValueTransformation, layer(TRANSFORM % ""), [x]).forward()[0] == 1).all()
    with pytest.raises(ShapeError, match="one scale, or one for each channel"):
        Rig(ValueTransformation, layer(TRANSFORM % "scale { v: 1 v: 2 }"), [x])
