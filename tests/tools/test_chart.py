"""Charts: axes with round numbers, lines within them, and any values drawn."""

import math
import re
from xml.etree import ElementTree

import pytest
from demitasse.tools._chart import (
    HEIGHT,
    MOST,
    WIDTH,
    Axis,
    Series,
    chart,
    extent,
    legend,
    number,
    ticks,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def parsed(*series, **settings):
    return ElementTree.fromstring(chart("a title", series, **settings))


def texts(svg):
    return [element.text for element in svg.iter("text")]


def test_ticks_are_round():
    assert ticks(Axis(0, 0.7, 0, 1), 5) == pytest.approx([0, 0.2, 0.4, 0.6])
    assert ticks(Axis(0.24, 0.34, 0, 1), 5) == pytest.approx([0.24, 0.26, 0.28, 0.3, 0.32, 0.34])
    assert ticks(Axis(0, 40_000, 0, 1), 6) == pytest.approx(range(0, 40_001, 10_000))
    assert ticks(Axis(0.05, 3, 0, 1, log=True), 5) == pytest.approx([0.05, 0.1, 0.2, 0.5, 1, 2])
    assert ticks(Axis(1e-9, 10, 0, 1, log=True), 5) == pytest.approx(
        [1e-9, 1e-7, 1e-5, 1e-3, 1e-1, 10]
    )


def test_numbers_on_axes():
    shown = [number(v) for v in (0, 0.3, 20_000, 1e-6, 2.5e7, -4, 0.1 + 0.2)]
    assert shown == ["0", "0.3", "20,000", "1e-6", "2.5e7", "-4", "0.3"]


def test_a_span_of_a_decade_is_drawn_on_a_log_scale():
    assert "loss, log scale" in texts(parsed(Series("", [0, 1], [0.05, 1.0]), y="loss"))
    assert "loss" in texts(parsed(Series("", [0, 1], [0.5, 1.0]), y="loss"))
    assert "loss" in texts(parsed(Series("", [0, 1], [0.0, 1.0]), y="loss"))


def test_points_have_titles():
    svg = parsed(Series("run <1>", [0, 100], [0.5, 0.25], style="marks"))
    titles = [element.text for element in svg.iter("title")]
    assert titles == ["run <1>: 0.5 at 0", "run <1>: 0.25 at 100"]


def test_charts_on_one_x_axis():
    long, short = Series("", [0, 50, 800], [1, 2, 3]), Series("", [500], [1])
    span = extent([long, short, Series("", [9_999], [math.nan])])
    assert span == (0, 800) and extent([]) is None
    (at,) = re.findall(r'cx="(\S+)"', chart("", [short], span=span))
    assert float(at) == pytest.approx(Axis(0, 800, 74, WIDTH - 14).at(500), abs=0.1)


def test_long_curves_are_parts_with_a_band():
    svg = parsed(Series("", range(10_000), [math.sin(i) for i in range(10_000)]))
    line, band = (
        next(e for e in svg.iter("path") if e.get("class").startswith(kind))
        for kind in ("line", "band")
    )
    assert line.get("d").count("L") == MOST - 1 and band.get("d").count("L") == 2 * MOST - 1


def test_nothing_to_show_is_nothing():
    assert chart("", []) == chart("", [Series("", [], [])]) == ""
    assert chart("", [Series("", [0.0, math.nan], [math.nan, 1.0])]) == ""
    assert legend([Series("one", [0], [0])]) == ""
    assert ">one<" in legend([Series("one", [0], [0]), Series("two", [], [])])  # which it is


def test_names_are_escaped():
    svg = chart('"><script>', [Series("<b>", [0], [1])], x="<i>", y="&")
    ElementTree.fromstring(svg)
    key = legend([Series("<b>", [0], [1]), Series("&", [0], [1])])
    assert "<script>" not in svg and "<b>" not in svg + key and "&lt;b&gt;" in key


FLOATS = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(FLOATS, FLOATS), max_size=8))
def test_any_values_are_drawn_within_the_frame(points):
    found = chart("", [Series("s", [x for x, _ in points], [y for _, y in points])])
    if not found:
        return
    assert len(found) < 20_000
    numbers = re.findall(r'(?:cx|cy)="([^"]*)"', found)
    for x, y in zip(numbers[::2], numbers[1::2], strict=True):
        assert 0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT
