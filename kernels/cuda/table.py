"""Every kernel instance: where it is, how it is launched, what it needs.

    file, expression   what the device compiles
    threads            in a block
    shared             bytes of dynamic shared memory; the launch may say more where they depend on
                       shapes
    capability         the least compute capability, times ten
    registers          more for a thread, or any spill, and the build fails
    newer              the same from compute capability 11 on, where it is another number

and the numbers that choosing among them needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .launch import flag

NEWER = 110


class Kernel(NamedTuple):
    file: str
    expression: str
    threads: int = 256
    shared: int = 0
    capability: int = 75
    registers: int = 64
    newer: int = 0

    def most(self, capability: int) -> int:
        """Registers of a thread on cards of that compute capability."""
        return self.newer if self.newer and capability >= NEWER else self.registers


class Tile(NamedTuple):
    """A kernel whose blocks make `rows` x `columns` of a product, `depth` terms at a time; one row
    and one column take as long to bring as `row` and `column` terms."""

    rows: int
    columns: int
    depth: int
    kernel: Kernel
    row: float = 48
    column: float = 48

    @property
    def resident(self) -> int:
        """Blocks that a multiprocessor's 65536 registers have room for, before NEWER."""
        return 65536 // (self.kernel.threads * self.kernel.registers)


TF32, TF32X3, BF16 = "TF32", "TF32X3", "BF16"
# how weights are packed, and words for each where it is not one
FLOAT, ROUNDED, PAIRS, SPLIT = "FLOAT", "ROUNDED", "PAIRS", "SPLIT"
WORDS = {PAIRS: 0.5, SPLIT: 2}
MODES = {"fp32": TF32X3, "tf32": TF32, "bf16": BF16}  # of tensor cores; fp32-strict has none
OPERANDS = {TF32: ROUNDED, TF32X3: FLOAT, BF16: PAIRS}

TENSOR_CAPABILITY = 80
WARPGROUP_CAPABILITY = 90
WARPGROUPS = {  # whose kernels are named so
    "convolution": "convolve_by_warpgroups",
    "weight_gradient": "weight_gradient_by_warpgroups",
}
HAS_WARPGROUPS = Kernel("warpgroup.cu", "has_warpgroups", capability=WARPGROUP_CAPABILITY)
# also sum over pixels, for the bias
SUMMING = ("weight_gradient_warpgroup.cu", "weight_gradient_direct.cu")
TENSOR_TAPS = 31  # a thread keeps one bit for each
STAGES = 3
BLOCK = 32  # channels
TAP = 24  # bytes of shared memory for each position of the kernel
MOST_TAPS = 1024  # that every card has room for
SHORT_TERMS = 32  # fewer, and a convolution waits for memory, not for arithmetic
SHORT_SHARED = 48 << 10  # bytes of weights
SHORT_PIXELS = 4  # of one thread
NARROW_OUTPUTS = 8
NARROW_LANES = 8  # that share a pixel
DIRECT_FEW = 10  # values of a pixel that a block of the direct weight gradient has sums for
DIRECT_LANES = 32  # of a block, at most: threads that read one pixel's many channels
DIRECT_PART = 256  # pixels of one part, at least
DIRECT_CHAIN = 1 << 16  # pixels of one part, at most: a thread sums up to an eighth of them
SPLIT_BLOCKS = 8  # of the reduction, at least, in each part of it
# terms as long as it takes to bring a word to a block on 9.0, and ...
WORD = {TF32X3: 48, TF32: 144}
# ... to bring one partial sum, and to add it
PLANE = {TF32X3: 360, TF32: 1080, BF16: 1440, None: 180}
# pixels that tensor cores sum in one go: as many roundings stay within 2e-6, or a mode's own error
CHAIN = {TF32X3: 1 << 17, TF32: 1 << 16, BF16: 1 << 17}
MOST_SPLITS = {TF32X3: 64, TF32: 64, BF16: 64, None: 256}
MANY_PLANES, MANY_TURNS = 32, 8  # planes that so many threads add
CORES_BUSY = 512  # threads that keep a multiprocessor's CUDA cores busy
DEEPEST = 65535  # blocks of a grid along z: groups, times splits
PLANES = 1 << 22  # elements of partial weight gradients, or twice the gradient if that is more
PARTS = 512  # blocks among which a sum over pixels is cut


