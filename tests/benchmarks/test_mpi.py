"""The model of many processes: what a ring costs, and what hides behind backward."""

import importlib

import pytest


@pytest.fixture
def bench():
    return importlib.import_module("mpi")


def test_the_fitted_link_is_the_one_that_made_the_figures(bench):
    sums = {size: bench.ring(size, 2, 20e-6, 3e9) for size in bench.SIZES}
    assert bench.link(sums) == pytest.approx((20e-6, 3e9))


def test_a_ring_passes_every_part_on_twice(bench):
    assert bench.ring(8e6, 4, 1e-3, 1e9) == pytest.approx(6 * (1e-3 + 2e6 / 1e9))


def test_what_is_summed_before_backward_ends_costs_nothing(bench):
    one = {
        "seconds": {"forward": [1.0], "backward": [2.0]},
        "buckets": [100, 100],
        "ready": [0.5, 2.0],
    }
    # bytes a second so that a bucket takes a second on two processes
    m = bench.model(one, {"net": (0.0, 100.0)}, [2])["net"][2]
    assert m["overlapped"] == pytest.approx(4.0)  # the first is hidden, the second begins at 2
    assert m["after"] == pytest.approx(5.0)
    assert (m["efficiency"], m["efficiency after"]) == pytest.approx((3 / 4, 3 / 5))
