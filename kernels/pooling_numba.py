"""Maximum pooling by disjoint 2x2 windows, compiled by Numba: one pass instead of a dozen.

Same results as kernels/pooling.py, which is the specification.  float32 only.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compiler_numba import compiler
from .pooling import LOWEST
from .writer_numba import Writer, number, vector_type

Array = Any

fast = compiler()


def _every(lanes: int, value: int) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), lanes), [value] * lanes)


@intrinsic
def _highest(
    context: Any, n: Any, x: Any, upper: Any, lower: Any, y: Any, to: Any, arg: Any, who: Any
) -> Any:
    """y[to + t] = the largest of x[upper + 2 t], the next one, x[lower + 2 t] and the next one;
    arg[who + t] = which of them it is, from 1, or 0; t < n."""
    i = types.intp
    signature = types.void(i, x, i, i, y, i, arg, i)

    def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
        write = Writer(context, build, signature, args)
        n, _, upper, lower, _, to, _, who = args

        def once(t: Any, lanes: int) -> None:
            best, k = ir.Constant(vector_type(lanes), [LOWEST] * lanes), _every(lanes, 0)
            twice, place = build.mul(t, number(2)), 1
            for row in (upper, lower):
                for value in write.pairs(write.start(1, build.add(row, twice)), lanes):
                    higher = build.fcmp_ordered(">", value, best)
                    best = build.select(higher, value, best)
                    k = build.select(higher, _every(lanes, place), k)
                    place += 1
            write.store(best, write.start(4, build.add(to, t)))
            small = build.trunc(k, ir.VectorType(ir.IntType(8), lanes))
            write.store(small, write.start(6, build.add(who, t)), align=1)

        write.whole_and_rest(n, once)
        return context.get_dummy_value()

    return signature, generate


@intrinsic
def _hand_back(
    context: Any, n: Any, dy: Any, at: Any, arg: Any, who: Any, dx: Any, upper: Any, lower: Any
) -> Any:
    """The four of each window: dy[at + t] where arg[who + t] names it, else 0; t < n."""
    i = types.intp
    signature = types.void(i, dy, i, arg, i, dx, i, i)

    def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
        write = Writer(context, build, signature, args)
        n, _, at, _, who, _, upper, lower = args

        def once(t: Any, lanes: int) -> None:
            value = write.load(write.start(1, build.add(at, t)), lanes).of
            small = ir.VectorType(ir.IntType(8), lanes).as_pointer()
            place = build.bitcast(write.start(3, build.add(who, t)), small)
            k = build.zext(build.load(place, align=1), ir.VectorType(ir.IntType(32), lanes))
            zero = ir.Constant(vector_type(lanes), [0.0] * lanes)
            four = [
                build.select(build.icmp_unsigned("==", k, _every(lanes, j)), value, zero)
                for j in range(1, 5)
            ]
            twice = build.mul(t, number(2))
            write.join_pairs(four[0], four[1], write.start(5, build.add(upper, twice)))
            write.join_pairs(four[2], four[3], write.start(5, build.add(lower, twice)))

        write.whole_and_rest(n, once)
        return context.get_dummy_value()

    return signature, generate


@fast
def max_forward(x: Array, y: Array, arg: Array, first: int, end: int) -> None:
    """Write planes first ... end - 1 of y (planes, h, w) and arg, from x (planes, 2 h, 2 w)."""
    height, width = y.shape[1:]
    for row in range(first * height, end * height):
        upper = 4 * row * width
        at, lower = row * width, upper + 2 * width
        _highest(width, x, upper, lower, y, at, arg, at)  # type: ignore[call-arg]


@fast
def max_backward(dy: Array, arg: Array, dx: Array, first: int, end: int) -> None:
    """Write planes first ... end - 1 of dx (planes, 2 h, 2 w) from dy and arg (planes, h, w)."""
    height, width = dy.shape[1:]
    for row in range(first * height, end * height):
        upper = 4 * row * width
        at, lower = row * width, upper + 2 * width
        _hand_back(width, dy, at, arg, at, dx, upper, lower)  # type: ignore[call-arg]
