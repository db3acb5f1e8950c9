"""Formulas over vectors of single precision in compiled kernels, written in LLVM's language.

Numba has no vectors, and what LLVM makes of a loop over many arrays is far from what the machine
can do: it asks whether they overlap, and ends every row number by number.  Here a formula is a
plain function of values with + - and *, and a pass applies it to LANES neighbours at a time:

    along(f, n)       f of n lines, into lines; what is left behind the last whole vector is
                      covered by one more vector that ends with the line
    apart(f, n)       f of n pixels of a row, into lines: tile t has pixels 4 t, 4 t + 1, ...
    together(f, n)    f of n lines, into a row of pixels, four for each tile

Lines are named by an array, the element where the first one starts, and how far the next one is.
Nothing is checked: a caller answers for the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 16 if llvm.get_host_cpu_features().get("avx512f") else 8  # of a vector
QUAD = 4  # pixels that a tile is ahead of its neighbour

_FLOAT, _INT = ir.FloatType(), ir.IntType(64)
_ROUND = ("contract", "nsz")  # a product and a sum may be rounded once


def vector_type(lanes: int) -> Any:
    return ir.VectorType(_FLOAT, lanes)


class Value:
    """A vector while a kernel is written: its arithmetic writes instructions."""

    def __init__(self, build: Any, of: Any) -> None:
        self.build, self.of = build, of

    def __add__(self, other: Value) -> Value:
        return Value(self.build, self.build.fadd(self.of, other.of, flags=_ROUND))

    def __sub__(self, other: Value) -> Value:
        return Value(self.build, self.build.fsub(self.of, other.of, flags=_ROUND))

    def __rmul__(self, number: float) -> Value:
        factor = ir.Constant(self.of.type, [number] * self.of.type.count)
        return Value(self.build, self.build.fmul(factor, self.of, flags=_ROUND))

    def rectified(self, slope: Value, by: Value | None = None) -> Value:
        """Times slope, unless `by` (itself) is positive."""
        zero = ir.Constant(self.of.type, [0.0] * self.of.type.count)
        positive = self.build.fcmp_ordered(">", (by or self).of, zero)
        scaled = self.build.fmul(self.of, slope.of)
        return Value(self.build, self.build.select(positive, self.of, scaled))


Formula = Callable[..., Sequence[Value]]


class Writer:
    """Instructions of one intrinsic.  Its arguments are arrays, integers and numbers, in order."""

    def __init__(self, context: Any, build: Any, signature: Any, args: Sequence[Any]) -> None:
        self.context, self.build, self.signature, self.args = context, build, signature, args

    def start(self, k: int, at: Any) -> Any:
        """Element `at` of the array that is argument k."""
        array = self.context.make_array(self.signature.args[k])
        return self.build.gep(array(self.context, self.build, self.args[k]).data, [at])

    def beside(self, pointer: Any, jump: Any, times: int) -> Any:
        return self.build.gep(pointer, [self.build.mul(jump, number(times))])

    def load(self, pointer: Any, lanes: int) -> Value:
        vector = self.build.bitcast(pointer, vector_type(lanes).as_pointer())
        return Value(self.build, self.build.load(vector, align=4))

    def spread(self, values: Sequence[Value], pointer: Any, jump: Any) -> None:
        """Store each value `jump` behind the one before."""
        for k, value in enumerate(values):
            self.store(value.of, self.beside(pointer, jump, k))

    @contextmanager
    def vectors(self, n: Any) -> Iterator[tuple[Any, Any]]:
        """A loop over t = 0, LANES, ... (n - 1) LANES: t, and 4 t."""
        with cgutils.for_range(self.build, n) as loop:
            t = self.build.mul(loop.index, number(LANES))
            yield t, self.build.mul(t, number(QUAD))

    def store(self, value: Any, pointer: Any, align: int = 4) -> None:
        vector = self.build.bitcast(pointer, value.type.as_pointer())
        self.build.store(value, vector, align=align)

    def everywhere(self, value: Any, lanes: int = LANES) -> Value:
        """A number in every lane."""
        undefined = ir.Constant(vector_type(lanes), ir.Undefined)
        first = self.build.insert_element(undefined, value, ir.IntType(32)(0))
        return Value(self.build, self.shuffle(first, first, [0] * lanes))

    def shuffle(self, a: Any, b: Any, lanes: Sequence[int]) -> Any:
        kind = ir.VectorType(ir.IntType(32), len(lanes))
        return self.build.shuffle_vector(a, b, ir.Constant(kind, list(lanes)))

    def mixed(self, a: Any, b: Any, high: bool) -> Any:
        """a0 b0 a1 b1, or a2 b2 a3 b3, of each four lanes."""
        first = (0, LANES, 1, LANES + 1)
        every = range(2 * high, LANES + 2 * high, QUAD)
        return self.shuffle(a, b, [q + lane for q in every for lane in first])

    def quads(self, pointer: Any, count: int) -> list[Any]:
        """Vectors k = 0 ... count - 1: their q-th four lanes are the pixels of tile 4 q + k."""
        found = []
        for k in range(count):
            parts = [
                self.load(self.build.gep(pointer, [number(QUAD * (QUAD * q + k))]), QUAD).of
                for q in range(LANES // QUAD)
            ]
            while len(parts) > 1:
                pairs = zip(parts[::2], parts[1::2], strict=True)
                parts = [self.shuffle(a, b, range(2 * a.type.count)) for a, b in pairs]
            found.append(parts[0])
        return found

    def transposed(self, quads: Sequence[Any]) -> list[Any]:
        """Of four vectors, each four lanes of all: the k-th lanes of them in the k-th result."""
        a, b, c, d = quads
        found = []
        for high in (False, True):
            ac, bd = self.mixed(a, c, high), self.mixed(b, d, high)
            found += [self.mixed(ac, bd, False), self.mixed(ac, bd, True)]
        return found

    def summed(self, vectors: Sequence[Any]) -> list[Any]:
        """The sum over the lanes of each: of four at once in a few shuffles."""
        parts = list(vectors)
        while (lanes := parts[0].type.count) > QUAD:
            half = lanes // 2
            parts = [
                self.build.fadd(
                    self.shuffle(v, v, range(half)), self.shuffle(v, v, range(half, lanes))
                )
                for v in parts
            ]
        parts += parts[:1] * (-len(parts) % QUAD)
        found = []
        for k in range(0, len(parts), QUAD):
            first, second = (
                self.build.fadd(self.shuffle(p, q, (0, 1, 4, 5)), self.shuffle(p, q, (2, 3, 6, 7)))
                for p, q in (parts[k : k + 2], parts[k + 2 : k + 4])
            )
            even, odd = (self.shuffle(first, second, range(j, 8, 2)) for j in (0, 1))
            one = self.build.fadd(even, odd)
            found += [self.build.extract_element(one, ir.IntType(32)(j)) for j in range(QUAD)]
        return found[: len(vectors)]

    def phases(self, pointer: Any, count: int) -> list[Value]:
        """The vectors of pixels 4 t + k for k < count <= 8."""
        quads = self.quads(pointer, QUAD + (count > QUAD))
        found = self.transposed(quads[:QUAD])
        if count > QUAD:
            found += self.transposed(quads[1:])
        return [Value(self.build, of) for of in found[:count]]

    def pairs(self, pointer: Any, lanes: int) -> list[Any]:
        """Vectors of the even and the odd numbers."""
        both = self.load(pointer, 2 * lanes).of
        return [self.shuffle(both, both, range(k, 2 * lanes, 2)) for k in range(2)]

    def join_pairs(self, even: Any, odd: Any, pointer: Any) -> None:
        """Store them in turn."""
        lanes = even.type.count
        order = [k + lanes * which for k in range(lanes) for which in range(2)]
        self.store(self.shuffle(even, odd, order), pointer)

    def whole_and_rest(self, n: Any, once: Callable[[Any, int], None]) -> None:
        """once(t, LANES) for whole vectors from 0 on, once(t, 1) for what is left of n."""
        whole = self.build.mul(self.build.sdiv(n, number(LANES)), number(LANES))
        with cgutils.for_range_slice(self.build, number(0), whole, number(LANES)) as (t, _):
            once(t, LANES)
        with cgutils.for_range_slice(self.build, whole, n, number(1)) as (t, _):
            once(t, 1)

    def join(self, values: Sequence[Value], pointer: Any) -> None:
        """Store pixels 4 t + k of four vectors k."""
        for k, quad in enumerate(self.transposed([value.of for value in values])):
            for q in range(LANES // QUAD):
                part = self.shuffle(quad, quad, range(QUAD * q, QUAD * (q + 1)))
                self.store(part, self.build.gep(pointer, [number(QUAD * (QUAD * q + k))]))


def number(value: int) -> Any:
    return ir.Constant(_INT, value)


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


def apart(formula: Formula, count: int) -> Callable[..., None]:
    """run(n, source, at, target, to, jump): for t < n LANES, of `count` pixels,

    target[to + t], [to + jump + t], ... = formula(source[at + 4 t], [at + 4 t + 1], ...)

    Read is source[at : at + 4 n LANES], and four more if count > 4.
    """

    @intrinsic
    def run(context: Any, n: Any, source: Any, at: Any, target: Any, to: Any, jump: Any) -> Any:
        i = types.intp
        signature = types.void(i, source, i, target, i, i)

        def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
            write = Writer(context, build, signature, args)
            n, _, at, _, to, jump = args
            with write.vectors(n) as (t, pixel):
                values = write.phases(write.start(1, build.add(at, pixel)), count)
                write.spread(formula(*values), write.start(3, build.add(to, t)), jump)
            return context.get_dummy_value()

        return signature, generate

    return run


def apart_rectified(formula: Formula) -> Callable[..., None]:
    """The same of four pixels, each times slope where that of another row is not positive.

    run(n, source, at, by, beside, slope, target, to, jump)
    """

    @intrinsic
    def run(
        context: Any, n: Any, source: Any, at: Any, by: Any, beside: Any, slope: Any, target: Any,
        to: Any, jump: Any,
    ) -> Any:  # fmt: skip
        i = types.intp
        signature = types.void(i, source, i, by, i, types.float32, target, i, i)

        def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
            write = Writer(context, build, signature, args)
            n, _, at, _, beside, slope, _, to, jump = args
            factor = write.everywhere(slope)
            with write.vectors(n) as (t, pixel):
                values = write.phases(write.start(1, build.add(at, pixel)), QUAD)
                signs = write.phases(write.start(3, build.add(beside, pixel)), QUAD)
                pairs = zip(values, signs, strict=True)
                values = [value.rectified(factor, sign) for value, sign in pairs]
                write.spread(formula(*values), write.start(6, build.add(to, t)), jump)
            return context.get_dummy_value()

        return signature, generate

    return run


def together(formula: Formula, count: int, before: bool = False) -> Callable[..., None]:
    """run(n, source, at, step, p, q, target, to): for t < n LANES, of `count` lines,

    target[to + 4 t + k] = formula(source[at + t], [at + step + t], ..., p, q)[k], k < 4

    before: the formula is given the lines at t - 1, too, behind those at t.
    """

    @intrinsic
    def run(
        context: Any, n: Any, source: Any, at: Any, step: Any, p: Any, q: Any, target: Any, to: Any
    ) -> Any:
        i = types.intp
        signature = types.void(i, source, i, i, types.float32, types.float32, target, i)

        def generate(context: Any, build: Any, signature: Any, args: Any) -> Any:
            write = Writer(context, build, signature, args)
            n, _, at, step, p, q, _, to = args
            numbers = [write.everywhere(p), write.everywhere(q)]
            with write.vectors(n) as (t, pixel):
                values = []
                for shift in (0, -1)[: 1 + before]:
                    first = write.start(1, build.add(build.add(at, t), number(shift)))
                    values += [
                        write.load(write.beside(first, step, k), LANES) for k in range(count)
                    ]
                write.join(formula(*values, *numbers), write.start(6, build.add(to, pixel)))
            return context.get_dummy_value()

        return signature, generate

    return run
