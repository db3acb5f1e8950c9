"""Layered layouts of any graph: nothing overlaps, edges go down and around the boxes."""

from itertools import combinations, pairwise

from demitasse.drawing import layered
from hypothesis import given, settings
from hypothesis import strategies as st


@st.composite
def graphs(draw):
    """(sizes of nodes, edges from earlier nodes to later ones, perhaps twice the same)."""
    count = draw(st.integers(1, 14))
    size = st.tuples(st.floats(10, 150), st.floats(10, 60))
    sizes = draw(st.lists(size, min_size=count, max_size=count))
    pairs = list(combinations(range(count), 2))
    edges = draw(st.lists(st.sampled_from(pairs), max_size=22)) if pairs else []
    return sizes, edges


def boxes(sizes, layout):
    for (width, height), (x, y) in zip(sizes, layout.centres, strict=True):
        yield x - width / 2, y, x + width / 2, y + height


def enters(a, b, box):
    """Whether the segment from a to b runs through the inside of a box."""
    (x0, y0), (x1, y1), inside = a, b, 0.3
    left, top, right, bottom = box[0] + inside, box[1] + inside, box[2] - inside, box[3] - inside
    lo, hi = 0.0, 1.0
    for start, along, low, high in ((x0, x1 - x0, left, right), (y0, y1 - y0, top, bottom)):
        if abs(along) < 1e-9:
            if not low < start < high:
                return False
            continue
        ends = sorted(((low - start) / along, (high - start) / along))
        lo, hi = max(lo, ends[0]), min(hi, ends[1])
    return lo < hi


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_boxes_stay_apart_and_edges_go_around_them(graph):
    sizes, edges = graph
    layout = layered.lay_out(sizes, edges)
    placed = list(boxes(sizes, layout))
    for a, b in combinations(placed, 2):
        beside = a[2] <= b[0] or b[2] <= a[0]
        assert beside or a[3] <= b[1] or b[3] <= a[1]
    assert len(layout.routes) == len(edges)
    for (a, b), route in zip(edges, layout.routes, strict=True):
        assert abs(route[0][1] - placed[a][3]) < 0.1 and abs(route[-1][1] - placed[b][1]) < 0.1
        assert placed[a][0] <= route[0][0] <= placed[a][2]
        assert placed[b][0] <= route[-1][0] <= placed[b][2]
        for p, q in pairwise(route):
            assert p[1] <= q[1] + 0.1
            others = (box for i, box in enumerate(placed) if i not in (a, b))
            assert not any(enters(p, q, box) for box in others)


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_a_node_stands_below_all_it_reads(graph):
    sizes, edges = graph
    rows = layered.rows_of(len(sizes), edges)
    assert all(rows[a] < rows[b] for a, b in edges)


def test_a_knot_is_untied():
    edges = [(0, 5), (1, 4), (2, 3), (0, 3)]
    layout = layered.lay_out([(40, 20)] * 6, edges)
    ends = [(route[0][0], route[-1][0]) for route in layout.routes]
    crossed = sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(ends, 2))
    assert crossed == 0


def test_a_chain_and_a_long_edge_are_straight():
    chain = [(i, i + 1) for i in range(6)]
    layout = layered.lay_out([(60, 30)] * 7, [*chain, (0, 6)])
    assert len({x for x, _ in layout.centres}) == 1
    *_, (low, high) = [(min(x), max(x)) for x in [[p[0] for p in layout.routes[-1][1:-1]]]]
    assert high - low < 0.1


def test_what_reads_nothing_stands_right_above_its_reader():
    assert layered.rows_of(5, [(0, 1), (1, 2), (2, 4), (3, 4)]) == [0, 1, 2, 2, 3]
