"""Every kernel of the table compiles for every card, within its registers and without a spill."""

from itertools import groupby, product
from pathlib import Path

import nvrtc
import pytest
from demitasse.kernels.cuda import table

SOURCES = Path(__file__).resolve().parents[3] / "kernels" / "cuda"
HEADERS = {p.name: p.read_text() for p in sorted(SOURCES.glob("*.cuh"))}
CARDS = {"sm_75": 75, "sm_80": 80, "sm_90a": 90, "sm_100": 100}  # all files
MORE = {"sm_86": 86, "sm_89": 89, "sm_90": 90, "sm_120": 120}  # those near their limits
WARPGROUPS = "sm_90a"  # alone has their products
ROWS = sorted(table.kernels())
FILES = sorted({kernel.file for kernel in ROWS})
TIGHT = ("convolution.cu", "convolution_simt.cu", "weight_gradient.cu", "weight_gradient_direct.cu")
OF_WARPGROUPS = {k.file for k in ROWS if k.capability == table.WARPGROUP_CAPABILITY}
CUPYS = ["-ftz=true", "--device-as-default-execution-space"]  # options that CuPy adds

pytestmark = pytest.mark.skipif(nvrtc.library() is None, reason=nvrtc.MISSING)


def runs(kernel, card, capability):
    if kernel.file in OF_WARPGROUPS:
        return card == WARPGROUPS
    return kernel.capability <= capability


@pytest.mark.parametrize(("card", "file"), [*product(CARDS, FILES), *product(MORE, TIGHT)])
def test_compiles_within_its_registers_and_without_a_spill(card, file):
    capability = (CARDS | MORE)[card]
    if capability not in nvrtc.architectures():
        pytest.skip(f"this NVRTC knows no {card}")
    rows = [k for k in ROWS if k.file == file and runs(k, card, capability)]
    if not rows:
        assert capability < table.TENSOR_CAPABILITY or file in OF_WARPGROUPS
        return
    text = (SOURCES / file).read_text()
    used = nvrtc.compile(text, file, HEADERS, [k.expression for k in rows], card, CUPYS)
    too_many = {
        k.expression: used[k.expression] for k in rows if used[k.expression][0] > k.most(capability)
    }
    spilled = {e: n for e, (_, n) in used.items() if n}
    assert (too_many, spilled) == ({}, {})


def test_the_table_names_every_source():
    assert sorted(p.name for p in SOURCES.glob("*.cu")) == FILES
    assert all(len(list(rows)) == 1 for _, rows in groupby(ROWS, lambda k: (k.file, k.expression)))


def test_blocks_fit_on_a_card():
    for kernel in ROWS:
        limit = 65536 // kernel.threads  # registers of a multiprocessor
        most = max(kernel.registers, kernel.newer)
        shared = 227 if kernel.file in OF_WARPGROUPS else 99
        assert most <= min(255, limit) and kernel.shared <= shared << 10, kernel


def test_cupys_own_architecture_does_not_take_away_the_products_of_warpgroups():
    """CuPy appends its own to the option of card.py."""
    for file in sorted(OF_WARPGROUPS):
        name = next(k.expression for k in ROWS if k.file == file)
        both = [*CUPYS, "-arch=sm_90"]
        assert nvrtc.compile((SOURCES / file).read_text(), file, HEADERS, [name], WARPGROUPS, both)


def test_a_compiler_for_another_architecture_is_found_out():
    """As card.py does, before a net meets the kernels."""
    file, name = table.HAS_WARPGROUPS[:2]
    with pytest.raises(RuntimeError, match="wgmma"):
        nvrtc.compile((SOURCES / file).read_text(), file, HEADERS, [name], "sm_90", CUPYS)


def test_products_of_warpgroups_that_wait_for_each_other_are_noticed():
    text = """
    #include "warpgroup.cuh"
    extern "C" __global__ void impatient(float* x) {
      extern __shared__ unsigned rows[];
      float d[8][4] = {};
      const unsigned a[4] = {threadIdx.x};
      begin_products();
      for (int i = 0; i < 9; ++i) {
        multiply_tf32(d, a, rows_of(rows, 0), true);
        commit_products();
        d[0][0] += 1;
      }
      wait_products(0, d);
      x[threadIdx.x] = d[0][0];
    }"""
    with pytest.raises(RuntimeError, match=r"wgmma.mma_async instructions are serialized"):
        nvrtc.compile(text, "impatient.cu", HEADERS, ["impatient"], WARPGROUPS)


def test_a_spill_and_a_greedy_kernel_are_noticed():
    text = """
    extern "C" __global__ void __launch_bounds__(1024, 2) greedy(float* x) {
      float v[64];
      for (int i = 0; i < 64; ++i) v[i] = x[i * 1024 + threadIdx.x];
      __syncthreads();
      for (int i = 0; i < 64; ++i) x[(63 - i) * 1024 + threadIdx.x] = v[i] * v[63 - i];
    }"""
    ((registers, spilled),) = nvrtc.compile(text, "greedy.cu", {}, ["greedy"], "sm_80").values()
    assert registers == 32 and spilled > 0
