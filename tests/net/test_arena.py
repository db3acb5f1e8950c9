"""No two buffers that live at the same time may overlap, whatever their sizes and lifetimes."""

import time

from demitasse.net.arena import ALIGNMENT, Lifetime, Part, aligned, best_fit, lower_bound, place
from hypothesis import given
from hypothesis import strategies as st

lifetimes = st.lists(
    st.builds(
        lambda size, start, length: Lifetime("b", size, start, start + length),
        st.integers(1, 5000),
        st.integers(-1, 30),
        st.integers(0, 20),
    ),
    max_size=40,
)


@given(lifetimes)
def test_buffers_alive_at_the_same_step_never_overlap(buffers):
    placement = place(buffers)
    for i, a in enumerate(buffers):
        assert placement.offsets[i] % ALIGNMENT == 0
        assert placement.offsets[i] + a.size <= placement.size
        for j in range(i):
            b = buffers[j]
            if a.start <= b.end and b.start <= a.end:
                ia, ib = placement.offsets[i], placement.offsets[j]
                assert ia + a.size <= ib or ib + b.size <= ia


@given(lifetimes)
def test_no_placement_is_smaller_than_the_lower_bound(buffers):
    assert place(buffers).size >= lower_bound(buffers)


def test_buffers_that_never_meet_share_their_place():
    buffers = [Lifetime("a", 640, 0, 1), Lifetime("b", 640, 2, 3), Lifetime("c", 640, 4, 5)]
    assert place(buffers).size == 640 == lower_bound(buffers)


def test_a_buffer_fits_between_two_others():
    buffers = [Lifetime("a", 640, 0, 9), Lifetime("b", 1280, 0, 1), Lifetime("c", 640, 2, 3)]
    assert place(buffers).size == 1920


def test_a_buffer_takes_the_smallest_gap():
    always, first = (0, 9), (0, 0)
    sizes = [(64, always), (128, first), (64, always), (64, first), (64, always), (64, (5, 5))]
    buffers = [Lifetime("b", size, *span) for size, span in sizes]
    placed = best_fit(buffers, range(6))
    assert placed.offsets == (0, 64, 192, 256, 320, 256)  # not at 64, where 128 bytes are free


def test_parts_of_a_buffer_are_free_for_others_when_nobody_needs_them():
    """b's second half is idle at step 1, where c fits; both halves are needed at 0."""
    b = Lifetime("b", 1280, 0, 2, (Part(0, 640, 0, 2), Part(640, 640, 0, 0), Part(640, 640, 2, 2)))
    buffers = [b, Lifetime("c", 640, 1, 1)]
    assert place(buffers).size == 1280 == lower_bound(buffers)
    assert place([b, Lifetime("c", 640, 1, 2)]).size == 1920


@st.composite
def parted(draw):
    """A buffer of one to three parts, each with steps of its own."""
    sizes = draw(st.lists(st.integers(0, 300), min_size=1, max_size=3))
    parts, at = [], 0
    for size in sizes:
        start = draw(st.integers(-1, 12))
        parts.append(Part(at, size, start, start + draw(st.integers(0, 8))))
        at += size
    span = min(p.start for p in parts), max(p.end for p in parts)
    return Lifetime("b", at, *span, tuple(parts) if len(parts) > 1 else ())


def one_after_the_other(buffers):
    """The smallest gap for each, as `best_fit` says, by comparing with every buffer before it."""
    offsets = []
    for b in buffers:
        taken = sorted(
            (offset + p.at - aligned(q.at + q.size), aligned(offset + p.at + p.size) - q.at)
            for other, offset in zip(buffers, offsets, strict=False)
            for p in other.needed
            for q in b.needed
            if p.start <= q.end and q.start <= p.end
        )
        lowest, gaps = 0, []
        for low, high in taken:
            if low >= lowest:
                gaps.append((low - lowest, lowest))
            lowest = max(lowest, aligned(high))
        offsets.append(min(gaps)[1] if gaps else lowest)
    return tuple(offsets)


@given(st.lists(parted(), max_size=25))
def test_every_buffer_is_where_a_search_among_all_others_puts_it(buffers):
    assert best_fit(buffers, range(len(buffers))).offsets == one_after_the_other(buffers)


def test_many_buffers_that_live_together_are_placed_quicker_than_by_such_a_search():
    buffers = [Lifetime("b", 100 + i % 7, 0, i) for i in range(700)]

    def seconds(place):
        begun = time.process_time()
        place()
        return time.process_time() - begun

    ours = min(seconds(lambda: best_fit(buffers, range(len(buffers)))) for _ in range(3))
    assert ours < 0.5 * seconds(lambda: one_after_the_other(buffers))
