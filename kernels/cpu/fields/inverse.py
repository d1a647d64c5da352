# SPDX-License-Identifier: GPL-3.0-or-later
"""One inverse modulo p in variable time, by division steps on batches of low bits.

Bernstein, Yang, "Fast constant-time gcd computation and modular inversion" (TCHES 2019/3): from δ = 1, f = p and g = a, a
step replaces (δ, f, g) by (1 − δ, g, (g − f)/2) where δ > 0 and g is odd, else by (1 + δ, f, (g + (g mod 2)·f)/2), until
g = 0 and f = ±1. The steps depend on low bits alone, so that STEPS of them are gathered in a matrix of 64-bit numbers,
which is then applied to f and g, and modulo p to (d, e), which start as (0, 1) and keep d·a ≡ f, e·a ≡ g. About a tenth of
what Fermat's chain of squarings takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from supervm.kernels.cpu.fields import field as fe
from supervm.kernels.cpu.lanes import lanes as ln
from supervm.kernels.cpu.lanes.emitter import I128
from supervm.kernels.cpu.lanes.lanes import I1, I32, I64, call_llvm, element_pointer, every
from supervm.kernels.spec import FieldSpec

# mypy: disallow_untyped_defs=False

STEPS = 60
"""Steps in a matrix; the magnitudes in a row add up to 2^STEPS at most."""

ROOM = 32
"""Words of scratch for an inversion."""

_GUESS = 6
"""Low bits that one multiple of f clears at once."""


class _Numbers:
    """f, g, d and e in memory: signed integers of one word more than a canonical value.

    f and g only shrink. Each matrix adds at most p/2 to the magnitude of d and e; 384 bits need at most 19 matrices (the
    paper's theorem 11.2), so that both stay below 16p, and below the sign bit before the division by 2^STEPS.
    """

    def __init__(self, builder: ir.IRBuilder, spec: FieldSpec, base: ir.Value) -> None:
        self.builder = builder
        self.modulus = spec.modulus
        self.words = spec.words + 1
        self.type = ir.IntType(64 * self.words)
        self.base = base

    def constant(self, value: int) -> ir.Constant:
        return ir.Constant(self.type, value)

    def _pointer(self, index: int) -> ir.Value:
        at = self.builder.gep(self.base, [ir.Constant(I64, index * self.words)])
        return self.builder.bitcast(at, self.type.as_pointer())

    def load(self, index: int) -> ir.Value:
        return self.builder.load(self._pointer(index), align=8)

    def store(self, index: int, value: ir.Value) -> None:
        self.builder.store(value, self._pointer(index), align=8)

    def word(self, value: ir.Value, index: int) -> ir.Value:
        return self.builder.trunc(self.builder.lshr(value, self.constant(64 * index)), I64)

    def times(self, value: ir.Value, factor: ir.Value) -> ir.Value:
        """value · factor for a signed 64-bit factor, modulo 2^(64·words): word by word as if it were unsigned, less
        2^64 · value where it is negative."""
        b = self.builder
        wide = b.zext(factor, I128)
        total = self.constant(0)
        for index in range(self.words):
            product = b.mul(b.zext(self.word(value, index), I128), wide)
            shift = self.constant(64 * index)
            total = b.add(total, b.shl(b.zext(product, self.type), shift))
        negative = b.icmp_signed("<", factor, ir.Constant(I64, 0))
        excess = b.select(negative, b.shl(value, self.constant(64)), self.constant(0))
        return b.sub(total, excess)

    def combine(self, a: ir.Value, u: ir.Value, b: ir.Value, v: ir.Value) -> ir.Value:
        """a·u + b·v."""
        return self.builder.add(self.times(a, u), self.times(b, v))

    def shrink(self, value: ir.Value) -> ir.Value:
        """value / 2^STEPS, which divides it."""
        return self.builder.ashr(value, self.constant(STEPS))

    def divide(self, value: ir.Value) -> ir.Value:
        """value / 2^STEPS modulo p: the multiple of p between −2^(STEPS−1) and 2^(STEPS−1) that makes it divisible."""
        b = self.builder
        inverse = -pow(self.modulus, -1, 1 << STEPS) % (1 << STEPS)
        factor = b.mul(b.trunc(value, I64), ir.Constant(I64, inverse))
        spare = ir.Constant(I64, 64 - STEPS)
        factor = b.ashr(b.shl(factor, spare), spare)
        return self.shrink(b.add(value, self.times(self.constant(self.modulus), factor)))

    def canonical(self, value: ir.Value) -> ir.Value:
        """A value between −16p and 16p, modulo p."""
        b = self.builder
        value = b.add(value, self.constant(16 * self.modulus))
        for multiple in (16, 8, 4, 2, 1):
            bound = self.constant(multiple * self.modulus)
            less = b.sub(value, bound)
            value = b.select(b.icmp_signed("<", value, bound), value, less)
        return value


def _numbers(context: Any, builder: Any, field: Any, room_type: Any, room: Any) -> _Numbers:
    return _Numbers(
        builder, field.element.spec, element_pointer(context, builder, room_type, room, ir.Constant(I64, 0))
    )


@intrinsic
def _begin(typingctx: Any, field: Any, room: Any, words: Any) -> Any:
    """f = p, g = the value in lane 0, d = 0, e = 1."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        numbers = _numbers(context, builder, field, room, args[1])
        value = numbers.constant(0)
        for index, lanes in enumerate(cgutils.unpack_tuple(builder, args[2])):
            word = lanes if words.dtype.width == 1 else builder.extract_element(lanes, ir.Constant(I32, 0))
            part = builder.shl(builder.zext(word, numbers.type), numbers.constant(64 * index))
            value = builder.or_(value, part)
        for index, start in enumerate((numbers.constant(numbers.modulus), value)):
            numbers.store(index, start)
            numbers.store(index + 2, numbers.constant(index))
        return context.get_dummy_value()

    return types.void(field, room, words), codegen


@intrinsic
def _low(typingctx: Any, field: Any, room: Any, index: Any) -> Any:
    """The low word of number `index`, 0 … 3 for f, g, d, e."""
    words = field.element.spec.words + 1

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = builder.mul(args[2], ir.Constant(I64, words))
        return builder.load(element_pointer(context, builder, room, args[1], at), align=8)

    return types.int64(field, room, types.int64), codegen


@intrinsic
def _apply(typingctx: Any, field: Any, room: Any, u: Any, v: Any, q: Any, r: Any) -> Any:
    """(f, g) and (d, e) times the matrix (u, v; q, r) / 2^STEPS; returns whether g is 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _, memory, u, v, q, r = args
        n = _numbers(context, builder, field, room, memory)
        f, g, d, e = (n.load(index) for index in range(4))
        rest = n.shrink(n.combine(f, q, g, r))
        n.store(0, n.shrink(n.combine(f, u, g, v)))
        n.store(1, rest)
        n.store(2, n.divide(n.combine(d, u, e, v)))
        n.store(3, n.divide(n.combine(d, q, e, r)))
        return builder.icmp_unsigned("==", rest, n.constant(0))

    long = types.int64
    return types.boolean(field, room, long, long, long, long), codegen


@intrinsic
def _end(typingctx: Any, field: Any, room: Any) -> Any:
    """d · f modulo p for f = ±1, its words in every lane."""
    lanes = field.lanes
    result = types.UniTuple(lanes, field.element.spec.words)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        n = _numbers(context, builder, field, room, args[1])
        f, d = n.load(0), n.load(2)
        negative = builder.icmp_signed("<", f, n.constant(0))
        value = n.canonical(builder.select(negative, builder.sub(n.constant(0), d), d))
        words = [every(builder, lanes.llvm, n.word(value, index)) for index in range(result.count)]
        return context.make_tuple(builder, result, words)

    return result(field, room), codegen


@intrinsic
def _trailing_zeros(typingctx: Any, word: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return call_llvm(builder, "llvm.cttz.i64", I64, [args[0], ir.Constant(I1, 0)])

    return types.int64(types.int64), codegen


@njit(nogil=True, cache=True)
def invert_first(field, a, room):
    """The inverse of lane 0 of an element of a prime field, in every lane; 0 for 0.

    Args:
        room: uint64 (ROOM,), scratch.
    """
    _begin(field, room, fe.to_words(a))
    delta = 1
    done = _low(field, room, 1) == 0 and ln.mask_bits(fe.is_zero(a)) & 1 == 1
    while not done:
        f, g = _low(field, room, 0), _low(field, room, 1)
        u, v, q, r = 1, 0, 0, 1
        left = STEPS
        while True:
            zeros = _trailing_zeros(g | (1 << left))
            g >>= zeros
            u <<= zeros
            v <<= zeros
            delta += zeros
            left -= zeros
            if left == 0:
                break
            if delta > 0:
                delta = -delta
                f, g = g, -f
                u, q = q, -u
                v, r = r, -v
            cleared = min(1 - delta, left, _GUESS)
            factor = (g * f * (f * f - 2)) & ((1 << cleared) - 1)  # −g/f modulo 2^6, since f² ≡ 1 modulo 8
            g += factor * f
            q += factor * u
            r += factor * v
        done = _apply(field, room, u, v, q, r)
    return fe.from_words(field, _end(field, room))


def room() -> Any:
    """Scratch for `invert_first`."""
    return np.zeros(ROOM, np.uint64)
