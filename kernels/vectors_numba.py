"""Formulas over vectors of single precision, as passes of compiled kernels.

A formula is a plain function of values with + - and *, and a pass applies it to LANES neighbours at
a time (kernels/writer_numba.py):

    along(f, n)       f of n lines, into lines; what is left behind the last whole vector is
                      covered by one more vector that ends with the line
    apart(f, n, m)    f of n pixels of a row, into lines: tile t has pixels m t, m t + 1, ...
    together(f, n, m) f of n lines, into a row of pixels, m for each tile
    over(f, n, k)     f of n lines, into lines; the last k results are kept and added to the first k
                      of the next pass
    sorted_out(f, n)  f of n numbers that lie together, into lines
    added_back(f, n)  f of n lines, added to numbers that lie together

Lines are named by an array, the element where the first one starts, and how far the next one is.
A row has pixels from `first` to before `end` only: others are read as 0, and not written.
Nothing is checked: a caller answers for the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .writer_numba import LANES, QUAD, Part, Value, Writer, number

Formula = Callable[..., Sequence[Value]]
LINE = 16  # numbers that memory gives at once


def along(formula: Formula, count: int) -> Callable[..., None]:
    """run(n, source, at, step, target, to, jump): for t < n, of `count` lines,

    target[to + t], [to + jump + t], ... = formula(source[at + t], [at + step + t], ...)
    """

    @intrinsic
    def run(
        context: Any, n: Any, source: Any, at: Any, step: Any, target: Any, to: Any, jump: Any
    ) -> Any:
        i = types.intp
        signature = types.void(i, source, i, i, target, i, i)

        def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
            write = Writer(context, build, signature, args)
            n, _, at, step, _, to, jump = args

            def once(t: Any, lanes: int) -> None:
                first = write.start(1, build.add(at, t))
                lines = [write.load(write.beside(first, step, k), lanes) for k in range(count)]
                write.spread(formula(*lines), write.start(4, build.add(to, t)), jump)

            short = build.icmp_signed("<", n, number(LANES))
            with build.if_else(short) as (then, otherwise):
                with then, cgutils.for_range(build, n) as loop:
                    once(loop.index, 1)
                with otherwise:
                    last = build.sub(n, number(LANES))
                    with cgutils.for_range_slice(build, number(0), last, number(LANES)) as (t, _):
                        once(t, LANES)
                    once(last, LANES)
            return context.get_dummy_value()

        return signature, generate

    return run


def apart(formula: Formula, count: int, tile: int = QUAD) -> Callable[..., None]:
    """run(n, source, at, first, end, target, to, jump): for t < n LANES, of `count` pixels,

    target[to + t], [to + jump + t], ... = formula(source[at + tile t], [at + tile t + 1], ...)
    """

    @intrinsic
    def run(
        context: Any, n: Any, source: Any, at: Any, first: Any, end: Any, target: Any, to: Any,
        jump: Any,
    ) -> Any:  # fmt: skip
        i = types.intp
        signature = types.void(i, source, i, i, i, target, i, i)

        def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
            write = Writer(context, build, signature, args)
            n, _, at, first, end, _, to, jump = args
            with write.vectors(n, tile) as (t, pixel):
                part = Part(pixel, first, end)
                values = write.phases(write.start(1, build.add(at, pixel)), count, tile, part)
                write.spread(formula(*values), write.start(5, build.add(to, t)), jump)
            return context.get_dummy_value()

        return signature, generate

    return run


def apart_rectified(formula: Formula) -> Callable[..., None]:
    """The same of four pixels, each times slope where that of another row is not positive.

    run(n, source, at, by, beside, first, end, slope, target, to, jump)
    """

    @intrinsic
    def run(
        context: Any, n: Any, source: Any, at: Any, by: Any, beside: Any, first: Any, end: Any,
        slope: Any, target: Any, to: Any, jump: Any,
    ) -> Any:  # fmt: skip
        i = types.intp
        signature = types.void(i, source, i, by, i, i, i, types.float32, target, i, i)

        def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
            write = Writer(context, build, signature, args)
            n, _, at, _, beside, first, end, slope, _, to, jump = args
            factor = write.everywhere(slope)
            with write.vectors(n) as (t, pixel):
                part = Part(pixel, first, end)
                values = write.phases(write.start(1, build.add(at, pixel)), QUAD, QUAD, part)
                signs = write.phases(write.start(3, build.add(beside, pixel)), QUAD, QUAD, part)
                pairs = zip(values, signs, strict=True)
                values = [value.rectified(factor, sign) for value, sign in pairs]
                write.spread(formula(*values), write.start(8, build.add(to, t)), jump)
            return context.get_dummy_value()

        return signature, generate

    return run


def together(
    formula: Formula, count: int, tile: int = QUAD, before: bool = False
) -> Callable[..., None]:
    """run(n, source, at, step, p, q, target, to, first, end): for t < n LANES, of `count` lines,

    target[to + tile t + k] = formula(source[at + t], [at + step + t], ..., p, q)[k], k < tile

    before: the formula is given the lines at t - 1, too, behind those at t.
    """

    @intrinsic
    def run(
        context: Any, n: Any, source: Any, at: Any, step: Any, p: Any, q: Any, target: Any,
        to: Any, first: Any, end: Any,
    ) -> Any:  # fmt: skip
        i, f = types.intp, types.float32
        signature = types.void(i, source, i, i, f, f, target, i, i, i)

        def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
            write = Writer(context, build, signature, args)
            n, _, at, step, p, q, _, to, first, end = args
            numbers = [write.everywhere(p), write.everywhere(q)]
            with write.vectors(n, tile) as (t, pixel):
                values = []
                for shift in (0, -1)[: 1 + before]:
                    line = write.start(1, build.add(build.add(at, t), number(shift)))
                    values += [write.load(write.beside(line, step, k), LANES) for k in range(count)]
                target = write.start(6, build.add(to, pixel))
                write.join(formula(*values, *numbers), target, Part(pixel, first, end))
            return context.get_dummy_value()

        return signature, generate

    return run


def over(formula: Formula, count: int, kept: int) -> Callable[..., None]:
    """run(n, source, at, step, keep, k, apart, target, to, jump): for t < n LANES, of `count` lines
    and with r = formula(source[at + t], [at + step + t], ...),

    target[to + t], [to + jump + t], ... = r[0] + keep[k + t], r[1] + keep[k + apart + t], ...
    keep[k + t], [k + apart + t], ... = the last `kept` of r, which are not written.
    """

    @intrinsic
    def run(
        context: Any, n: Any, source: Any, at: Any, step: Any, keep: Any, k: Any, apart: Any,
        target: Any, to: Any, jump: Any,
    ) -> Any:  # fmt: skip
        i = types.intp
        signature = types.void(i, source, i, i, keep, i, i, target, i, i)

        def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
            write = Writer(context, build, signature, args)
            n, _, at, step, _, k, apart, _, to, jump = args
            with write.vectors(n) as (t, _):
                line, rest = write.start(1, build.add(at, t)), write.start(4, build.add(k, t))
                found = formula(
                    *(write.load(write.beside(line, step, j), LANES) for j in range(count))
                )
                before = [write.load(write.beside(rest, apart, j), LANES) for j in range(kept)]
                first = [a + b for a, b in zip(found, before, strict=False)]
                lines = [*first, *found[kept:-kept]]
                write.spread(lines, write.start(7, build.add(to, t)), jump)
                write.spread(found[-kept:], rest, apart)
            return context.get_dummy_value()

        return signature, generate

    return run


def sorted_out(formula: Formula, count: int) -> Callable[..., None]:
    """run(n, source, at, target, to, jump): for t < n,

    target[to + t], [to + jump + t], ... = formula(source[at + count t], [at + count t + 1], ...)
    """

    @intrinsic
    def run(context: Any, n: Any, source: Any, at: Any, target: Any, to: Any, jump: Any) -> Any:
        i = types.intp
        signature = types.void(i, source, i, target, i, i)

        def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
            write = Writer(context, build, signature, args)
            n, _, at, _, to, jump = args

            def once(t: Any, lanes: int) -> None:
                together = write.start(1, build.add(at, build.mul(t, number(count))))
                values = [write.every(count, together, k, lanes) for k in range(count)]
                write.spread(formula(*values), write.start(3, build.add(to, t)), jump)

            write.whole_and_rest(n, once)
            return context.get_dummy_value()

        return signature, generate

    return run


def added_back(formula: Formula, count: int) -> Callable[..., None]:
    """run(n, source, at, step, target, to): for t < n, of `count` lines and as many results as r,

    target[to + r t], [to + r t + 1], ... += formula(source[at + t], [at + step + t], ...)
    """

    @intrinsic
    def run(context: Any, n: Any, source: Any, at: Any, step: Any, target: Any, to: Any) -> Any:
        i = types.intp
        signature = types.void(i, source, i, i, target, i)

        def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
            write = Writer(context, build, signature, args)
            n, _, at, step, _, to = args

            def once(t: Any, lanes: int) -> None:
                line = write.start(1, build.add(at, t))
                values = [write.load(write.beside(line, step, k), lanes) for k in range(count)]
                results = formula(*values)
                each = len(results)
                first = write.start(4, build.add(to, build.mul(t, number(each))))
                for k, value in enumerate(results):
                    write.add_every(each, value, first, k)

            write.whole_and_rest(n, once)
            return context.get_dummy_value()

        return signature, generate

    return run


@intrinsic
def _clear(context: Any, count: Any, target: Any, to: Any, jump: Any) -> Any:
    """A vector of 0 at target[to], [to + jump], ..., so many."""
    i = types.intp

    def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
        write = Writer(context, build, signature, args)
        count, _, to, jump = args
        with cgutils.for_range(build, count) as loop:
            at = build.add(to, build.mul(loop.index, jump))
            write.store(write.number(0.0).of, write.start(1, at))
        return context.get_dummy_value()

    return types.void(i, target, i, i), generate


@intrinsic
def _fetch(context: Any, a: Any, at: Any, count: Any) -> Any:
    """Ask for so many numbers from a[at] on, which will be read."""

    def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
        write = Writer(context, build, signature, args)
        zero, line = number(0), number(LINE)
        with cgutils.for_range_slice(build, zero, args[2], line) as (k, _):
            write.fetch(write.start(0, build.add(args[1], k)))
        return context.get_dummy_value()

    return types.void(a, types.intp, types.intp), generate


clear: Callable[..., None] = _clear  # Numba passes the context itself
fetch: Callable[..., None] = _fetch
