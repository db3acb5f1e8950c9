"""Matching a file with a net: Caffe's rules, and everything said aloud."""

from __future__ import annotations

import numpy as np
import pytest
from demitasse.errors import WeightsError
from demitasse.weights import Mismatch, Weights, match
from demitasse.weights.match import fits_shape
from hypothesis import given
from hypothesis import strategies as st

NET = {"data": [], "conv1": [(8, 1, 3, 3), (8,)], "relu": [], "ip": [(2, 72)]}


def weights(legacy=False, duplicates=(), **layers):
    arrays = {
        name: [None if shape is None else np.zeros(shape, "f4") for shape in shapes]
        for name, shapes in layers.items()
    }
    return Weights(arrays, "caffemodel", "old.caffemodel", legacy, duplicates=duplicates)


def test_everything_fits():
    report = match(NET, weights(conv1=[(8, 1, 3, 3), (8,)], ip=[(2, 72)], split=[]))
    assert report.loaded == (("conv1", 0), ("conv1", 1), ("ip", 0))
    assert report.complete and report.missing == report.unused == report.mismatched == ()
    report.require(complete=True)
    assert report.table() == ["loaded      3 blobs of 2 layers from old.caffemodel"]


def test_what_is_missing_and_what_is_left():
    report = match(NET, weights(conv1=[(8, 1, 3, 3), (8,)], fc=[(2, 72)], relu=[(1,)]))
    assert (report.missing, report.unused) == (("ip",), ("fc", "relu"))
    assert not report.complete
    report.require(complete=False)
    with pytest.raises(WeightsError) as caught:
        report.require(complete=True)
    assert str(caught.value) == (
        "old.caffemodel: has no parameters for layers ip; found layers the net lacks: fc, relu."
    )
    assert report.table()[1:] == ["missing     ip", "unused      fc", "            relu"]


def test_a_file_of_another_net_is_refused_in_any_case():
    report = match(NET, weights(conv=[(8, 1, 3, 3), (8,)]))
    with pytest.raises(WeightsError, match=r"no parameters for layers conv1, ip.*Did you mean"):
        report.require(complete=False)
    with pytest.raises(WeightsError, match="It seems to belong to another net"):
        match(NET, weights(zzz=[(1,)])).require(complete=False)


def test_shapes_that_differ_are_refused_with_caffes_advice():
    report = match(NET, weights(conv1=[(8, 4, 3, 3), (8,)], ip=[(2, 72)]))
    assert report.mismatched == (Mismatch("conv1", 0, (8, 1, 3, 3), (8, 4, 3, 3)),)
    assert report.loaded == (("ip", 0),)  # not half of conv1
    with pytest.raises(WeightsError) as caught:
        report.require(complete=False)
    assert str(caught.value) == (
        "old.caffemodel: layer conv1, blob 0: file has 8x4x3x3, net wants 8x1x3x3. "
        "To learn a layer from scratch instead of loading it, rename it in the net."
    )
    assert "mismatched  layer conv1, blob 0: file has 8x4x3x3, net wants" in report.table()[1]


def test_another_number_of_blobs():
    report = match(NET, weights(conv1=[(8, 1, 3, 3)], ip=[(2, 72), (2,)]))
    assert report.mismatched == (
        Mismatch("conv1", 1, (8,), None),
        Mismatch("ip", 1, None, (2,)),
    )
    assert [str(m) for m in report.mismatched] == [
        "layer conv1: the file has no blob 1",
        "layer ip: the net has no blob 1",
    ]
    assert report.loaded == ()


def test_shared_parameters_may_be_left_out():
    net = {"ip": [(3, 4), (3,)], "ip_p": [(3, 4), (3,)], "ip_q": [(3, 4), (3,)]}
    file = weights(ip=[(3, 4), (3,)], ip_p=[None, (3,)])
    report = match(net, file)
    assert report.mismatched == (Mismatch("ip_p", 0, (3, 4), None),) and report.missing == ("ip_q",)
    report = match(net, file, shared={("ip_p", 0), ("ip_q", 0), ("ip_q", 1)})
    assert report.complete and report.loaded == (("ip", 0), ("ip", 1), ("ip_p", 1))


def test_names_that_came_twice_are_reported():
    report = match({"sc": [(1,)]}, weights(duplicates=("sc",), sc=[(1,)], **{"sc#2": [(1,)]}))
    assert report.unused == ("sc#2",) and "duplicates  sc" in report.table()


@given(st.lists(st.integers(1, 5), max_size=4).map(tuple), st.booleans())
def test_legacy_shapes_are_filled_up_with_ones_on_the_left(shape, legacy):
    four = (1,) * (4 - len(shape)) + shape
    assert fits_shape(shape, four, legacy=True)
    assert fits_shape(shape, four) == (shape == four)
    assert fits_shape(shape, shape, legacy) and not fits_shape(shape, (*shape, 2), legacy)
    assert not fits_shape((*shape, 2), four, legacy)


def test_legacy_shapes_are_not_filled_up_on_the_right():
    assert not fits_shape((8,), (8, 1, 1, 1), legacy=True)
    assert not fits_shape((1, 1, 1, 1, 8), (1, 1, 1, 8), legacy=True)
    file = weights(legacy=True, conv1=[(8, 1, 3, 3), (1, 1, 1, 8)], ip=[(1, 1, 2, 72)])
    assert (
        match(NET, file).complete
        and not match(
            NET,
            weights(**{name: [a.shape for a in arrays] for name, arrays in file.layers.items()}),
        ).complete
    )


def test_long_lists_are_cut():
    net = {f"layer{i}": [(1,)] for i in range(30)}
    with pytest.raises(WeightsError, match="layer7 and 22 more"):
        match(net, weights(other=[(1,)])).require(complete=True)
    wrong = weights(**{name: [(2,)] for name in net})
    with pytest.raises(WeightsError, match="and 25 more"):
        match(net, wrong).require(complete=True)
