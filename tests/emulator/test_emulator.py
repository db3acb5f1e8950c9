"""The emulator computes what a card would, and catches what a card would forgive."""

import re
from pathlib import Path

import numpy as np
import pytest

from emulator import COMPILER, MISSING, SCHEDULES, CompileError, Fault, Module, array, empty

pytestmark = pytest.mark.skipif(COMPILER is None, reason=MISSING)

SAMPLES = Path(__file__).parent / "samples.cu"
i32, f32 = np.int32, np.float32


@pytest.fixture(scope="module")
def samples():
    return Module(SAMPLES)


@pytest.fixture(params=SCHEDULES)
def run(samples, request):
    """Runs one block of a sample."""

    def launch(name, *args, threads=64, shared=0, module=samples):
        module.function(name)((1,), (threads,), args, shared, schedule=request.param)

    return launch


def ramp(n=64, dtype=f32):
    return array(np.arange(n), dtype)


def cut(v):
    """To TF32."""
    return (v.view(np.uint32) & 0xFFFFE000).view(f32).astype(float)


def rounded(v):
    """To bfloat16."""
    u = v.view(np.uint32).astype(np.uint64)
    u = (u + 0x7FFF + (u >> 16 & 1)) & 0xFFFF0000
    return u.astype(np.uint32).view(f32).astype(float)


# ---------------------------------------------------------------- what a card would do


def test_a_grid_covers_an_array(samples):
    x = ramp(100)
    samples.function("scale")((4,), (32,), (x, f32(2), i32(100)))
    np.testing.assert_array_equal(x, 2 * np.arange(100))


def test_templates_and_structs_by_value(run):
    record = np.zeros(1, [("slope", "f4"), ("offset", "f4"), ("n", "i4")])
    record[0] = 3, 1, 10
    x, y = ramp(10), array(np.zeros(20, f32))
    run("line<2>", x, y, record, threads=4)
    np.testing.assert_array_equal(y[::2], 3 * x + 1)
    np.testing.assert_array_equal(y[1::2], 0)


def test_dynamic_shared_memory_and_a_barrier(run):
    x = ramp()
    run("reversed_by_shared", x, shared=256)
    np.testing.assert_array_equal(x, np.arange(64)[::-1])


@pytest.mark.parametrize("threads", [32, 96, 256])
def test_sum_by_shuffles(run, threads):
    s = empty(1)
    run("block_sum", ramp(100), s, i32(100), threads=threads)
    assert s == 4950


