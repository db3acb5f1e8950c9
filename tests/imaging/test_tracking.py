"""Objects that move, part, vanish and come are followed as the release of 2015 follows them."""

import numpy as np
import pytest
from demitasse.errors import ImageError
from demitasse.imaging import tracking
from demitasse.imaging.tracking import Track, match, track
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

SIZE = 40


def frame(*squares, size=SIZE):
    """A map of squares (id, y, x, side)."""
    objects = np.zeros((size, size), np.int64)
    for i, y, x, side in squares:
        objects[y : y + side, x : x + side] = i
    return objects


def test_moving_squares_keep_their_numbers_whatever_they_are_called():
    frames = [frame((7, 2 + t, 2, 8), (20 - t, 20, 10 + 2 * t, 8)) for t in range(6)]
    maps, tracks = track(frames)
    assert tracks == [Track(1, 0, 5), Track(2, 0, 5)]
    for t, seen in enumerate(maps):
        np.testing.assert_array_equal(seen == 1, frames[t] == 7)
        np.testing.assert_array_equal(seen == 2, frames[t] == 20 - t)


def test_numbers_that_change_places_are_put_right():
    maps, tracks = track([frame((1, 0, 0, 9), (2, 20, 20, 9)), frame((2, 0, 0, 9), (1, 20, 20, 9))])
    np.testing.assert_array_equal(maps[0], maps[1])
    assert [str(t) for t in tracks] == ["1 0 1 0", "2 0 1 0"]


def test_at_a_split_the_larger_overlap_goes_on():
    mother = np.zeros((10, 20), int)
    mother[:, :20] = 1
    daughters = mother.copy()
    daughters[:, 12:] = 2
    maps, tracks = track([mother, daughters])
    assert maps[1][0, 0] == 1 and maps[1][0, 19] == 2
    assert tracks == [Track(1, 0, 1), Track(2, 1, 1)]


def test_at_a_merger_the_larger_overlap_goes_on_and_the_other_ends():
    apart = np.zeros((10, 20), int)
    apart[:, :8], apart[:, 8:] = 1, 2
    maps, tracks = track([apart, np.ones((10, 20), int)])
    assert (maps[1] == 2).all()
    assert tracks == [Track(1, 0, 0), Track(2, 0, 1)]


@pytest.mark.parametrize(
    "before, after, taken",
    [
        ("111122200", "333333400", {3: 1, 4: 2}),  # 2 chooses 4 by 1/3, before 3 by 2/7
        ("111122200", "333333444", {3: 1}),  # 2 chooses 3 by 2/7, before 4 by 1/5; 3 prefers 1
        ("111100000", "334400000", {3: 1}),  # both by 1/2: the smaller number
        ("112200000", "333300000", {3: 1}),
    ],
)
def test_whose_choice_prefers_another_gets_no_second_choice(before, after, taken):
    assert match(*(np.array([[int(c) for c in row]]) for row in (before, after))) == taken


def test_vanishing_and_appearing():
    a, b = (1, 2, 2, 8), (2, 20, 20, 8)
    maps, tracks = track([frame(a, b), frame(a), frame(a, b), frame(b)])
    assert tracks == [Track(1, 0, 2), Track(2, 0, 0), Track(3, 2, 3)]
    assert [sorted(np.unique(m))[1:] for m in maps] == [[1, 2], [1], [1, 3], [3]]


def test_empty_frames_end_every_track():
    one, none = frame((5, 3, 3, 6)), frame()
    assert track([none, none])[1] == []
    assert track([none, one, none, one])[1] == [Track(1, 1, 1), Track(2, 3, 3)]
    assert track([]) == ([], [])


def test_no_overlap_is_no_link():
    assert match(frame((1, 0, 0, 5)), frame((1, 5, 5, 5))) == {}


def test_out_of_the_field_of_view_and_back():
    inside, edge = (1, 8, 4, 8), (1, 8, 0, 5)
    frames = [frame(inside), frame(edge), frame(inside), frame(inside)]
    maps, tracks = track(frames, border=5)
    assert [m.max() for m in maps] == [1, 0, 2, 2]
    assert tracks == [Track(1, 0, 0), Track(2, 2, 3, parent=1)]
    assert track(frames)[1] == [Track(1, 0, 3)]
    # one that begins in the zone begins where it is seen
    assert track([frame(edge), frame(inside)], border=5)[1] == [Track(1, 1, 1)]


def test_frames_of_different_sizes():
    with pytest.raises(ImageError, match=r"frame 1: .* expected \(40, 40\), found \(30, 30\)"):
        track([frame(), frame(size=30)])


def test_the_text():
    assert list(tracking.lines([Track(1, 0, 4), Track(12, 3, 9, 1)])) == ["1 0 4 0\n", "12 3 9 1\n"]


maps_of_objects = st.lists(
    hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 4)), min_size=1, max_size=5
)


@given(maps_of_objects)
def test_what_holds_for_any_frames(frames):
    maps, tracks = track(frames)
    known = {one.id: one for one in tracks}
    seen = {i: [] for i in known}
    for t, (given_map, made) in enumerate(zip(frames, maps, strict=True)):
        np.testing.assert_array_equal(given_map > 0, made > 0)
        pairs = set(zip(given_map.ravel().tolist(), made.ravel().tolist(), strict=True))
        assert len(pairs) == len({p for p, _ in pairs}) == len({q for _, q in pairs})
        for i in np.unique(made[made > 0]):
            seen[int(i)].append(t)
    for i, times in seen.items():
        assert times == list(range(known[i].begin, known[i].end + 1))


@given(hnp.arrays(np.uint8, (6, 7), elements=st.integers(0, 4)), st.permutations(range(1, 5)))
def test_a_frame_matches_itself_whatever_the_numbers(objects, order):
    renamed = np.array([0, *order])[objects]
    there = {int(i) for i in np.unique(objects)} - {0}
    assert match(objects, renamed) == {order[i - 1]: i for i in there}