def _convolve(rows: int, columns: int, warp: tuple[int, int], mode: str, registers: int) -> Tile:
    expression = f"convolve<{rows}, {columns}, {warp[0]}, {warp[1]}, {STAGES}, {mode}>"
    threads = rows * columns // (warp[0] * warp[1]) * 32
    shared = STAGES * (rows + columns) * 128
    kernel = Kernel("convolution.cu", expression, threads, shared, TENSOR_CAPABILITY, registers)
    return Tile(rows, columns, 64 if mode == BF16 else 32, kernel)


def _by_warpgroups(
    name: str, large: int, small: int, padding: int, mode: str, registers: int
) -> Kernel:
    """Of two warpgroups, each of `large` rows of the operand in registers.  Where they multiply a
    block in less time than memory takes to answer, one more block is on its way."""
    stages = STAGES + (mode == TF32 and large * small < 128 * 128)
    operands = 2 * large + padding + small * (2 if mode == TF32X3 else 1)
    return Kernel(
        f"{name}_warpgroup.cu",
        f"{WARPGROUPS[name]}<{large}, {small}, {stages}, {mode}>",
        256,
        stages * operands * 128 + 1024,  # so that it can begin at a multiple of that
        WARPGROUP_CAPABILITY,
        registers,
    )


def _convolve_by_warpgroups(rows: int, columns: int, mode: str, registers: int) -> Tile:
    """Of its pixels a third come from afar, of its weights two parts."""
    kernel = _by_warpgroups("convolution", rows, columns, 0, mode, registers)
    word = WORD[mode]
    return Tile(2 * rows, columns, BLOCK, kernel, word / 3, word * (2 if mode == TF32X3 else 1))


def _gradient_by_warpgroups(outputs: int, columns: int, mode: str, registers: int) -> Tile:
    """Of its columns, which are pixels of several taps, half come from afar."""
    kernel = _by_warpgroups("weight_gradient", columns, outputs, 8, mode, registers)
    return Tile(outputs, 2 * columns, BLOCK, kernel, WORD[mode], WORD[mode] / 2)


def _gradient(size: int, warp: tuple[int, int], mode: str, registers: int) -> Tile:
    expression = f"weight_gradient<{size}, {warp[0]}, {warp[1]}, {STAGES}, {mode}>"
    threads = size * size // (warp[0] * warp[1]) * 32
    shared = STAGES * 16 * 2 * (size + (4 if mode == BF16 else 8)) * 4
    kernel = Kernel("weight_gradient.cu", expression, threads, shared, TENSOR_CAPABILITY, registers)
    return Tile(size, size, 16, kernel)


def _cores(
    file: str,
    expression: str,
    rows: int,
    columns: int,
    threads: int,
    registers: int,
    newer: int = 0,
) -> Tile:
    kernel = Kernel(file, expression, threads, registers=registers, newer=newer)
    return Tile(rows, columns, 8, kernel)


