"""Fields and grey-value curves of a device beside their specification."""

import numpy as np
import pytest
from demitasse.kernels import bspline, deformation, lookup
from devices import CARD, EMULATOR
from devices import device as found

SIZES = [((9, 12), (4, 5), 2), ((5, 8, 7), (2, 4, 3), 3), ((3, 8, 7), (2, 4, 3), 2)]


@pytest.fixture(params=["forward", "reverse", 7, pytest.param(CARD, marks=pytest.mark.gpu)])
def device(request):
    on_card = request.param == CARD
    return found(CARD) if on_card else found(EMULATOR, schedule=request.param)


def drawn(size, spacing, k, curved=True):
    """A field's matrix, shift and control points."""
    rng = np.random.default_rng(len(size) + k)
    a = np.eye(k) + 0.2 * rng.standard_normal((k, k))
    control = 2 * rng.standard_normal((*bspline.grid(size, spacing), k))
    return a, rng.standard_normal(k), control if curved else None


@pytest.mark.parametrize("curved", [True, False])
@pytest.mark.parametrize(("size", "spacing", "k"), SIZES)
def test_fields(device, size, spacing, k, curved):
    a, b, control = drawn(size, spacing, k, curved)
    here = np.empty((*size, k), np.float32)
    there = device.zeros(here.shape, np.float32)
    deformation.create(a, b, control, spacing, here)
    device.deformation.create(a, b, control, spacing, there)
    np.testing.assert_allclose(there.get(), here, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("mirror", [True, False])
@pytest.mark.parametrize(("size", "spacing", "k"), SIZES)
def test_warped_images(device, size, spacing, k, linear, mirror):
    a, b, control = drawn(size, spacing, k)
    field = np.empty((*size, k), np.float32)
    deformation.create(a, b, control, spacing, field)
    inner = tuple(n - 2 for n in size)
    source = np.random.default_rng(1).standard_normal((3, *size), np.float32)
    here = np.empty((3, *inner), np.float32)
    there = device.zeros(here.shape, np.float32)
    corner = (1,) * len(size)
    how = {"linear": linear, "mirror": mirror}
    assert deformation.apply(source, field, corner, here, **how)
    given = device.upload(source), device.upload(field)
    assert device.deformation.apply(*given, corner, there, **how)
    np.testing.assert_allclose(there.get(), here, rtol=1e-5, atol=2e-5)


def test_what_comes_from_nowhere_is_nan(device):
    field = np.zeros((4, 4, 2), np.float32)
    field[1, 2] = np.nan, 1
    field[3, 0] = 0, 1e30
    source, out = (device.upload(np.full((1, 4, 4), v, np.float32)) for v in (1, 0))
    device.deformation.apply(source, device.upload(field), (0, 0), out, linear=True, mirror=True)
    expected = np.ones((4, 4))
    expected[1, 2] = expected[3, 0] = np.nan
    np.testing.assert_array_equal(out.get()[0], expected)


def test_grey_values(device):
    rng = np.random.default_rng(3)
    x = rng.uniform(-0.1, 1.1, (2, 300)).astype(np.float32)
    x[0, :2] = 0, 1
    table, y = np.sort(rng.random(17)), np.empty_like(x)
    lookup.apply(x, table, y)
    there = device.zeros(x.shape, np.float32)
    device.lookup.apply(device.upload(x), table, there)
    np.testing.assert_allclose(there.get(), y, rtol=1e-5, atol=1e-6)
