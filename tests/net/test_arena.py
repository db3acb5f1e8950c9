"""No two buffers that live at the same time may overlap, whatever their sizes and lifetimes."""

from demitasse.net.arena import ALIGNMENT, Lifetime, Part, best_fit, lower_bound, place
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
