"""How products are cut among the processors of a card."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from demitasse.errors import DeviceError
from demitasse.kernels.convolution import Form
from demitasse.kernels.cuda import products, table
from demitasse.kernels.cuda.convolution import ENGINE, Convolution, Deconvolution
from demitasse.kernels.cuda.geometry import MOST_PIXELS, layout, nominal
from demitasse.kernels.cuda.plans import Machine
from demitasse.kernels.im2col import Window
from demitasse.kernels.workers import Room

SOURCES = Path(table.__file__).parent
WINDOW = Window((3, 3), (1, 1), (0, 0), (1, 1))
BUDGET = 16 << 20
# the paper's net at 572 pixels: channels, outputs, and pixels of a side
UNET = [(64, 64, 570), (128, 256, 140), (512, 512, 66), (1024, 1024, 30), (1024, 512, 56)]


POINTWISE = WINDOW._replace(kernel=(1, 1))
WAITING = [(1, 64, 572, WINDOW), (3, 64, 572, WINDOW), (64, 2, 388, POINTWISE)]  # for memory


def plans(c, m, n, precision, processors=132, budget=BUDGET):
    """Forward, data gradient, weight gradient."""
    x, y = nominal((1, c, n, n), True), nominal((1, m, n - 2, n - 2), True)
    machine = Machine(precision, 90, processors)
    there, back = ((WINDOW, 1, t, 1.0, False, machine, budget) for t in (False, True))
    return (
        products.product(x, y, (m, c, 3, 3), *there).plan,
        products.product(y, x, (m, c, 3, 3), *back).plan,
        products.gradient(x, y, WINDOW, 1, machine, budget).plan,
    )


@pytest.mark.parametrize("precision", ["fp32", "fp32-strict", "tf32", "bf16"])
@pytest.mark.parametrize("layer", UNET)
def test_all_processors_have_about_the_same_to_do(layer, precision):
    for plan in plans(*layer, precision):
        blocks = plan.grid[0] * plan.grid[1] * plan.grid[2]
        turns = -(-blocks // 132)
        assert blocks >= 0.65 * 132 * turns, (plan.kernel.expression, plan.grid)


@pytest.mark.parametrize("precision", ["fp32", "fp32-strict", "tf32"])
@pytest.mark.parametrize("layer", WAITING, ids=str)
def test_first_layer_and_score_give_every_processor_a_weights_gradient(layer, precision):
    c, m, n, window = layer
    for processors in (1, 8, 132):
        plan = _of_weights(*layer, Machine(precision, 90, processors), BUDGET)
        assert plan.kernel in table.WEIGHT_GRADIENT_DIRECT.values()
        blocks = plan.grid[0] * plan.grid[1] * plan.grid[2]
        assert blocks >= 0.9 * 2 * processors
        assert plan.planes == plan.splits * m * c * window.volume <= BUDGET
        longest = (n + 1 - window.kernel[0]) ** 2 / plan.splits * table.DIRECT_LANES / 256
        assert longest <= 1 << 13  # as of weight_gradient_simt: pixels that a thread sums in one go
    assert _of_weights(*layer, Machine(precision, 90, 132), 1).splits == 1


def _of_weights(c, m, n, window, machine, budget):
    x, y = (nominal((1, k, s, s), k % 4 == 0) for k, s in ((c, n), (m, n + 1 - window.kernel[0])))
    return products.gradient(x, y, window, 1, machine, budget).plan


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
@pytest.mark.parametrize("processors", [8, 40, 132])
def test_a_small_card_adds_no_longer_sums_into_a_weights_gradient(precision, processors):
    """Each part is one chain of roundings: of 80,000 it is off by 3.2e-6."""
    machine = Machine(precision, 90, processors)
    for c, m, n in UNET:
        plan = plans(c, m, n, precision, processors)[2]
        assert (n - 2) ** 2 <= plan.splits * table.CHAIN[machine.mode]


@pytest.mark.parametrize("layer", UNET)
def test_planes_stay_within_the_budget(layer):
    for budget in (1, 1 << 20, BUDGET):
        for plan in plans(*layer, "fp32", budget=budget):
            weights = layer[0] * layer[1] * 9
            assert plan.planes <= max(budget, weights)
            assert plan.splits <= table.MOST_SPLITS[table.TF32X3]


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("here", [False, True])
def test_scratch_is_enough_where_one_array_alone_may_be_read_in_quads(here, there):
    """As where a Concat's top holds one of them, behind three channels."""
    x, w, y, room = (1, 12, 200, 200), (64, 12, 1, 1), (1, 64, 200, 200), Room(BUDGET)
    device = SimpleNamespace(precision="fp32", capability=90, processors=132, warpgroups=True)
    found = products.gradient(
        nominal(x, here), nominal(y, there), POINTWISE, 1, Machine(*vars(device).values()), BUDGET
    )
    form = Form(POINTWISE, 1, ENGINE)
    assert found.plan.scratch <= Convolution(device).scratch_size(x, w, y, form, room)
    assert found.plan.scratch <= Deconvolution(device).scratch_size(y, w, x, form, room)


