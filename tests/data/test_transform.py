"""transform_param, compared with its definition written out pixel by pixel."""

import numpy as np
import pytest
from demitasse.data.transform import Transformer
from demitasse.errors import DataError
from hypothesis import given, settings
from hypothesis import strategies as st


class Draws:
    """Stands for a generator: gives numbers from a list and keeps what was asked."""

    def __init__(self, *numbers):
        self.numbers, self.asked = list(numbers), []

    def integers(self, below):
        self.asked.append(below)
        return self.numbers.pop(0) % below


def slow(image, crop, top, left, mirrored, mean, scale):
    channels, height, width = image.shape
    h, w = (crop, crop) if crop else (height, width)
    out = np.empty((channels, h, w))
    for c in range(channels):
        for y in range(h):
            for x in range(w):
                value = float(image[c, top + y, left + x])
                out[c, y, w - 1 - x if mirrored else x] = (
                    value - mean(c, top + y, left + x)
                ) * scale
    return out


@settings(max_examples=60, deadline=None)
@given(data=st.data(), floats=st.booleans(), train=st.booleans(), mirror=st.booleans())
def test_pixel_by_pixel(data, floats, train, mirror):
    shape = tuple(data.draw(st.integers(1, 6)) for _ in range(3))
    crop = data.draw(st.integers(0, min(shape[1:])))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    image = rng.standard_normal(shape) if floats else rng.integers(0, 256, shape).astype(np.uint8)
    kind = data.draw(st.sampled_from(["none", "one", "each", "image"]))
    mean = {
        "none": np.zeros(0),
        "one": rng.standard_normal(1),
        "each": rng.standard_normal(shape[0]),
        "image": rng.standard_normal(shape),
    }[kind]
    at = {
        "none": lambda c, y, x: 0,
        "one": lambda c, y, x: mean[0],
        "each": lambda c, y, x: mean[c],
        "image": lambda c, y, x: mean[c, y, x],
    }[kind]
    scale = data.draw(st.sampled_from([1.0, 0.25, -3.0]))
    numbers = [data.draw(st.integers(0, 99)) for _ in range(3)]
    draws, rest = Draws(*numbers), [n - crop for n in shape[1:]]
    transform = Transformer(scale=scale, crop=crop, mirror=mirror, mean=mean, train=train)
    out = np.full(transform.shape(shape, ""), np.nan)
    transform(image, out, draws, "")
    given_numbers = iter(numbers)
    mirrored = mirror and next(given_numbers) % 2
    if crop and train:
        top, left = (next(given_numbers) % (r + 1) for r in rest)
    else:
        top, left = (r // 2 for r in rest) if crop else (0, 0)
    np.testing.assert_allclose(out, slow(image, crop, top, left, mirrored, at, scale), atol=1e-12)
    # nothing is drawn that is not needed: first the mirror, then rows, then columns
    wanted = [2] * mirror + ([r + 1 for r in rest] if crop and train else [])
    assert draws.asked == wanted


def test_float32_is_computed_in_float32():
    transform = Transformer(scale=1 / 256, mean=[104.007])
    out = np.empty((1, 1, 1), np.float32)
    transform(np.array([[[7]]], np.uint8), out, Draws(), "")
    assert out[0, 0, 0] == (np.float32(7) - np.float32(104.007)) * np.float32(1 / 256)


def test_training_crops_reach_every_place_and_both_sides():
    transform = Transformer(crop=2, mirror=True, train=True)
    image, rng, seen = np.arange(12).reshape(1, 3, 4), np.random.default_rng(0), set()
    for _ in range(300):
        out = np.empty((1, 2, 2))
        transform(image, out, rng, "")
        seen.add(tuple(out[0, 0]))
    pairs = [(y * 4 + x, y * 4 + x + 1) for y in range(2) for x in range(3)]
    assert seen == {*pairs, *((b, a) for a, b in pairs)}


@pytest.mark.parametrize(
    "settings, image, match",
    [
        ({"crop": 5}, (1, 4, 9), "smaller than crop_size; expected 5 pixels or more, found 4 x 9"),
        (
            {"mean": np.zeros((1, 2, 2))},
            (1, 2, 3),
            "another size than the mean; expected 1 x 2 x 2",
        ),
        ({"mean": [1, 2]}, (3, 2, 2), "expected 2 channels, found 3 x 2 x 2"),
    ],
)
def test_refusals(settings, image, match):
    with pytest.raises(DataError, match=match):
        Transformer(**settings).shape(image, "a.png")


def test_unequal_images_in_a_batch_are_refused():
    with pytest.raises(
        DataError, match=r"b\.png: has another size than the first image of its batch"
    ):
        Transformer()(np.zeros((1, 2, 3)), np.empty((1, 2, 2)), Draws(), "b.png")
