"""Reading axes letters, and the words that say how."""

import numpy as np
import pytest
from demitasse.errors import ImageError
from demitasse.imaging.axes import layout, volumes
from hypothesis import given, settings
from hypothesis import strategies as st


def read(array, at):
    """What Image.page does with a whole array."""
    pages = []
    for i in range(at.pages):
        planes = [array[index] for index in at.planes(i)]
        pages.append([p.T if at.transposed else p for p in planes])
    return np.array(pages)


@pytest.mark.parametrize(
    ("axes", "pages", "channels"),
    [
        ("YX", "", ""),
        ("ZYX", "Z", ""),
        ("CYX", "", "C"),
        ("YXS", "", "S"),
        ("QYX", "Q", ""),
        ("TZCYX", "TZ", "C"),
        ("TCZYX", "TZ", "C"),
        ("ZCYXS", "Z", "CS"),
        ("XYZ", "Z", ""),
        ("TXCY", "T", "C"),
    ],
)
def test_any_order_becomes_pages_channels_height_width(axes, pages, channels):
    rng = np.random.default_rng(0)
    shape = tuple(rng.permutation([2, 3, 4, 5, 6, 7])[: len(axes)].tolist())
    array = rng.random(shape)
    at = layout(shape, axes)
    order = [axes.index(a) for a in pages + channels + "YX"]
    size = lambda letters: int(np.prod([shape[axes.index(a)] for a in letters]))  # noqa: E731
    expected = array.transpose(order).reshape(size(pages), size(channels), size("Y"), size("X"))
    np.testing.assert_array_equal(read(array, at), expected)
    assert (at.pages, at.channels) == (size(pages), size(channels))


def test_the_users_word_goes_before_the_files():
    at = layout((5, 8, 9), "CYX", override="zyx")
    assert (at.pages, at.channels) == (5, 1)


@pytest.mark.parametrize("chosen", [(1,), (2, 0), (5,)])
def test_some_channels_are_taken_in_their_order(chosen):
    array = np.random.default_rng(0).random((4, 2, 8, 9, 3))  # TCYXS
    at = layout(array.shape, "TCYXS")
    some = at.only(chosen)
    assert (some.channels, some.pages) == (len(chosen), 4)
    np.testing.assert_array_equal(read(array, some), read(array, at)[:, list(chosen)])
    assert f"channel {', '.join(map(str, chosen))} of 6" in some.words()


@pytest.mark.parametrize("chosen", [(6,), (0, 7)])
def test_channels_that_are_not_there_are_refused(chosen):
    at = layout((4, 2, 8, 9, 3), "TCYXS")
    with pytest.raises(ImageError, match=rf"a.tif: has no channel {chosen[-1]}; expected 0 to 5"):
        at.only(chosen, where="a.tif")
    with pytest.raises(
        ImageError, match="has no channel 1; expected 0, found 1 page, 1 channel, 8 x 9"
    ):
        layout((8, 9), "YX").only((1,))


def test_samples_may_be_left_out():
    at = layout((8, 9, 4), "YXS", samples=3)
    assert at.channels == 3
    assert layout((8, 9, 4), "YXS", override="YXC", samples=3).channels == 4


def test_the_words_say_what_was_read_as_what():
    text = layout((3, 24, 2, 512, 400), "TZCYX").words()
    assert text == (
        "72 pages, 2 channels, 512 x 400 pixels (axes TZCYX; T = pages, Z = pages, C = channels)"
    )
    assert layout((4, 5), "YX").words() == "1 page, 1 channel, 4 x 5 pixels (axes YX)"


@pytest.mark.parametrize("override", ["YX", "ZZX", "ZYXC", "?YX", "YXY", ""])
def test_axes_that_do_not_fit_are_refused(override):
    with pytest.raises(ImageError, match=r"s\.tif: the axes '.*3 letters.*itself says QYX"):
        layout((5, 8, 9), "QYX", override=override, where="s.tif")


def test_what_is_no_image_is_refused():
    with pytest.raises(ImageError, match="no stack of images"):
        layout((5,), "X")


@given(
    shape=st.lists(st.integers(1, 3), min_size=1, max_size=5).map(tuple),
    axes=st.text("TZCYXSQ", min_size=1, max_size=5),
    override=st.none() | st.text("TZCYXSQyx?é", max_size=6),
    samples=st.none() | st.integers(1, 3),
)
@settings(max_examples=200, deadline=None)
def test_any_letters_are_refused_or_read_every_value_once(shape, axes, override, samples):
    axes = "".join(dict.fromkeys(axes))[: len(shape)].ljust(len(shape), "I")
    try:
        at = layout(shape, axes, override=override, samples=samples if "S" in axes else None)
    except ImageError as error:
        assert "axes" in str(error)
        return
    array = np.arange(np.prod(shape)).reshape(shape)
    if at.samples is None:
        assert sorted(read(array, at).ravel()) == list(range(array.size))
    assert f"{at.height} x {at.width} pixels" in at.words()


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        ("YX", (4, 5), [(0,)]),
        ("ZYX", (3, 4, 5), [(0, 1, 2)]),
        ("QCYX", (2, 3, 4, 5), [(0, 1)]),
        ("TZYX", (2, 3, 4, 5), [(0, 1, 2), (3, 4, 5)]),
    ],
)
def test_the_pages_of_volumes(axes, shape, expected):
    assert list(volumes(layout(shape, axes))) == expected


@pytest.mark.parametrize(
    ("axes", "said"),
    [("TYX", "a series of images.* --axes ZYX"), ("ZTYX", "not clear which .* axes ZTYX")],
)
def test_what_is_no_volume(axes, said):
    with pytest.raises(ImageError, match=f"a.tif: it is {said}"):
        volumes(layout((2, 3, 4, 5)[-len(axes) :], axes), "a.tif")