# large tiles first
CONVOLVE = {
    mode: (
        _convolve(128, 128, (64, 32), mode, large),
        _convolve(128, 64, (32, 32) if mode == BF16 else (64, 32), mode, middle),
        _convolve(64, 64, (32, 32), mode, small),
    )
    for mode, large, middle, small in (
        (TF32, 128, 176, 120),  # two blocks to a multiprocessor
        (TF32X3, 216, 224, 152),
        (BF16, 208, 160, 160),
    )
}
CONVOLVE_WARPGROUPS = {
    TF32: (
        _convolve_by_warpgroups(128, 128, TF32, 216),
        _convolve_by_warpgroups(128, 64, TF32, 152),
        _convolve_by_warpgroups(64, 128, TF32, 144),
    ),
    TF32X3: (
        _convolve_by_warpgroups(128, 64, TF32X3, 248),
        _convolve_by_warpgroups(64, 128, TF32X3, 232),
    ),
}
CONVOLVE_SIMT = {  # whether channels may be read in quads: what is fast, and what is right
    True: (
        _cores(
            "convolution_simt.cu", "convolve_simt<128, 128, 8, 8, true>", 128, 128, 256, 128, 160
        ),
        _cores("convolution_simt.cu", "convolve_simt<64, 32, 4, 4, true>", 64, 32, 128, 112),
    ),
    False: (_cores("convolution_simt.cu", "convolve_simt<64, 32, 4, 4, false>", 64, 32, 128, 112),),
}
WEIGHT_GRADIENT = {
    mode: (
        _gradient(128, (64, 32), mode, large),
        _gradient(64, (32, 32), mode, small),
    )
    for mode, large, small in ((TF32, 128, 80), (TF32X3, 184, 128), (BF16, 128, 72))
}
GRADIENT_WARPGROUPS = {
    TF32: (
        _gradient_by_warpgroups(128, 128, TF32, 248),
        _gradient_by_warpgroups(64, 128, TF32, 168),
    ),
    TF32X3: (
        _gradient_by_warpgroups(64, 128, TF32X3, 255),
        _gradient_by_warpgroups(128, 64, TF32X3, 248),
    ),
}
WEIGHT_GRADIENT_SIMT = {
    True: (
        _cores("weight_gradient.cu", "weight_gradient_simt<128, 128, 8, true>", 128, 128, 256, 128),
        _cores("weight_gradient.cu", "weight_gradient_simt<64, 32, 4, true>", 64, 32, 128, 128),
    ),
    False: (
        _cores("weight_gradient.cu", "weight_gradient_simt<64, 32, 4, false>", 64, 32, 128, 128),
    ),
}
WEIGHT_GRADIENT_DIRECT = {
    (narrow, quads): Kernel(
        "weight_gradient_direct.cu",
        f"weight_gradient_direct<{flag(narrow)}, {flag(quads)}>",
        registers=128,
    )
    for narrow in (False, True)
    for quads in (False, True)
}
SHORT = {
    wide: Kernel("convolution_direct.cu", f"convolve_short<{wide}, {SHORT_PIXELS}>", registers=80)
    for wide in (4, 1)
}
NARROW = Kernel("convolution_direct.cu", f"convolve_narrow<{NARROW_OUTPUTS}>", registers=80)
PACK = {
    operand: Kernel(
        "weights.cu", f"pack<{operand}>", capability=TENSOR_CAPABILITY if operand == PAIRS else 75
    )
    for operand in (FLOAT, ROUNDED, PAIRS, SPLIT)
}
ADD_PLANES = {many: Kernel("weights.cu", f"add_planes<{flag(many)}>") for many in (False, True)}
FINISH = {quads: Kernel("weights.cu", f"finish<{flag(quads)}>") for quads in (False, True)}
SUM_OUTPUTS = {
    (rectify, quads): Kernel("outputs.cu", f"sum_outputs<{flag(rectify)}, {flag(quads)}>")
    for rectify in (False, True)
    for quads in (False, True)
}
ADD_SUMS = Kernel("outputs.cu", "add_sums")


# what families.py and update.py launch, for float32; the compiler makes the others on demand
_LAST = ("true", "false")
_WORDS = (("true", 4), ("true", 1), ("false", 1))
FAMILIES = (
    *(
        Kernel("relu.cu", f"{name}<float, {last}>")
        for name in ("relu", "gradient")
        for last in _LAST
    ),
    Kernel("dropout.cu", "draw"),
    *(Kernel("dropout.cu", f"apply<float, {last}>") for last in _LAST),
    *(
        Kernel("pooling.cu", f"{name}<float, {arg}, {last}, {wide}>", registers=80)
        for name in ("max_forward", "max_spread", "max_backward")
        for arg in ("unsigned char", "int")
        for last, wide in _WORDS
    ),
    *(
        Kernel("pooling.cu", f"{name}<float, {last}, {wide}>", registers=80)
        for name in ("average_forward", "average_backward")
        for last, wide in _WORDS
    ),
    *(
        Kernel("softmax.cu", f"{name}<float>")
        for name in ("softmax", "gradient", "losses", "finish", "loss_gradient")
    ),
    Kernel("augmentation.cu", "create<float>", registers=128),
    Kernel("augmentation.cu", "apply<float>"),
    Kernel("augmentation.cu", "look_up<float>"),
    *(Kernel("update.cu", f"{name}<float>") for name in ("update", "squares", "root", "permit")),
)


def kernels() -> Iterator[Kernel]:
    """All rows."""
    yield from convolutions()
    yield from FAMILIES
    yield HAS_WARPGROUPS


def convolutions() -> Iterator[Kernel]:
    """The rows of filters.py."""
    tiles = (*CONVOLVE.values(), *CONVOLVE_WARPGROUPS.values(), *CONVOLVE_SIMT.values())
    tiles = (*tiles, *WEIGHT_GRADIENT.values(), *GRADIENT_WARPGROUPS.values())
    for group in (*tiles, *WEIGHT_GRADIENT_SIMT.values()):
        yield from (tile.kernel for tile in group)
    yield from (*WEIGHT_GRADIENT_DIRECT.values(), *SHORT.values(), NARROW)
    yield from (*PACK.values(), *ADD_PLANES.values(), *FINISH.values())
    yield from (*SUM_OUTPUTS.values(), ADD_SUMS)
