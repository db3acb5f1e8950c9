"""Fields and what they show: properties of the spline and of motions, and both bodies alike."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.kernels import bspline, deformation
from scipy import ndimage, stats

SIZES = [((21, 34), (5, 8), 2), ((9, 12, 15), (4, 4, 6), 3), ((4, 12, 15), (4, 4, 6), 2)]


def field(size, spacing, k, *, a=None, b=None, control=None):
    out = np.empty((*size, k))
    a, b = np.eye(k) if a is None else a, np.zeros(k) if b is None else b
    deformation.create(a, b, control, spacing, out)
    return out


def identity(size, k):
    return np.moveaxis(np.indices(size, float), 0, -1)[..., len(size) - k :]


def numpy_only(monkeypatch):
    monkeypatch.setattr(deformation, "optional", lambda name: None)


@pytest.mark.parametrize(("size", "spacing", "k"), SIZES)
def test_equal_control_points_move_everything_alike(size, spacing, k):
    shift = np.arange(1.0, k + 1)
    control = np.broadcast_to(shift, (*bspline.grid(size, spacing), k))
    found = field(size, spacing, k, control=control)
    np.testing.assert_allclose(found - identity(size, k), np.broadcast_to(shift, found.shape))
    assert (field(size, spacing, k) == identity(size, k)).all()


@pytest.mark.parametrize("spacing", [1, 3, 150])
def test_weights_are_a_partition_of_unity(spacing):
    first, b = bspline.weights(0, 400, spacing)
    np.testing.assert_allclose(b.sum(0), 1, rtol=1e-14)
    assert (b >= 0).all() and first.max() + 3 < bspline.grid([400], [spacing])[0]


def test_the_spline_is_scipys():
    from scipy.interpolate import BSpline

    rng = np.random.default_rng(0)
    c = rng.standard_normal(bspline.grid([40], [7]))
    knots = 7 * (np.arange(len(c) + 4) - 3.0)
    np.testing.assert_allclose(
        bspline.along(c, 0, 0, 40, 7), BSpline(knots, c, 3)(np.arange(40)), atol=1e-12
    )


@pytest.mark.parametrize(
    ("size", "least", "most"), [((60, 60), 0.46, 0.50), ((24,) * 3, 0.31, 0.35)]
)
def test_standard_deviation_of_the_field(size, least, most):
    spacing, rng, k = (6,) * len(size), np.random.default_rng(1), len(size)
    points = (*bspline.grid(size, spacing), k)
    fields = [
        field(size, spacing, k, control=rng.standard_normal(points)) - identity(size, k)
        for _ in range(20)
    ]
    assert least < np.std(fields) < most


def test_rotation_preserves_the_centre_and_turns_as_said():
    a, b = deformation.affine((30, 0, 0), (0, 0, 0), (1, 20, 30), (1, 50, 70))
    np.testing.assert_allclose(a @ [0.5, 10, 15] + b, [0.5, 25, 35])
    c, s = np.cos(np.pi / 6), np.sin(np.pi / 6)
    np.testing.assert_allclose(a[1:, 1:], [[c, -s], [s, c]], atol=1e-15)
    np.testing.assert_allclose(a @ a.T, np.eye(3), atol=1e-15)


def test_rotations_in_a_volume_with_long_voxels():
    def turn(i, j, degrees):
        r, t = np.eye(3), np.radians(degrees)
        r[i, i] = r[j, j] = np.cos(t)
        r[i, j], r[j, i] = -np.sin(t), np.sin(t)
        return r

    a, b = deformation.affine((10, 20, 30), (1, 2, 3), (8, 9, 10), (18, 19, 20), 4.0)
    s = np.diag([4.0, 1, 1])
    want = np.linalg.inv(s) @ turn(0, 1, 30) @ turn(0, 2, 20) @ turn(1, 2, 10) @ s
    np.testing.assert_allclose(a, want, atol=1e-14)
    np.testing.assert_allclose(a @ [4, 4.5, 5] + b, [10, 11.5, 13])


def test_a_flip_turns_the_tile_round():
    a, b = deformation.affine((25, 0, 0), (0, 3, 4), (1, 5, 6), (1, 9, 9))
    plain = field((5, 6), (), 2, a=a[1:, 1:], b=b[1:])
    a, b = deformation.affine((25, 0, 0), (0, 3, 4), (1, 5, 6), (1, 9, 9), 1, (False, True, False))
    np.testing.assert_allclose(field((5, 6), (), 2, a=a[1:, 1:], b=b[1:]), plain[::-1], atol=1e-13)


@pytest.mark.parametrize(("size", "spacing", "k"), SIZES)
@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("mirror", [True, False])
def test_both_bodies_are_alike_to_the_last_bit(size, spacing, k, linear, mirror, monkeypatch):
    rng = np.random.default_rng(2)
    control = 6 * rng.standard_normal((*bspline.grid(size, spacing), k))
    a, b = rng.standard_normal((k, k)), rng.standard_normal(k)
    source = rng.random((2, *size), np.float32)

    def both():
        made = field(size, spacing, k, a=a, b=b, control=control).astype(np.float32)
        out = np.full((2, *size), np.nan, np.float32)
        assert deformation.apply(source, made, (0,) * len(size), out, linear=linear, mirror=mirror)
        return made, out

    first = both()
    numpy_only(monkeypatch)
    for x, y in zip(first, both(), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("axes", [2, 3])
def test_what_is_seen_is_scipys(axes):
    rng = np.random.default_rng(3)
    source = rng.random((1, 7, 6, 5)[-axes - 1 :] if axes == 3 else (1, 7, 6))
    size = (4, 5, 6)[:axes]
    where = rng.uniform(-9, 15, (*size, axes))
    at = np.moveaxis(where, -1, 0)
    for linear, order in ((True, 1), (False, 0)):
        out = np.empty((1, *size))
        assert deformation.apply(source, where, (0,) * axes, out, linear=linear, mirror=True)
        want = ndimage.map_coordinates(source[0], at, order=order, mode="mirror")
        np.testing.assert_allclose(out[0], want, atol=1e-12)
    assert deformation.apply(source, where, (0,) * axes, out, linear=True, mirror=False)
    want = ndimage.map_coordinates(source[0], at, order=1, mode="grid-constant")
    np.testing.assert_allclose(out[0], want, atol=1e-12)


def test_mirrored_indices():
    assert list(deformation._mirrored(np.arange(-8, 13), 5)) == [
        *(0, 1, 2, 3, 4, 3, 2, 1, 0, 1, 2, 3, 4, 3, 2, 1, 0, 1, 2, 3, 4)
    ]
    assert not deformation._mirrored(np.arange(-3, 4), 1).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("compiled", [True, False])
def test_impossible_coordinates_are_told(bad, compiled, monkeypatch):
    if not compiled:
        numpy_only(monkeypatch)
    where = np.zeros((2, 3, 2), np.float32)
    where[1, 2, 1] = bad
    out = np.empty((1, 2, 3), np.float32)
    source = np.ones((1, 4, 4), np.float32)
    assert not deformation.apply(source, where, (0, 0), out, linear=True, mirror=True)


def test_draws_follow_the_map(monkeypatch):
    monkeypatch.setattr(deformation, "SLAB", 5)
    rng = np.random.default_rng(4)
    chances = rng.integers(0, 4, (3, 4)).astype(float)
    chances[0, 0] = chances[-1, -1] = 0
    places = [deformation.draw(u, chances) for u in rng.random(4000)]
    counts = np.zeros(chances.shape)
    for place in places:
        counts[tuple(place)] += 1
    some = chances > 0
    assert not counts[~some].any()
    want = 4000 * chances[some] / chances.sum()
    assert stats.chisquare(counts[some], want).pvalue > 0.01
    for u in (0.0, np.nextafter(1, 0)):
        assert chances[tuple(deformation.draw(u, chances))] > 0


@pytest.mark.parametrize(
    ("values", "word"), [([0, 0], "all 0"), ([1, -1], "negative"), ([1, np.nan], "negative")]
)
def test_maps_without_probability(values, word):
    with pytest.raises(ValueError, match=word):
        deformation.draw(0.5, np.array(values, float))
