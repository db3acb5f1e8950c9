"""Kernels that are slightly wrong are caught by the tests of test_convolution.py."""

import pytest
from emulator import COMPILER, KERNELS, MISSING, EmulatedDevice, Fault

from .test_convolution import BOUNDS, Layer, check, computed, inputs

pytestmark = pytest.mark.skipif(COMPILER is None, reason=MISSING)

BARRIER = "__syncthreads();"
DEEP = Layer(76, 20, (14, 13))  # several blocks of every reduction
WHOLE = Layer(32, 64, (14, 13), 2, pad=1)  # for warpgroups; the last block lies where targets will
FEW = Layer(2, 12, (14, 13), pad=1)  # columns: for two blocks of the direct weight gradient
OF_WARPS = ("convolution.cu", "convolution_simt.cu", "weight_gradient.cu")
OF_WARPGROUPS = ("convolution_warpgroup.cu", "weight_gradient_warpgroup.cu")


def _mutants():
    """A source, what stands there, which time, what is put there instead, and the precision."""
    for file, precision in zip(OF_WARPS, ("fp32", "fp32-strict", "fp32"), strict=True):
        text = (KERNELS / file).read_text()
        count = text.count(BARRIER) if file != "weight_gradient.cu" else 2
        yield from ((file, BARRIER, n, "", precision) for n in range(count))
    for file in OF_WARPGROUPS:
        count = (KERNELS / file).read_text().count(BARRIER)
        yield from ((file, BARRIER, n, "", "fp32") for n in range(count))
    yield from (("weight_gradient.cu", BARRIER, n, "", "fp32-strict") for n in (2, 3, 4))
    direct = "weight_gradient_direct.cu"
    count = (KERNELS / direct).read_text().count(BARRIER)
    yield from ((direct, BARRIER, n, "", "fp32") for n in range(count))
    yield direct, "store(1 - slot)", 0, "store(slot)", "fp32"
    yield direct, "if (taps[e].counts<false>(g, pixel)) next", 0, "next", "fp32"
    yield direct, "advance(pixel, PIXELS, g.out)", 0, "", "fp32"
    early = "if (u == 0 && block + 1 < last) read(a[0], 0, slot); wait_products("
    for old, new in (
        ("  show_shared();\n  __sync", "  __sync"),
        ("    show_shared();\n    __sync", "    __sync"),
        ("  show_shared();\n  __syncthreads();", "  show_shared();"),
        ("    __syncthreads();  // the next block", "    // the next block"),
        ("wait<AHEAD - 1>();", "wait<AHEAD>();"),
        ("wait<AHEAD - 2>();", "wait<AHEAD - 1>();"),
        ("slot > 0 ? slot - 1 : STAGES - 1", "slot"),
        ("wait_products(UNITS - 1 - u, unit)", "wait_products(UNITS - u, unit)"),
        ("wait_products(UNITS - 1 - u, unit)", early + "UNITS - 1 - u, unit)"),
        ("block + 1 < last) read(a[0], 0, slot)", "block + 1 < last) read(a[0], 1, slot)"),
        ("store(block + AHEAD, free)", "store(block + AHEAD, slot)"),
    ):
        yield from (("warpgroup.cuh", old, 0, new, precision) for precision in ("fp32", "tf32"))
    yield OF_WARPGROUPS[0], "from.taken >> tap & 1", 0, "true", "fp32"
    yield OF_WARPGROUPS[1], "place.taken & tap", 0, "true", "tf32"
    yield "weights.cu", "if (block < channels && tap == taps) break;", 0, "", "fp32"
    yield "warpgroup.cuh", "step > 0", 0, "true", "fp32"
    yield "convolution.cu", "wait<STAGES - 2>();", 0, "wait<STAGES - 1>();", "bf16"
    yield "convolution.cu", "(slot + 1) % STAGES", 0, "slot", "bf16"
    yield "convolution.cu", "(slot + 1) % STAGES", 0, "(slot + 2) % STAGES", "bf16"
    yield "geometry.cuh", "m0 + i < g.pixels ? counting_taps(g, pixel) : 0", 0, "~0u", "tf32"
    yield "weight_gradient.cu", "(block - first) % STAGES * PIXELS + row", 0, "row", "tf32"


@pytest.mark.parametrize(("file", "old", "which", "new", "precision"), list(_mutants()))
def test_a_kernel_that_is_slightly_wrong_is_caught(tmp_path, file, old, which, new, precision):
    for source in KERNELS.glob("*.cu*"):
        (tmp_path / source.name).write_text(source.read_text())
    parts = (tmp_path / file).read_text().split(old)
    assert len(parts) > which + 1, "the source no longer says so"
    (tmp_path / file).write_text(old.join(parts[: which + 1]) + new + old.join(parts[which + 1 :]))
    device = EmulatedDevice(precision, processors=1, folder=tmp_path)
    layer = DEEP if file in OF_WARPS else FEW if "direct" in file else WHOLE
    values = inputs(layer)
    with pytest.raises((Fault, AssertionError)):
        check(computed(device, layer, *values), layer, values, BOUNDS[precision])