def test_shuffles_and_votes(run):
    x = array(np.arange(32) * 7 % 32, np.int32)
    down, up, across, one = (empty(32, np.int32) for _ in range(4))
    votes = empty(32, np.uint32)
    run("all_shuffles", x, down, up, across, one, votes, threads=32)
    lane = np.arange(32)
    np.testing.assert_array_equal(down, x[np.where(lane % 16 < 13, lane + 3, lane) % 32])
    np.testing.assert_array_equal(up, x[np.where(lane % 16 >= 3, lane - 3, lane)])
    np.testing.assert_array_equal(across, x[lane ^ 5])
    np.testing.assert_array_equal(one, x[lane // 8 * 8 + 2])
    assert set(votes) == {sum(1 << i for i in range(32) if x[i] % 3 == 0)}


def test_tensor_cores_cut_operands_to_tf32(run):
    rng = np.random.default_rng(0)
    a, b = (array(rng.standard_normal(s), f32) for s in ((16, 8), (8, 8)))
    d = empty((16, 8))
    run("products_tf32", a, b, d, i32(1), threads=32)
    np.testing.assert_allclose(d, cut(a) @ cut(b), rtol=1e-6, atol=1e-7)
    assert np.abs(d - a.astype(float) @ b).max() > 1e-4


def test_tensor_cores_cut_sums_so_long_ones_drift(run):
    a, b = array(np.full((16, 8), 1 / 3), f32), array(np.full((8, 8), 1 / 3), f32)
    d, times = empty((16, 8)), 3000
    run("products_tf32", a, b, d, i32(times), threads=32)
    exact = 8 * times * float((a.view(np.uint32) & 0xFFFFE000).view(f32)[0, 0]) ** 2
    assert (d < exact * (1 - 2e-5)).all() and (d > exact * (1 - 5e-3)).all()


def test_tensor_cores_round_operands_to_bf16_through_shared_memory(run):
    rng = np.random.default_rng(0)
    a, b = (array(rng.standard_normal(s), f32) for s in ((16, 16), (8, 16)))
    d = empty((16, 8))
    run("products_bf16", a, b, d, threads=32)

    np.testing.assert_allclose(d, rounded(a) @ rounded(b).T, rtol=1e-6, atol=1e-6)


WARPGROUP = {"threads": 256, "shared": 1023 + 3 * 8192}


def of_warpgroups(per_word, tiles=3):
    rng = np.random.default_rng(0)
    a, b = (array(rng.standard_normal((n, 32 * per_word * tiles)).astype(f32)) for n in (128, 64))
    return a, b, empty((128, 64)), i32(tiles)


@pytest.mark.parametrize("bf16", ["false", "true"])
def test_products_of_warpgroups(run, bf16):
    a, b, d, tiles = of_warpgroups(2 if bf16 == "true" else 1)
    run(f"products_of_warpgroups<{bf16}>", a, b, d, tiles, **WARPGROUP)
    left, right = (rounded(v) if bf16 == "true" else cut(v) for v in (a, b))
    np.testing.assert_allclose(d, left @ right.T, rtol=1e-5, atol=1e-5)


def test_one_wait_is_for_all_products_before_it(run):
    b, d = array(np.arange(64 * 32), f32), empty((8, 2, 8, 64))
    run("one_wait_for_two_groups", b, d, **WARPGROUP)
    rows = np.tile(b.reshape(64, 32).T, (2, 1))
    for at, first in enumerate((0, 24)):
        expected = np.broadcast_to(rows[first : first + 8], (8, 8, 64))
        np.testing.assert_array_equal(d[:, at], expected)


def test_asynchronous_copies_through_a_ring_of_slots(run):
    x, sums = array(np.random.default_rng(0).integers(0, 9, (5, 64)), f32), empty(64)
    run("pipeline", x, sums, i32(5))
    np.testing.assert_array_equal(sums, np.roll(x.sum(0), 32))


def test_a_new_array_is_nan_until_it_is_written():
    assert np.isnan(empty((2, 3))).all() and (empty(2, np.int32) == -1).all()


def test_atomic_sums_of_many_blocks(samples):
    counts = array(np.zeros(4, np.int32))
    samples.function("histogram")((5,), (64,), (array(np.arange(320) % 4, np.int32), counts))
    assert set(counts) == {80}


def test_the_same_template_in_two_modules_has_shared_memory_of_its_own(tmp_path):
    text = """template <int N> __global__ void parts(float* x) {
      __shared__ float held[N];
      if (threadIdx.x < WRITTEN) held[threadIdx.x] = 1;
      __syncthreads();
      x[threadIdx.x] = held[threadIdx.x];
    }"""
    (tmp_path / "parts.cu").write_text(text)
    whole, part = (Module(tmp_path / "parts.cu", defines=[f"WRITTEN={n}"]) for n in (64, 63))
    whole.function("parts<64>")((1,), (64,), (empty(64),))
    with pytest.raises(Fault, match="nobody wrote"):
        part.function("parts<64>")((1,), (64,), (empty(64),))


# ---------------------------------------------------------------- what a card would forgive

x, y, n = f32(0), f32(1), i32(2)  # stand for a float array, another one, an int array
FAULTS = [
    ("reads_behind", (x, y, i32(1)), r"out-of-bounds .* 0 bytes behind argument 0"),
    ("writes_behind", (x, i32(2)), r"out-of-bounds .* behind argument 0"),
    ("writes_before", (x, i32(3)), r"wrote around the array that is argument 0"),
    ("writes_before", (x, i32(5000)), r"out-of-bounds"),
    ("shared_behind", (x,), r"behind dynamic shared memory"),
    ("index_outside", (x, i32(8)), r"index outside an array"),
    ("divergent_barrier", (x,), r"divergent __syncthreads"),
    ("barrier_without_all", (x, i32(40)), r"waits for 24 threads that have left"),
    ("shuffle_from_absent", (x, i32(7)), r"lane \d+ .*left the kernel"),
    ("shuffle_from_masked", (x,), r"reads lane \d+, which takes no part"),
    ("diverged_warp", (x,), r"warp has diverged"),
    ("warp_against_barrier", (x,), r"deadlock: lanes 55555555 .* aaaaaaaa"),
    ("misaligned", (x, y, i32(1)), r"misaligned access"),
    ("misaligned_copy", (x, y, i32(1)), r"copy of 16 bytes is misaligned"),
    ("overflow", (n,), r"signed overflow"),
    ("divides", (n,), r"division by zero"),
]


@pytest.mark.parametrize(("name", "args", "words"), FAULTS, ids=[f"{f[0]}" for f in FAULTS])
def test_a_fault_is_reported_with_its_place_and_the_process_goes_on(
    samples, run, name, args, words
):
    arrays = {id(x): ramp(), id(y): ramp(), id(n): array(np.arange(64) * 4096, np.int32)}
    given = [arrays.get(id(a), a) for a in args]
    with pytest.raises(Fault, match=words) as fault:
        run(name, *given, shared=128)
    source = SAMPLES.read_text().splitlines()
    start = next(i for i, line in enumerate(source, 1) if f"void {name}(" in line)
    if "wrote around" not in words:
        found = str(fault.value)
        file, line = found.split("(")[-3].split(",")[0].split(":")
        assert file == "samples.cu" and start <= int(line) <= start + 7, found
        assert "block (0, 0, 0), thread (" in found
    test_a_grid_covers_an_array(samples)


RACES = [
    ("reversed_by_shared", ["MISSING_BARRIER"], r"shared memory that nobody wrote"),
    ("pipeline", ["SLOTS=1"], r"race: thread \d+ read this, too.*\(samples\.cu:\d+\)"),
    ("pipeline", ["MISSING_BARRIER"], r"shared memory that nobody wrote"),
    ("unwaited_copy", [], r"race: an asynchronous copy to this is under way"),
    ("unwritten_shared", [], r"reads shared memory that nobody wrote"),
    (
        "neighbours_of_a_warp",
        ["MISSING_BARRIER"],
        r"shared memory that nobody wrote",
    ),
    ("reads_what_others_write", [], r"race: thread \d+ (wrote|read) this, too"),
]


@pytest.mark.parametrize(("name", "defines", "words"), RACES)
def test_what_no_barrier_orders_is_found_in_every_schedule(run, name, defines, words):
    module = Module(SAMPLES, defines=defines)
    args = {"pipeline": (empty(64), i32(5)), "unwaited_copy": (empty(64),)}.get(name, ())
    with pytest.raises(Fault, match=words):
        run(name, ramp(320), *args, shared=256, module=module)


IN_PRODUCTS = [
    ("false", "MISSING_LANE", r"lane \d+ .*left the kernel"),
    ("false", "MISSING_WARP", r"not all warps of a group give this product"),
    ("true", "MISSING_BARRIER", r"wrote what a product reads, and no barrier|that nobody wrote"),
    ("false", "MISSING_BARRIER", r"wrote what a product reads, and no barrier|that nobody wrote"),
    ("false", "MISSING_COPY_WAIT", r"race: an asynchronous copy to what a product reads is under"),
    ("true", "MISSING_ROWS", r"a product reads shared memory that nobody wrote"),
    ("false", "MISSING_SHOW", r"what thread \d+ has not shown to it by show_shared\(\)"),
    ("true", "MISSING_SHOW", r"what thread \d+ has not shown to it by show_shared\(\)"),
    ("true", "MISSING_BARRIER_BEFORE_SHOW", r"what thread \d+ has not shown to it by show_shared"),
    ("true", "MISSING_BEGIN", r"product without begin_products\(\) since the last wait_products"),
    ("true", "MISSING_COMMIT", r"a product is neither committed nor waited for"),
    ("false", "MISSING_WAIT", r"a product is not waited for"),
    ("false", "MISSING_WAIT_BEFORE_SUMS", r"lane 0 has written the sums of a product under way"),
    ("true", "MISSING_WAIT_BEFORE_OPERANDS", r"lane \d+ has written an operand of this product"),
    ("true", "MISSING_WAIT_BEFORE_STORE", r"race: a product under way reads this .samples\.cu:\d+"),
    ("false", "MISSING_WAIT_BEFORE_COPY", r"race: a product under way reads this .samples\.cu:\d+"),
    (
        "true",
        "MISSING_BARRIER_BEHIND",
        r"race: (a product under way reads this|a product of thread \d+ read this"
        r"|thread \d+ wrote what a product reads)",
    ),
    ("true", "CHANGED(rows)=rows+128/16", r"rows are not at a multiple of 1024 bytes"),
    ("true", "CHANGED(rows)=rows+512/16", r"rows are not at a multiple of 1024 bytes"),
    ("true", "CHANGED(rows)=rows+112/16", r"reads behind the ends of its rows"),
    ("true", "CHANGED(rows)=rows-1024/16", r"outside dynamic shared memory"),
    ("true", "CHANGED(rows)=rows+2*8192/16", r"outside dynamic shared memory"),
    ("true", "CHANGED(rows)=rows^3ull<<62", r"rows are not permuted within 128 bytes"),
    ("true", "CHANGED(rows)=rows^1ull<<62", r"rows are not permuted within 128 bytes"),
    ("true", "CHANGED(rows)=rows|1ull<<49", r"has a base offset"),
    ("true", "CHANGED(rows)=rows|1ull<<33", r"eight rows take \d+ bytes, not 1024"),
    ("true", "CHANGED(rows)=rows|1ull<<52", r"bits set that mean nothing"),
    ("true", "CHANGED(rows)=rows+lane/31*1024/16", r"lanes of a warp give different products"),
    ("true", "CHANGED(rows)=rows+threadIdx.x/96%2*1024/16", r"warps of a group give different"),
]


@pytest.mark.parametrize(("bf16", "define", "words"), IN_PRODUCTS)
def test_what_is_wrong_with_products_is_found_in_every_schedule(run, bf16, define, words):
    module = Module(SAMPLES, defines=[define])
    args = of_warpgroups(2 if bf16 == "true" else 1)
    with pytest.raises(Fault, match=words) as fault:
        run(f"products_of_warpgroups<{bf16}>", *args, module=module, **WARPGROUP)
    assert re.search(r"\((samples.cu|ptx.cuh):\d+, block .*, thread", str(fault.value))


def test_sums_of_a_product_under_way_are_nan(run):
    module = Module(SAMPLES, defines=["MISSING_WAIT_BEFORE_READ"])
    a, b, d, tiles = of_warpgroups(1)
    run("products_of_warpgroups<false>", a, b, d, tiles, module=module, **WARPGROUP)
    assert np.isnan(d).all()


def test_products_need_whole_groups_of_warps(run):
    with pytest.raises(Fault, match="blocks of a multiple of 128 threads, not 192"):
        run("products_of_warpgroups<true>", *of_warpgroups(2), threads=192, shared=32768)


def test_lanes_of_a_warp_are_ordered_by_its_barrier(run):
    v = ramp()
    run("neighbours_of_a_warp", v)
    np.testing.assert_array_equal(v, np.arange(64) ^ 1)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_blocks_that_write_the_same_element_are_found(samples, schedule):
    with pytest.raises(Fault, match="race: another block wrote this array, too"):
        samples.function("block_sum")((2,), (64,), (ramp(), empty(1), i32(64)), schedule=schedule)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((x, np.float64(2), i32(8)), "argument 1 must be 32-bit float, not float64"),
        ((x, 2.0, i32(8)), "argument 1 must be 32-bit float, not float"),
        ((x, i32(2), i32(8)), "argument 1 must be 32-bit float, not int32"),
        ((x, f32(2), np.int64(8)), "argument 2 must be 32-bit integer, not int64"),
        ((x, f32(2), 8), "argument 2 must be 32-bit integer, not int"),
        ((n, f32(2), i32(8)), "argument 0 must be an array of 32-bit float, not an array of int32"),
        ((x, f32(2)), "2 arguments for 3 parameters"),
    ],
)
def test_arguments_of_another_kind_are_refused(samples, args, words):
    arrays = {id(x): ramp(), id(n): ramp(64, np.int32)}
    with pytest.raises(Fault, match=words):
        samples.function("scale")((1,), (8,), [arrays.get(id(a), a) for a in args])


