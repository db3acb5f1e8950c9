"""Batches of matrix products in single precision, compiled by Numba: c = a b for many small a, b.

    multiply              c[i, r, t] = sum_d a[i, r, d] b[i, d, t]
    multiply_transposed   c[i, r, t] = sum_d a[i, d, r] b[i, d, t]
    add_inner             c[i, r, s] += sum_t a[i, r, t] b[i, s, t]

A BLAS arranges both factors anew for every product, and these are too small to pay for that.  Here
b comes as panels, WIDTH of its columns one behind the other: all rows of a pass over a panel that
the first-level cache holds, ROWS at a time, and that block of c lives in registers, so that an
element of a feeds whole vectors, and a vector of b all rows.

Numba has no vectors, so the innermost loops (`_block`, `_inner`) are written in LLVM's language.  A
sum runs over DEPTH of d at a time, in order, and these parts are added: that rounds less than one
long sum.  An inner product is a sum in every lane of a vector, and these are added at its end.

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
from .vectors_numba import fetch
from .writer_numba import LANES, Writer, number, vector_type

Array = Any

ROWS, VECTORS = 4, 3  # 12 vectors of c, 3 of b and 1 of a fill 16 registers
MORE_ROWS = 8  # where a panel has one vector: as many sums as two units for them have under way
WIDTH = LANES * VECTORS
DEPTH = 6144 // WIDTH  # of a panel at a time: 24 KiB, three quarters of a first-level cache

fast = compiler()

_int, _vector = ir.IntType(64), vector_type(LANES)


def _block(rows: int, vectors: int) -> Callable[..., None]:
    """The product of some rows of a and a panel of b, which has `vectors` of its vectors in use.

    c[ic + r rc + t] (+)= sum_d a[ia + r ra + d da] b[ib + d WIDTH + t]
    """

    @intrinsic
    def block(
        context: Any, a: Any, ia: Any, ra: Any, da: Any, b: Any, ib: Any, c: Any, ic: Any, rc: Any,
        depth: Any, add: Any,
    ) -> Any:  # fmt: skip
        n = types.intp
        signature = types.void(a, n, n, n, b, n, c, n, n, n, types.boolean)

        def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
            a, ia, ra, da, b, ib, c, ic, rc, depth, add = args

            write = Writer(context, build, signature, args)

            def vector(pointer: Any, v: int) -> Any:
                part = build.gep(pointer, [number(LANES * v)])
                return build.bitcast(part, _vector.as_pointer())

            a, b, c = write.start(0, ia), write.start(4, ib), write.start(6, ic)
            a_rows = [build.gep(a, [build.mul(ra, number(r))]) for r in range(rows)]
            c_rows = [build.gep(c, [build.mul(rc, number(r))]) for r in range(rows)]
            each = [(r, v) for r in range(rows) for v in range(vectors)]

            def add_products(at_a: Any, at_b: Any, sums: list[Any]) -> list[Any]:
                here = build.gep(b, [at_b])
                lanes = [build.load(vector(here, v), align=4) for v in range(vectors)]
                numbers = [build.load(build.gep(row, [at_a]), align=4) for row in a_rows]
                spread = [write.everywhere(value).of for value in numbers]
                return _multiply_add(build, [(spread[r], lanes[v]) for r, v in each], sums)

            results = _in_registers(build, depth, (da, number(WIDTH)), len(each), add_products)
            targets = [vector(c_rows[r], v) for r, v in each]
            with build.if_else(add) as (then, otherwise):
                with then:
                    for value, target in zip(results, targets, strict=True):
                        more = build.fadd(value, build.load(target, align=4))
                        build.store(more, target, align=4)
                with otherwise:
                    for value, target in zip(results, targets, strict=True):
                        build.store(value, target, align=4)
            return context.get_dummy_value()

        return signature, generate

    return block


Round = Callable[[Any, Any, list[Any]], list[Any]]


def _in_registers(
    build: Any, rounds: Any, steps: tuple[Any, Any], count: int, once: Round
) -> list[Any]:
    """What so many rounds (at least one) make of `count` vectors of 0: once(at_a, at_b, sums)
    writes the new sums; at_a and at_b begin at 0 and grow by their steps."""
    before = build.block
    loop, done = (build.append_basic_block(name) for name in ("loop", "done"))
    build.branch(loop)

    build.position_at_end(loop)
    at = [build.phi(_int) for _ in range(3)]  # the round, at_a, at_b
    sums = [build.phi(_vector) for _ in range(count)]
    for phi in at:
        phi.add_incoming(number(0), before)
    for phi in sums:
        phi.add_incoming(ir.Constant(_vector, [0.0] * LANES), before)
    results = once(at[1], at[2], sums)
    following = [build.add(*pair) for pair in zip(at, (number(1), *steps), strict=True)]
    for phi, value in zip([*at, *sums], [*following, *results], strict=True):
        phi.add_incoming(value, loop)
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


_rows3, _rows2, _rows1 = _block(ROWS, 3), _block(ROWS, 2), _block(MORE_ROWS, 1)
_row3, _row2, _row1 = (_block(1, v) for v in (3, 2, 1))


@fast
def _sweep(
    a: Array, at: int, ra: int, da: int, rows: int, b: Array, ib: int, used: int, c: Array, to: int,
    rc: int, depth: int, add: bool, ahead: int,
) -> None:  # fmt: skip
    """All rows of a times one panel, into c, whose rows are rc apart; the next panel is asked for
    in the meantime, `ahead` numbers from this one."""
    each = MORE_ROWS if used == 1 else ROWS
    whole = rows // each * each
    share = (depth * WIDTH * each // max(whole, 1) + 15) // 16 * 16
    for r in range(0, whole, each):
        x, y = at + r * ra, to + r * rc
        fetch(b, ib + ahead + r // each * share, share)
        if used == 3:
            _rows3(a, x, ra, da, b, ib, c, y, rc, depth, add)
        elif used == 2:
            _rows2(a, x, ra, da, b, ib, c, y, rc, depth, add)
        else:
            _rows1(a, x, ra, da, b, ib, c, y, rc, depth, add)
    for r in range(whole, rows):
        x, y = at + r * ra, to + r * rc
        if used == 3:
            _row3(a, x, ra, da, b, ib, c, y, rc, depth, add)
        elif used == 2:
            _row2(a, x, ra, da, b, ib, c, y, rc, depth, add)
        else:
            _row1(a, x, ra, da, b, ib, c, y, rc, depth, add)


@fast
def _products(a: Array, ra: int, da: int, b: Array, c: Array) -> None:
    batch, panels, deep, _ = b.shape
    rows, across = c.shape[1], c.shape[2]
    each_a, each_b = a.strides[0] // a.itemsize, b.strides[0] // b.itemsize
    for i in range(batch):
        for d in range(0, deep, DEPTH):
            depth = min(DEPTH, deep - d)
            for p in range(panels):
                used = min(VECTORS, (across - p * WIDTH) // LANES)
                _sweep(
                    a, i * each_a + d * da, ra, da, rows, b,
                    i * each_b + (p * deep + d) * WIDTH, used, c,
                    i * rows * across + p * WIDTH, across, depth, d > 0, deep * WIDTH,
                )  # fmt: skip


@fast
def multiply(a: Array, b: Array, c: Array) -> None:
    """c[i] = a[i] b[i]: (n, R, D), panels of (n, D, T) -> (n, R, T), float32, C-contiguous; the n
    of a and b may lie apart."""
    _products(a, a.shape[2], 1, b, c)


@fast
def multiply_transposed(a: Array, b: Array, c: Array) -> None:
    """c[i] = a[i]^T b[i]: (n, D, R), panels of (n, D, T) -> (n, R, T), likewise."""
    _products(a, 1, a.shape[2], b, c)


def _inner(rows: int, columns: int) -> Callable[..., None]:
    """Inner products of some rows of a and of b, both in panels.

    c[ic + r rc + s] += sum_pt a[ia + p ja + r WIDTH + t] b[ib + p jb + s WIDTH + t]
    """

    @intrinsic
    def inner(
        context: Any, a: Any, ia: Any, ja: Any, b: Any, ib: Any, jb: Any, c: Any, ic: Any, rc: Any,
        panels: Any,
    ) -> Any:  # fmt: skip
        n = types.intp
        signature = types.void(a, n, n, b, n, n, c, n, n, n)

        def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
            _, ia, ja, _, ib, jb, _, ic, rc, panels = args
            write = Writer(context, build, signature, args)
            each = [(r, s) for r in range(rows) for s in range(columns)]
            a, b, c = write.start(0, ia), write.start(3, ib), write.start(6, ic)

            def lines(source: Any, at: Any, v: int, count: int) -> list[Any]:
                first = build.gep(source, [build.add(at, number(LANES * v))])
                apart = [write.beside(first, number(WIDTH), k) for k in range(count)]
                return [write.load(pointer, LANES).of for pointer in apart]

            def add_products(at_a: Any, at_b: Any, sums: list[Any]) -> list[Any]:
                for v in range(VECTORS):
                    left, right = lines(a, at_a, v, rows), lines(b, at_b, v, columns)
                    sums = _multiply_add(build, [(left[r], right[s]) for r, s in each], sums)
                return sums

            results = _in_registers(build, panels, (ja, jb), len(each), add_products)
            for s in range(columns):
                column = [results[r * columns + s] for r in range(rows)]
                for r, value in enumerate(write.summed(column)):
                    target = build.gep(c, [build.add(build.mul(rc, number(r)), number(s))])
                    build.store(build.fadd(build.load(target), value), target)
            return context.get_dummy_value()

        return signature, generate

    return inner


_inners3, _inners2, _inners1 = (_inner(ROWS, s) for s in (3, 2, 1))
_inner3, _inner2, _inner1 = (_inner(1, s) for s in (3, 2, 1))


@fast
def _inner_sweep(
    a: Array, ia: int, ja: int, several: bool, b: Array, ib: int, jb: int, columns: int, c: Array,
    to: int, panels: int,
) -> None:  # fmt: skip
    """All rows of b with one row of a, or with ROWS."""
    for s in range(0, columns, 3):
        left, at = min(3, columns - s), ib + s * WIDTH
        if several and left == 3:
            _inners3(a, ia, ja, b, at, jb, c, to + s, columns, panels)
        elif several and left == 2:
            _inners2(a, ia, ja, b, at, jb, c, to + s, columns, panels)
        elif several:
            _inners1(a, ia, ja, b, at, jb, c, to + s, columns, panels)
        elif left == 3:
            _inner3(a, ia, ja, b, at, jb, c, to + s, columns, panels)
        elif left == 2:
            _inner2(a, ia, ja, b, at, jb, c, to + s, columns, panels)
        else:
            _inner1(a, ia, ja, b, at, jb, c, to + s, columns, panels)


@fast
def add_inner(a: Array, b: Array, c: Array) -> None:
    """c[i] += a[i] b[i]^T: panels of (n, R, T) and of (n, S, T) -> (n, R, S), float32; the n may
    lie apart, and behind the last columns of a and b are zeros."""
    batch, panels, rows, _ = a.shape
    columns, each_a, each_b = b.shape[2], a.strides[0] // a.itemsize, b.strides[0] // b.itemsize
    each_c = c.strides[0] // c.itemsize
    ja, jb = rows * WIDTH, columns * WIDTH
    for i in range(batch):
        r = 0
        while r < rows:
            several = rows - r >= ROWS
            ia, to = i * each_a + r * WIDTH, i * each_c + r * columns
            _inner_sweep(a, ia, ja, several, b, i * each_b, jb, columns, c, to, panels)
            r += ROWS if several else 1
