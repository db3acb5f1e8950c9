"""A Concat's bottoms that lie in its top: the same bits, and nothing copied."""

import numpy as np
import pytest

from .nets import build, conv, data, join, on, same, unet


def loss(bottom, *shape):
    return data("zero", *shape) + join("loss", bottom, "zero", kind="EuclideanLoss")


def inside(net, bottom, top, what="data"):
    """Whether a blob's array lies in another one's."""
    part, whole = (getattr(net.blobs[name], what) for name in (bottom, top))
    return np.shares_memory(part, whole)


def all_alike(text, **settings):
    net = build(text, poison=True, **settings)
    same(build(text, keep=True, **settings), build(text, fuse=False, **settings), net)
    return net


def test_a_unet_copies_nothing_but_the_crop():
    net = all_alike(unet(dropout=False))
    for what in ("data", "diff"):
        assert inside(net, "d0c", "u0a", what) and inside(net, "u0", "u0a", what)
    assert net.planned.fused.crops and net.planned.fused.picked


def test_slices_of_a_batch_are_not_contiguous():
    net = all_alike(unet(batch=2, dropout=False))
    assert not inside(net, "u0", "u0a") and not inside(net, "d0c", "u0a", "diff")


def test_along_the_first_axis_a_batch_may_lie_in_its_top():
    text = data("data", 2, 3, 6, 6) + conv("a", "data", "a") + conv("b", "data", "b")
    text += join("j", "a", "b", more="concat_param { axis: 0 }") + conv("c", "j", "c", 2)
    net = all_alike(text + loss("c", 4, 2, 2, 2))
    assert inside(net, "a", "j") and inside(net, "b", "j", "diff")


def test_a_concat_of_concats():
    text = data("data", 1, 3, 8, 8) + conv("a", "data", "a") + conv("b", "a", "b", kernel=1)
    text += join("j", "a", "b") + conv("c", "j", "c", kernel=1) + join("k", "j", "c")
    net = all_alike(text + conv("d", "k", "d", 2) + loss("d", 1, 2, 4, 4))
    assert inside(net, "j", "k") and inside(net, "c", "k") and inside(net, "a", "k")


SHARED = {  # the first bottom of j, and what else happens to it
    "overwritten in the top": on("TanH", "j") + conv("x", "a", "x"),
    "read by others": conv("x", "a", "x"),
    "rectified in the top": on("ReLU", "j") + conv("x", "a", "x"),
}


@pytest.mark.parametrize("more", SHARED.values(), ids=SHARED)
def test_what_else_happens_to_a_bottom_and_to_the_top(more):
    text = data("data", 1, 3, 8, 8) + conv("a", "data", "a") + conv("b", "data", "b")
    text += join("j", "a", "b") + more + conv("y", "j", "y")
    text += join("s", "x", "y", kind="Eltwise")
    all_alike(text + loss("s", 1, 4, 4, 4))


def test_the_same_blob_twice():
    text = data("data", 1, 3, 8, 8) + conv("a", "data", "a") + join("j", "a", "a")
    all_alike(text + conv("c", "j", "c", 2) + loss("c", 1, 2, 4, 4))


def test_an_input_stays_where_the_caller_set_it():
    text = data("data", 1, 3, 8, 8) + conv("a", "data", "a", kernel=1) + join("j", "a", "data")
    net = all_alike(text + conv("c", "j", "c", 2) + loss("c", 1, 2, 6, 6))
    assert not inside(net, "data", "j") and inside(net, "a", "j")


def test_a_larger_bottom_is_cut_by_copying():
    text = data("data", 1, 3, 8, 8) + conv("a", "data", "a") + conv("b", "data", "b", kernel=1)
    text += join("j", "a", "b") + conv("c", "j", "c", 2)
    net = all_alike(text + loss("c", 1, 2, 4, 4))
    assert inside(net, "a", "j") and not inside(net, "b", "j")