def test_records_of_another_size_are_refused(samples):
    with pytest.raises(Fault, match="argument 2 must be one record of 12 bytes"):
        record = np.zeros(1, [("slope", "f4"), ("n", "i4")])
        samples.function("line<1>")((1,), (8,), (ramp(), ramp(), record))


@pytest.mark.parametrize(
    ("grid", "block", "shared", "words"),
    [
        ((1,), (2048,), 0, "a block of 2048 threads"),
        ((1, 70000), (32,), 0, "a grid of 1 x 70000 x 1 blocks"),
        ((0,), (32,), 0, "a grid of 0 x 1 x 1 blocks"),
        ((1,), (32,), 300_000, r"\d+ bytes of shared memory, 300000 of them dynamic"),
    ],
)
def test_impossible_launches_are_refused(samples, grid, block, shared, words):
    with pytest.raises(Fault, match=words):
        samples.function("scale")(grid, block, (ramp(), f32(2), i32(8)), shared)


def test_what_the_compiler_says_is_passed_on(tmp_path):
    (tmp_path / "bad.cu").write_text("__global__ void bad(float* x) { x[0] = nothing; }\n")
    with pytest.raises(CompileError, match=r"bad\.cu:1.*nothing"):
        Module(tmp_path / "bad.cu").function("bad")