def test_many_groups_are_not_cut_into_more_blocks_than_a_grid_has():
    x, window = nominal((1, 2048, 200, 200), True), WINDOW._replace(pad=(1, 1))
    plan = products.gradient(x, x, window, 2048, Machine("fp32", 90, 132), BUDGET).plan
    assert plan.splits > 1 and plan.grid[2] == 2048 * plan.splits <= 65535


def test_more_places_than_kernels_count_are_planned_but_not_computed():
    many = np.broadcast_to(np.float32(0), (2, 1, 1 << 15, 1 << 15))
    with pytest.raises(DeviceError, match=r"2147418112 places.*found 2147483648.*smaller tiles"):
        layout(many)
    assert nominal(many.shape, True).pixels == MOST_PIXELS > layout(many[:1]).pixels


def test_the_stride_of_an_axis_of_one_element_counts_for_nothing():
    """Padding steps beside it: a column of a map whose channels are no quads."""
    maps = np.moveaxis(np.empty((1, 5, 2, 10), np.float32), -1, 1)
    assert layout(maps[:, :8]).axis == (0, 20, 10)
    assert layout(maps[:, :8, :, :1]).axis == (0, 20, 0)
    assert layout(maps[:, :8, :1]).axis == (0, 0, 10)


def test_a_small_card_does_not_split_what_a_large_one_does():
    assert plans(1024, 512, 56, "fp32", 132)[0].splits > 1
    assert [p.splits for p in plans(1024, 512, 56, "fp32", 8)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("file", "words", "value"),
    [
        ("convolution_direct.cu", r"TERMS = (\d+);", table.SHORT_TERMS),
        ("convolution_direct.cu", r"LANES = (\d+);", table.NARROW_LANES),
        ("weight_gradient_direct.cu", r"FEW = (\d+)", table.DIRECT_FEW),
        ("weight_gradient_direct.cu", r"THREADS = (\d+)", table.Kernel("", "").threads),
        ("convolution_warpgroup.cu", r"THREADS = (\d+)", table.Kernel("", "").threads),
        ("weight_gradient_warpgroup.cu", r"THREADS = (\d+)", table.Kernel("", "").threads),
        ("weights.cu", r"TURNS = MANY \? (\d+) : 1;", table.MANY_TURNS),
        ("ptx.cuh", r"WORDS = (\d+);", table.BLOCK),
    ],
)
def test_sources_say_the_same_numbers(file, words, value):
    (found,) = re.findall(words, (SOURCES / file).read_text())
    assert int(found) == value


def test_plans_are_made_once():
    before = products.product.cache_info().misses
    first, second = plans(64, 64, 99, "tf32"), plans(64, 64, 99, "tf32")
    assert all(a is b for a, b in zip(first, second, strict=True))
    assert products.product.cache_info().misses == before + 2
