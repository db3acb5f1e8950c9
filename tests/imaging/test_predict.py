"""A tiled prediction is the whole prediction, whatever the image and the tile."""

from functools import cache

import numpy as np
import pytest
from demitasse import netspec
from demitasse.errors import MemoryBudgetError, ShapeError
from demitasse.imaging.predict import Predictor, largest, softmax
from demitasse.net import Net
from hypothesis import given, settings
from hypothesis import strategies as st

# a U-Net of two levels, one convolution each
NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 1 dim: 38 dim: 38 } } }
layer { name: "c0" type: "Convolution" bottom: "data" top: "d0"
        convolution_param { num_output: 3 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "r0" type: "ReLU" bottom: "d0" top: "d0" }
layer { name: "p0" type: "Pooling" bottom: "d0" top: "d1" pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "c1" type: "Convolution" bottom: "d1" top: "e1"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "r1" type: "ReLU" bottom: "e1" top: "e1" }
layer { name: "p1" type: "Pooling" bottom: "e1" top: "d2" pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "c2" type: "Convolution" bottom: "d2" top: "e2"
        convolution_param { num_output: 4 kernel_size: 3 weight_filler { type: "msra" } } }
layer { name: "up1" type: "Deconvolution" bottom: "e2" top: "u1"
        convolution_param { num_output: 4 kernel_size: 2 stride: 2 weight_filler { type: "msra" } } }
layer { name: "crop1" type: "Crop" bottom: "e1" bottom: "u1" top: "s1" crop_param { axis: 2 offset: 2 } }
layer { name: "cat1" type: "Concat" bottom: "u1" bottom: "s1" top: "v1" }
layer { name: "up0" type: "Deconvolution" bottom: "v1" top: "u0"
        convolution_param { num_output: 3 kernel_size: 2 stride: 2 weight_filler { type: "msra" } } }
layer { name: "crop0" type: "Crop" bottom: "d0" bottom: "u0" top: "s0" crop_param { axis: 2 offset: 6 } }
layer { name: "cat0" type: "Concat" bottom: "u0" bottom: "s0" top: "v0" }
layer { name: "score" type: "Convolution" bottom: "v0" top: "score"
        convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "msra" } } }
