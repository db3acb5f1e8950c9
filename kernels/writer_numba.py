"""Vectors of single precision in compiled kernels, written in LLVM's language: their arithmetic,
and how they are read and stored.

Numba has no vectors, and what LLVM makes of a loop over many arrays is far from what the machine
can do: it asks whether they overlap, and ends every row number by number.  Nothing is checked here:
a caller answers for the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils

LANES = 16 if llvm.get_host_cpu_features().get("avx512f") else 8  # of a vector
QUAD = 4  # pixels moved as one; and those that a tile of 4x4 is ahead of its neighbour

_FLOAT, _INT = ir.FloatType(), ir.IntType(64)
_ROUND = ("contract", "nsz")  # a product and a sum may be rounded once


def vector_type(lanes: int) -> Any:
    return ir.VectorType(_FLOAT, lanes)


def number(value: int) -> Any:
    return ir.Constant(_INT, value)


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


Make = Callable[[], list[Any]]


class Part(NamedTuple):
    """Of the pixels from number `at` on: those from `first` to before `end` are there."""

    at: Any
    first: Any
    end: Any

    def ahead(self, pixels: int, build: Any) -> Part:
        return self._replace(at=build.add(self.at, number(pixels)))


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
    def vectors(self, n: Any, tile: int = QUAD) -> Iterator[tuple[Any, Any]]:
        """A loop over t = 0, LANES, ... (n - 1) LANES: t, and the first pixel of tile t."""
        with cgutils.for_range(self.build, n) as loop:
            t = self.build.mul(loop.index, number(LANES))
            yield t, self.build.mul(t, number(tile))

    def store(self, value: Any, pointer: Any, align: int = 4) -> None:
        vector = self.build.bitcast(pointer, value.type.as_pointer())
        self.build.store(value, vector, align=align)

    def number(self, value: float) -> Value:
        """A constant in every lane."""
        return Value(self.build, ir.Constant(vector_type(LANES), [value] * LANES))

    def everywhere(self, value: Any) -> Value:
        """A number in every lane."""
        return Value(self.build, self._everywhere(value, vector_type(LANES)))

    def shuffle(self, a: Any, b: Any, lanes: Sequence[int]) -> Any:
        kind = ir.VectorType(ir.IntType(32), len(lanes))
        return self.build.shuffle_vector(a, b, ir.Constant(kind, list(lanes)))

    def mixed(self, a: Any, b: Any, high: bool) -> Any:
        """a0 b0 a1 b1, or a2 b2 a3 b3, of each four lanes."""
        first = (0, LANES, 1, LANES + 1)
        every = range(2 * high, LANES + 2 * high, QUAD)
        return self.shuffle(a, b, [q + lane for q in every for lane in first])

    def whole(self, part: Part, pixels: int) -> Any:
        """Whether so many pixels are all there."""
        begun = self.build.icmp_signed(">=", part.at, part.first)
        more = self.build.icmp_signed("<=", part.ahead(pixels, self.build).at, part.end)
        return self.build.and_(begun, more)

    def chosen(self, condition: Any, one: Make, other: Make) -> list[Any]:
        """The values of one() where the condition holds, else those of other()."""
        found = []
        with self.build.if_else(condition) as branches:
            for branch, make in zip(branches, (one, other), strict=True):
                with branch:
                    values = make()
                    found.append((values, self.build.block))
        phis = [self.build.phi(value.type) for value in found[0][0]]
        for values, block in found:
            for phi, value in zip(phis, values, strict=True):
                phi.add_incoming(value, block)
        return phis

    def _there(self, part: Part, count: int = QUAD) -> Any:
        """Which of some pixels are."""
        kind = ir.VectorType(ir.IntType(32), count)
        at, first, end = (
            self._everywhere(self.build.trunc(value, kind.element), kind) for value in part
        )
        at = self.build.add(at, ir.Constant(kind, list(range(count))))
        begun = self.build.icmp_signed(">=", at, first)
        return self.build.and_(begun, self.build.icmp_signed("<", at, end))

    def _everywhere(self, value: Any, kind: Any) -> Any:
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.build.insert_element(undefined, value, ir.IntType(32)(0))
        return self.shuffle(first, first, [0] * kind.count)

    def _quad(self, pointer: Any, part: Part | None) -> Any:
        """Four pixels, 0 where none is."""
        if part is None:
            return self.load(pointer, QUAD).of
        vector = self.build.bitcast(pointer, vector_type(QUAD).as_pointer())
        zero = ir.Constant(vector_type(QUAD), [0.0] * QUAD)
        kind = [vector.type, ir.IntType(32), ir.VectorType(ir.IntType(1), QUAD), zero.type]
        load = self._function("llvm.masked.load", zero.type, kind)
        return self.build.call(load, [vector, ir.IntType(32)(4), self._there(part), zero])

    def store_some(self, value: Any, pointer: Any, part: Part) -> None:
        """Those of some pixels that are there."""
        count = value.type.count
        with self.build.if_else(self.whole(part, count)) as (then, otherwise):
            with then:
                self.store(value, pointer)
            with otherwise:
                ends = self.build.icmp_signed("<", part.at, part.end)
                begins = self.build.icmp_signed(">", part.ahead(count, self.build).at, part.first)
                with self.build.if_then(self.build.and_(ends, begins)):
                    vector = self.build.bitcast(pointer, value.type.as_pointer())
                    mask = self._there(part, count)
                    kind = [value.type, vector.type, ir.IntType(32), mask.type]
                    store = self._function("llvm.masked.store", ir.VoidType(), kind, count)
                    self.build.call(store, [value, vector, ir.IntType(32)(4), mask])

    def _function(self, name: str, result: Any, kinds: list[Any], count: int = QUAD) -> Any:
        kind = ir.FunctionType(result, kinds)
        full = f"{name}.v{count}f32.p0v{count}f32"
        return cgutils.get_or_insert_function(self.build.module, kind, full)  # type: ignore[no-untyped-call]

    def quads(self, pointer: Any, count: int, tile: int, part: Part | None = None) -> list[Any]:
        """Vectors k = 0 ... count - 1: their q-th four lanes are pixels of tile 4 q + k."""
        found = []
        for k in range(count):
            ahead = [tile * (QUAD * q + k) for q in range(LANES // QUAD)]
            parts = [
                self._quad(self.build.gep(pointer, [number(n)]), part and part.ahead(n, self.build))
                for n in ahead
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

    def turned(self, lines: Sequence[Any]) -> list[Any]:
        """Of as many vectors as each has lanes: the t-th lanes of all in the t-th result."""
        found, count = list(lines), len(lines)
        step = count // 2
        while step:
            for k in range(count):
                if not k & step:
                    a, b = found[k], found[k + step]
                    lanes = [j - step + count if j & step else j for j in range(count)]
                    found[k] = self.shuffle(a, b, lanes)
                    lanes = [j + count if j & step else j + step for j in range(count)]
                    found[k + step] = self.shuffle(a, b, lanes)
            step //= 2
        return found

    def phases(self, pointer: Any, count: int, tile: int, part: Part) -> list[Value]:
        """The vectors of pixels tile t + k for k < count <= 8, 0 where there is none."""

        def quads(part: Part | None) -> list[Any]:
            if count <= QUAD or tile == QUAD:  # what a tile has more is the next one's first
                return self.quads(pointer, QUAD + (count > QUAD), tile, part)
            second = part and part.ahead(QUAD, self.build)
            following = self.build.gep(pointer, [number(QUAD)])
            first = self.quads(pointer, QUAD, tile, part)
            return first + self.quads(following, QUAD, tile, second)

        pixels = tile * (LANES - 1) + (QUAD if count <= QUAD else 2 * QUAD)
        found = self.chosen(self.whole(part, pixels), lambda: quads(None), lambda: quads(part))
        rows = self.transposed(found[:QUAD])
        if count > QUAD:
            rows += self.transposed(found[-QUAD:])
        return [Value(self.build, of) for of in rows[:count]]

    def pairs(self, pointer: Any, lanes: int) -> list[Any]:
        """Vectors of the even and the odd numbers."""
        both = self.load(pointer, 2 * lanes).of
        return [self.shuffle(both, both, range(k, 2 * lanes, 2)) for k in range(2)]

    def join_pairs(self, even: Any, odd: Any, pointer: Any) -> None:
        """Store them in turn."""
        lanes = even.type.count
        order = [k + lanes * which for k in range(lanes) for which in range(2)]
        self.store(self.shuffle(even, odd, order), pointer)

    def fetch(self, pointer: Any) -> None:
        """Ask for a line of memory that will be read, into the second-level cache."""
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        ask = cgutils.get_or_insert_function(self.build.module, kind, "llvm.prefetch.p0i8")  # type: ignore[no-untyped-call]
        self.build.call(ask, [self.build.bitcast(pointer, byte), word(0), word(2), word(1)])

    def every(self, step: int, pointer: Any, first: int, lanes: int) -> Value:
        """The vector of numbers `first`, first + step, ..."""
        of = ir.Constant(vector_type(lanes), ir.Undefined)
        for lane in range(lanes):
            one = self.build.load(self.build.gep(pointer, [number(first + lane * step)]), align=4)
            of = self.build.insert_element(of, one, ir.IntType(32)(lane))
        return Value(self.build, of)

    def add_every(self, step: int, value: Value, pointer: Any, first: int) -> None:
        """The same numbers += the lanes."""
        for lane in range(value.of.type.count):
            target = self.build.gep(pointer, [number(first + lane * step)])
            more = self.build.extract_element(value.of, ir.IntType(32)(lane))
            self.build.store(self.build.fadd(self.build.load(target), more), target)

    def whole_and_rest(self, n: Any, once: Callable[[Any, int], None]) -> None:
        """once(t, LANES) for whole vectors from 0 on, once(t, 1) for what is left of n."""
        whole = self.build.mul(self.build.sdiv(n, number(LANES)), number(LANES))
        with cgutils.for_range_slice(self.build, number(0), whole, number(LANES)) as (t, _):
            once(t, LANES)
        with cgutils.for_range_slice(self.build, whole, n, number(1)) as (t, _):
            once(t, 1)

    def join(self, values: Sequence[Value], pointer: Any, part: Part) -> None:
        """Store pixels k of tiles of four, or six, vectors k, those that are there."""
        tile, quads = len(values), []
        for first in range(0, tile, QUAD):
            count = min(QUAD, tile - first)  # of the quad, as many are pixels
            lines = [values[first + k % count].of for k in range(QUAD)]
            for k, quad in enumerate(self.transposed(lines)):
                for q in range(LANES // QUAD):
                    some = self.shuffle(quad, quad, range(QUAD * q, QUAD * q + count))
                    quads.append((tile * (QUAD * q + k) + first, some))
        with self.build.if_else(self.whole(part, tile * LANES)) as (then, otherwise):
            with then:
                for n, some in quads:
                    self.store(some, self.build.gep(pointer, [number(n)]))
            with otherwise:
                for n, some in quads:
                    target = self.build.gep(pointer, [number(n)])
                    self.store_some(some, target, part.ahead(n, self.build))
