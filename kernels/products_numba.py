"""Batches of matrix products in single precision, compiled by Numba: c = a b for many small a, b.

    multiply              c[i, r, t] (+)= sum_d a[i, r, d] b[i, d, t]
    multiply_once         c[i, r, t] = sum_d a[i, r, d] b[i, d, t], where a comes from memory
    multiply_transposed   c[i, r, t] (+)= sum_d a[i, d, r] b[i, d, t]
    multiply_inner        c[i, r, s] (+)= sum_t a[i, r, t] b[i, s, t]

A BLAS arranges both factors anew for every product, and these are too small to pay for that.  Here
b comes as panels, WIDTH of its columns one behind the other: all rows of a pass over a panel that
the first-level cache holds, ROWS at a time, and that block of c lives in registers, so that an
element of a feeds whole vectors, and a vector of b all rows.  For inner products, where both
factors come as panels, those of b are turned on the way, some columns of c at a time.

Numba has no vectors, so the innermost loop (`_write_block`) is written in LLVM's language.  A sum
runs over DEPTH of d at a time, in order, and these parts are added: that rounds less than one long
sum.

Source: K. Goto, R. van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiler_numba import compiler
from .vectors_numba import LINE, fetch
from .writer_numba import LANES, Writer, number, vector_type

Array = Any

# rows of a block are a power of two: see `ahead` in `_write_block`
ROWS, VECTORS = 4, 3  # 12 vectors of c, 3 of b and 1 of a fill 16 registers
MORE_ROWS = 8  # where a panel has one vector: as many sums as two units for them have under way
WIDTH = LANES * VECTORS
DEPTH = 6144 // WIDTH  # of a panel at a time: 24 KiB, three quarters of a first-level cache

fast = compiler()

_int, _vector = ir.IntType(64), vector_type(LANES)


def _blocks(
    sizes: dict[int, int], panels: bool = False, ahead: bool = False
) -> Callable[..., None]:
    """The product of some rows of a and a panel of b, which has `used` of its vectors in use: of
    sizes[used] rows.

    c[ic + r rc + t] (+)= sum_d a[ia + r ra + d da] b[ib + d WIDTH + t]

    panels: a is in panels of WIDTH d, too, `da` apart; in them it is a[... + d % WIDTH].  ahead:
    what follows in the rows of a, as much again, is asked for in the meantime.
    """

    @intrinsic
    def blocks(
        context: Any, used: Any, a: Any, ia: Any, ra: Any, da: Any, b: Any, ib: Any, c: Any,
        ic: Any, rc: Any, depth: Any, add: Any,
    ) -> Any:  # fmt: skip
        n = types.intp
        signature = types.void(n, a, n, n, n, b, n, c, n, n, n, types.boolean)

        def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
            write = Writer(context, build, signature, args)
            for vectors, rows in sizes.items():
                this = build.icmp_signed("==", args[0], number(vectors))
                with build.if_then(this):
                    _write_block(write, rows, vectors, panels, ahead)
            return context.get_dummy_value()

        return signature, generate

    return blocks


def _write_block(write: Writer, rows: int, vectors: int, panels: bool, ahead: bool) -> None:
    build = write.build
    _, _, ia, ra, da, _, ib, _, ic, rc, depth, add = write.args
    a, b, c = write.start(1, ia), write.start(5, ib), write.start(7, ic)
    a_rows = [write.beside(a, ra, r) for r in range(rows)]
    each = [(r, v) for r in range(rows) for v in range(vectors)]

    def add_products(at_a: Any, at_b: Any, sums: list[Any]) -> list[Any]:
        here = build.gep(b, [at_b])
        lanes = [write.load(build.gep(here, [number(LANES * v)]), LANES).of for v in range(vectors)]
        if ahead:  # of a row in each round, which is more often than lines follow each other
            turn = build.mul(build.and_(at_a, number(rows - 1)), ra)
            write.fetch(build.gep(a, [build.add(turn, build.add(at_a, depth))]))
        numbers = [build.load(build.gep(row, [at_a]), align=4) for row in a_rows]
        spread = [write.everywhere(value).of for value in numbers]
        return _multiply_add(build, [(spread[r], lanes[v]) for r, v in each], sums)

    def add_panel(at_a: Any, at_b: Any, sums: list[Any]) -> list[Any]:
        left = build.sub(depth, build.sdiv(at_b, number(WIDTH)))
        rounds = build.select(build.icmp_signed("<", left, number(WIDTH)), left, number(WIDTH))
        steps = number(1), number(WIDTH)
        return _in_registers(build, rounds, (at_a, at_b), steps, sums, add_products)

    start = number(0), number(0)
    sums = [ir.Constant(_vector, [0.0] * LANES)] * len(each)
    if panels:
        count = build.sdiv(build.add(depth, number(WIDTH - 1)), number(WIDTH))
        steps = da, number(WIDTH * WIDTH)
        results = _in_registers(build, count, start, steps, sums, add_panel)
    else:
        steps = da, number(WIDTH)
        results = _in_registers(build, depth, start, steps, sums, add_products)
    targets = [build.gep(write.beside(c, rc, r), [number(LANES * v)]) for r, v in each]
    with build.if_else(add) as (then, otherwise):
        with then:
            for value, target in zip(results, targets, strict=True):
                write.store(build.fadd(value, write.load(target, LANES).of), target)
        with otherwise:
            for value, target in zip(results, targets, strict=True):
                write.store(value, target)


Round = Callable[[Any, Any, list[Any]], list[Any]]


def _in_registers(
    build: Any, rounds: Any, start: tuple[Any, Any], steps: tuple[Any, Any], sums: list[Any],
    once: Round,
) -> list[Any]:  # fmt: skip
    """What so many rounds (at least one) make of the sums: once(at_a, at_b, sums) writes the new
    ones; at_a and at_b grow from their start by their steps."""
    before = build.block
    loop, done = (build.append_basic_block(name) for name in ("loop", "done"))
    build.branch(loop)

    build.position_at_end(loop)
    at = [build.phi(_int) for _ in range(3)]  # the round, at_a, at_b
    phis = [build.phi(_vector) for _ in sums]
    for phi, value in zip([*at, *phis], [number(0), *start, *sums], strict=True):
        phi.add_incoming(value, before)
    results = once(at[1], at[2], phis)
    following = [build.add(*pair) for pair in zip(at, (number(1), *steps), strict=True)]
    for phi, value in zip([*at, *phis], [*following, *results], strict=True):
        phi.add_incoming(value, build.block)
    again = build.cbranch(build.icmp_signed("<", following[0], rounds), loop, done)
    again.set_metadata("llvm.loop", _as_it_is(build.module))

    build.position_at_end(done)
    return results


def _multiply_add(build: Any, factors: list[tuple[Any, Any]], sums: list[Any]) -> list[Any]:
    """Each sum and its product, rounded once."""
    kind = ir.FunctionType(_vector, [_vector] * 3)
    name = f"llvm.fmuladd.v{LANES}f32"
    both = cgutils.get_or_insert_function(build.module, kind, name)  # type: ignore[no-untyped-call]
    return [build.call(both, [*pair, value]) for pair, value in zip(factors, sums, strict=True)]


def _as_it_is(module: Any) -> Any:
    """What tells LLVM to leave a loop as it is: unrolled, it would not fit the registers."""
    word = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop = module.add_metadata([word])
    loop.operands = (loop, word)  # a loop is known by a node that names itself
    return loop


_SEVERAL, _ONE = {3: ROWS, 2: ROWS, 1: MORE_ROWS}, {3: 1, 2: 1, 1: 1}
_rows, _row = _blocks(_SEVERAL), _blocks(_ONE)
_rows_once = _blocks(_SEVERAL, ahead=True)
_inner_rows, _inner_row = _blocks(_SEVERAL, panels=True), _blocks(_ONE, panels=True)


@fast
def _sweep(
    a: Array, at: int, ra: int, da: int, rows: int, b: Array, ib: int, used: int, c: Array, to: int,
    rc: int, depth: int, add: bool, ahead: int,
) -> None:  # fmt: skip
    """All rows of a times one panel, into c, whose rows are rc apart; asked for in the meantime is
    the next panel, `ahead` numbers from this one, or, where that is 0, what follows in the rows."""
    each = MORE_ROWS if used == 1 else ROWS
    whole = rows // each * each
    share = (depth * WIDTH * each // max(whole, 1) + LINE - 1) // LINE * LINE
    for r in range(0, whole, each):
        x, y = at + r * ra, to + r * rc
        if ahead:
            fetch(b, ib + ahead + r // each * share, share)
            _rows(used, a, x, ra, da, b, ib, c, y, rc, depth, add)
        else:
            _rows_once(used, a, x, ra, da, b, ib, c, y, rc, depth, add)
    for r in range(whole, rows):
        _row(used, a, at + r * ra, ra, da, b, ib, c, to + r * rc, rc, depth, add)


@fast
def _products(a: Array, ra: int, da: int, b: Array, c: Array, add: bool, once: bool) -> None:
    batch, panels, deep, _ = b.shape
    rows, across = c.shape[1], c.shape[2]
    each_a, each_b = a.strides[0] // a.itemsize, b.strides[0] // b.itemsize
    jb = b.strides[1] // b.itemsize
    for i in range(batch):
        for d in range(0, deep, DEPTH):
            depth = min(DEPTH, deep - d)
            for p in range(panels):
                used = min(VECTORS, (across - p * WIDTH) // LANES)
                ahead = 0 if once and p == panels - 1 else jb
                _sweep(
                    a, i * each_a + d * da, ra, da, rows, b,
                    i * each_b + p * jb + d * WIDTH, used, c,
                    i * rows * across + p * WIDTH, across, depth, add or d > 0, ahead,
                )  # fmt: skip


@fast
def multiply(a: Array, b: Array, c: Array, add: bool) -> None:
    """c[i] (+)= a[i] b[i]: (n, R, D), panels of (n, D, T) -> (n, R, T), float32, C-contiguous; the
    n of a and b may lie apart, and so may the panels."""
    _products(a, a.shape[2], 1, b, c, add, False)


@fast
def multiply_once(a: Array, b: Array, c: Array) -> None:
    """c[i] = a[i] b[i], likewise, where a is so large that it comes from memory, and is read once:
    then it is what must be asked for in time."""
    _products(a, a.shape[2], 1, b, c, False, True)


@fast
def multiply_transposed(a: Array, b: Array, c: Array, add: bool) -> None:
    """c[i] (+)= a[i]^T b[i]: (n, D, R), panels of (n, D, T) -> (n, R, T), likewise."""
    _products(a, 1, a.shape[2], b, c, add, False)


@intrinsic
def _turn_square(context: Any, source: Any, at: Any, there: Any, target: Any, to: Any) -> Any:
    """target[to + t WIDTH + c] = source[at + c WIDTH + t] for c, t < LANES; of c only `there` are,
    the last of them stands for the rest."""
    n = types.intp

    def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
        write = Writer(context, build, signature, args)
        _, at, there, _, to = args
        first, last, lines = write.start(0, at), build.sub(there, number(1)), []
        for c in range(LANES):
            inside = build.icmp_signed("<", number(c), last)
            row = build.mul(build.select(inside, number(c), last), number(WIDTH))
            lines.append(write.load(build.gep(first, [row]), LANES).of)
        for t, line in enumerate(write.turned(lines)):
            write.store(line, write.start(3, build.add(to, number(t * WIDTH))))
        return context.get_dummy_value()

    return types.void(source, n, n, target, n), generate


_turn: Callable[..., None] = _turn_square  # Numba passes the context itself


@fast
def _inner_sweep(
    a: Array, at: int, ja: int, rows: int, b: Array, used: int, c: Array, to: int, rc: int,
    depth: int, add: bool, source: Array, ahead: int, jb: int,
) -> None:  # fmt: skip
    """All rows of a, in panels, times one panel, into c; what the next panel is made of is asked
    for in the meantime."""
    each = MORE_ROWS if used == 1 else ROWS
    whole = rows // each * each
    panels = (depth + WIDTH - 1) // WIDTH
    share = (panels * each + whole - 1) // max(whole, 1)
    for r in range(0, whole, each):
        x, y = at + r * WIDTH, to + r * rc
        for p in range(r // each * share, min(panels, (r // each + 1) * share)):
            fetch(source, ahead + p * jb, WIDTH * WIDTH)
        _inner_rows(used, a, x, WIDTH, ja, b, 0, c, y, rc, depth, add)
    for r in range(whole, rows):
        _inner_row(used, a, at + r * WIDTH, WIDTH, ja, b, 0, c, to + r * rc, rc, depth, add)


@fast
def multiply_inner(
    a: Array, b: Array, first: int, end: int, c: Array, cells: int, add: bool, spare: Array
) -> None:
    """c[i, r, s - first] (+)= sum_t a[i, r, t] b[i, s, t] for first <= s < end: panels of (n, R, T)
    and of (n, S, T), T = cells -> (n, R, end - first), rows of whole vectors, float32; spare: DEPTH
    WIDTH elements."""
    batch, panels, rows, _ = a.shape
    across, many = c.shape[2], DEPTH // WIDTH
    each_a, each_b, each_c = a.strides[0] // 4, b.strides[0] // 4, c.strides[0] // 4
    ja, jb = a.strides[1] // 4, b.strides[1] // 4
    for i in range(batch):
        for p in range(0, panels, many):
            depth = min(many * WIDTH, cells - p * WIDTH)
            for s in range(first, end, WIDTH):
                source = i * each_b + p * jb + s * WIDTH
                columns = min(WIDTH, end - s)
                used = (columns + LANES - 1) // LANES
                for q in range((depth + LANES - 1) // LANES):
                    at, to = q // VECTORS * jb + q % VECTORS * LANES, q * LANES * WIDTH
                    for v in range(0, columns, LANES):
                        if columns - v >= LANES:
                            _turn(b, source + at + v * WIDTH, LANES, spare, to + v)
                        else:
                            _turn(b, source + at + v * WIDTH, columns - v, spare, to + v)
                _inner_sweep(
                    a, i * each_a + p * ja, ja, rows, spare, used, c, i * each_c + s - first,
                    across, depth, add or p > 0, b, source + WIDTH * WIDTH, jb,
                )  # fmt: skip