"""  # noqa: E501


@cache
def predictor(dtype):
    return Predictor(Net(netspec.build(netspec.parse_net(NET), "TEST"), dtype=dtype, seed=3))


def compare(dtype, shape, tile_k, seed):
    p = predictor(dtype)
    image = np.random.default_rng(seed).standard_normal((1, *shape)).astype(dtype)
    one = [p.geometries[0].input_for(s) for s in shape]
    whole = p.predict(image, p.tiling(shape, one))
    inputs = [p.geometries[0].input_for(p.geometries[0].step * k) for k in tile_k]
    tiled = p.predict(image, p.tiling(shape, inputs))
    return np.abs(tiled - whole).max() / max(np.abs(whole).max(), 1e-30)


sizes = st.tuples(st.integers(1, 70), st.integers(1, 70))
tile_steps = st.tuples(st.integers(1, 6), st.integers(1, 6))


@settings(max_examples=40, deadline=None)
@given(st.tuples(st.integers(1, 900), st.integers(1, 900)), st.floats(0.01, 1.2))
def test_tiles_that_fit_have_hardly_more_pixels_than_the_best_of_all(shape, part):
    """Memory does not quite grow with the tile, so halving may pass over the very best."""
    p = predictor(np.float32)
    budget = int(part * p.choose(shape).memory)
    tried = [p.tiling(shape, inputs) for inputs in p._candidates(shape)]
    fit = [tiling for tiling in tried if tiling.memory <= budget]
    if fit:
        found = p.choose(shape, budget=budget)
        assert found.memory <= budget
        assert found.pixels <= 1.5 * min(tiling.pixels for tiling in fit)
    else:
        with pytest.raises(MemoryBudgetError, match="even the smallest tile needs more memory"):
            p.choose(shape, budget=budget)


@pytest.mark.parametrize("side", [1 << 17, 1 << 20, 1 << 40])
def test_few_nets_are_planned_for_an_image_of_any_size(side, monkeypatch):
    p = Predictor(predictor(np.float32).net)
    planned, plan = [], p.net.planned_bytes
    monkeypatch.setattr(p.net, "planned_bytes", lambda shapes: planned.append(1) or plan(shapes))
    p.choose((side, side), budget=1 << 28)
    p.choose((side, side), count=1000)
    assert len(planned) < 60


@settings(max_examples=60, deadline=None)
@given(sizes, tile_steps, st.integers(0, 99))
def test_tiles_equal_the_whole_in_double(shape, steps, seed):
    assert compare(np.float64, shape, steps, seed) <= 1e-12


@settings(max_examples=25, deadline=None)
@given(sizes, tile_steps, st.integers(0, 99))
def test_tiles_equal_the_whole_in_single(shape, steps, seed):
    assert compare(np.float32, shape, steps, seed) <= 1e-5


def test_tiles_off_the_pooling_grid_would_not():
    """The rule is needed: shifted by less than the step, the same pixels get other scores."""
    p = predictor(np.float64)
    image = np.random.default_rng(1).standard_normal((1, 40, 40))
    whole = p.predict(image, p.tiling((40, 40), [p.geometries[0].input_for(40)] * 2))
    shifted = np.roll(image, 2, axis=1)
    moved = p.predict(shifted, p.tiling((40, 40), [p.geometries[0].input_for(40)] * 2))
    assert np.abs(moved[:, 20:30, 16:24] - whole[:, 18:28, 16:24]).max() > 1e-3


def test_the_tiling_obeys_count_and_budget():
    p = predictor(np.float32)
    assert p.choose((200, 300), count=6).counts in [(2, 3), (1, 6), (3, 2)]
    one = p.choose((200, 300))
    assert one.counts == (1, 1)
    small = p.choose((200, 300), budget=one.memory // 3)
    assert small.memory <= one.memory // 3 and small.pixels > one.pixels
    with pytest.raises(MemoryBudgetError, match="larger --memory"):
        p.choose((200, 300), budget=10)


def test_another_number_of_channels_is_refused():
    p = predictor(np.float32)
    with pytest.raises(ShapeError, match="number of channels"):
        p.predict(np.zeros((3, 20, 20), np.float32), p.choose((20, 20)))


@given(st.integers(2, 4), st.integers(0, 999))
def test_the_largest_score_is_argmaxs(classes, seed):
    """Ties and what is not a number included."""
    scores = np.random.default_rng(seed).choice([-1.0, 0.0, 2.0, np.inf, np.nan], (classes, 3, 5))
    found = largest(scores)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, scores.argmax(axis=0))


def test_softmax_sums_to_one_and_keeps_large_scores():
    p = softmax(np.array([[[1000.0, -1000.0]], [[999.0, 1000.0]]]))
    np.testing.assert_allclose(p.sum(axis=0), 1)
    np.testing.assert_allclose(p[0], [[1 / (1 + np.exp(-1)), 0]], atol=1e-12)


SCORE = "num_output: 2 kernel_size: 3"


def padded():
    """One convolution that pads."""
    first, _, _ = NET.strip().partition("\n")
    text = first + (
        'layer { name: "score" type: "Convolution" bottom: "data" top: "score" convolution_param '
        '{ num_output: 2 kernel_size: 3 pad: 1 weight_filler { type: "msra" } } }'
    )
    return Predictor(Net(netspec.build(netspec.parse_net(text), "TEST"), dtype=np.float64))


def test_a_net_that_pads_takes_one_tile_only():
    p = padded()
    assert not p.exact and predictor(np.float32).exact
    one = p.choose((40, 50), count=6)
    assert one.counts == (1, 1) and p.tiling((40, 50), one.inputs) == one
    with pytest.raises(ShapeError, match=r"pads.*one tile of 40x50 pixels.*2x3 tiles.*--memory"):
        p.tiling((40, 50), (20, 20))
    with pytest.raises(MemoryBudgetError, match=r"must be one tile.*40x50 pixels.*--memory"):
        p.choose((40, 50), budget=one.memory - 1)
    image = np.random.default_rng(0).standard_normal((1, 40, 50))
    assert p.predict(image, one).shape == (2, 40, 50)


def test_a_score_of_one_channel_is_refused():
    net = netspec.parse_net(NET.replace(SCORE, SCORE.replace("2", "1")), "one.prototxt")
    with pytest.raises(ShapeError, match=r"one.prototxt.*has one channel; expected one for each"):
        Predictor(Net(netspec.build(net, "TEST")))


def test_a_second_output_is_refused_with_its_name():
    text = NET + 'layer { name: "m" type: "Power" bottom: "e2" top: "more" }'
    net = Net(netspec.build(netspec.parse_net(text, "two.prototxt"), "TEST"))
    with pytest.raises(ShapeError) as refused:
        Predictor(net)
    said = str(refused.value)
    assert said.startswith("two.prototxt: ") and "more, score" in said
    assert "Remove the others from the deploy prototxt" in said


def test_the_channels_message_names_the_image():
    p = predictor(np.float32)
    with pytest.raises(ShapeError, match=r"^rgb.tif: the image has another number of channels"):
        p.predict(np.zeros((3, 20, 20), np.float32), p.choose((20, 20)), where="rgb.tif")


@pytest.mark.parametrize("count", [1, 5, 81, 400])
@pytest.mark.parametrize("shape", [(100, 100), (90, 250), (7, 300)])
def test_what_a_tiling_says_is_what_runs(shape, count):
    p = predictor(np.float32)
    tiling = p.choose(shape, count=count)
    assert tiling == p.tiling(shape, tiling.inputs)
    ran = []
    p.predict(np.zeros((1, *shape), np.float32), tiling, lambda done, n: ran.append((done, n)))
    total = int(np.prod(tiling.counts))
    assert ran == [(i + 1, total) for i in range(total)]
    assert tiling.pixels == total * np.prod(tiling.inputs)


@pytest.mark.parametrize("shape", [(100_000, 100_000), (3, 200_000), (20, 20), (1, 1)])
def test_the_smallest_tile_is_tried_however_large_the_image(shape):
    p = predictor(np.float32)
    least = [p.geometries[0].input_for(min(p.geometries[0].step, size)) for size in shape]
    needed = p.memory(least)
    assert p.choose(shape, budget=needed).memory <= needed
    with pytest.raises(MemoryBudgetError, match="even the smallest tile"):
        p.choose(shape, budget=needed - 1)


def test_each_tile_size_is_planned_once():
    p = predictor(np.float32)
    candidates = list(p._candidates((5000, 5000)))
    assert len(candidates) == len(set(candidates))


def test_an_image_without_its_channel_axis_is_refused():
    p, image = predictor(np.float32), np.zeros((130, 150), np.float32)
    with pytest.raises(ShapeError, match=r"number of axes.*\(channels, height, width\).*130 x 150"):
        p.predict(image, p.choose(image.shape))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 130, 150), r"number of axes.*expected \(height, width\), found 1 x 130 x 150"),
        ((130,), r"number of axes.*found 130"),
        ((0, 30), r"no pixel; found 0 x 30"),
    ],
)
def test_no_tiling_for_what_is_no_image_of_the_net(shape, words):
    p = predictor(np.float32)
    for ask in (p.choose, lambda shape: p.tiling(shape, (38, 38))):
        with pytest.raises(ShapeError, match=words):
            ask(shape)


def test_a_tiling_of_an_image_of_other_axes_is_refused():
    p = predictor(np.float32)
    with pytest.raises(ShapeError, match="found 1 x 2 x 30 x 30"):
        p.predict(np.zeros((1, 2, 30, 30), np.float32), p.choose((30, 30)))
